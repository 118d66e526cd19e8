"""Compares the preset "shakespeare" with nanoGPT's recipe in PyTorch: held-out loss against seconds of training, on the same text.

    python benchmarks/shakespeare.py [--threads 2] [--compiled] [--slices 20] [--picture FILE]

Both train on the first 90 % of tiny Shakespeare and are measured on the rest, per character, in consecutive windows of 64. They alternate
in one process, a slice of their steps each, so that other load on the machine affects both. The clock runs while one trains, but neither
while Python starts nor while losses are measured. Prints a table, the ratio of the times for the whole training and for the single slices
(median and range), and a JSON object as the last line. --picture needs the extra "plot".
"""

import argparse
import json
import statistics
import sys
import time

from microgpt import load_docs
from microgpt.config import RECIPES
from microgpt.proof import bench
from microgpt.training import start

try:
    import torch
    from frameworks.torch_recipe import STEPS, Recipe
except ImportError as error:
    sys.exit(f"this benchmark needs PyTorch ({error}); install it with: pip install 'microgpt-cython[torch]'")

PRESET = RECIPES["shakespeare"]


class Ours:
    """The preset, on the engine fast."""

    name, num_steps = "microgpt", PRESET.training.num_steps

    def __init__(self, threads):
        docs = load_docs("shakespeare", PRESET.config.documents)
        self.run = start(docs, PRESET.config, PRESET.training, engine=PRESET.engine, threads=threads, evaluation=PRESET.evaluation)

    def train(self, steps):
        run, first = self.run, len(self.run.losses)
        run.model.engine.train(run.corpus, range(first, first + steps), run.training, run.losses)

    def evaluate(self):
        return self.run.evaluate()


class Theirs(Recipe):
    """nanoGPT's recipe in PyTorch."""

    name, num_steps = "PyTorch", STEPS

    def __init__(self, threads, compiled):
        [text] = load_docs("shakespeare", "text")
        ids = {char: i for i, char in enumerate(sorted(set(text)))}
        tokens = torch.tensor([ids[char] for char in text])
        n = len(tokens) - round(0.1 * len(tokens))
        super().__init__(tokens[:n], tokens[n:], len(ids), threads, compiled=compiled)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default: %(default)s)")
    parser.add_argument("--compiled", action="store_true", help="let torch.compile fuse the model")
    parser.add_argument("--slices", type=int, default=20, help="parts into which each training is divided (default: %(default)s)")
    parser.add_argument("--picture", metavar="FILE")
    args = parser.parse_args()
    print("\n".join(f"{name:15} {fact}" for name, fact in (bench.machine() | {"PyTorch": torch.__version__}).items()))
    racers = [Ours(args.threads), Theirs(args.threads, args.compiled)]
    results = {racer.name: {"seconds": [], "curve": []} for racer in racers}
    print(f"\n{'':10}{'steps':>6} {'seconds':>8} {'held-out loss':>14}")
    for i in range(args.slices):
        for racer in racers:
            found = results[racer.name]
            done, until = (racer.num_steps * k // args.slices for k in (i, i + 1))
            started = time.perf_counter()
            racer.train(until - done)
            found["seconds"].append(time.perf_counter() - started)
            found["curve"].append((sum(found["seconds"]), racer.evaluate()))
            print(f"{racer.name:10}{until:6} {found['curve'][-1][0]:8.2f} {found['curve'][-1][1]:14.4f}", flush=True)
    ours, theirs = (results[racer.name] for racer in racers)
    ratios = sorted(a / b for a, b in zip(ours["seconds"], theirs["seconds"]))
    print(f"\ntime, ours to theirs: {sum(ours['seconds']) / sum(theirs['seconds']):.3f} for all steps; slice by slice median "
          f"{statistics.median(ratios):.3f}, from {ratios[0]:.3f} to {ratios[-1]:.3f}")  # fmt: skip
    if args.picture:
        picture(results, args.picture)
    print(json.dumps({"machine": bench.machine(), "threads": args.threads, "results": results}))


def picture(results, path):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for number, (name, found) in enumerate(results.items()):
        axes.plot(*zip(*found["curve"]), color=f"C{number}", label=name, linewidth=1.4)
        axes.plot(*found["curve"][-1], "o", color=f"C{number}", markersize=4)
    axes.axhline(1.88, color="0.6", linewidth=0.8, linestyle="--", label="nanoGPT's README: 1.88")
    axes.set(xlabel="seconds of training", ylabel="held-out loss (nats per character)")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
