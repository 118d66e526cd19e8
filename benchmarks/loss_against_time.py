"""Measures the loss that a given time of training reaches, on held-out names: a tenth of the list.

    python benchmarks/loss_against_time.py [--seconds 1 10] [--n-embd 16 32 48 64] [--threads 1] [--picture FILE]

The learning rate of each run falls to 0 at its last step; a shorter run determines the number of steps. The clock runs while the engine
trains, but neither while Python starts nor while the loss is measured; on one thread it measures processor time, which excludes other
programs. Engine "fast" has the settings below, "exact" and "python" have the published ones. Prints a table, and a JSON object as the last
line; --picture needs the extra "plot".
"""

import argparse
import json
import math
import time
from dataclasses import replace

from microgpt import GPT, EvalConfig, GPTConfig, TrainConfig, load_docs
from microgpt.proof import bench
from microgpt.training import start

SHORT = 3  # seconds; longer runs see each name many times, and weight decay keeps the model from memorizing them
SETTINGS = {  # n_embd -> settings of engine "fast" for short and for longer runs, the best of several hundred random trials
    16: (dict(learning_rate=0.008, batch_size=32), dict(learning_rate=0.006, batch_size=32)),
    32: (dict(learning_rate=0.005, batch_size=32), dict(learning_rate=0.008, batch_size=64, weight_decay=0.1)),
    48: (dict(learning_rate=0.004, batch_size=32), dict(learning_rate=0.006, batch_size=64, weight_decay=0.1)),
    64: (dict(learning_rate=0.004, batch_size=32), dict(learning_rate=0.006, batch_size=64, weight_decay=0.1)),
}
POINTS = 24  # measurements in a run
CALIBRATION = 0.3  # fraction of the time spent on the shorter run


def prepared(docs, engine, n_embd, threads, seconds, num_steps):
    training = TrainConfig(num_steps=num_steps)
    if engine == "fast":
        settings = SETTINGS[n_embd][seconds > SHORT]
        training = replace(training, beta1=0.9, warmup_steps=num_steps // 50, **settings)
    return start(docs, GPTConfig(n_embd=n_embd), training, engine=engine, threads=threads, evaluation=EvalConfig(val_fraction=0.1))


def train(run, until):
    """Do the steps up to number `until`. Returns the seconds that they took."""
    clock = time.process_time if run.model.engine.threads == 1 else time.perf_counter
    started = clock()
    run.model.engine.train(run.corpus, range(len(run.losses), until), run.training, run.losses)
    return clock() - started


def held_out_loss(run):
    """Always computed by the exact engine, on the same weights."""
    judge = GPT(run.model.config, run.model.tokenizer, run.model.params, "exact")
    return math.fsum(map(judge.token_loss, run.held_out)) / len(run.held_out)


def steps_in(docs, engine, n_embd, threads, seconds):
    """How many steps fit into the time, estimated from a few steps."""
    run, done, elapsed = prepared(docs, engine, n_embd, threads, seconds, 10**9), 1, 0.0
    while elapsed < CALIBRATION * seconds:
        elapsed += train(run, done)
        done *= 2
    return max(1, int(len(run.losses) / elapsed * seconds))


def measure(docs, engine, n_embd, threads, seconds):
    """One run: its steps, the seconds that it took, and [(seconds, held-out loss), ...] during it."""
    num_steps = steps_in(docs, engine, n_embd, threads, seconds)
    run = prepared(docs, engine, n_embd, threads, seconds, num_steps)
    elapsed, curve = 0.0, []
    for point in range(1, POINTS + 1):
        until = max(len(run.losses), round(num_steps * (point / POINTS) ** 2))  # closer together at first
        if until > len(run.losses):
            elapsed += train(run, until)
            curve.append((elapsed, held_out_loss(run)))
    return {"engine": engine, "n_embd": n_embd, "threads": threads, "asked": seconds, "steps": num_steps, "curve": curve,
            "documents": num_steps * run.training.batch_size, "seconds": elapsed, "loss": curve[-1][1]}  # fmt: skip


def picture(results, path):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8.5, 4), layout="constrained")
    runs = {}
    for result in results:
        runs.setdefault((result["engine"], result["n_embd"]), []).append(result)
    for number, ((engine, n_embd), of_one) in enumerate(runs.items()):
        for result in of_one:
            label = f"{engine}, n_embd {n_embd}" if result is of_one[0] else None
            axes.plot(*zip(*result["curve"]), color=f"C{number}", label=label, linewidth=1.4)
            axes.plot(*result["curve"][-1], "o", color=f"C{number}", markersize=4)
    axes.set(xscale="log", xlabel="seconds of training, one core", ylabel="held-out loss (nats per token)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--n-embd", type=int, nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--threads", type=int, default=1, help="for engine fast")
    parser.add_argument("--picture", metavar="FILE")
    args = parser.parse_args()
    docs = load_docs("names")
    print("\n".join(f"{name:15} {fact}" for name, fact in bench.machine().items()))
    print(f"\n{'engine':8} {'n_embd':>6} {'threads':>7} {'seconds':>8} {'steps':>8} {'documents':>10} {'held-out loss':>14}")
    results = []
    for engine, n_embd in [("fast", n_embd) for n_embd in args.n_embd] + [("exact", 16), ("python", 16)]:
        for seconds in args.seconds:
            result = measure(docs, engine, n_embd, args.threads if engine == "fast" else 1, seconds)
            results.append(result)
            print(f"{engine:8} {n_embd:6} {result['threads']:7} {result['seconds']:8.2f} {result['steps']:8,} "
                  f"{result['documents']:10,} {result['loss']:14.4f}", flush=True)  # fmt: skip
    if args.picture:
        picture(results, args.picture)
    print(json.dumps({"machine": bench.machine(), "results": results}))


if __name__ == "__main__":
    main()
