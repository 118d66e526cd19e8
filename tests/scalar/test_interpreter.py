"""What the interpreter does to Values: it collects garbage anywhere, calls their methods on anything, runs threads, and ends."""

import gc
import pickle
import subprocess
import sys
import threading

import pytest
from programs import exacts, outcome

from microgpt import reference
from microgpt.compiled import scalar

# ---- The garbage collector, which may run any code wherever an object is made ----


def lists_emptied_by_the_collector(call, skip):
    """Run `call` on lists that are emptied, and Values that lose their children, when the collector runs: when the second
    object from now on is made. `skip` objects are made before `call` begins."""
    x = [scalar.Value(1.0 + i) for i in range(200)]
    rows = [[scalar.Value(2.0 + i) for i in range(200)] for _ in range(50)]
    node = scalar.Value(1.0, (scalar.Value(2.0), scalar.Value(3.0)), (scalar.Value(4.0), scalar.Value(5.0)))

    def callback(phase, info):
        if phase == "start":
            x.clear()
            rows.clear()
            node._children = node._local_grads = ()
            [scalar.Value(0.0) for _ in range(1000)]

    thresholds = gc.get_threshold()
    gc.collect()  # also clears Python's free lists of lists and tuples
    gc.callbacks.append(callback)
    gc.set_threshold(1)
    made = {} if skip else None
    try:
        return call(x, rows, node), made
    finally:
        gc.callbacks.remove(callback)
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, rows, node: scalar.linear(x, rows).clear(),
        lambda x, rows, node: scalar.rmsnorm(x).clear(),
        lambda x, rows, node: scalar.softmax(x).clear(),
        lambda x, rows, node: scalar.attention(x, rows, rows, 2).clear(),
        lambda x, rows, node: scalar.cross_entropy(x, 3).backward(),
        lambda x, rows, node: node._children,
        lambda x, rows, node: node._local_grads,
    ],
    ids=["linear", "rmsnorm", "softmax", "attention", "cross_entropy", "_children", "_local_grads"],
)
@pytest.mark.parametrize("skip", [0, 1])
def test_lists_emptied_by_the_collector(call, skip):
    try:
        result, _ = lists_emptied_by_the_collector(call, skip)
        assert [value.data for value in result or ()] in ([2.0, 3.0], [4.0, 5.0], [])
    except (ValueError, IndexError, TypeError, ZeroDivisionError):
        pass  # an empty vector


def test_methods_check_what_they_are_called_on():
    for method in (
        scalar.Value.relu,
        scalar.Value.log,
        scalar.Value.exp,
        scalar.Value.backward,
        scalar.Value.sigmoid,
        scalar.Value.tanh,
        scalar.Value.__reduce__,
        scalar.Value.data.__get__,
        scalar.Value.__neg__,
        scalar.Value.__repr__,
        scalar.Adam.step,
    ):
        for thing in (3, None, object(), scalar.Adam([])):
            if method != scalar.Adam.step or not isinstance(thing, scalar.Adam):
                with pytest.raises(TypeError):
                    method(thing)
    for method in (scalar.Value.__add__, scalar.Value.__radd__, scalar.Value.__pow__, scalar.Value.__init__):
        with pytest.raises(TypeError):
            method(3, 4)


def test_a_value_that_was_never_initialized():
    value = scalar.Value.__new__(scalar.Value)
    assert exacts([value]) == [("float 0x0.0p+0", "int 0")] and value._children == ()
    sub = scalar.Value.__new__(type("Sub", (scalar.Value,), {}))
    assert exacts([sub]) == exacts([value])
    (value * sub).backward()


def test_a_value_initialized_again(layer):
    x = layer.Value(2.0)
    y = layer.linear([x], [[x]])[0]
    y.backward()
    y.__init__(7)
    assert exacts([y]) == [("int 7", "int 0")] and y._children == ()
    y.__init__(1.0, (x,), (2.0,))
    y.backward()
    assert x.grad == 6.0


def test_threads_on_graphs_that_share_nodes():
    """Threads do not affect each other's forward and backward passes, even if the interpreter switches constantly."""
    shared = [scalar.Value(0.1 * i) for i in range(20)]
    expected, results, interval = outcome(reference, 3, wild=True), [], sys.getswitchinterval()

    def work():
        for _ in range(10):
            y = scalar.linear(scalar.rmsnorm(shared), [shared] * 4)
            scalar.cross_entropy(y, 1).backward()
            results.append(outcome(scalar, 3, wild=True) == expected)

    threads = [threading.Thread(target=work) for _ in range(6)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert results == [True] * 60


def test_pickles_of_every_protocol():
    a = scalar.Value(2)
    b = scalar.linear([a, a * 1.5], [[scalar.Value(1.0), a.exp()]])[0]
    b.backward()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(b, protocol))
        assert exacts([twin, *twin._children]) == exacts([b, *b._children])


@pytest.mark.parametrize(
    "code",
    [
        # alive at exit: a cycle, something that uses the graph in its own __del__, many nodes
        "x = Value(1.0); y = linear([x, x], [[x, x]])[0]; x._children = (y,); x._local_grads = (1.0,)",
        "class Last(Value):\n def __del__(self):\n  (self * 2).backward()\nx = Last(1.0); y = x + 1",
        "import sys; sys.leak = [Value(float(i)) for i in range(10_000)]",
        "import os; x = Value(2.0); y = x * x\nif os.fork():\n assert os.wait()[1] == 0\ny.backward(); assert x.grad == 4",
        "import sys; v = Value(1.0); del sys.modules['microgpt.compiled.scalar'], sys.modules['microgpt']; v = v + 1",
        "import threading; threading.Thread(target=lambda: linear([Value(1.0)], [[Value(2.0)]])[0].backward()).start()",
    ],
)
def test_the_end_of_the_process(code):
    if "fork" in code and not hasattr(__import__("os"), "fork"):
        pytest.skip("no fork")
    process = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", "from microgpt import Value, linear\n" + code],
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stderr) == (0, "")
