"""How the page of `microgpt explore` is used and looks, in a headless Chromium: it can be used by everybody."""

import random
import time

import browser
import pytest
from browser import bars, percent, text_of, type_in
from command_line import NAMES

import microgpt
from microgpt import GPT, GPTConfig, Tokenizer, TrainConfig
from microgpt.display import history
from microgpt.engines import sampling

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[browser]'")
Keys, ActionChains = webdriver.Keys, webdriver.ActionChains

HOSTILE = [
    "<script>alert(1)</script>", "</script>", "<img src=x onerror=alert(1)>", "a&b\"'`", "\u2028\u2029\x00", "&lt;\\",
]  # fmt: skip


# ---- What is seen ----------------------------------------------------------------------------------------------------


def test_typing_changes_the_bars(show, trained):
    driver = show(trained.model)
    seen = []
    for text in "", "o", "ol":
        driver.find_element("id", "text").send_keys(text[-1:])
        logits = trained.model.logits(text)[-1]
        names = [*trained.model.tokenizer.chars, "end"]
        expected = sorted(zip(names, sampling.probabilities(logits, 0.5)), key=lambda pair: -pair[1])
        assert bars(driver) == [(name, percent(p)) for name, p in expected]
        seen.append(bars(driver))
        assert text_of(driver, "likeliest").startswith(f"Likeliest: {expected[0][0]} {percent(expected[0][1])}, ")
    assert seen[0] != seen[1] != seen[2]
    driver.find_element("css selector", "input[name=order][value=id]").send_keys(Keys.SPACE)
    assert [name for name, _ in bars(driver)] == names
    driver.find_element("id", "text").send_keys(Keys.BACKSPACE)
    assert sorted(bars(driver)) == sorted(seen[1])
    tokens = [token.text.split() for token in driver.find_elements("css selector", "#read .token")]
    assert tokens == [["⊢", "BOS"], ["o", percent(trained.model.scores("o")[0])]]


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


def test_bars_are_as_long_as_the_largest_allows(show, trained):
    """The mark of temperature 1 is a bar of its own, below the other, so that it does not cut it."""
    driver = show(trained.model)
    type_in(driver, "ol")
    for temperature in 0.5, 2:
        driver.execute_script(
            "byId('temperature').value = arguments[0]; byId('temperature').dispatchEvent(new Event('input'))",
            temperature,
        )
        logits = trained.model.logits("ol")[-1]
        own, tempered = sampling.probabilities(logits, 1), sampling.probabilities(logits, temperature)
        largest = max(*own, *tempered)
        browser.wait(driver, "await new Promise((done) => setTimeout(done, 400))")  # the bars have arrived
        rows = driver.execute_script("""
            const box = (element) => element.getBoundingClientRect().toJSON();
            return [...document.querySelectorAll("#bars .track")].map((track) => [track, ...track.children].map(box))""")
        shown = sorted(zip(tempered, own), reverse=True)
        assert len(rows) == len(shown)
        for (track, bar, mark), shares in zip(rows, shown):
            widths = [track["width"] * p / largest for p in shares]
            assert [bar["width"], mark["width"]] == pytest.approx(widths, abs=0.1)
            assert bar["left"] == mark["left"] == track["left"] and bar["bottom"] <= mark["top"]
        assert text_of(driver, "full") == percent(largest)


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


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


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


def test_symbols(show):
    tokenizer = Tokenizer.from_docs(["a \n\t\u0301\u200d\ue000ي\ufe0f\u115f🇩🇪ो👍🏽"])
    driver = show(GPT.init(GPTConfig(n_embd=4), tokenizer, random.Random(0)))
    symbols = driver.execute_script("return page.alphabet.points.map((_, id) => page.alphabet.symbol(id))")
    assert symbols == [
        "⇥", "↵", "␣", "a", "0301", "ي", "◌ो", "115F", "200D", "E000", "FE0F", "1F1E9", "1F1EA", "🏽", "👍", "⊢",
    ]  # fmt: skip
    running = "return page.alphabet.running(page.alphabet.read(arguments[0], 99).ids)"
    shown = driver.execute_script(running, "a\u0301🇩🇪🇩ो\ufe0f\n")
    assert shown == ["a", "\u0301", "🇩", "🇪", "1F1E9", "ो", "FE0F", "↵"]  # two are a flag, the third is half of one
    driver.find_element("css selector", "#bars .bar[aria-label^='↵']").click()
    driver.find_element("css selector", "#bars .bar[aria-label^='ي']").click()
    assert driver.find_element("id", "text").get_property("value") == "\nي"
    assert text_of(driver, "shortcut") == "Ctrl+Enter in the field"


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


def test_a_text_field_that_changes_the_text_says_so(show):
    model = GPT.init(GPTConfig(n_embd=4), Tokenizer("\ra"), random.Random(0))
    driver = show(model)
    browser.wait(driver, "page.append('\\r')")
    assert "cannot hold this text as it is" in text_of(driver, "message")


