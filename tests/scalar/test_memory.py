"""Graphs of any depth, and memory that is freed: each in a separate process whose standard error must stay empty."""

import os
import subprocess
import sys

import pytest

PEAK = """
import resource
def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20  # MB resident
"""


def run(code, *, stack_kb=None):
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_STACK, ({stack_kb} * 1024,) * 2)\n" if stack_kb else ""
    process = subprocess.run([sys.executable, "-c", limit + code], capture_output=True, text=True, timeout=300)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux") or "MICROGPT_SANITIZE" in os.environ, reason="reads /proc/self/statm")


@pytest.mark.parametrize(
    "grow",
    [
        "x + 1.0",
        "-x",
        "x.relu()",
        "linear([x], [[one]])[0]",
        "rmsnorm([x, one])[0]",
        "Value(1.0, (x, one, one), (1.0, 0.0, 0.0))",
        "Value(1.0, [x], [1.0])",
        "Named(1.0, (x,), (1.0,))",
        "Slotted(1.0, (x,), (1.0,))",
        "Value(x)",
    ],
)
@pytest.mark.slow
def test_a_chain_of_300_000_nodes(grow):
    """Built, run backward, and freed, on a C stack of one megabyte."""
    out = run(
        f"""
from microgpt import Value, linear, rmsnorm
class Named(Value):
    pass
class Slotted(Value):
    __slots__ = ()
first = x = Value(1.0)
one = Value(1.0)
for _ in range(300_000 if "rmsnorm" not in {grow!r} else 100_000):
    x = {grow}
x.backward()
print(abs(first.grad) > 0 or {grow!r} == "Value(x)")
del x
print("freed")
""",
        stack_kb=1024,
    )
    assert out.split() == ["True", "freed"]


@needs_proc
def test_freed_graphs_go_back_to_the_system():
    out = run(
        PEAK
        + """
from microgpt import Value
before = used()
x = Value(1.0)
for _ in range(2_000_000):
    x = x + 1.0
peak = used()
x.backward()
del x
print(peak - before, used() - before)
"""
    )
    peak, left = map(float, out.split())
    assert peak > 100
    assert left < 40


@needs_proc
def test_single_survivors_do_not_keep_the_memory_of_the_rest():
    """One node in five hundred survives; the space between them is reused."""
    out = run(
        PEAK
        + """
from microgpt import Value
kept = []
for _ in range(20):
    many = [Value(float(i)) for i in range(100_000)]
    kept += many[::500]
    del many
print(used())
"""
    )
    assert float(out) < 60


@needs_proc
def test_memory_is_flat_over_ten_thousand_steps():
    out = run(
        PEAK
        + """
from microgpt import GPTConfig, TrainConfig, train
seen = []
def callback(step):
    if step.step in (1000, 10_000):
        seen.append(used())
config, training = GPTConfig(n_embd=2, n_head=1, block_size=4), TrainConfig(num_steps=10_000)
train(["anna", "bob", "clara", "d"], config, training, engine="graph", callback=callback)
print(seen[0], seen[1] - seen[0])
"""
    )
    at_first, growth = map(float, out.split())
    assert at_first < 100
    assert growth < 1


@needs_proc
def test_errors_leak_nothing():
    out = run(
        PEAK
        + """
from microgpt import Value, attention, cross_entropy, linear, rmsnorm, softmax
def attempt():
    big, x = Value(1e200), [Value(-1e4), Value(1e4)]
    for f in (lambda: big**2, lambda: Value(0.0).log(), lambda: Value(1e9).exp(), lambda: big + "a", lambda: 1 / Value(0),
              lambda: cross_entropy(x, 0), lambda: linear([big], [["a"]]), lambda: linear(x, [x, x + [3]]), lambda: rmsnorm([]),
              lambda: softmax([big, None]), lambda: attention(x, [x], [[x[0]]], 1), lambda: Value(1.0, (3,), (1,)).backward(),
              lambda: Value(1.0, x, "ab").backward(), lambda: cross_entropy(x, 7)):
        try:
            f()
        except (ArithmeticError, ValueError, TypeError, AttributeError, IndexError):
            pass
for _ in range(500):
    attempt()
before = used()
for _ in range(5000):
    attempt()
print(used() - before)
"""
    )
    assert float(out) < 1


