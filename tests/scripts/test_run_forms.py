"""`microgpt run` on scripts put together from the forms of run_forms.py: the same output, to the last bit of every number."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_forms import DEFAULT, PARTS, alone, files, script
from scripts_under import assert_same

FIRST = dict(reversed(alone()))  # part -> its first form; the others are slow ones


@pytest.mark.parametrize(
    ("part", "form"),
    [("all", DEFAULT), *(pytest.param(*form, marks=[pytest.mark.slow] * (form not in FIRST.items())) for form in alone())],
)
def test_each_form_alone(tmp_path, part, form):
    report = assert_same(tmp_path, {"train.py": script(**({part: form} if part != "all" else {}))}, "train.py")
    assert "compiled: Value" in report
    assert "parameter update" in report.partition("left alone")[0]


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({part: st.sampled_from(list(forms)) for part, forms in PARTS.items()}), st.booleans())
def test_random_combinations(tmp_path_factory, chosen, split):
    sources = files(**chosen) if split else {"train.py": script(**chosen)}
    assert_same(tmp_path_factory.mktemp("combination"), sources, "train.py")
