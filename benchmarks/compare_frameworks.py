"""Compares the same model in NumPy and PyTorch with this package's engines, in microseconds per document.

    pip install -e '.[compare]' && python benchmarks/compare_frameworks.py [--n-embd 16 32 ...] [--rounds 3]
    ... --n-layer 4 --block-size 64 --only "fast, batch 16" "eager float32, batch 16"

The loss and all gradients of every competitor are first compared with those of the exact engine, which has the bits of the pure reference,
on the same documents. Each competitor has its own process, and they take turns, on one thread unless the name says otherwise. Packages that
are not installed are skipped. Prints a table, and a JSON object as the last line.
"""

import argparse
import gc
import importlib
import json
import math
import statistics
import subprocess
import sys
import time
from dataclasses import replace

from microgpt import GPTConfig, TrainConfig, load_docs
from microgpt.compiled.exact import Network
from microgpt.corpus.tokens import Corpus
from microgpt.engines.graph import GraphEngine
from microgpt.proof import bench
from microgpt.training import start

MODULES = ("frameworks.numpy_gpt", "frameworks.torch_gpt")
OURS = {  # name -> engine, documents a step, threads
    "graph": ("graph", 1, 1),
    "exact": ("exact", 1, 1),
    "exact, batch 16": ("exact", 16, 1),
    "fast, batch 1": ("fast", 1, 1),
    "fast, batch 16": ("fast", 16, 1),
    "fast, batch 16, 2 threads": ("fast", 16, 2),
    "fast, batch 64": ("fast", 64, 1),
    "fast, batch 64, 2 threads": ("fast", 64, 2),
}
YARDSTICK = "fast, batch 16"
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}  # of a loss, and of a gradient as a vector: relative to its length


def expected(run, documents):
    """The mean loss of the documents and its gradients, name -> rows, by the exact engine, which has the bits of the pure reference."""
    model = run.model
    corpus = Corpus([model.tokenizer.decode(tokens[1:-1]) for tokens in documents], model.tokenizer)
    network = Network(model.config, model.tokenizer.vocab_size, model.params)
    loss = network.backward(corpus, 0, TrainConfig(batch_size=len(documents)))
    return loss, in_rows(model, network.gradients)


def in_rows(model, flat):
    """Name -> rows of a flat sequence of numbers in parameter order."""
    matrices, start = {}, 0
    for name, (rows, columns) in model.config.shapes(model.tokenizer.vocab_size).items():
        matrices[name] = [flat[start + row * columns : start + (row + 1) * columns] for row in range(rows)]
        start += rows * columns
    return matrices


class EngineTrainer:
    """One of this package's engines, with the interface of a framework's trainer."""

    def __init__(self, run, threads):
        self.run, self.threads = run, threads

    def steps(self, first, n):
        self.run.model.engine.train(self.run.corpus, range(first, first + n), self.run.training, [])

    def loss_and_gradients(self, documents):
        """Of the run's first documents, which `documents` are."""
        engine, training = self.run.model.engine, self.run.training
        if engine.name == "fast":
            loss, gradients = engine.network.backward(self.run.corpus, 0, training, self.threads)
        elif engine.name == "exact":
            loss, gradients = engine.network.backward(self.run.corpus, 0, training), engine.network.gradients
        else:
            weights = self.run.model.to_values()
            loss = GraphEngine.ops.batch_loss(documents, weights, self.run.model.config)
            loss.backward()
            loss, gradients = loss.data, [p.grad for matrix in weights.values() for row in matrix for p in row]
        return loss, in_rows(self.run.model, gradients)


def difference(trainer, run, documents, tolerance):
    """A phrase that says where the competitor's loss or gradients differ from the reference's; None if they do not."""
    loss, grads = trainer.loss_and_gradients(documents)
    right, right_grads = expected(run, documents)
    if not math.isclose(loss, right, rel_tol=tolerance):
        return f"loss {loss!r}, reference {right!r}"
    for name, rows in right_grads.items():  # as vectors: at relu's kink, one number may differ by more
        pairs = [(float(x), y) for row, right_row in zip(grads[name], rows, strict=True) for x, y in zip(row, right_row, strict=True)]
        if math.hypot(*(x - y for x, y in pairs)) > tolerance * (math.hypot(*(y for _, y in pairs)) or 1.0):
            return f"gradient of {name}"
    return None


