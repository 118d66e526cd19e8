"""The bars of the next characters on the page of `microgpt explore`, and the characters that they name, in a headless Chromium."""

import random

import browser
import pytest
from browser import bars, percent, text_of, type_in

from microgpt import GPT, GPTConfig, Tokenizer
from microgpt.engines import sampling

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[browser]'")
Keys = webdriver.Keys


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