def test_no_reference_leaks():
    """Every live node counts in the references to its type, and every other block of memory with tracemalloc."""
    out = run("""
import gc, sys, tracemalloc
from microgpt import Value, attention, cross_entropy, linear, rmsnorm, softmax
from microgpt.compiled import scalar

def deep(x, n):
    for _ in range(n):
        x = Value(1.0, [x], [1.0])

def attempt():
    big, x, y = Value(1e200), [Value(-1e4), Value(1e4)], [Value(0.5), Value(2.0), Value(1e5), Value(-1e5)]
    far = [[Value(1.0), Value(1.0), Value(-1e200), Value(1.0)], [Value(1.0), Value(1.0), Value(1e200), Value(1.0)]]
    good = [[Value(0.1 * i + j) for i in range(4)] for j in range(3)]
    for f in (
        lambda: big**2, lambda: Value(0.0).log(), lambda: Value(1e9).exp(), lambda: big + "a", lambda: 1 / Value(0),
        lambda: 2 + x[0], lambda: deep(x[0], 300), lambda: x[0].relu()._local_grads, lambda: softmax(y),
        lambda: cross_entropy(x, 0), lambda: linear([big], [["a"]]), lambda: linear(x, [x, [x[0], None]]),
        lambda: rmsnorm([]), lambda: attention(good[0], good, [g[:3] for g in good], 2),
        lambda: softmax([big, None]), lambda: attention(x, [x], [[x[0]]], 1), lambda: Value(1.0, (3,), (1,)).backward(),
        lambda: Value(1.0, x, "ab").backward(), lambda: cross_entropy(x, 7), lambda: attention(y, far, far, 2),
        lambda: softmax([Value(-float("inf")), Value(float("inf"))]),
        lambda: attention(good[0], good, good, 2)[0].backward(), lambda: cross_entropy(good[0], 1).backward(),
        lambda: attention(good[0], good, [*good[:2], [None] * 4], 2), lambda: softmax([Value(float("nan")), x[0]]),
        lambda: [linear(good[0], good)[0].backward(), rmsnorm(good[1])[0].backward()],
        lambda: linear(good[0], good)[0]._children[0]._children, lambda: setattr(good[0][0], "_children", (x[0], "a")),
        lambda: [f() for v in (y[0], x[0], big, Value(3)) for f in (v.sigmoid, v.tanh)], lambda: Value(1j).tanh(),
        lambda: pow(x[0], 2, 3), lambda: rmsnorm([Value(0.0)]), lambda: Value(1.0, (x[0],), (10**400,)).backward(),
    ):
        try:
            f()
        except (ArithmeticError, ValueError, TypeError, AttributeError, IndexError):
            pass

def measure():
    gc.collect()
    return sys.getrefcount(Value), tracemalloc.get_traced_memory()[0]

for _ in range(50):
    attempt()
tracemalloc.start()
attempt()
nodes, memory = measure()
for _ in range(1000):
    attempt()
after = measure()
print(after[0] - nodes, after[1] - memory)
""")
    nodes, memory = map(int, out.split())
    assert nodes == 0
    assert memory < 16_000  # less than one block in each round


@needs_proc
def test_memory_runs_out_in_the_middle():
    """With room for 0, 1, 2, ... more nodes, each operation fails at a different place, and leaks nothing."""
    run("""
import gc, resource, sys
from microgpt import Value, attention, cross_entropy, linear, rmsnorm, softmax
x, rows = [Value(float(i)) for i in range(4)], [[Value(0.1 * i + j) for i in range(4)] for j in range(3)]
y = linear(x, rows)[0]
operations = (
    lambda: linear(x, rows), lambda: softmax(x), lambda: rmsnorm(x), lambda: attention(x, rows, rows, 2),
    lambda: cross_entropy(x, 1), lambda: x[0] / 3 + 1, lambda: x[0] ** 2 * x[1].exp().log().relu(),
    lambda: x[1].sigmoid() * (-x[1]).sigmoid(), lambda: x[1].tanh() * (-x[1]).tanh(), lambda: y._children,
)
for f in operations[:-1]:
    f()  # so that everything is imported
small, between = [], []
for i in range(50_000):
    small.append(bytes(40 + i % 400))
    between.append(bytes(40 + i % 400))
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
kept = [None] * 3_000_000
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20,) * 2)
for i in range(len(kept)):
    try:
        kept[i] = Value(1.0)
    except MemoryError:
        break
assert 1000 < i < len(kept) - 1
del small  # small blocks are there, only nodes are not
gc.disable()
failed = 0
for room in range(1, 60):
    for f in operations:
        kept[i - room:i] = [None] * room
        before = sys.getrefcount(Value)
        try:
            f()
        except MemoryError:
            failed += 1
        if "_children" not in f.__code__.co_names:  # (which makes nodes that stay)
            assert sys.getrefcount(Value) == before, (room, f.__code__.co_names)
        k = i - room
        while True:  # fill up again
            try:
                value = Value(1.0)
            except MemoryError:
                break
            kept[k] = value
            k += 1
        i = k
assert failed > 50, failed
""")
