"""How the page of `microgpt explore` is used and looks, in a headless Chromium: it can be used by everybody."""

import random

import browser
import pytest
from browser import bars, percent, text_of, type_in, wait_for

import microgpt
from microgpt import GPT, GPTConfig, Tokenizer, TrainConfig

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[browser]'")
Keys, ActionChains = webdriver.Keys, webdriver.ActionChains

HOSTILE = [
    "<script>alert(1)</script>", "</script>", "<img src=x onerror=alert(1)>", "a&b\"'`", "\u2028\u2029\x00", "&lt;\\",
]  # fmt: skip


def test_what_the_model_cannot_read_is_said(show, trained):
    driver = show(trained.model)
    type_in(driver, "olXé€v")
    assert "does not know X (U+0058), é (U+00E9), € (U+20AC); it knows a b e" in message_of(driver)
    assert message_of(driver).endswith("What you see is for olv.")
    assert text_of(driver, "room") == "3 of 15"
    after_olv = bars(driver)
    shown = [token.text.split("\n") for token in driver.find_elements("css selector", "#read .token")]
    shares = map(percent, trained.model.scores("olv"))
    assert shown == [["⊢", "BOS"], ["o", next(shares)], ["l", next(shares)], ["X"], ["é"], ["€"], ["v", next(shares)]]
    assert len(driver.find_elements("css selector", "#read .unread")) == 3
    type_in(driver, "olv")
    assert text_of(driver, "message") == "" and bars(driver) == after_olv
    type_in(driver, "Z\u200dolv")
    assert "does not know Z (U+005A), U+200D; it" in message_of(driver) and bars(driver) == after_olv
    browser.wait(driver, "await page.samples.write()")
    assert all(text.startswith("olv") for text in texts(driver))
    type_in(driver, "a" * 18)
    message = text_of(driver, "message")
    assert "reads at most 15 characters (block_size 16, one of them for the beginning); the text has 18." in message
    assert message_of(driver).endswith(f"What you see is for {'a' * 15}.")
    assert len(driver.find_elements("css selector", "#read .unread")) == 2  # the 16th still has a probability
    type_in(driver, "Z" + "a" * 18)
    assert "the text has 18 that it knows." in text_of(driver, "message")
    type_in(driver, "Z")
    assert text_of(driver, "message").endswith("What you see is for an empty text.")


def message_of(driver):
    return text_of(driver, "message").translate({0x2068: None, 0x2069: None})


def texts(driver):
    """The samples."""
    return [text.text for text in driver.find_elements("css selector", "#samples .text")]


def test_samples_say_what_they_were_written_for(show, trained):
    driver = show(trained.model)

    def is_old():
        return driver.find_element("id", "samples").get_attribute("class") == "samples old"

    assert text_of(driver, "written") == "After an empty text at temperature 0.50:" and not is_old()
    written = texts(driver)
    type_in(driver, "ol")
    assert text_of(driver, "written") == "After an empty text at temperature 0.50, which are no longer set:"
    assert is_old() and texts(driver) == written
    type_in(driver, "X")  # which is read as an empty text
    assert not is_old()
    driver.find_element("id", "temperature").send_keys(Keys.END)
    assert is_old()
    type_in(driver, "ol")
    driver.find_element("id", "write").click()
    wait_for(lambda: len(texts(driver)) == 10)
    assert text_of(driver, "written") == "After ol at temperature 2.00:" and not is_old()
    driver.find_element("css selector", "#samples button").click()  # the others can still be chosen
    wait_for(is_old)
    assert text_of(driver, "written") == "After ol at temperature 2.00, which are no longer set:"
    assert len(texts(driver)) == 10


