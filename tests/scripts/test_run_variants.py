"""`microgpt run` on the scripts of tests/scripts/public/ as users edit them: the same output as under Python, and the expected parts compiled."""

import re

import pytest
from run_edits import EDITS
from run_rows import REFUSALS, ROWS, edited
from scripts_under import RUN, SCRIPTS, start

SIZE = re.compile(r"(n_layer, n_embd, block_size, n_head = \d), 16,")
PLACE = re.compile(r"^microgpt run: script\.py:\d+: (.*?)(?: with its own .*)?: (compiled|left alone: .*)$", re.MULTILINE)


@pytest.fixture
def both(tmp_path):
    """both(source, *options): a script under Python and under `microgpt run`, with half the width and short names, to save time."""

    def both(source, *options):
        (tmp_path / "script.py").write_text(SIZE.sub(r"\1, 8,", source))
        (tmp_path / "input.txt").write_text("emma\nava\nzoe\nmia\n")
        return start(tmp_path, "script.py", "2", "1"), start(tmp_path, *RUN, *options, "script.py", "2", "1")

    return both


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_edited_script(name, both):
    script, edits, expected, reasons = EDITS[name]
    source = (SCRIPTS / f"{script}.py").read_text(encoding="utf-8")
    for old, new in edits:
        assert old in source, f"the script has no {old!r} to edit"
        source = source.replace(old, new)
    python, run = both(source, "--explain")
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
def test_a_frequent_change(name, both):
    """The output is the same, and nothing slow stays in Python."""
    python, run = both(edited({**ROWS, **REFUSALS}[name]))
    assert (run.stdout, run.returncode) == (python.stdout, 0)
    assert all(f"Value.{method}" not in run.stderr for method in ("__add__", "__mul__", "__pow__", "backward"))
    assert "class Value" not in run.stderr and "parameter update, line" not in run.stderr
