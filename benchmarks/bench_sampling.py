"""Writing documents: characters per second of the exact and the fast engine, with the same trained model.

    python benchmarks/bench_sampling.py --n-embd 16 32 64 --rounds 5

The documents of the fast engine are checked before it is timed: each character must be the one that its random number chooses by the
exact engine's probabilities, up to rounding. Every time is measured in a fresh process, from the call of model.generate to the list of
strings. The cases take turns for several rounds; the table shows the best and the median.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import microgpt
from microgpt import TrainConfig
from microgpt.compiled import exact as _exact
from microgpt.engines import fast, sampling

CHECKED, TOLERANCE = 300, 1e-4
WRITTEN = {"exact": 20_000, "fast": 200_000}  # documents
SECONDS = 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="names")
    parser.add_argument("--n-embd", type=int, nargs="+", default=[16])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    docs = microgpt.load_docs(arguments.data)
    cases = [("exact", "", 1), *(("fast", isa, 1) for isa in _exact.info()["isas"])]
    cases += [("fast", "", threads) for threads in (2, 4, 8) if threads <= (os.cpu_count() or 1)]
    print(f"{'engine':14} {'threads':>7} {'n_embd':>6} {'best':>12} {'median':>12}  characters a second")
    with tempfile.TemporaryDirectory() as folder:
        for n_embd in arguments.n_embd:
            path = os.path.join(folder, f"model{n_embd}")
            config = microgpt.GPTConfig(n_embd=n_embd)
            microgpt.train(docs, config, TrainConfig(num_steps=1000), engine="fast").model.save(path)
            rates = {case: [] for case in cases}
            for _ in range(arguments.rounds):
                for case in cases:
                    rates[case].append(in_fresh_process(case, path))
            for (engine, isa, threads), found in rates.items():
                best, median = max(found), statistics.median(found)
                print(f"{f'{engine} {isa}':14} {threads:7} {n_embd:6} {best:12,.0f} {median:12,.0f}")


def in_fresh_process(case, path):
    engine, isa, threads = case
    environment = os.environ | ({"MICROGPT_ISA": isa} if isa else {})
    command = [sys.executable, __file__, path, engine, str(threads)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8").stdout)


def measure(path, engine, threads):
    """Characters a second."""
    model = microgpt.GPT.load(path, engine, threads)
    if engine == "fast":
        check(model)
    started, characters = time.perf_counter(), 0
    while (seconds := time.perf_counter() - started) < SECONDS:
        characters += sum(map(len, model.generate(WRITTEN[engine], seed=1)))
    return characters / seconds


def check(model):
    """Raise AssertionError unless the exact probabilities give the documents that the fast engine writes."""
    bos, block_size = model.tokenizer.bos, model.config.block_size
    for number, text in enumerate(model.generate(CHECKED, seed=1)):
        tokens = [*model.tokenizer.encode(text), bos][:block_size]
        decode = model.engine.decoder()
        for position, (before, token) in enumerate(zip([bos, *tokens], tokens)):
            weights, u = sampling.probabilities(decode(before), 0.5), fast.chance(fast.key_of(1), number, position)
            below = sum(weights[:token])
            assert below - TOLERANCE <= u <= below + weights[token] + TOLERANCE, (number, text, position)


if __name__ == "__main__":
    if len(sys.argv) == 4 and not sys.argv[1].startswith("-"):
        print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        main()
