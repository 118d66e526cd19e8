import gc
import warnings

import pytest

from microgpt import DataWarning, load_docs, reference
from microgpt.compiled import scalar


@pytest.fixture
def own_heap():
    """The collector, which takes most of the pure version's time, ignores everything that the test session has allocated."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=[reference, scalar], ids=["python", "compiled"])
def layer(request):
    """The pure and the compiled scalar layer in turn; a benchmark's group shows them together."""
    return request.param


@pytest.fixture(scope="session")
def docs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # without a network, the built-in list is enough
        return load_docs("names")
