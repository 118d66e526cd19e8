"""`microgpt run` on scripts put together from the forms of run_forms.py: the same output, to the last bit of every number."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_forms import DEFAULT, PARTS, alone, files, script
from scripts_under import RUN, start


def outcome(folder, sources, run, *command):
    """(standard output, exit code, the last line of what went wrong, the report)"""
    for name, source in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source, encoding="utf-8")
    done = start(folder, *(RUN if run else ()), *command)
    report = [line for line in done.stderr.splitlines() if line.startswith("microgpt run: ")]
    errors = [line for line in done.stderr.splitlines() if not line.startswith("microgpt run: ")]
    return done.stdout, done.returncode, errors, report


def assert_same(folder, sources, *command):
    python, run = outcome(folder, sources, False, *command), outcome(folder, sources, True, *command)
    assert run[:3] == python[:3]
    assert python[1] == 0, python[2]
    return run[3][0]


@pytest.mark.parametrize(("part", "form"), [("all", DEFAULT), *alone()])
def test_each_form_alone(tmp_path, part, form):
    report = assert_same(tmp_path, {"train.py": script(**({part: form} if part != "all" else {}))}, "train.py")
    assert "compiled: Value" in report
    assert "parameter update" in report.partition("left alone")[0]


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({part: st.sampled_from(list(forms)) for part, forms in PARTS.items()}), st.booleans())
def test_random_combinations(tmp_path_factory, chosen, split):
    sources = files(**chosen) if split else {"train.py": script(**chosen)}
    assert_same(tmp_path_factory.mktemp("combination"), sources, "train.py")
