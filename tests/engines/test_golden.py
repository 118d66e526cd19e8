"""The published runs on names.txt, of both revisions, on every engine: all losses, all parameters and twenty samples."""

import pytest

from microgpt import PRESETS, engines
from microgpt.proof import published, verify


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("engine", [pytest.param("python", marks=pytest.mark.slow), *verify.exact_engines()])
def test_published_run(names, engine, preset):
    result = verify.compute(engine, names, preset).result
    assert verify.difference(result, published.RUNS[preset]) is None
    assert result == published.RUNS[preset]


def test_names_are_the_published_ones(names):
    assert published.hash_text(names) == published.NAMES


def test_every_exact_engine_is_verified():
    assert verify.exact_engines() == [name for name in engines.EXACT if name != "python"]
