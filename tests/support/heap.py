"""A heap of its own for what is sensitive to Python's cyclic garbage collector."""

import gc

import pytest


@pytest.fixture
def own_heap():
    """What the test session has allocated is no work for the collector, which takes most of the pure version's time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
