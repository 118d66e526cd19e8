"""The published runs on names.txt, of both revisions, on every engine: all losses, all parameters and twenty samples."""

import pytest

from microgpt import PRESETS, engines, published, verify


@pytest.mark.parametrize("preset", PRESETS)
def test_published_run(names, engine, preset):
    outcome = verify.compute(engine, names, preset)
    assert verify.difference(outcome.result, published.RUNS[preset]) is None
    assert outcome.result == published.RUNS[preset]


def test_names_are_the_published_ones(names):
    assert published.hash_text(names) == published.NAMES


def test_every_exact_engine_is_verified():
    assert verify.exact_engines() == [name for name in engines.EXACT if name != "python"]
