"""Two models on one page of `microgpt explore`: the numbers of each equal Python's."""

import base64
import json
import math
import random
import re
from array import array
from pathlib import Path

import browser
import pytest
from browser import bars, percent, text_of, type_in
from command_line import NAMES

import microgpt
from microgpt import GPT, GPTConfig, Tokenizer, TrainConfig, cli
from microgpt.display import explore
from microgpt.engines import sampling
from microgpt.snapshots import Snapshots

OTHER = [name.replace("a", "å") for name in NAMES]


@pytest.fixture(scope="module")
def runs():
    first = microgpt.train(NAMES, GPTConfig(n_embd=8, n_layer=2), TrainConfig(30), snapshots=6)
    return first, microgpt.train(OTHER, GPTConfig(n_embd=4, block_size=8), TrainConfig(12), snapshots=4)


def shown(run, name):
    return explore.Shown(run.model, name, run.losses, training=run.training, snapshots=run.snapshots)


@pytest.fixture
def pair(show, runs):
    """The browser with the page of both runs; opened by calling it."""
    return lambda **options: show(**vars(shown(runs[0], "one")), beside=shown(runs[1], "two"), **options)


def letters(text):
    return text.translate({0x2068: None, 0x2069: None})


def test_both_read_the_same_text(pair, runs):
    driver = pair()
    assert driver.title == "A one · B two · microgpt" and text_of(driver, "name") == "A one · B two"
    type_in(driver, "aål")
    models = [run.model for run in runs]
    for model, text, page in zip(models, ["al", "ål"], ["desk.pages[0]", "desk.pages[1]"]):
        logits = driver.execute_script(f"return {page}.context.logits.map((logits) => [...logits])")
        assert sum(logits, []) == pytest.approx(sum(model.logits(text), []), abs=1e-9)
    assert re.findall(r"([AB]): The model does not know (\w)", letters(text_of(driver, "message"))) == [("A", "å"), ("B", "a")]
    assert text_of(driver, "room") == "A 2 of 15 · B 2 of 7"
    for model, text, suffix in zip(models, ["al", "ål"], ["", "-b"]):
        rows = driver.find_elements("css selector", f"#bars{suffix} .bar")
        expected = zip([*model.tokenizer.chars, "end"], sampling.probabilities(model.logits(text)[-1], 0.5))
        found = sorted(tuple(row.get_property("innerText").split()) for row in rows)
        assert found == sorted((name, percent(p)) for name, p in expected)
        assert percent(model.scores(text)[0]) in text_of(driver, f"read{suffix}")
    assert len(bars(driver)) == models[0].tokenizer.vocab_size
    browser.wait(driver, "await desk.write()")
    for text, suffix in ("al", ""), ("ål", "-b"):
        texts = [part.text for part in driver.find_elements("css selector", f"#samples{suffix} .text")]
        assert len(texts) == 10 and all(sample.startswith(text) for sample in texts)
        assert f"After {text} at" in text_of(driver, f"written{suffix}")
    assert "layer 0, head 0" in text_of(driver, "looks") and ", head 0 looks" in text_of(driver, "looks-b")
    driver.find_element("css selector", "#bars-b .bar[aria-label^='å']").click()  # changes both
    assert browser.wait(driver, "await desk.update(); return desk.pages.map((page) => page.reading.tokens.length)") == [3, 4]


