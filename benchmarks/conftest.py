import warnings

import pytest
from heap import own_heap

from microgpt import DataWarning, load_docs, reference
from microgpt.compiled import scalar

__all__ = ["own_heap"]  # a fixture


@pytest.fixture(params=[reference, scalar], ids=["python", "compiled"])
def layer(request):
    """The pure and the compiled scalar layer in turn; a benchmark's group shows them together."""
    return request.param


@pytest.fixture(scope="session")
def docs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # without a network, the built-in list is enough
        return load_docs("names")
