"""A training step under `microgpt run`, for the changes that people make to the script most often.

    python benchmarks/bench_run.py [--steps 100] [WORDS IN A NAME ...]

Each script first has to print the same both ways. Then a step's processor time is the median over windows of steps, with the
cyclic collector on; Python gets a few steps, of the same documents. The last column is the share of a step that is the script's own Python.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from run_rows import REFUSALS, ROWS, edited, in_files

CLOCK = ("import math\n", "import math\nfrom time import process_time as clock\ntimes = []\n")
TICK = ("    print(f\"step", "    times.append(clock())\n    print(f\"step")
TIMES = '\nwith open("times.txt", "w") as file:\n    print(*times, file=file)\n'
RUN = ["-m", "microgpt", "run", "--explain"]


def run(folder, *command):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:])}
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, env=environment)


def step_time(folder, command, steps, window):
    """Median seconds of a step, over windows of this many."""
    run(folder, *command, "timed.py", str(steps), "0")
    times = [float(word) for word in (folder / "times.txt").read_text().split()]
    return statistics.median((b - a) / window for a, b in zip(times, times[window:]))


def measure(sources, steps):
    """(seconds of a step under Python, under microgpt run, the share of the script's own Python)"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, source in sources.items():
            (folder / file).write_text(source)
        (folder / "timed.py").write_text(sources["script.py"].replace(*CLOCK, 1).replace(*TICK) + TIMES)
        python, compiled = run(folder, "script.py", "2", "1"), run(folder, *RUN, "script.py", "2", "1")
        if (python.stdout, python.returncode) != (compiled.stdout, compiled.returncode):
            raise SystemExit("the output differs:\n" + compiled.stdout + compiled.stderr)
        explained = run(folder, *RUN, "timed.py", str(steps), "0").stderr
        share = re.search(r"(\d+)% in the script's own Python", explained)
        return step_time(folder, [], 6, 1), step_time(folder, RUN, steps, 10), share.group(1) if share else "100"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    several = {"the class and the functions in files of their own": in_files(edited([]))}
    scripts = {name: {"script.py": edited(edits)} for name, edits in {**ROWS, **REFUSALS}.items()} | several
    print("| change | Python, ms | run, ms | times | own Python, % |\n|---|---|---|---|---|")
    for name, sources in scripts.items():
        if all(word in name for word in arguments.words):
            python, compiled, share = measure(sources, arguments.steps)
            print(f"| {name} | {python * 1000:.0f} | {compiled * 1000:.2f} | {python / compiled:.0f} | {share} |", flush=True)


if __name__ == "__main__":
    main()
