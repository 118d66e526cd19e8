"""`microgpt run` on whole scripts in different styles (people.py), some of them hostile (nasty.py): they print the same as under Python."""

import os

import pytest
from nasty import NASTY
from people import SCRIPTS
from scripts_under import both_in_forks

ALL = SCRIPTS | {name: {"main.py": source} for name, source in NASTY.items()}
GROUP = 10  # scripts per process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("first", range(0, len(ALL), GROUP))
def test_scripts(tmp_path, first):
    scripts = {name: ALL[name] for name in [*ALL][first : first + GROUP]}
    for name, (python, run) in both_in_forks(tmp_path, scripts).items():
        assert python.code == 0, (name, python.err)
        assert run[:3] == python[:3], name
        assert name in NASTY or run.report.startswith("microgpt run: compiled: ") or "backward" in run.report, name
