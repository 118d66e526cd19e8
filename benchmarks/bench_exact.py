"""Time the exact engine: microseconds a step for each instruction set and width, and characters a second when writing.

    MICROGPT_NAMES=names.txt python benchmarks/bench_exact.py [--steps 10000] [--repeats 5] [--isa avx512 ...]

Each instruction set runs in a fresh process. Before a time is printed, the first steps are compared with the pure Python engine,
to the last bit, and all instruction sets must end with the same losses and parameters. Prints a table, and a JSON object as the
last line.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from array import array

from microgpt import GPT, GPTConfig, Tokenizer, TrainConfig, _exact, load_docs
from microgpt.tokenizer import Corpus

WIDTHS = {16: 1.0, 32: 0.3, 64: 0.1}  # n_embd: share of --steps
CHECKED = 5  # steps compared with the pure engine


def train(docs, n_embd, engine, steps, num_steps):
    rng = random.Random(42)
    tokenizer = Tokenizer.from_docs(docs)
    model = GPT.init(GPTConfig(n_embd=n_embd), tokenizer, rng, engine)
    corpus, losses = Corpus(docs, tokenizer), []
    start = time.perf_counter()
    model.engine.train(corpus, range(steps), TrainConfig(num_steps=num_steps), losses)
    return time.perf_counter() - start, digest(losses, model), model


def digest(losses, model):
    return hashlib.sha256(array("d", losses).tobytes() + bytes(model.params)).hexdigest()[:16]


def measure(docs, args):
    """One instruction set's results, in this process."""
    result = {"info": _exact.info(), "us": {}, "digest": {}}
    for n_embd, share in WIDTHS.items():
        steps = max(CHECKED, int(args.steps * share))
        if train(docs, n_embd, "exact", CHECKED, steps)[1] != train(docs, n_embd, "python", CHECKED, steps)[1]:
            raise SystemExit(f"n_embd {n_embd}: the first {CHECKED} steps differ from the pure engine's; no time to report")
        runs = [train(docs, n_embd, "exact", steps, steps) for _ in range(args.repeats)]
        result["us"][n_embd] = [1e6 * seconds / steps for seconds, _, _ in runs]
        result["digest"][n_embd] = runs[0][1]
        if n_embd == 16:
            model = runs[0][2]
            rates = []
            for _ in range(args.repeats):
                start = time.perf_counter()
                written = model.generate(5000, seed=1)
                rates.append(sum(map(len, written)) / (time.perf_counter() - start))
            result["chars_per_second"] = rates
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--isa", nargs="*", default=_exact.info()["isas"])
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        docs = load_docs(os.environ["MICROGPT_NAMES"])
        random.Random(42).shuffle(docs)
        print(json.dumps(measure(docs, args)))
        return
    results = {}
    for isa in args.isa:
        command = [sys.executable, __file__, "--child", "--steps", str(args.steps), "--repeats", str(args.repeats)]
        child = subprocess.run(command, env=os.environ | {"MICROGPT_ISA": isa}, stdout=subprocess.PIPE, text=True, check=True)
        results[isa] = json.loads(child.stdout)
    if len({json.dumps(result["digest"]) for result in results.values()}) > 1:
        raise SystemExit("the instruction sets end with different results; no time to report")
    print(f"{'':10}" + "".join(f"{f'n_embd {n}':>22}" for n in WIDTHS) + f"{'characters/s':>16}")
    for isa, result in results.items():
        cells = [f"{statistics.median(us):.2f} ({min(us):.2f}-{max(us):.2f}) us" for us in result["us"].values()]
        print(f"{isa:10}" + "".join(f"{cell:>22}" for cell in cells) + f"{statistics.median(result['chars_per_second']):>16,.0f}")
    print(json.dumps({"machine": platform.processor() or platform.machine(), "python": platform.python_version(), **results}))


if __name__ == "__main__":
    main()
