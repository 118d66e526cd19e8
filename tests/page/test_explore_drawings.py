"""The drawings of the page of `microgpt explore`, in a headless Chromium."""

import random

import browser
import pytest
from browser import text_of, type_in, wait_for
from command_line import NAMES

import microgpt
from microgpt import GPT, GPTConfig, Tokenizer, TrainConfig
from microgpt.display import history

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[browser]'")
Keys, ActionChains = webdriver.Keys, webdriver.ActionChains


def test_the_loss_curve(show, trained):
    driver = show(trained.model, losses=trained.losses, val_losses=trained.val_losses, training=trained.training)
    smoothed, val = history.smoothed(trained.losses), trained.val_losses[-1][1]
    assert text_of(driver, "loss").startswith(f"Step 300: loss {smoothed:.4f}; held out {val:.4f} after step 300. ")
    assert painted(driver, "losses") > 1000
    cells = "return [...byId('configuration').rows].map(({ cells }) => [cells[0].innerText, cells[1].innerText])"
    rows = dict(driver.execute_script(cells))
    expected = {"n_layer": "2", "n_embd": "8", "num_steps": "300", "steps_done": "300", "clip_norm": "none"}
    assert expected.items() <= rows.items()
    driver = show(trained.model)
    assert not driver.find_element("id", "losses").is_displayed()
    assert "without the losses of its training" in text_of(driver, "no-losses")


def painted(driver, canvas):
    """How many pixels of a canvas are not empty, once it is near the window, far from which nothing is painted."""
    driver.execute_script("byId(arguments[0]).scrollIntoView()", canvas)
    is_due = "[...drawings].some((one) => one.canvas === byId(arguments[0]) && (!one.isNear || due.has(one)))"
    wait_for(lambda: not driver.execute_script(f"return {is_due}", canvas))
    return driver.execute_script(
        """
        const canvas = byId(arguments[0]);
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, i) => i % 4 === 3 && value > 0).length;
        """,
        canvas,
    )


@pytest.mark.parametrize("count, width", [(27, 1280), (27, 390), (200, 1280), (200, 390)])
def test_no_label_of_the_map_covers_another(show, count, width):
    tokenizer = Tokenizer(map(chr, [*range(0x61, 0x7B), *range(0xC0, 0xC0 + count)][: count - 1]))
    driver = show(GPT.init(GPTConfig(n_embd=16), tokenizer, random.Random(0)), width=width)
    before = ink_of_the_map(driver)
    assert ink_of_the_map(driver) == before  # the same each time
    for text in "a", "b", tokenizer.chars[-1] * 3, "zebra":
        type_in(driver, text)
        labels = ink_of_the_map(driver)
        names = [label.pop("text") for label in labels]
        assert len(names) >= min(count - 6, 60) and {*text} <= {*names}
        for i, one in enumerate(labels):
            assert one["left"] >= 0 and one["top"] >= 0
            for other in labels[:i]:
                beside = one["right"] <= other["left"] or other["right"] <= one["left"]
                assert beside or one["bottom"] <= other["top"] or other["bottom"] <= one["top"], (one, other)


def ink_of_the_map(driver):
    return ink(driver, "page.views[2].drawing")


def ink(driver, drawing):
    """What each text covers that is drawn in a drawing, in order."""
    return driver.execute_script(
        f"const drawing = {drawing};"
        """
        const pen = drawing.canvas.getContext("2d");
        const labels = [];
        pen.fillText = (text, x, y) => {
          const ink = pen.measureText(text);
          labels.push({
            text, left: x - ink.actualBoundingBoxLeft, right: x + ink.actualBoundingBoxRight,
            top: y - ink.actualBoundingBoxAscent, bottom: y + ink.actualBoundingBoxDescent,
          });
        };
        drawing.paint();
        delete pen.fillText;
        return labels;
        """,
    )


