"""The same model in NumPy and PyTorch beside this package's engines: microseconds a document.

    pip install -e '.[compare]' && python benchmarks/compare_frameworks.py [--n-embd 16 32 ...] [--rounds 3]

Every competitor's loss and all its gradients are first compared with the pure reference's on the same documents. Each runs in a
process of its own, in turns; one thread each. What is not installed is skipped. Prints a table, and a JSON object as last line.
"""

import argparse
import importlib
import json
import math
import statistics
import subprocess
import sys
import time

from microgpt import GPTConfig, TrainConfig, bench, load_docs, reference
from microgpt.engines import ENGINES
from microgpt.training import start

MODULES = ("frameworks.numpy_gpt", "frameworks.torch_gpt")
TRAINING = TrainConfig(num_steps=1_000_000)
OURS = [name for name in ENGINES if name not in ("python", "fast")]
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}  # of gradients, relative to the largest


def expected(run, documents):
    """Mean loss of the documents and its gradients, name -> rows, by the pure reference."""
    params = {
        name: [[reference.Value(x) for x in row] for row in view.tolist()] for name, view in run.model.state_dict().items()
    }
    losses = [reference.document_loss(tokens, params, run.model.config) for tokens in documents]
    loss = (1 / len(losses)) * sum(losses)
    loss.backward()
    return loss.data, {name: [[p.grad for p in row] for row in matrix] for name, matrix in params.items()}


def difference(trainer, run, documents, tolerance):
    """In words, where the competitor's loss or gradients differ from the reference's; None where they do not."""
    loss, grads = trainer.loss_and_gradients(documents)
    right, right_grads = expected(run, documents)
    if not math.isclose(loss, right, rel_tol=tolerance):
        return f"loss {loss!r}, reference {right!r}"
    for name, rows in right_grads.items():
        largest = max(abs(x) for row in rows for x in row) or 1.0
        for row, right_row in zip(grads[name], rows):
            if any(abs(x - y) > tolerance * largest for x, y in zip(row, right_row, strict=True)):
                return f"gradient of {name}"
    return None


def measure(name, n_embd, seconds=1.0):
    """Microseconds a document of one competitor, in this process; or what differs."""
    docs = load_docs("names")
    engine = name if name in OURS else "graph"
    run = start(docs, GPTConfig(n_embd=n_embd), TRAINING, engine=engine)
    if name in OURS:
        def steps(first, n):
            run.model.engine.train(run.corpus, range(first, first + n), TRAINING, [])
        batch = 1
    else:
        make, batch = next(m.variants()[name] for m in map(importlib.import_module, MODULES) if name in m.variants())
        trainer = make(run.model.config, run.model.state_dict())
        wrong = difference(
            trainer, run, [run.corpus[i] for i in range(batch)], TOLERANCE["float32" if "float32" in name else "float64"]
        )
        if wrong:
            return {"differs": wrong}

        def steps(first, n):
            for i in range(first, first + n):
                trainer.step([run.corpus[(i * batch + j) % len(run.corpus)] for j in range(batch)], TRAINING)
    steps(0, 20)  # compiling, caches
    done, n, started = 20, 1, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        steps(done, n)
        done += n
        n = min(2 * n, 1000)
    return {"us": 1e6 * elapsed / ((done - 20) * batch)}


def in_fresh_process(name, n_embd):
    command = [sys.executable, __file__, "--measure", name, "--n-embd", str(n_embd)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        return {"differs": f"failed: {process.stderr.strip().splitlines()[-1]}"}
    return json.loads(process.stdout.splitlines()[-1])


def competitors():
    """Their names, ours first, and a line about each that is not there."""
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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="competitors whose name contains this, and ours")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.n_embd[0])))
        return
    names, missing = competitors()
    names = [name for name in names if name in OURS or args.only in name]
    results = {(name, n_embd): [] for n_embd in args.n_embd for name in names}
    for _ in range(args.rounds):
        for (name, n_embd), found in results.items():
            found.append(in_fresh_process(name, n_embd))
    print("\n".join(f"{name:15} {fact}" for name, fact in bench.machine().items()), *missing, sep="\n")
    print(f"\n{'':34} {'n_embd':>6} {'us a document':>14} {'from .. to':>20} {'exact is faster by':>19}")
    for (name, n_embd), found in results.items():
        wrong = next((result["differs"] for result in found if "differs" in result), None)
        if wrong:
            print(f"{name:34} {n_embd:6} no time: {wrong}")
            continue
        us, ours = [r["us"] for r in found], [r["us"] for r in results["exact", n_embd]]
        ratio = statistics.median(a / b for a, b in zip(us, ours))
        print(f"{name:34} {n_embd:6} {statistics.median(us):14,.1f} {f'{min(us):,.1f} .. {max(us):,.1f}':>20} {ratio:19,.1f}")
    print(json.dumps([{"name": name, "n_embd": n_embd, "results": found} for (name, n_embd), found in results.items()]))


if __name__ == "__main__":
    main()