def test_large_alphabets_show_the_likeliest(show):
    tokenizer = Tokenizer(map(chr, range(0x4E00, 0x4E00 + 3000)))
    model = GPT.init(GPTConfig(n_embd=16), tokenizer, random.Random(0))
    driver = show(model)
    assert len(bars(driver)) == 40
    assert text_of(driver, "rest").startswith("and 2,961 more, together ")
    driver.find_element("id", "show-more").click()
    assert len(bars(driver)) == 160
    assert driver.switch_to.active_element.get_attribute("id") == "show-more"
    shares = [float(share.strip("<%")) for _, share in bars(driver)]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("alphabet", ["", "a"])
def test_the_smallest_alphabets(show, alphabet):
    driver = show(GPT.init(GPTConfig(n_embd=1, n_head=1, block_size=1), Tokenizer(alphabet), random.Random(0)))
    assert {name for name, _ in bars(driver)} == {"end", *alphabet}
    browser.wait(driver, "await page.samples.write()")
    assert len(driver.find_elements("css selector", "#samples li")) == 10


def test_numbers_that_overflow_are_said_to(show):
    model = GPT.init(GPTConfig(n_embd=4), Tokenizer("ab"), random.Random(0))
    head = model.state_dict()["lm_head"]
    for i in range(3):
        for j in range(4):
            head[i, j] = 1.7e308
    driver = show(model)
    assert "This model’s numbers overflow here" in text_of(driver, "likeliest")
    assert {share for _, share in bars(driver)} == {"–"}


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


# ---- The window ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1280, 2560])
@pytest.mark.parametrize("n_layer, n_head", [(1, 2), (3, 8), (12, 12), (2, 32)])
def test_all_heads_are_seen(show, width, n_layer, n_head):
    model = GPT.init(GPTConfig(n_layer=n_layer, n_embd=n_head, n_head=n_head), Tokenizer("ab"), random.Random(0))
    driver = show(model, width=width)
    heads, around = driver.execute_script("""
        const box = (element) => element.getBoundingClientRect().toJSON();
        return [[...document.querySelectorAll("#heads .head")].map(box), box(byId("heads"))]""")
    assert len(heads) == n_layer * n_head
    for head in heads:  # none is hidden by the edge of what contains it, each is large enough for a finger
        assert around["left"] - 1 <= head["left"] and head["right"] <= around["right"] + 1
        assert around["top"] - 1 <= head["top"] and head["bottom"] <= around["bottom"] + 1
        assert head["width"] >= 24 and head["height"] >= 24
    assert len({round(head["top"]) for head in heads}) == n_layer or n_head > 12


@pytest.mark.parametrize("losses", [False, True])
@pytest.mark.parametrize("n_layer, n_head", [(1, 4), (3, 8), (12, 12)])
@pytest.mark.parametrize("width", [1280, 2560])
def test_no_column_is_empty_for_long(show, width, n_layer, n_head, losses):
    tokenizer = Tokenizer("abcdefghijklmnopqrstuvwxyz")
    model = GPT.init(GPTConfig(n_layer=n_layer, n_embd=n_head, n_head=n_head), tokenizer, random.Random(0))
    driver = show(model, width=width, losses=[3.0, 2.5, 2.0] if losses else ())
    for text in "emma", "":
        type_in(driver, text)
        check_columns(driver)


def check_columns(driver):
    ends = driver.execute_script("""
        return [...document.querySelectorAll("main section")].map((section) => {
          const { left, right, top } = section.getBoundingClientRect();
          return [left, right, top, Math.max(...[...section.children].map((e) => e.getBoundingClientRect().bottom))];
        })""")
    middle, below = (ends[0][0] + max(right for _, right, _, _ in ends)) / 2, max(bottom for *_, bottom in ends)
    for column in [end for end in ends if end[0] < middle], [end for end in ends if end[1] > middle]:
        column = sorted((top, bottom) for _, _, top, bottom in column)
        gaps = [later[0] - earlier[1] for earlier, later in zip(column, [*column[1:], (below, below)])]
        assert max(gaps) < 360, gaps  # with the space above what is below both columns


@pytest.mark.parametrize("width", [320, 360, 800, 1440, 2560])
def test_nothing_is_wider_than_the_window(show, trained, width):
    everything = {"losses": trained.losses, "val_losses": trained.val_losses, "training": trained.training}
    driver = show(trained.model, width=width, name="x" * 80, **everything)
    type_in(driver, "a" * 18)
    browser.wait(driver, "await page.samples.write()")
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    beyond = driver.execute_script("""
        return [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
          && !e.closest(".samples, .tokens")).map((e) => e.outerHTML.slice(0, 100))""")
    assert beyond == []


def brightness(driver, element="body"):
    colour = driver.execute_script(f"return getComputedStyle(document.querySelector('{element}')).backgroundColor")
    return sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(","))) / 3


def test_light_and_dark(show, trained):
    driver = show(trained.model)
    assert brightness(driver) > 240
    accent = driver.execute_script("return colour('accent')")
    driver.find_element("id", "theme").click()
    assert brightness(driver) < 40
    assert driver.execute_script("return colour('accent')") != accent
    assert driver.find_element("id", "theme").get_attribute("aria-label") == "Switch to light colours"
    driver = show(trained.model, dark=True)
    assert brightness(driver) < 40
    driver.find_element("id", "theme").click()
    assert brightness(driver) > 240


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
