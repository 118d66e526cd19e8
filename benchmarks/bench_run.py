"""Measures a training step under `microgpt run`: for the most common changes to the script, and for the whole scripts of the tests.

    python benchmarks/bench_run.py [--steps 100] [--runs 3] [WORDS IN A NAME ...]

Each script must first print the same both ways. Then the processor time of a step is measured, with the cyclic collector on: for the
changes, the median over windows of steps; for the others, the time of the whole script after its imports, divided by its steps. Python does
a few steps, `microgpt run` more. The table shows the median of several alternating runs, and the least and the greatest ratio. "Own Python"
is the share of the time spent in the script's own Python code, which no compiled code can reduce.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "scripts"))
from people import SCRIPTS
from run_rows import REFUSALS, ROWS, edited, in_files

CLOCK = "from time import process_time as clock\ntimes = []\n"
TIMES = '\nwith open("times.txt", "w") as file:\n    print(*times, file=file)\n'
RUN = ["-m", "microgpt", "run", "--explain"]


def run(folder, *command):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:])}
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, env=environment)


def timed_steps(sources, steps):
    """A script of run_rows.py that records the time after each step, its arguments, and the number of steps in a window."""
    source = sources["script.py"].replace("import math\n", "import math\n" + CLOCK, 1)
    return (
        "script.py",
        source.replace('    print(f"step', '    times.append(clock())\n    print(f"step') + TIMES,
        [str(steps), "0"],
        1 if steps < 20 else 10,
    )


def timed_whole(sources, times):
    """A script of people.py with this many times its steps, which records when its training begins and ends."""
    source = sources["main.py"]
    steps = re.search(r"^STEPS = (\d+)$", source, re.MULTILINE)
    more = int(steps[1]) * times if steps else 1
    source = source.replace(steps[0], f"STEPS = {more}\n{CLOCK}times.append(clock())") if steps else source
    return "main.py", source + f"\ntimes.append(times[0] + (clock() - times[0]) / {more})\n" + TIMES, [], 1


def step_time(folder, command, script):
    """(seconds per step, the share of the script's own Python or None)"""
    name, source, arguments, window = script
    (folder / name).write_text(source)
    report = run(folder, *command, name, *arguments).stderr
    times = [float(word) for word in (folder / "times.txt").read_text().split()]
    share = re.search(r"(\d+)% in the script's own Python", report)
    return statistics.median((b - a) / window for a, b in zip(times, times[window:])), share and share[1]


def measure(sources, steps, runs):
    """The columns of the row of a script."""
    with tempfile.TemporaryDirectory() as name:
        folder, whole = Path(name), "main.py" in sources
        for file, source in sources.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(source)
        main = ["main.py"] if whole else ["script.py", "2", "1"]
        python, compiled = run(folder, *main), run(folder, *RUN, *main)
        if (python.stdout, python.returncode) != (compiled.stdout, compiled.returncode):
            raise SystemExit("the output differs:\n" + compiled.stdout + compiled.stderr)
        few, many = (
            (timed_whole(sources, 1), timed_whole(sources, steps // 5)) if whole else (timed_steps(sources, 6), timed_steps(sources, steps))
        )
        pairs = [(step_time(folder, [], few)[0], *step_time(folder, RUN, many)) for _ in range(runs)]
        ratios = sorted(a / b for a, b, _ in pairs)
        before, after = (statistics.median(column) * 1000 for column in list(zip(*pairs))[:2])
        return f"{before:.3g} | {after:.3g} | {statistics.median(ratios):.0f} | {ratios[0]:.0f} to {ratios[-1]:.0f} | {pairs[0][2]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    scripts = {name: {"script.py": edited(edits)} for name, edits in {**ROWS, **REFUSALS}.items()}
    scripts["the class and the functions in files of their own"] = in_files(edited([]))
    scripts |= {name: sources for name, sources in SCRIPTS.items() if "STEPS" in sources.get("main.py", "")}
    print("| script | Python, ms | run, ms | times | from ... to | own Python, % |\n|---|---|---|---|---|---|")
    for name, sources in scripts.items():
        if all(word in name for word in arguments.words):
            print(f"| {name} | {measure(sources, arguments.steps, arguments.runs)} |", flush=True)


if __name__ == "__main__":
    main()
