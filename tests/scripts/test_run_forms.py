"""`microgpt run` on scripts put together from the forms of run_forms.py: the same output, to the last bit of every number."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_forms import DEFAULT, PARTS, alone, files, script
from scripts_under import assert_same, both_in_forks

FIRST = dict(reversed(alone()))  # part -> its first form; the others are slow ones
OTHERS = [form for form in alone() if form not in FIRST.items()]
GROUP = 10  # scripts per process


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "forms",
    [
        pytest.param([("all", DEFAULT), *FIRST.items()], id="first"),
        *(pytest.param(OTHERS[i : i + GROUP], marks=pytest.mark.slow, id=str(i)) for i in range(0, len(OTHERS), GROUP)),
    ],
)
def test_each_form_alone(tmp_path, forms):
    scripts = {(part, form): {"main.py": script(**({part: form} if part != "all" else {}))} for part, form in forms}
    for name, (python, run) in both_in_forks(tmp_path, scripts).items():
        assert python.code == 0, (name, python.err)
        assert run[:3] == python[:3], name
        assert "compiled: Value" in run.report, name
        assert "parameter update" in run.report.partition("left alone")[0], name


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({part: st.sampled_from(list(forms)) for part, forms in PARTS.items()}), st.booleans())
def test_random_combinations(tmp_path_factory, chosen, split):
    sources = files(**chosen) if split else {"train.py": script(**chosen)}
    assert_same(tmp_path_factory.mktemp("combination"), sources, "train.py")
