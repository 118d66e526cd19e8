"""Writes the tables of speeds in README.md and docs/speed.md from the newest record of `microgpt bench`: python docs/tables.py"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARKED = re.compile(r"(<!-- speeds -->\n).*?(<!-- end -->\n)", re.DOTALL)
ROWS = {  # engine -> its description, and whether its bits are the reference's
    "python": ("`python`: pure Python, as published", "yes, by definition"),
    "graph": ("`graph`: the same `Value`s, compiled", "yes"),
    "exact": ("`exact`: the default, C on float64", "yes"),
    "fast": ("`fast`: C on float32, 16 documents per step", "no, within [a bound](docs/fast.md)"),
}


def newest():
    """(folder, contents) of the newest record of `microgpt bench`."""
    folders = (ROOT / "benchmarks" / "records").glob("????-??-??_bench*")
    folder = max(folders, key=lambda folder: (folder.name[:10], len(folder.name), folder.name))  # the tenth of a day after the ninth
    return folder, json.loads((folder / "record.json").read_text(encoding="utf-8"))


def readable(microseconds):
    for unit, size in (("ms", 1000), ("µs", 1)):
        if microseconds >= size:
            return f"{float(f'{microseconds / size:.2g}'):g} {unit}"
    return f"{microseconds:.2g} µs"


def table():
    """The fastest row of each engine, with Python's garbage collector on, as it is by default."""
    folder, record = newest()
    lines = ["| engine | time per document | speed-up | same bits? |", "|---|---|---|---|"]
    for engine, (what, bits) in ROWS.items():
        rows = [row for row in record["rows"] if row["case"]["engine"] == engine and row["case"]["collector"]]
        row = min(rows, key=lambda row: row["us_per_document"])
        lines.append(f"| {what} | {readable(row['us_per_document'])} | {rounded(row['ratio'])} | {bits} |")
    lines += [
        "",
        f"Training on names.txt with the published model (4,192 parameters), one thread. {processor(record)}, {record['date']}, "
        f"`{record['command']}`; [the whole record]({folder.relative_to(ROOT).as_posix()}/log.txt).",
    ]
    return "\n".join(lines) + "\n"


def whole_table():
    """Every row of the record, for docs/speed.md."""
    folder, record = newest()
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
    machine = record["machine"]
    others = f"; other programs took {record['others']:.1%} of the processors" if record["others"] is not None else ""
    lines += [
        "",
        f"Measured {record['date']} with `{record['command']}` on an {processor(record)} ({machine['cores']} virtual cores), Python "
        f"{machine['python']}, {machine['compiler']}{others}; [the whole record](../{folder.relative_to(ROOT).as_posix()}/log.txt).",
    ]
    return "\n".join(lines) + "\n"


def processor(record):
    return record["machine"]["processor"].replace("(R)", "").replace(" Processor", "")


def rounded(number):
    """Two significant digits."""
    return f"{float(f'{number:.2g}'):,g}" if number < 1000 else f"{float(f'{number:.2g}'):,.0f}"


TABLES = {"README.md": table, "docs/speed.md": whole_table}


def written(path):
    """The text of a file with the table of the newest record."""
    return MARKED.sub(lambda found: found[1] + TABLES[path]() + found[2], (ROOT / path).read_text(encoding="utf-8"))


if __name__ == "__main__":
    for path in TABLES:
        (ROOT / path).write_text(written(path), encoding="utf-8")
