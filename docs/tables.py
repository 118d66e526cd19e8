"""Writes the tables of speeds in the documents from the newest records of benchmarks: python docs/tables.py

A table is between two comments. <!-- speeds --> stands for a summary of the newest record of `microgpt bench`, and <!-- record: COMMAND -->
for what the newest record of this command printed; <!-- end --> ends both.
"""

import json
import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARKED = re.compile(r"(<!-- (?:(speeds)|record: (.+?)) -->\n).*?(<!-- end -->\n)", re.DOTALL)
PAGES = ("README.md", "benchmarks/README.md", "docs/speed.md", "docs/explore.md")
ROWS = {  # engine -> its description, and whether its bits are the reference's
    "python": ("`python`: pure Python, as published", "yes, by definition"),
    "graph": ("`graph`: the same `Value`s, compiled", "yes"),
    "exact": ("`exact`: the default, C on float64", "yes"),
    "fast": ("`fast`: C on float32, 16 documents per step", "no, within [a bound](docs/fast.md)"),
}


def newest(command):
    """(folder, contents) of the newest record of a command. Raises LookupError if there is none."""
    found = []
    for path in (ROOT / "benchmarks" / "records").glob("*/record.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["command"] == command:
            found.append((record["date"], len(path.parent.name), path.parent, record))  # the tenth of a day is newer than the ninth
    if not found:
        raise LookupError(f"there is no record of {command!r}; make one with benchmarks/record.py")
    return max(found, key=lambda one: one[:3])[2:]


def readable(microseconds):
    for unit, size in (("ms", 1000), ("µs", 1)):
        if microseconds >= size:
            return f"{float(f'{microseconds / size:.2g}'):g} {unit}"
    return f"{microseconds:.2g} µs"


def table(path):
    """The fastest row of each engine, with Python's garbage collector on, as it is by default."""
    folder, record = newest("microgpt bench")
    lines = ["| engine | time per document | speed-up | same bits? |", "|---|---|---|---|"]
    for engine, (what, bits) in ROWS.items():
        rows = [row for row in record["rows"] if row["case"]["engine"] == engine and row["case"]["collector"]]
        row = min(rows, key=lambda row: row["us_per_document"])
        lines.append(f"| {what} | {readable(row['us_per_document'])} | {rounded(row['ratio'])} | {bits} |")
    lines += [
        "",
        f"Training on names.txt with the published model (4,192 parameters), one thread. {processor(record)}, {record['date']}, "
        f"`{record['command']}`; [the whole record]({link(path, folder)}).",
    ]
    return "\n".join(lines) + "\n"


def whole_table(path):
    """Every row of the record, for docs/speed.md."""
    folder, record = newest("microgpt bench")
    lines = [
        "| engine | collector | time per document | from, to | speed-up | from, to | characters/s written |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        case = row["case"]
        name = f"`{case['engine']}`" + (f", {case['isa']}" if case["isa"] else "")
        times, ratios = " to ".join(map(readable, row["us_spread"])), " to ".join(map(rounded, row["ratio_spread"]))
        cells = name, "on" if case["collector"] else "off", readable(row["us_per_document"]), times, rounded(row["ratio"]), ratios
        lines.append(f"| {' | '.join(cells)} | {rounded(row['characters_per_second'])} |")
    return "\n".join([*lines, "", measured(path, folder, record)])


def printed(path, command):
    """What a command printed, without the facts of the machine at its beginning."""
    folder, record = newest(command)
    log = (folder / "log.txt").read_text(encoding="utf-8").strip("\n")
    if log.startswith("processor "):
        log = log.partition("\n\n")[2]
    return f"```text\n{log}\n```\n\n{measured(path, folder, record)}"


def measured(path, folder, record):
    """How a record was made: a sentence."""
    machine = record["machine"]
    others = f"; other programs took {record['others']:.1%} of the processors" if record["others"] is not None else ""
    return (
        f"Measured {record['date']} with `{record['command']}` on an {processor(record)} ({machine['cores']} virtual cores), Python "
        f"{machine['python']}, {machine['compiler']}{others}; [the whole record]({link(path, folder)}).\n"
    )


def link(path, folder):
    """From a page to the log of a record."""
    return posixpath.relpath((folder / "log.txt").relative_to(ROOT).as_posix(), posixpath.dirname(path) or ".")


def processor(record):
    return record["machine"]["processor"].replace("(R)", "").replace(" Processor", "")


def rounded(number):
    """Two significant digits."""
    return f"{float(f'{number:.2g}'):,g}" if number < 1000 else f"{float(f'{number:.2g}'):,.0f}"


SPEEDS = {"README.md": table, "docs/speed.md": whole_table}


def written(path):
    """The text of a page with the tables of the newest records."""

    def replaced(found):
        begin, speeds, command, end = found.groups()
        return begin + (SPEEDS[path](path) if speeds else printed(path, command)) + end

    return MARKED.sub(replaced, (ROOT / path).read_text(encoding="utf-8"))


if __name__ == "__main__":
    for path in PAGES:
        (ROOT / path).write_text(written(path), encoding="utf-8")
