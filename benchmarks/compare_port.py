"""Compares the engines, at one document per step and on one thread, with the fastest port to C that we found.

    git clone https://github.com/realies/microgpt.c && python benchmarks/compare_port.py microgpt.c [--n-embd 16 32 64] [--rounds 5]

The port (microgpt_fast.c, at commit e21a423) has hand-written gradients and vectors, in float32. It gives up the reference's numbers: it draws
other random numbers, has no options, and its sizes and the number of steps are constants. It is built with the flags below, without its
line for each step, after a check that it learns: its mean loss over the last 100 of 1,000 steps must be near that of the engines. Times are
processor time, of a process for each; port and engines take turns. Prints a table, and a JSON object as the last line.
"""

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from microgpt import GPTConfig, TrainConfig, load_docs
from microgpt.proof import bench
from microgpt.training import start

FLAGS = ("-O3", "-march=native", "-ffast-math")
ENGINES = ("fast", "exact")
NEAR = 0.15  # nats: how far the mean losses of 100 names may be apart, with other names and initial weights
PARAMETERS_A_RUN = 2e9  # steps times parameters: about a second


def build(source, folder, n_embd, num_steps, compiler, quiet=True):
    """Compile the port for a width and a number of steps; returns the program."""
    text, found = re.subn(r"nsteps = 1000\b", f"nsteps = {num_steps}", source)
    if found != 1:
        raise SystemExit("the port does not set `nsteps = 1000`; use commit e21a423 of realies/microgpt.c")
    if quiet:
        text = re.sub(r'printf\("\\rstep[^;]*;\s*fflush\(stdout\);', "(void)loss;", text)
    name = folder / f"port-{n_embd}-{num_steps}"
    name.with_suffix(".c").write_text(text, encoding="utf-8")
    subprocess.run([compiler, *FLAGS, f"-DN_EMBD={n_embd}", name.with_suffix(".c"), "-o", name, "-lm"], check=True)
    return name


def seconds_of(program, folder):
    """Processor seconds of a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([program], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def last_losses(program, folder):
    printed = subprocess.run([program], cwd=folder, capture_output=True, encoding="utf-8", check=True).stdout
    return statistics.fmean(float(loss) for loss in re.findall(r"loss ([\d.]+)", printed)[-100:])


def train(engine, n_embd, num_steps):
    """(microseconds per step, mean of the last hundred losses) of an engine, in this process."""
    run = start(load_docs("names"), GPTConfig(n_embd=n_embd), TrainConfig(num_steps=num_steps, batch_size=1), engine=engine)
    started = time.process_time()
    run.train()
    return 1e6 * (time.process_time() - started) / num_steps, statistics.fmean(run.losses[-100:])


def in_fresh_process(engine, n_embd, num_steps):
    command = [sys.executable, __file__, "--measure", json.dumps([engine, n_embd, num_steps])]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout)


def compare(source, folder, n_embd, rounds, compiler):
    """Name -> microseconds per step in each round."""
    learned, ours = last_losses(build(source, folder, n_embd, 1000, compiler, quiet=False), folder), train("exact", n_embd, 1000)[1]
    if not abs(learned - ours) < NEAR:
        raise SystemExit(f"n_embd {n_embd}: the port's loss is {learned:.3f}, ours {ours:.3f}; no time is shown")
    num_steps = round(PARAMETERS_A_RUN / (12 * n_embd**2 + 70 * n_embd) / 100)
    program, empty = (build(source, folder, n_embd, steps, compiler) for steps in (num_steps, 1))
    found = {name: [] for name in ("port", *ENGINES)}
    for _ in range(rounds):
        found["port"].append(1e6 * (seconds_of(program, folder) - seconds_of(empty, folder)) / (num_steps - 1))
        for engine in ENGINES:
            found[engine].append(in_fresh_process(engine, n_embd, num_steps)[0])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", nargs="?", help="a checkout of realies/microgpt.c")
    parser.add_argument("--n-embd", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(train(*json.loads(args.measure))))
        return
    if args.checkout is None:
        parser.error("give the folder of a checkout of realies/microgpt.c")
    source = (Path(args.checkout) / "microgpt_fast.c").read_text(encoding="utf-8")
    print("\n".join(f"{name:15} {fact}" for name, fact in (bench.machine() | {"the port's flags": " ".join(FLAGS)}).items()))
    print(f"\n{'':6} {'n_embd':>6} {'us a document':>14} {'from .. to':>18} {'port / engine':>14} {'from .. to':>14}")
    results = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "input.txt").write_text("\n".join(load_docs("names")) + "\n", encoding="utf-8")
        for n_embd in args.n_embd:
            results[n_embd] = found = compare(source, folder, n_embd, args.rounds, args.compiler)
            for name, us in found.items():
                ratios = [theirs / own for theirs, own in zip(found["port"], us)]
                print(
                    f"{name:6} {n_embd:6} {statistics.median(us):14.2f} {f'{min(us):.2f} .. {max(us):.2f}':>18} "
                    f"{statistics.median(ratios):14.2f} {f'{min(ratios):.2f} .. {max(ratios):.2f}':>14}",
                    flush=True,
                )  # fmt: skip
    print(json.dumps(results))


if __name__ == "__main__":
    main()
