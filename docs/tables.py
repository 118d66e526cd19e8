"""Writes the README's table of speeds from the newest record of `microgpt bench`: python docs/tables.py"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARKED = re.compile(r"(<!-- speeds -->\n).*?(<!-- end -->\n)", re.DOTALL)
ROWS = {  # engine -> what it is called, and whether its bits are the reference's
    "python": ("`python`: pure Python, as published", "they define it"),
    "graph": ("`graph`: the same `Value`s, compiled", "yes"),
    "exact": ("`exact`: the default, C on float64", "yes"),
    "fast": ("`fast`: C on float32, 16 documents a step", "no, within [a bound](docs/fast.md)"),
}


def newest():
    """(folder, contents) of the newest record of `microgpt bench`."""
    path = max((ROOT / "benchmarks" / "records").glob("????-??-??_bench/record.json"))
    return path.parent, json.loads(path.read_text(encoding="utf-8"))


def readable(microseconds):
    for unit, size in (("ms", 1000), ("µs", 1)):
        if microseconds >= size:
            return f"{float(f'{microseconds / size:.2g}'):g} {unit}"
    return f"{microseconds:.2g} µs"


def table():
    """The fastest row of each engine, with Python's garbage collector on, as it is by default."""
    folder, record = newest()
    lines = ["| engine | time a document | speed-up | same bits? |", "|---|---|---|---|"]
    for engine, (what, bits) in ROWS.items():
        rows = [row for row in record["rows"] if row["case"]["engine"] == engine and row["case"]["collector"]]
        row = min(rows, key=lambda row: row["us_per_document"])
        ratio = float(f"{row['ratio']:.2g}")
        lines.append(f"| {what} | {readable(row['us_per_document'])} | {ratio:,.0f} | {bits} |")
    machine = record["machine"]
    processor = machine["processor"].replace("(R)", "").replace(" Processor", "")
    lines += [
        "",
        f"Training on names.txt with the published model (4,192 parameters), one thread. {processor}, {record['date']}, "
        f"`{record['command']}`; [the whole record]({folder.relative_to(ROOT).as_posix()}/log.txt).",
    ]
    return "\n".join(lines) + "\n"


def written(text):
    """The README's text with the table of the newest record."""
    return MARKED.sub(lambda found: found[1] + table() + found[2], text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text(encoding="utf-8")), encoding="utf-8")
