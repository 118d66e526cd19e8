"""The published runs on names.txt, of both revisions, on every engine: all losses, all parameters and twenty samples."""

import pytest

from microgpt import PRESETS, engines
from microgpt.proof import published, verify


def check(result, preset):
    assert verify.difference(result, published.RUNS[preset]) is None
    assert result == published.RUNS[preset]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("engine", verify.exact_engines())
def test_published_run(names, engine, preset):
    check(verify.compute(engine, names, preset).result, preset)


@pytest.mark.parametrize("preset", PRESETS)
def test_published_run_of_the_reference(reference_runs, preset):
    check(reference_runs()[preset], preset)


def test_names_are_the_published_ones(names):
    assert published.hash_text(names) == published.NAMES


def test_every_exact_engine_is_verified():
    assert verify.exact_engines() == [name for name in engines.EXACT if name != "python"]
