"""Compares an engine of this checkout with that of another build of the package, for example of an earlier commit.

    python benchmarks/compare_builds.py FOLDER [--engine exact] [--n-embd 16 32 64] [--batch-size 1] [--threads 1 2] [--isa avx2]
                                        [--seconds 10]

FOLDER: the PYTHONPATH of the other build. Both train the same model on the same documents, each in its own process, and alternate every
few milliseconds, so that other load on the machine affects both. All losses of `exact` must be equal in every bit; those of `fast` may
differ by rounding in the first two steps, and drift apart later. The other build computes on one thread. The measured time is processor
time if this build does too, otherwise elapsed time. Prints microseconds per document, and the ratio of this build to the other: its median
and quartiles over all turns, and that of the least times.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHILD = """
import json, sys, time
from microgpt import GPTConfig, TrainConfig, load_docs
from microgpt.training import start
engine, (n_embd, batch_size, threads, shared) = sys.argv[1], map(int, sys.argv[2:])
rate = 0.01 if n_embd <= 128 else 0.0002  # what larger models can take
training = TrainConfig(num_steps=10**9, batch_size=batch_size, learning_rate=rate)
options = {"threads": threads} if threads > 1 else {}
clock = time.perf_counter if shared else time.process_time
run, first = start(load_docs("names"), GPTConfig(n_embd=n_embd), training, engine=engine, **options), 0
for line in sys.stdin:
    losses, started = [], clock()
    run.model.engine.train(run.corpus, range(first, first + int(line)), training, losses)
    first += int(line)
    print(json.dumps([clock() - started, losses]), flush=True)
"""


class Build:
    """A process that trains with one build of the package."""

    def __init__(self, folder, engine, n_embd, batch_size, threads, shared, isa):
        environment = os.environ | {"PYTHONPATH": str(folder)} | ({"MICROGPT_ISA": isa} if isa else {})
        command = [sys.executable, "-c", CHILD, engine, str(n_embd), str(batch_size), str(threads), str(int(shared))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd="/")

    def train(self, steps):
        """The seconds and losses of the next steps."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.communicate()


def compare(other, engine, n_embd, batch_size, threads, isa, seconds):
    """Microseconds per document of this build and of the other, a pair for each turn."""
    shared = threads > 1
    builds = [Build(ROOT, engine, n_embd, batch_size, threads, shared, isa), Build(other, engine, n_embd, batch_size, 1, shared, isa)]
    try:
        once = [build.train(2) for build in builds]
        if not all(math.isclose(a, b, rel_tol=0.0 if engine == "exact" else 1e-5) for a, b in zip(once[0][1], once[1][1])):
            raise SystemExit(f"n_embd {n_embd}: the losses differ")
        steps = max(1, int(0.005 / min(time / 2 for time, _ in once)))
        turns, total = [], 0.0
        while total < seconds or len(turns) < 3:
            order = builds if len(turns) % 2 else builds[::-1]
            (time, losses), (other_time, other_losses) = [found for _, found in sorted((builds.index(b), b.train(steps)) for b in order)]
            if engine == "exact" and losses != other_losses:
                raise SystemExit(f"n_embd {n_embd}: the losses differ")
            turns.append([1e6 * t / steps / batch_size for t in (time, other_time)])
            total += time + other_time
        return turns[1:]  # the first is still warming up
    finally:
        for build in builds:
            build.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", metavar="FOLDER", type=os.path.abspath)
    parser.add_argument("--engine", choices=["exact", "fast"], default="exact")
    parser.add_argument("--n-embd", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--isa", nargs="+", default=[""])
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    print(
        f"{'n_embd':>6} {'batch':>5} {'threads':>7} {'isa':9} {'us a document':>13} {'the other':>10} {'ratio':>6} {'spread':>14} "
        f"{'of least':>8}"
    )
    for isa in args.isa:
        for n_embd in args.n_embd:
            for batch_size in args.batch_size:
                for threads in args.threads:
                    turns = compare(args.other, args.engine, n_embd, batch_size, threads, isa, args.seconds)
                    ours, others = (statistics.median(column) for column in zip(*turns))
                    least = min(a for a, _ in turns) / min(b for _, b in turns)
                    low, middle, high = statistics.quantiles([a / b for a, b in turns], n=4)
                    print(
                        f"{n_embd:6} {batch_size:5} {threads:7} {isa or 'best':9} {ours:13,.2f} {others:10,.2f} {middle:6.3f} "
                        f"{f'{low:.3f} .. {high:.3f}':>14} {least:8.3f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