def test_only_the_keyboard(show, trained):
    driver = show(trained.model, losses=trained.losses, val_losses=trained.val_losses)

    def press(*keys):
        ActionChains(driver).send_keys(*keys).perform()

    def focused():
        return driver.switch_to.active_element

    driver.find_element("tag name", "body").send_keys(Keys.TAB)
    assert focused().get_attribute("id") == "theme"
    press("/")
    assert focused().get_attribute("id") == "text"
    press("ol")
    press(Keys.TAB)
    assert focused().get_attribute("id") == "temperature"
    press(Keys.HOME)
    assert text_of(driver, "degree") == "0, always the likeliest"
    assert [share for _, share in bars(driver)] == ["100.0%"] + ["0.0%"] * (len(bars(driver)) - 1)
    press(Keys.END)
    assert text_of(driver, "degree") == "2.00"
    press(Keys.TAB)
    assert focused().get_attribute("aria-label") == "Save as SVG: The next character"
    press(Keys.ARROW_RIGHT)
    assert focused().get_attribute("aria-label") == "Save as PNG: The next character"
    press(Keys.TAB, Keys.ARROW_RIGHT)  # the order
    assert driver.execute_script("return page.views[0].order") == "id"
    for part in "bars", "heads", "samples":  # each is one stop of the Tab key
        stops = driver.find_elements("css selector", f"#{part} button[tabindex='0'], #{part} button:not([tabindex])")
        assert len(stops) == 1, part
    press(Keys.TAB)
    assert focused().get_attribute("class") == "bar"
    assert focused().get_attribute("aria-label").startswith("a: ")
    press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    assert driver.find_element("id", "text").get_property("value") == "ole"
    assert focused().get_attribute("aria-label").startswith("e: ")  # still there, to go on

    press(Keys.TAB, Keys.TAB, Keys.ARROW_RIGHT)  # saving the picture, the heads
    assert focused().get_attribute("aria-label") == "layer 0, head 1"
    assert focused().get_attribute("aria-checked") == "true"
    press(Keys.ARROW_DOWN)  # a layer, as they are seen
    assert focused().get_attribute("aria-label") == "layer 1, head 1"
    press(Keys.TAB)
    assert focused().get_attribute("id") == "attention"

    def changes(keys, name):
        before = text_of(driver, name)
        press(*keys)
        return text_of(driver, name) != before

    assert changes([Keys.ARROW_UP], "looks") and changes([Keys.ARROW_DOWN], "looks") and not changes(["q"], "looks")
    press(Keys.TAB, Keys.TAB)
    assert focused().get_attribute("id") == "write"
    driver.execute_script("byId('samples').replaceChildren()")
    press(Keys.ENTER)
    wait_for(lambda: len(driver.find_elements("css selector", "#samples li")) == 10)
    press(Keys.TAB, Keys.ARROW_DOWN)
    label = focused().get_attribute("aria-label")
    assert label.startswith("ole") and "%" in label
    press(Keys.ENTER)
    assert driver.find_element("id", "text").get_property("value") == label.split(":")[0]

    press(Keys.TAB)
    assert focused().get_attribute("id") == "many-write"
    assert not changes([Keys.TAB, Keys.TAB], "neighbours") and changes([Keys.ARROW_RIGHT], "neighbours")
    press("v")
    assert text_of(driver, "neighbours").startswith("v is nearest to ")  # which it may have been before
    press(Keys.TAB, Keys.TAB, Keys.TAB, Keys.TAB, Keys.TAB)  # how a number comes about: its picture, side, position, trail, tensors
    assert focused().get_attribute("data-id") == "token_embedding"
    press(Keys.TAB, Keys.TAB, Keys.TAB)  # what excites a unit: its picture, the layer, the unit
    assert focused().get_attribute("id") == "units-unit"
    assert not changes([Keys.TAB], "units-told") and changes([Keys.ARROW_UP], "units-told") and changes([Keys.ARROW_LEFT], "units-told")
    assert not changes([Keys.TAB, Keys.TAB], "loss") and changes([Keys.HOME], "loss") and changes([Keys.ARROW_RIGHT], "loss")
    assert text_of(driver, "loss").startswith("Step 2: loss ")
    wait_for(lambda: text_of(driver, "spoken").startswith("Step 2: loss "))
    driver.find_element("id", "text").clear()
    driver.find_element("id", "text").send_keys("av", Keys.ENTER)
    wait_for(lambda: len(driver.find_elements("css selector", "#samples li")) == 10)
    assert all(text.startswith("av") for text in texts(driver))


