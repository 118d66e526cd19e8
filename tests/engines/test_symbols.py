"""The compiled modules hide their symbols, so that no other library's or module's symbols replace them."""

import os
import shutil
import subprocess
import sys

import pytest

from microgpt.compiled import exact, fast, scalar

TOGETHER = """
import os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
import microgpt
from microgpt import GPTConfig, TrainConfig
runs = {}
for engine in sys.argv[1:]:
    training = TrainConfig(num_steps=20, batch_size=3)
    runs[engine] = microgpt.train(["emma", "olivia", "ava"], GPTConfig(n_embd=8), training, engine=engine).losses
print(runs["graph"] == runs["exact"], abs(runs["fast"][-1] - runs["exact"][-1]) < 1e-4)
"""


@pytest.mark.skipif(not hasattr(os, "RTLD_GLOBAL"), reason="for ELF and macOS")
@pytest.mark.parametrize("order", [("graph", "exact", "fast"), ("fast", "exact", "graph")])
def test_loaded_for_everybody(order):
    """With RTLD_GLOBAL, the modules would see each other's visible symbols."""
    done = subprocess.run([sys.executable, "-c", TOGETHER, *order], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n", "")


@pytest.mark.skipif(not shutil.which("nm") or sys.platform != "linux", reason="needs nm")
@pytest.mark.parametrize("module", [scalar, exact, fast], ids=lambda module: module.__name__)
def test_nothing_is_exported_but_the_module(module):
    listed = subprocess.run(["nm", "-D", "--defined-only", module.__file__], capture_output=True, text=True, check=True).stdout
    if "gcov" in listed:
        pytest.skip("built to measure coverage")
    ours = {line.split()[-1] for line in listed.splitlines()} - {"_init", "_fini", "__bss_start", "_edata", "_end"}
    assert ours == {f"PyInit_{module.__name__.rpartition('.')[2]}"}