def documents(block_size):
    """Names, or for contexts longer than these, text made of names that fills them."""
    names = load_docs("names")
    if block_size <= GPTConfig().block_size:
        return names
    text = " ".join(names[:20_000])
    return [text[i : i + block_size - 1] for i in range(0, len(text) - block_size, block_size - 1)]


def measure(name, shape, seconds=1.0):
    """Microseconds per document of one competitor, in this process; or what differs."""
    config = GPTConfig(init_std=0.32 * shape["n_embd"] ** -0.5, **shape)  # 0.08 at 16; wide models would saturate with it
    docs = documents(config.block_size)
    training = TrainConfig(num_steps=10_000_000, learning_rate=0.01 if config.n_embd <= 128 else 0.0002)  # wide models would diverge
    if name in OURS:
        engine, batch, threads = OURS[name]
        run = start(docs, config, replace(training, batch_size=batch), engine=engine, threads=threads)
        trainer, dtype = EngineTrainer(run, threads), "float32" if engine == "fast" else "float64"
        steps = trainer.steps
    else:
        make, batch = next(m.variants()[name] for m in map(importlib.import_module, MODULES) if name in m.variants())
        run = start(docs, config, training)
        trainer, dtype = make(run.model), "float32" if "float32" in name else "float64"

        def steps(first, n):
            for i in range(first, first + n):
                trainer.step([run.corpus[(i * batch + j) % len(run.corpus)] for j in range(batch)], training)

    wrong = difference(trainer, run, [run.corpus[i] for i in range(batch)], TOLERANCE[dtype])
    if wrong:
        return {"differs": wrong}
    gc.collect()  # garbage of the check would otherwise be collected during the measurement
    started, warm = time.perf_counter(), 0
    while warm < 20 and time.perf_counter() - started < seconds or warm < 2:  # compiling, caches
        steps(warm, 1)
        warm += 1
    done, n, started = warm, 1, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        steps(done, n)
        done += n
        n = min(2 * n, 1000) if elapsed < seconds / 4 else n
    return {"us": 1e6 * elapsed / ((done - warm) * batch)}


def in_fresh_process(name, shape):
    options = [f"--{field.replace('_', '-')}={value}" for field, value in shape.items()]
    command = [sys.executable, __file__, "--measure", name, *options]
    process = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if process.returncode:
        return {"differs": f"failed: {process.stderr.strip().splitlines()[-1]}"}
    return json.loads(process.stdout.splitlines()[-1])


def competitors():
    """Their names, ours first, and a line about each missing one."""
    names, missing = list(OURS), []
    for module in MODULES:
        try:
            names += importlib.import_module(module).variants()
        except ImportError as error:
            missing.append(f"{module} is skipped: {error}")
    return names, missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-embd", type=int, nargs="+", default=[16])
    parser.add_argument("--n-layer", type=int, default=1)
    parser.add_argument("--block-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="only those whose name contains one of these")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()

    def shape(n_embd):
        return {"n_embd": n_embd, "n_layer": args.n_layer, "block_size": args.block_size}

    if args.measure:
        print(json.dumps(measure(args.measure, shape(args.n_embd[0]))))
        return
    names, missing = competitors()
    names = [name for name in names if name == YARDSTICK or any(text in name for text in args.only)]
    results = {(name, n_embd): [] for n_embd in args.n_embd for name in names}
    for _ in range(args.rounds):
        for (name, n_embd), found in results.items():
            found.append(in_fresh_process(name, shape(n_embd)))
    print("\n".join(f"{name:15} {fact}" for name, fact in bench.machine().items()), *missing, sep="\n")
    print(f"\n{'':34} {'n_embd':>6} {'us a document':>14} {'from .. to':>20} {'fast is faster by':>19}")
    for (name, n_embd), found in results.items():
        wrong = next((result["differs"] for result in found if "differs" in result), None)
        if wrong:
            print(f"{name:34} {n_embd:6} no time: {wrong}")
            continue
        us, ours = [r["us"] for r in found], [r.get("us", math.nan) for r in results[YARDSTICK, n_embd]]
        ratio = statistics.median(a / b for a, b in zip(us, ours))
        print(f"{name:34} {n_embd:6} {statistics.median(us):14,.1f} {f'{min(us):,.1f} .. {max(us):,.1f}':>20} {ratio:19,.1f}")
    print(json.dumps([{"name": name, "n_embd": n_embd, "results": found} for (name, n_embd), found in results.items()]))


if __name__ == "__main__":
    main()