def test_what_shows_one_model_has_a_switch(pair, runs):
    driver = pair()
    type_in(driver, "el")
    switch = driver.find_elements("css selector", "#flow-model input")
    code = "return [...tensorsOf(desk.flow.pass, 2).find(({ id }) => id === 'logits').values]"
    for chosen, run in (0, runs[0]), (1, runs[1]), (0, runs[0]):
        driver.execute_script("arguments[0].click()", switch[chosen])
        assert driver.execute_script(code) == pytest.approx(run.model.logits("el")[-1], abs=1e-9)
        layers = driver.find_elements("css selector", "#flow-body [data-id$='.out']")
        assert len(layers) == run.model.config.n_layer
    driver.find_element("css selector", "[value=gradients]").click()
    for chosen, run in (1, runs[1]), (0, runs[0]):
        driver.execute_script("arguments[0].click()", switch[chosen])
        losses = [-math.log(p) for p in run.model.scores("el")]  # the end's is the last
        mean = f"{sum(losses) / 3:.4f}, the mean of 3 surprises: e {losses[0]:.2f}, l {losses[1]:.2f}, end {losses[2]:.2f}."
        slow = "pacer = () => turn; await desk.update();"  # both models come to the view while the gradients are computed
        browser.wait(driver, f"{slow} while (!desk.flow.pass.gradients) await turn(); await turn()")
        assert mean in text_of(driver, "flow-loss")
    driver.execute_script("document.getElementsByName('units-model')[1].click()")
    browser.wait(driver, "await new Promise((done) => setTimeout(done, 100))")
    assert (
        driver.find_element("id", "units-unit").get_property("max") == "15" and not driver.find_element("id", "units-layer").is_displayed()
    )
    rows = [row.text.split() for row in driver.find_elements("css selector", "#configuration tr")]
    assert rows[0] == ["A", "B"] and rows[1][:3] == ["n_layer", "2", "1"] and ["num_steps", "30", "12"] in [row[:3] for row in rows]
    differing = driver.find_elements("css selector", "#configuration .differs code")
    assert [row.text for row in differing] == ["n_layer", "n_embd", "block_size", "num_params", "steps_done", "num_steps"]


def test_the_slider_moves_both(pair, runs):
    driver = pair()
    type_in(driver, "el")
    steps = sorted({*runs[0].snapshots.steps, *runs[1].snapshots.steps})
    assert driver.execute_script("return desk.film.steps") == steps and steps[-1] == 30
    for stop, step in reversed([*enumerate(steps)]):
        driver.execute_script("byId('step').value = arguments[0]; byId('step').dispatchEvent(new Event('input'))", stop)
        browser.wait(driver, "while (desk.film.frame) await new Promise(requestAnimationFrame); await desk.update()")
        for i, run in enumerate(runs):
            film = dict(zip(run.snapshots.steps, run.snapshots.weights))
            last = max(at for at in film if at <= step)
            weights = run.model.params if last == run.snapshots.steps[-1] else array("d", film[last])
            [*_, logits] = GPT(run.model.config, run.model.tokenizer, weights).logits("el")
            found = driver.execute_script("return [...desk.pages[arguments[0]].reading.logits]", i)
            assert found == pytest.approx(logits, abs=1e-9), (step, i)
    assert text_of(driver, "caption") == "A: random weights. B: random weights."
    browser.wait(driver, "desk.film.go(desk.film.find(20)); await new Promise((done) => setTimeout(done, 900))")
    caption = text_of(driver, "caption")
    assert re.match(
        r"A: loss [\d.]+.*\. B: loss [\d.]+ \(its end, step 12\), as unsure as among [\d.]+ equally likely characters of 1", caption
    )
    at = max(step for step in steps if step <= 20)
    assert re.match(rf"Step {at}\. A: loss [\d.]+\. B: loss [\d.]+ in its last step, 12\. ", text_of(driver, "loss"))
    assert [key.text for key in driver.find_elements("css selector", "#runs .key")] == ["A one", "B two"]
    driver.execute_script("desk.pages[1].attention.choose(0, 2)")
    browser.wait(driver, "await new Promise((done) => setTimeout(done, 400))")
    assert driver.execute_script("return location.hash").endswith(f"&layer-b=0&head-b=2&step={at}")
    driver.refresh()
    browser.wait(driver, "await page.ready; await new Promise((done) => setTimeout(done, 500))")
    assert driver.execute_script("return [desk.film.steps[desk.film.at], desk.pages[1].attention.head, page.attention.head]") == [at, 2, 0]


