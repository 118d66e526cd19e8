"""The mutants of mutants.py still fit the sources, so that its hour is not spent in vain."""

import pytest

import mutants


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_replaces_is_there_once(mutant):
    for file, old, new in ((mutant.file, mutant.old, mutant.new), *mutant.before):
        assert (mutants.ROOT / file).read_text(encoding="utf-8").count(old) == 1 and old != new


def test_names_and_tests():
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)
    files = {file for mutant in mutants.MUTANTS for file in mutants.split(mutant.tests) if file.startswith("test_")}
    assert files and all((mutants.ROOT / "tests" / file.partition("::")[0]).is_file() for file in files)
