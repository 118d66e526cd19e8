"""The page of `microgpt explore` in a headless Firefox: a short test of its numbers, its use and its workers."""

import math
from array import array

import firefox
import pytest
from browser import percent
from command_line import NAMES

import microgpt
from microgpt import GPTConfig, TrainConfig
from microgpt.display import explore
from microgpt.engines import sampling

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def driver():
    pytest.importorskip("websocket", reason="needs websocket-client, which selenium brings: pip install -e '.[browser]'")
    if firefox.program() is None:
        pytest.skip("needs Firefox: apt-get install firefox-esr")
    with firefox.firefox() as driver:
        yield driver


@pytest.fixture(scope="module")
def run():
    return microgpt.train(NAMES, GPTConfig(n_embd=8, n_layer=2), TrainConfig(num_steps=100), snapshots=6)


@pytest.fixture
def show(driver, run, tmp_path):
    """show(width) opens the run's page. At the end, the browser must have reported no errors."""

    def show(width=1280):
        page = tmp_path / "page.html"
        explore.write(page, run.model, losses=run.losses, training=run.training, snapshots=run.snapshots, docs=NAMES)
        driver.show(page, width)
        return driver

    driver.errors.clear()
    yield show
    assert driver.errors == []


UNTIL = "const until = async (is) => { for (let i = 0; i < 1500 && !is(); i++) await new Promise((done) => setTimeout(done, 20)); };"


def test_what_is_typed_has_python_s_numbers(show, run):
    driver = show()
    driver.press("/", "o", "l", "i")
    driver.run("await page.update()")
    logits = run.model.logits("oli")[-1]
    assert driver.run("return [...page.reading.logits]") == pytest.approx(logits, abs=1e-9)
    names = [*run.model.tokenizer.chars, "end"]
    expected = sorted(zip(names, sampling.probabilities(logits, 0.5)), key=lambda pair: -pair[1])
    shown = driver.run("return [...document.querySelectorAll('#bars .bar')].map((bar) => bar.innerText.split(/\\s+/))")
    assert shown == [[name, percent(p)] for name, p in expected]
    driver.run(f"{UNTIL} document.querySelector('[value=gradients]').click(); await until(() => desk.flow.pass.gradients)")
    loss = -sum(map(math.log, run.model.scores("oli"))) / 4
    assert driver.run("return byId('flow-loss').textContent").startswith(f"The loss of this text is {loss:.4f}, the mean of 4 surprises")
    driver.run("byId('text').focus()")
    driver.press("\ue007")  # Enter
    texts = driver.run(
        f"{UNTIL} await until(() => document.querySelectorAll('#samples li').length === 10 && !byId('samples').classList.contains('old'));"
        "return [...document.querySelectorAll('#samples .text')].map((text) => text.textContent)"
    )
    assert len(texts) == 10 and all(text.startswith("oli") for text in texts)


def test_the_slider(show, run):
    driver = show()
    driver.run("page.set('em'); await page.update(); byId('step').focus()")
    driver.press("\ue011")  # Home
    first = microgpt.GPT(run.model.config, run.model.tokenizer, array("d", run.snapshots.weights[0])).logits("em")[-1]
    found = driver.run(
        f"{UNTIL} await until(() => page.reel.at === 0 && !desk.film.isMoving); await page.update(); return [...page.reading.logits]"
    )
    assert found == pytest.approx(first, abs=1e-9)
    assert driver.run("return byId('caption').textContent").startswith("Nothing is learned yet")


def test_its_workers_train_and_count(show):
    driver = show()
    losses = driver.run(
        f"""
        {UNTIL}
        byId("train-docs").value = given[0].join("\\n");
        byId("train-num_steps").value = 100;
        byId("train-start").click();
        await until(() => trainer.losses.length === 100);
        return trainer.losses;
        """,
        NAMES,
    )
    config = GPTConfig(n_embd=8, n_layer=2)
    assert losses == pytest.approx(microgpt.train(NAMES, config, TrainConfig(100), engine="exact").losses, rel=1e-9)
    told = driver.run(f"{UNTIL} byId('many-write').click(); await until(() => !page.many.worker); return byId('many-told').textContent")
    assert told.startswith("100,000 after an empty text at temperature 0.50: ") and "in the training data" in told


@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_all_is_drawn_and_nothing_is_wider_than_the_window(show, width):
    driver = show(width)
    driver.run("""
        page.set("olivia");
        await page.update();
        for (let y = 0; y < document.body.scrollHeight; y += innerHeight / 2) { // what is far is not drawn
          scrollTo(0, y);
          await new Promise((done) => setTimeout(done, 100));
        }""")
    empty = driver.run("""
        const isEmpty = (canvas) => canvas.checkVisibility() && canvas.clientWidth &&
          !canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);
        return [...document.querySelectorAll("canvas")].filter(isEmpty).map(({ id }) => id);""")
    assert empty == []
    lefts = "return [...new Set([...byId('configuration').rows].map((row) => row.getBoundingClientRect().left))].length"
    assert driver.run(lefts) == (1 if width < 1280 else 2 if width < 2560 else 3)  # the configuration's columns
    assert driver.run("return document.documentElement.scrollWidth <= innerWidth")
