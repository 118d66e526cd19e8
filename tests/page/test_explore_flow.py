"""How a number comes about on the page of `microgpt explore`, in a headless Chromium: what opens, and where that leads."""

import random

import browser
import pytest
from browser import text_of, type_in, wait_for
from command_line import NAMES

import microgpt
from microgpt import GPT, GPTConfig, Tokenizer, TrainConfig

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[browser]'")
Keys, ActionChains = webdriver.Keys, webdriver.ActionChains


def test_a_number_opens_into_its_sum(show, trained):
    driver = show(trained.model)
    type_in(driver, "ol")

    def press(*keys):
        ActionChains(driver).send_keys(*keys).perform()

    def trail():
        return [step.text for step in driver.find_elements("css selector", "#flow-trail li")]

    driver.find_element("css selector", "[data-id='layer1.hidden']").send_keys(Keys.ENTER)
    assert trail() == ["All", "layer1.hidden at 2"]
    press(Keys.ARROW_RIGHT, Keys.ENTER)
    value = driver.execute_script("return String(page.reading.traces[2].layers[1].hidden[1])")
    assert trail()[-1] == "layer1.hidden at 2 [1]" and text_of(driver, "flow-body").count(value) == 2
    assert len(driver.find_elements("css selector", ".flow-terms li")) == 8
    press(Keys.ENTER)  # the first factor that is a number of the same pass
    assert trail()[-1] == "layer1.mlp_normed at 2 [0]"
    press(Keys.ESCAPE, Keys.ESCAPE)
    assert trail() == ["All", "layer1.hidden at 2"]
    assert driver.switch_to.active_element.get_attribute("data-index") == "1"
    press(Keys.ESCAPE)
    assert driver.switch_to.active_element.get_attribute("data-id") == "layer1.hidden"


def test_its_gradient_opens_into_its_sum(show):
    """The switch keeps what is open, and so do the slider and a link; what a term says of the other side is there."""
    run = microgpt.train(NAMES, GPTConfig(n_embd=8, n_layer=2), TrainConfig(num_steps=20), snapshots=4)
    driver = show(run.model, losses=run.losses, snapshots=run.snapshots)
    type_in(driver, "oli")

    def until(side, place, link):
        """Wait until this is shown and the address says it; the text of what is open."""

        def shown():
            last = driver.find_element("css selector", "#flow-trail li:last-child").text
            chosen = driver.find_element("css selector", "[name=flow-side]:checked").get_property("value")
            return (chosen, last, driver.execute_script("return location.hash.split('&').slice(2).join('&')"))

        wait_for(lambda: shown() == (side, place, link))
        return text_of(driver, "flow-body")

    def gradient(of):
        code = "const found = await gradientsOf(page.model, page.reading.traces, page.reading.targets, () => true);"
        return browser.wait(driver, f"{code} return String(found.{of})")

    number = "traces[1].layers[0].k[5]"
    link = "flow=gradients&position=1&tensor=layer0.k&number=5"
    driver.find_element("css selector", "[data-id='layer0.k']").send_keys(Keys.ENTER)
    driver.find_element("css selector", "[name=flow-side]:checked").send_keys(Keys.ARROW_RIGHT)
    until("gradients", "∂layer0.k at 3", "flow=gradients&position=3&tensor=layer0.k")
    assert text_of(driver, "flow-loss").startswith(f"The loss of this text is {float(gradient('loss')):.4f}, the mean of 4 surprises: o ")
    assert text_of(driver, "flow-loss").endswith("The last of them is the surprise at the mark that ends the text.")
    driver.execute_script("byId('flow-position').value = 1; byId('flow-position').dispatchEvent(new Event('change'))")
    until("gradients", "All", "flow=gradients&position=1")
    driver.find_element("css selector", "[data-id='layer0.k']").click()
    driver.find_element("css selector", "[data-index='5']").send_keys(Keys.ENTER)
    text = until("gradients", "∂layer0.k at 1 [5]", link)
    assert text.count(gradient(number)) == 2 and "If this number were larger by 0.001, the loss would be " in text
    assert len(driver.find_elements("css selector", ".flow-terms li")) == 3  # position 1, and the two that look back at it
    wait_for(lambda: text_of(driver, "spoken").startswith("The gradient of Layer 0: key, number 5, at position 1: "))
    driver.find_element("css selector", ".flow-terms li:nth-child(2) button:last-of-type").click()
    until("forward", "layer0.q at 2 [5]", "position=2&tensor=layer0.q&number=5")
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert until("gradients", "∂layer0.k at 1 [5]", link) == text
    driver.execute_script("desk.film.go(1)")
    wait_for(lambda: text_of(driver, "flow-body") != text)
    other = until("gradients", "∂layer0.k at 1 [5]", f"{link}&step={run.snapshots.steps[1]}")
    assert other.count(gradient(number)) == 2
    driver.refresh()
    browser.wait(driver, "await page.ready")
    wait_for(lambda: text_of(driver, "flow-body") == other)
    driver.execute_script("showModel({ ...models[0].data, film: null }, page.reel.own)")  # as the trainer does
    browser.wait(driver, "await page.ready; page.set('oli'); await desk.update()")
    wait_for(lambda: text_of(driver, "flow-body") == text)


def test_the_gradient_of_a_weight_is_a_sum_over_positions(show):
    """In a model of one long text too, where no end mark follows and the last character has nothing to learn from."""
    config = GPTConfig(n_embd=4, n_head=2, block_size=6, documents="text")
    driver = show(GPT.init(config, Tokenizer("\nab"), random.Random(1)))
    driver.find_element("css selector", "[value=gradients]").click()
    assert text_of(driver, "flow-body") == "Nothing comes next yet, so there is no loss: type a character."
    for text, ends in ("aba", 3), ("ababab", 6), ("abababab", 6):
        type_in(driver, text)
        loss = text_of(driver, "flow-loss")
        assert f"the mean of {ends} surprises: a " in loss and "end" not in loss
        options = driver.find_elements("css selector", "#flow-position option:not(:disabled)")
        assert len(options) == ends and options[-1].is_selected()
    type_in(driver, "aba")
    driver.find_element("css selector", "[data-id='wte']").send_keys(Keys.ENTER)
    rows = driver.find_elements("css selector", ".flow-tensor")
    assert [row.text.split("\n")[0] for row in rows] == ["wte, row 0: ↵", "wte, row 1: a", "wte, row 2: b", "wte, row 3: beginning"]
    for row, count in (1, 1), (0, 1), (3, 0):
        driver.find_element("css selector", f"[data-id='wte.{row}']").send_keys(Keys.ENTER)
        driver.find_element("css selector", "[data-index='2']").send_keys(Keys.ENTER)
        assert driver.find_element("css selector", "#flow-trail li:last-child").text == f"∂wte.{row} [2]"
        assert len(driver.find_elements("css selector", ".flow-terms li")) == count
        ActionChains(driver).send_keys(Keys.ESCAPE, Keys.ESCAPE).perform()
        assert driver.switch_to.active_element.get_attribute("data-id") == f"wte.{row}"
