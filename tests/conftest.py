import gc
import os
import signal
from pathlib import Path

import browser
import pytest
from command_line import NAMES, TEN_NAMES
from hypothesis import settings

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig, engines, load_docs, reference
from microgpt.compiled import scalar
from microgpt.display import explore

settings.register_profile("microgpt", deadline=None)  # a busy machine must not cause failures
settings.load_profile("microgpt")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a background job of a shell; programs that tests interrupt would inherit this
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def small_heap():
    """The cyclic garbage collector, which takes most of pure Python's time, ignores what earlier modules have allocated."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=[reference, scalar], ids=["python", "compiled"])
def layer(request):
    """Each scalar layer in turn: a test must pass for the pure and for the compiled one."""
    return request.param


@pytest.fixture(params=engines.EXACT)
def engine(request):
    """Each engine in turn, by name."""
    return request.param


@pytest.fixture(scope="session")
def names():
    """The dataset of the published results: the file named by MICROGPT_NAMES."""
    path = os.environ.get("MICROGPT_NAMES")
    if not path:
        pytest.skip("set MICROGPT_NAMES to a copy of names.txt to compare with the published runs")
    assert Path(path).is_file(), f"MICROGPT_NAMES names {path}, which is not there"
    return load_docs(path)


@pytest.fixture
def data(tmp_path):
    """The path of a file with a few names."""
    path = tmp_path / "docs.txt"
    path.write_text("\n".join(NAMES), encoding="utf-8")
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, a new one with some data: docs.txt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs.txt").write_text("\n".join(TEN_NAMES), encoding="utf-8")
    return tmp_path


def pytest_collection_modifyitems(items):
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


# ---- The page of `microgpt explore` ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    """A browser, as browser.py starts it."""
    pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[browser]'")
    if None in browser.programs():
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    with browser.chromium() as driver:
        yield driver


@pytest.fixture
def show(chromium, tmp_path):
    """show(model, width=..., dark=..., **page) opens a model's page. At the end, the browser must have reported no errors."""

    def show(model, *, width=1280, dark=False, **options):
        explore.write(tmp_path / "page.html", model, **options)
        browser.show(chromium, tmp_path / "page.html", width, dark=dark)
        return chromium

    chromium.get_log("browser"), chromium.get_log("performance")
    yield show
    assert chromium.get_log("browser") == []
    requests = [request for request in map(browser.requested, chromium.get_log("performance")) if request]
    assert requests and all(url.startswith(("file:///", "blob:null/", "data:")) for url in requests), requests


@pytest.fixture(scope="module")
def trained():
    """A run to show."""
    config, training = GPTConfig(n_embd=8, n_layer=2), TrainConfig(num_steps=300)
    return microgpt.train(NAMES, config, training, evaluation=EvalConfig(0.2, 50))
