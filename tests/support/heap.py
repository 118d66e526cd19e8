"""A separate heap for tests that are sensitive to Python's cyclic garbage collector."""

import gc

import pytest


@pytest.fixture
def own_heap():
    """The collector, which takes most of the pure version's time, ignores everything that the test session has allocated."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