@pytest.mark.parametrize("text, reads_left", [("محمد", True), ("שלום", True), ("1ש", True), ("emma", False)])
def test_the_direction_of_the_text(show, text, reads_left):
    model = GPT.init(GPTConfig(n_embd=4), Tokenizer.from_docs([text]), random.Random(0))
    driver = show(model)
    type_in(driver, text)
    browser.wait(driver, "await page.samples.write()")

    def lefts(selector):
        found = driver.find_elements("css selector", selector)
        return [driver.execute_script("return arguments[0].getBoundingClientRect().left", part) for part in found]

    def are_in_order(places):
        return places == sorted(places, reverse=reads_left) and len({*places}) == len(places)

    assert are_in_order(lefts("#read .token"))
    assert are_in_order(lefts("#samples li:first-child button > *"))  # the text, its end, its loss
    labels = ink(driver, "page.views[1].drawing")
    assert are_in_order([label["left"] for label in labels[1::2]])  # of the columns
    column = "return page.views[1].cell.column"
    driver.execute_script("page.views[1].go(9, 0)")
    driver.find_element("id", "attention").send_keys(Keys.ARROW_LEFT if reads_left else Keys.ARROW_RIGHT)
    assert driver.execute_script(column) == 1
    canvas = driver.find_element("id", "attention")
    x, y = driver.execute_script("const { margin, size, x } = page.views[1].layout(byId('attention').clientWidth);"
                                 "return [x(margin + 2.5 * size), margin + 2.5 * size]")  # fmt: skip
    driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    width, height = canvas.size["width"], canvas.size["height"]
    ActionChains(driver).move_to_element_with_offset(canvas, x - width / 2, y - height / 2).perform()
    assert driver.execute_script(column) == 2
    left, right = driver.execute_script("""
        const { margin, size, all, x } = page.views[1].layout(byId("attention").clientWidth);
        const { data } = byId("attention").getContext("2d").getImageData(0, margin + size / 2, all, 1); // the first row
        return [x(margin + size / 2), x(all - size / 2)].map((place) => data[4 * Math.floor(place) + 3]);""")
    assert left == 255 and right == 0  # it has one cell, where the text begins


def test_drawings_and_pointers(show, trained):
    driver = show(trained.model)
    type_in(driver, "oli")
    assert painted(driver, "attention") > 1000 and painted(driver, "embeddings") > 1000
    for canvas, readout in ("attention", "looks"), ("embeddings", "neighbours"):
        before = text_of(driver, readout)
        place = driver.find_element("id", canvas)
        driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", place)
        ActionChains(driver).move_to_element_with_offset(place, 0, 0).perform()
        ActionChains(driver).move_to_element_with_offset(place, -40 - place.size["width"] // 4, -20).perform()
        assert text_of(driver, readout) != before


def test_what_is_not_seen_waits_while_the_slider_moves(show):
    """But not where it is printed or saved, which shows all of the step that it moved to."""
    run = microgpt.train(NAMES, GPTConfig(n_embd=8), TrainConfig(num_steps=20), snapshots=4)
    driver = show(run.model, losses=run.losses, snapshots=run.snapshots)
    type_in(driver, "oli")
    for keep in (
        "slice = 0; dispatchEvent(new Event('beforeprint'))",  # slices of one step each
        "byId('flow').querySelector('.save button').click(); while (!saved.length) await turn()",
    ):
        code = """
            const pictures = ["embeddings", "flow"].map((name) => byId(`${name}-title`).closest("section"));
            const seen = () => [...pictures.map(svgOf), byId("loss").textContent, byId("bars").innerText];
            const saved = [];
            saveFile = (name, content) => saved.push(content);
            const before = seen();
            desk.film.go(desk.film.at === 1 ? 2 : 1);
            const { weighed } = page;
            while (page.weighed === weighed) await new Promise(requestAnimationFrame);
            await turn();
            const moving = seen();
            KEEP;
            const kept = seen();
            const isMoving = desk.film.isMoving && due.size === 0;
            while (desk.film.isMoving) await turn();
            await desk.update();
            return [before, moving, kept, seen(), saved, isMoving]"""
        before, moving, kept, rests, saved, is_moving = browser.wait(driver, code.replace("KEEP", keep))
        assert moving[:3] == before[:3] and moving[3] != before[3]
        assert kept == rests and all(was != is_now for was, is_now in zip(before, rests))
        assert saved == [kept[1]] if "click" in keep else is_moving
