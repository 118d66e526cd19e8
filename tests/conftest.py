import os
from pathlib import Path

import pytest

from microgpt import engines, load_docs, reference, scalar


@pytest.fixture(params=[reference, scalar], ids=["python", "compiled"])
def layer(request):
    """Each scalar layer in turn: what a test says must hold for the pure one and for the compiled one."""
    return request.param


@pytest.fixture(params=engines.ENGINES)
def engine(request):
    """Each engine in turn, by name."""
    return request.param


@pytest.fixture(scope="session")
def names():
    """The dataset the published results were made with: the file that MICROGPT_NAMES names."""
    path = os.environ.get("MICROGPT_NAMES")
    if not path:
        pytest.skip("set MICROGPT_NAMES to a copy of names.txt to compare with the published runs")
    assert Path(path).is_file(), f"MICROGPT_NAMES names {path}, which is not there"
    return load_docs(path)
