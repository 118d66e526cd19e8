"""Snapshots of the weights during a training: when they are taken, and how they are saved and shown."""

import copy
from array import array

import browser
import pytest
from command_line import NAMES

import microgpt
from microgpt import GPT, GPTConfig, TrainConfig
from microgpt.display import explore
from microgpt.snapshots import Snapshots, spaced
from microgpt.storage import checkpoint

TINY = GPTConfig(n_embd=4, block_size=8)


@pytest.mark.parametrize(("count", "num_steps"), [(40, 1000), (40, 40), (40, 39), (40, 0), (2, 7), (3, 100_000)])
def test_their_steps_are_ever_farther_apart(count, num_steps):
    steps = spaced(count, num_steps)
    assert len(steps) == min(count, num_steps + 1) and (steps[0], steps[-1]) == (0, num_steps)
    gaps = [after - before for before, after in zip(steps, steps[1:])]
    assert min(gaps, default=1) >= 1 and all(after >= 0.8 * before for before, after in zip(gaps, gaps[1:]))


@pytest.mark.parametrize("engine", ["exact", "fast", "python"])
def test_they_are_the_weights_after_these_steps(engine, tmp_path):
    """Taking snapshots changes no bit; a saved run has them; a file without them is unchanged."""
    seen = {}
    training = TrainConfig(num_steps=12)
    run = microgpt.train(
        NAMES, TINY, training, engine=engine, snapshots=5, callback=lambda step: seen.update({step.step: array("f", step.run.model.params)})
    )
    plain = microgpt.train(NAMES, TINY, training, engine=engine)
    assert run.model.params.tobytes() == plain.model.params.tobytes() and run.losses == plain.losses and plain.snapshots is None
    film = run.snapshots
    assert film.steps == spaced(5, 12) and film.weights[1:] == [seen[step] for step in film.steps[1:]]
    fresh = microgpt.train(NAMES, TINY, TrainConfig(num_steps=0), engine=engine)
    assert film.weights[0] == array("f", fresh.model.params)
    run.save(tmp_path / "a.safetensors")
    plain.save(tmp_path / "b.safetensors")
    assert checkpoint.read(tmp_path / "a.safetensors").progress.snapshots == film == copy.copy(run).snapshots
    assert b"snapshots" not in (tmp_path / "b.safetensors").read_bytes()


def test_a_resumed_run_keeps_and_goes_on_taking_them(tmp_path):
    path = tmp_path / "run.safetensors"
    run = microgpt.train(NAMES, TINY, TrainConfig(num_steps=20), snapshots=6, callback=lambda step: step.step == 9)
    run.save(path)
    whole = microgpt.train(NAMES, TINY, TrainConfig(num_steps=20), snapshots=6)
    assert len(run.snapshots.steps) < len(whole.snapshots.steps)
    assert microgpt.train(NAMES, resume=path).snapshots == whole.snapshots
    longer = microgpt.train(NAMES, training=TrainConfig(num_steps=30), resume=path, snapshots=6)
    assert longer.snapshots.steps[-1] == 30 and longer.snapshots.steps[: len(run.snapshots.steps)] == run.snapshots.steps
    with pytest.raises(ValueError, match="was started with snapshots 6, not 7; omit snapshots, or start a new run"):
        microgpt.train(NAMES, resume=path, snapshots=7)


def test_what_cannot_be(tmp_path, monkeypatch):
    film = Snapshots(3)
    film.take(0, [1e300, 0.0])
    assert not film.steps
    with pytest.raises(ValueError, match="snapshots must be at least 2"):
        microgpt.train(NAMES, TINY, snapshots=1)
    monkeypatch.setattr("microgpt.engines.machine_memory", lambda: 10_000_000)
    with pytest.raises(MemoryError, match="for snapshots.*keep fewer snapshots"):
        microgpt.train(NAMES, TINY, snapshots=10_000)
    monkeypatch.undo()
    run = microgpt.train(NAMES, TINY, TrainConfig(num_steps=3), snapshots=2)
    run.snapshots.steps[1] = 4
    run.save(tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match="is damaged: the steps of its snapshots are impossible"):
        checkpoint.read(tmp_path / "run.safetensors")


# ---- The page --------------------------------------------------------------------------------------------------------


def test_the_slider_shows_what_the_model_was(show):
    """At every stop, the page computes with the snapshot's weights; the last stop is the model itself; the address contains the stop."""
    run = microgpt.train(NAMES, TINY, TrainConfig(num_steps=30), snapshots=6)
    driver = show(run.model, losses=run.losses, training=run.training, snapshots=run.snapshots)
    browser.type_in(driver, "em")
    stops = [*zip(run.snapshots.steps[:-1], run.snapshots.weights), (30, run.model.params)]
    assert browser.text_of(driver, "moment") == "step 30 of 30"
    for stop, (step, weights) in reversed([*enumerate(stops)]):
        driver.execute_script("byId('step').value = arguments[0]; byId('step').dispatchEvent(new Event('input'))", stop)
        browser.wait(driver, "await new Promise((done) => setTimeout(done, 100))")
        model = GPT(run.model.config, run.model.tokenizer, array("d", weights))
        [*_, logits] = model.logits("em")
        assert driver.execute_script("return [...page.reading.logits]") == pytest.approx(logits, abs=1e-9)
        assert browser.text_of(driver, "moment") == f"step {step} of 30"
    assert browser.text_of(driver, "caption").startswith("Nothing is learned yet")
    browser.wait(driver, "await new Promise((done) => setTimeout(done, 700))")
    assert driver.execute_script("return location.hash") == "#text=em&temperature=0.5&step=0"
    first = driver.execute_script("return [...document.querySelectorAll('#samples .text')].map((text) => text.textContent)")
    driver.refresh()
    browser.wait(driver, "await page.ready; await new Promise((done) => setTimeout(done, 700))")
    assert browser.text_of(driver, "moment") == "step 0 of 30" and driver.execute_script("return byId('text').value") == "em"
    assert driver.execute_script("return [...document.querySelectorAll('#samples .text')].map((text) => text.textContent)") == first
    driver.find_element("id", "play").click()
    browser.wait(driver, "await new Promise((done) => setTimeout(done, 1700))")
    assert browser.text_of(driver, "moment") == "step 30 of 30" and browser.text_of(driver, "play") == "Play"


def test_the_page_opens_alive_and_whoever_comes_ends_it(chromium, tmp_path):
    run = microgpt.train(NAMES, TINY, TrainConfig(num_steps=30), snapshots=6)
    page = tmp_path / "page.html"
    explore.write(page, run.model, losses=run.losses, snapshots=run.snapshots)
    browser.show(chromium, page, fragment="")
    browser.wait(chromium, "while (!page.film.playing) await new Promise((done) => setTimeout(done, 20))")
    assert 0 < len(chromium.execute_script("return byId('text').value")) <= 3
    assert chromium.execute_script("return location.hash") == ""
    chromium.find_element("tag name", "body").send_keys("x")
    assert not chromium.execute_script("return page.film.playing")
    still = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", still)
    chromium.refresh()
    browser.wait(chromium, "await page.ready; while (!byId('text').value) await new Promise((done) => setTimeout(done, 20))")
    assert not chromium.execute_script("return page.film.playing") and browser.text_of(chromium, "moment") == "step 30 of 30"
