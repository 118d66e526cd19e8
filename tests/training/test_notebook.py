"""Training in the kernel of a notebook: the output of a cell, and the state after an interrupt."""

import re
import textwrap
from pathlib import Path

import pytest
from kernel import Kernel

EAGER = """
import sys, microgpt
from microgpt import GPTConfig, TrainConfig, live
live.BEGIN_SECONDS = live.REFRESH_SECONDS = live.REMAINING_SECONDS = 0
docs, config = ["emma", "bob"], GPTConfig(n_embd=4, n_head=2)
"""


@pytest.fixture(scope="module")
def kernel():
    opened = Kernel()
    assert opened.run(EAGER) == ([], None)  # in each test, because the tests of this file may run in several processes
    yield opened
    opened.close()


def test_progress_is_one_line_that_is_updated(kernel):
    shown, error = kernel.run(
        "live.BEGIN_SECONDS = 0; run = microgpt.train(docs, config, TrainConfig(num_steps=20), engine='python', progress=True)"
    )
    (first, _), *updates = shown
    assert error is None and first == "display_data" and {kind for kind, _ in updates} == {"update_display_data"}
    assert len({content["transient"]["display_id"] for _, content in shown}) == 1
    *lines, last = [content["data"]["text/plain"] for _, content in updates]
    assert len(lines) > 3 and all(re.fullmatch(r"step +\d+/20 \| loss .* \| .* tokens/s \| .* left", line) for line in lines)
    assert re.fullmatch(r"step 20/20 \| loss \d\.\d{4} \| smoothed \d\.\d{4} \| \S+ steps/s \| [\d.]+ s", last)


def test_a_short_training_shows_its_last_line_alone(kernel):
    shown, error = kernel.run("live.BEGIN_SECONDS = 60; run = microgpt.train(docs, config, TrainConfig(num_steps=5), progress=True)")
    [(kind, content)] = shown
    assert error is None and kind == "display_data" and content["data"]["text/plain"].startswith("step 5/5 | loss ")


def test_without_progress_a_cell_shows_nothing(kernel):
    assert kernel.run("run = microgpt.train(docs, config, TrainConfig(num_steps=5))") == ([], None)


def test_interrupting_the_kernel_keeps_the_run(kernel):
    cell = "live.BEGIN_SECONDS = 0; run = microgpt.train(docs, config, TrainConfig(num_steps=10**7), progress=True)"
    shown, error = kernel.run(cell, interrupt=lambda kind, content: " left" in content.get("data", {}).get("text/plain", ""))
    done = int(re.match(r"interrupted after step (\d+) of 10000000; get the run back with `import sys; run", error["evalue"])[1])
    lines = [content["data"]["text/plain"] for kind, content in shown if kind == "update_display_data"]
    assert lines[-1].startswith(f"step {done:8d}/10000000 | loss ") and lines[-1].endswith(" s")
    shown, error = kernel.run("run = sys.last_value.run; run.train(callback=lambda step: True); print(len(run.losses))")
    assert error is None and shown == [("stream", {"name": "stdout", "text": f"{done + 1}\n"})]


def test_the_cell_of_the_docs(kernel):
    """The compiled cell prints what the page says, and Python gives the same numbers."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "notebooks.md").read_text(encoding="utf-8")
    cell, results = (textwrap.dedent(part) for part in re.findall(r"\n\n((?: {4}(?:%%microgpt|microgpt run).*\n(?: {4}.*\n|\n)*))", page))
    report, values = results.split("\n", 1)
    assert kernel.run("%load_ext microgpt") == ([], None)
    for code, expected in [(cell, [report]), (cell.replace("%%microgpt", ""), [])]:
        shown, error = kernel.run(code)
        said = [content["text"].strip() for kind, content in shown if kind == "stream"]
        [result] = [content["data"]["text/plain"] for kind, content in shown if kind == "execute_result"]
        assert (said, result, error) == (expected, values.strip(), None)
