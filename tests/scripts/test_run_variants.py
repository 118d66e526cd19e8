"""`microgpt run` on the scripts of tests/scripts/public/ as users edit them: the same output as under Python, and the expected parts compiled."""

import os
import re

import pytest
from run_edits import EDITS
from run_rows import REFUSALS, ROWS, edited
from scripts_under import SCRIPTS, both_in_forks

CHANGES = {**ROWS, **REFUSALS}
GROUP = 10  # scripts per process
SIZE = re.compile(r"(n_layer, n_embd, block_size, n_head = \d), 16,")
PLACE = re.compile(r"^microgpt run: main\.py:\d+: (.*?)(?: with its own .*)?: (compiled|left alone: .*)$", re.MULTILINE)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


def both(folder, sources, **options):
    """The same as both_in_forks for two steps and a sample, with half the width and short names, which saves most of the time."""
    scripts = {name: {"main.py": SIZE.sub(r"\1, 8,", source), "input.txt": "emma\nava\nzoe\nmia\n"} for name, source in sources.items()}
    return both_in_forks(folder, scripts, "2 1", **options).items()


def source_of(name):
    script, edits, *_ = EDITS[name]
    source = (SCRIPTS / f"{script}.py").read_text(encoding="utf-8")
    for old, new in edits:
        assert old in source, f"the script has no {old!r} to edit"
        source = source.replace(old, new)
    return source


@pytest.mark.parametrize("first", range(0, len(EDITS), GROUP))
def test_edited_scripts(tmp_path, first):
    sources = {name: source_of(name) for name in [*EDITS][first : first + GROUP]}
    for name, (python, run) in both(tmp_path, sources, explain="explain"):
        *_, expected, reasons = EDITS[name]
        assert (run.out, run.code) == (python.out, python.code), name
        assert run.err.splitlines()[-1:] == python.err.splitlines()[-1:] or not python.code, name
        places = PLACE.findall(run.report)
        assert {what for what, verdict in places if verdict == "compiled"} == set(expected), name
        left_alone = "\n".join(f"{what}: {verdict}" for what, verdict in places if verdict != "compiled")
        assert all(reason in left_alone for reason in reasons), (name, left_alone)
        assert bool(left_alone) == bool(reasons), (name, left_alone)


@pytest.mark.parametrize("first", range(0, len(CHANGES), GROUP))
def test_frequent_changes(tmp_path, first):
    """The output is the same, and nothing slow stays in Python."""
    sources = {name: edited(CHANGES[name]) for name in [*CHANGES][first : first + GROUP]}
    for name, (python, run) in both(tmp_path, sources):
        assert (run.out, run.code) == (python.out, 0), (name, run.err)
        assert all(f"Value.{method}" not in run.report for method in ("__add__", "__mul__", "__pow__", "backward")), name
        assert "class Value" not in run.report and "parameter update, line" not in run.report, name