def test_a_model_without_snapshots_or_losses_beside_one_that_has_them(show, runs):
    bare = explore.Shown(GPT.init(GPTConfig(n_embd=4), Tokenizer("xyz"), random.Random(0)), "bare")
    driver = show(**vars(shown(runs[0], "one")), beside=bare)
    browser.wait(driver, "desk.film.go(0); await new Promise((done) => setTimeout(done, 600))")
    assert text_of(driver, "caption") == "A: random weights. B has no snapshots and is as it was in the end."
    assert text_of(driver, "runs").split("\n") == ["A one", "B bare, without losses"]
    driver = show(bare.model, beside=bare)
    assert not driver.find_element("id", "film").is_displayed() and not driver.find_element("id", "learned").is_displayed()


@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_they_stand_beside_each_other(pair, width):
    driver = pair(width=width)
    type_in(driver, "el")
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    boxes = driver.execute_script("""
        const box = (id) => byId(id).closest("section").getBoundingClientRect().toJSON();
        return ["next-title", "attention-title", "samples-title", "embeddings-title"].map((id) => [box(id), box(`${id}-b`)])""")
    for one, two in boxes:
        assert (one["top"] == two["top"] and one["right"] < two["left"]) if width > 390 else one["bottom"] < two["top"]
    assert driver.execute_script("""
        const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
        const named = [...document.querySelectorAll("[aria-labelledby], [aria-describedby]")].flatMap((part) =>
          ["aria-labelledby", "aria-describedby"].flatMap((name) => part.getAttribute(name)?.split(" ") ?? []));
        return ids.length === new Set(ids).size && named.every(byId)""")


def test_a_model_trained_in_the_page_takes_the_place_of_both(pair):
    driver = pair()
    driver.execute_script("showModel(models[1].data, models[1].weights)")
    browser.wait(driver, "await page.ready; page.set('el'); await desk.update()")
    assert driver.execute_script("return [desk.pages.length, document.querySelectorAll('.badge').length]") == [1, 0]


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("other").mkdir()
    for run, path in zip(runs, ["one.safetensors", "other/two.safetensors"]):
        run.save(path)
    assert cli.main(["explore", "one.safetensors", "other/two.safetensors"]) == 0
    text = Path("one-two.html").read_text(encoding="utf-8")
    assert text == explore.page(**vars(shown(runs[0], "one")), beside=shown(runs[1], "two"))
    for run, suffix in zip(runs, ["", "-b"]):
        data = json.loads(re.search(f'id="data{suffix}">(.*?)</script>', text)[1])
        weights = re.sub("<.*?>", "", re.search(f'id="weights{suffix}" hidden>(.*?)</div>', text, re.DOTALL)[1])
        assert data["config"]["n_embd"] == run.model.config.n_embd and base64.b64decode(weights) == bytes(run.model.params)
    Path("log.csv").write_text("step,loss\n1,2.5\n", encoding="utf-8")
    Path("log2.csv").write_text("step,loss\n1,3.5\n", encoding="utf-8")
    both = ["explore", "one.safetensors", "other/two.safetensors", "-o", "page.html"]
    assert cli.main([*both, "--log", "log.csv", "--log", "log2.csv"]) == 0
    found = [json.loads(data)["losses"]["smoothed"] for data in re.findall(r'id="data.*?">(.*?)</script>', Path("page.html").read_text())]
    assert found == [[2.5], [3.5]]
    capsys.readouterr()
    for arguments, message in [
        ([both[1], "-o", "page.html"], "a page shows at most two models, not 3; write a page for each pair"),
        (["--log", "log.csv"] * 3, "more logs than models; give --log once for each MODEL, in their order"),
        (["-o", "other/two.safetensors", "--force"], "'other/two.safetensors' is the model, which would be lost"),
    ]:
        assert cli.main([*both[:3], *arguments]) == 2
        assert message in capsys.readouterr().err


def test_the_page_stays_small():
    model = GPT.init(GPTConfig(), Tokenizer("abcdefghijklmnopqrstuvwxyz"), random.Random(0))
    film = Snapshots(40, range(40), [array("f", model.params)] * 40)
    one = {"model": model, "losses": [2.5] * 1000, "snapshots": film}
    assert len(explore.page(**one)) < 2e6 and len(explore.page(**one, beside=explore.Shown(**one))) < 4e6
