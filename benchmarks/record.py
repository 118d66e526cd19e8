"""Make a record: a measurement with everything needed to judge and repeat it, in benchmarks/records/DATE_WHAT/.

    python benchmarks/record.py bench                                # two minutes; then: python docs/tables.py
    python benchmarks/record.py loss_against_time --seconds 1        # any script of this folder, with its arguments

A record is a folder of two files. log.txt is what the command printed. record.json has the command, the machine, the date, the commit, the
share of the processors that other programs took meanwhile, and the results as numbers, if the command prints them as JSON in its last line. Records are added, never edited or
replaced: the second of a day is in DATE_WHAT_2.
"""

import datetime
import itertools
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from microgpt.proof import bench

HERE = Path(__file__).parent
RECORDS = HERE / "records"


def command(what, arguments):
    """The command of a record, as users type it, and as it is run with this Python."""
    if what == "bench":
        return ["microgpt", "bench", *arguments], ["-m", "microgpt", "bench", "--json", *arguments]
    script = HERE / f"{what}.py"
    if not script.is_file():
        known = ", ".join(["bench", *sorted(path.stem for path in HERE.glob("*.py") if '"__main__"' in path.read_text("utf-8"))])
        raise SystemExit(f"there is no benchmark {what!r}; choose one of {known}")
    return ["python", f"benchmarks/{what}.py", *arguments], [str(script), *arguments]


def record(what, arguments):
    """Run the benchmark, and write its record. Returns the folder. If the benchmark fails, raises SystemExit and writes nothing."""
    typed, run = command(what, arguments)
    date = datetime.date.today().isoformat()
    found = {"date": date, "command": shlex.join(typed), "commit": commit(), "machine": bench.machine()}
    before, started = processor_seconds(), time.perf_counter()
    done = subprocess.run([sys.executable, *run], stdout=subprocess.PIPE, encoding="utf-8")
    found["seconds"] = round(time.perf_counter() - started, 1)
    found["others"] = others(before, processor_seconds(), found["seconds"])
    if done.returncode:
        raise SystemExit(f"the benchmark ended with exit code {done.returncode}; there is no record of it")
    log = done.stdout
    text, _, last = log.rstrip("\n").rpartition("\n")
    if what == "bench":
        found["rows"] = json.loads(log)["rows"]
        rows = [bench.Row(**row | {"case": bench.Case(**row["case"])}) for row in found["rows"]]
        log = bench.table(rows) + "\n"
    elif last.startswith(("{", "[")):
        found["results"], log = json.loads(last), text + "\n"
    folder = new_folder(f"{date}_{what}")
    (folder / "log.txt").write_text(log, encoding="utf-8")
    (folder / "record.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return folder


def new_folder(name):
    """Make the folder of a record: NAME, or NAME_2 and so on if there is such a record."""
    names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
    folder = next(RECORDS / name for name in names if not (RECORDS / name).exists())
    folder.mkdir(parents=True)
    return folder


def commit():
    """The commit of the checkout, with "+" where files differ from it; None outside git."""
    asked = subprocess.run(["git", "describe", "--always", "--dirty=+", "--exclude=*"], cwd=HERE, capture_output=True, encoding="utf-8")
    return asked.stdout.strip() or None


def processor_seconds():
    """Processor seconds so far of (all programs, this process's children); None if the system does not report the first."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = list(map(int, file.readline().split()[1:]))
    except OSError:
        return None
    user, nice, system, _, _, *interrupts = ticks[:8]  # without idle time and waiting for a disk; the last is time taken by the host
    children = os.times()
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK"), children.children_user + children.children_system


def others(before, after, seconds):
    """The share of the processors that other programs took, from 0 to 1; None if the system does not report it."""
    if not before or not after:
        return None
    own, all_programs = after[1] - before[1], after[0] - before[0]
    return round(max(0.0, all_programs - own) / (seconds * os.cpu_count()), 3)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    print(record(sys.argv[1], sys.argv[2:]))