def test_everything_that_can_be_operated_has_a_name(show, trained):
    driver = show(trained.model, losses=trained.losses)
    nameless = driver.execute_script("""
        return [...document.querySelectorAll("button, input, textarea, canvas[tabindex], [role=radiogroup]")].filter((e) =>
          !(e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim() || e.tagName === "BUTTON" && e.textContent.trim())
        ).map((e) => e.outerHTML)""")
    assert nameless == []
    headings = driver.execute_script("return [...document.querySelectorAll('h1, h2')].map((h) => h.tagName)")
    assert headings == ["H1"] + ["H2"] * 9


def test_text_of_users_is_harmless(show):
    docs = HOSTILE * 3
    run = microgpt.train(docs, GPTConfig(n_embd=8, block_size=32), TrainConfig(num_steps=400))
    name = "</title></script><script>alert(1)</script>"
    driver = show(run.model, name=name, losses=run.losses, training=run.training)
    assert driver.title == f"{name} · microgpt"
    assert text_of(driver, "name") == name
    for text in HOSTILE:
        type_in(driver, text)
        browser.wait(driver, "await page.samples.write()")
        assert text_of(driver, "samples").count(text) == 10 or not text.isprintable()
    assert driver.execute_script("return document.scripts.length") == 4
    assert driver.execute_script("return document.images.length") == 0
    shown = {label for label, _ in bars(driver)}
    assert {"<", ">", "&", "2028", "0000", "␣"} <= shown


def test_a_text_field_that_changes_the_text_says_so(show):
    model = GPT.init(GPTConfig(n_embd=4), Tokenizer("\ra"), random.Random(0))
    driver = show(model)
    browser.wait(driver, "page.append('\\r')")
    assert "cannot hold this text as it is" in text_of(driver, "message")


@pytest.mark.slow
def test_a_million_parameters(show):
    config = GPTConfig(n_layer=5, n_embd=128, n_head=8, block_size=256)
    model = GPT.init(config, Tokenizer("abcdefghijklmnopqrstuvwxyz"), random.Random(0))
    assert model.num_params > 1e6
    driver = show(model)
    field = driver.find_element("id", "text")
    field.send_keys("abc")
    logits = browser.wait(driver, "await page.update(); return [...page.reading.logits]")
    assert logits == pytest.approx(model.logits("abc")[-1], abs=1e-9)
    ticks = browser.wait(
        driver,
        """
        let [ticks, last, longest] = [0, performance.now(), 0];
        const timer = setInterval(() => {
          ticks++;
          longest = Math.max(longest, performance.now() - last);
          last = performance.now();
        });
        const [typed, written] = [arguments[0], page.samples.write()];
        page.set(typed); // while samples are being written
        await page.update();
        await written;
        clearInterval(timer);
        return ticks;
        """,
        "abcdefghij" * 25,
    )
    assert ticks > 10  # the browser got its turn all the time
    assert len(driver.find_elements("css selector", "#samples li")) == 10
    started = driver.execute_script("return performance.now()")
    field.send_keys("z")
    took = browser.wait(driver, "await page.update(); return performance.now() - arguments[0]", started)
    assert driver.execute_script("return page.reading.tokens.length") == 252
    print(f"a keystroke after 250 characters: {took:.0f} ms")


def test_the_policy_forbids_the_network(show, trained, chromium):
    driver = show(trained.model)
    fetch = "try { await fetch('https://localhost/'); return 'fetched' } catch (error) { return error.name }"
    outcome = browser.wait(driver, fetch)
    assert outcome == "TypeError"
    blocked = [entry["message"] for entry in chromium.get_log("browser")]
    assert blocked and all("Content Security Policy" in message for message in blocked)
