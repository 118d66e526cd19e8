"""`microgpt run` on the scripts of tests/scripts/public/ as users edit them: the same output as under Python, and the expected parts compiled."""

import re

import pytest
from run_edits import EDITS
from run_rows import REFUSALS, ROWS, edited
from scripts_under import RUN, SCRIPTS, start

PLACE = re.compile(r"^microgpt run: script\.py:\d+: (.*?)(?: with its own .*)?: (compiled|left alone: .*)$", re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_edited_script(name, tmp_path):
    script, edits, expected, reasons = EDITS[name]
    source = (SCRIPTS / f"{script}.py").read_text(encoding="utf-8")
    for old, new in edits:
        assert old in source, f"the script has no {old!r} to edit"
        source = source.replace(old, new)
    (tmp_path / "script.py").write_text(source)
    arguments = ("script.py", "1" if script == "first" else "2", "1")
    python, run = start(tmp_path, *arguments), start(tmp_path, *RUN, "--explain", *arguments)
    assert run.stdout == python.stdout
    assert run.returncode == python.returncode
    own = [line for line in run.stderr.splitlines() if not line.startswith("microgpt run: ")]
    assert own[-1:] == python.stderr.splitlines()[-1:] or not python.returncode
    places = PLACE.findall(run.stderr)
    assert {what for what, verdict in places if verdict == "compiled"} == set(expected)
    left_alone = "\n".join(f"{what}: {verdict}" for what, verdict in places if verdict != "compiled")
    assert all(reason in left_alone for reason in reasons)
    assert left_alone or not reasons
    assert reasons or not left_alone


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ROWS, *REFUSALS])
def test_a_frequent_change(name, tmp_path):
    """The output is the same, and nothing slow stays in Python."""
    source = edited({**ROWS, **REFUSALS}[name])
    (tmp_path / "script.py").write_text(source)
    python, run = start(tmp_path, "script.py", "2", "1"), start(tmp_path, *RUN, "script.py", "2", "1")
    assert (run.stdout, run.returncode) == (python.stdout, 0)
    assert all(f"Value.{method}" not in run.stderr for method in ("__add__", "__mul__", "__pow__", "backward"))
    assert "class Value" not in run.stderr and "parameter update, line" not in run.stderr
