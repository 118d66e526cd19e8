"""The page of `microgpt explore` in windows of all sizes, light and dark, in a headless Chromium."""

import random

import browser
import pytest
from browser import type_in

from microgpt import GPT, GPTConfig, Tokenizer


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
