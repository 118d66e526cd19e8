"""Many texts at once in the page of `microgpt explore`, in a headless Chromium: each is one of the model's texts, and they are counted."""

import math
import random
from array import array
from collections import Counter

import browser
import pytest
from browser import text_of
from command_line import NAMES

import microgpt
from microgpt import GPT, GPTConfig, Tokenizer, TrainConfig
from microgpt.display import explore
from microgpt.engines import sampling

LIBRARY = explore.joined(script for script in (*explore.WORKER, "model") if script != "worker")
SHAPES = [
    GPTConfig(),
    GPTConfig(n_layer=3, n_embd=6, n_head=2, block_size=5, bos_first=True, activation="gelu"),
    GPTConfig(n_layer=2, n_embd=5, n_head=5, block_size=9, activation="silu"),
    GPTConfig(n_layer=1, n_embd=14, n_head=2, block_size=1, activation="relu2"),
    GPTConfig(n_layer=2, n_embd=7, n_head=1, block_size=16, documents="text"),
]


def make(config, letters="abcdefghijklmnopqrstuvwxyz", seed=3):
    tokenizer = Tokenizer(letters, config.bos_first)
    rng = random.Random(seed)
    return GPT(config, tokenizer, array("d", [rng.gauss(0, 0.4) for _ in range(config.num_params(tokenizer.vocab_size))]))


@pytest.fixture
def compute(chromium):
    """compute(code, model, *arguments): the result of JavaScript with a Sampler for the model that draws like Random(1)."""

    def compute(code, model, *arguments):
        data = explore._data(explore.Shown(model))
        return chromium.execute_script(
            f"{LIBRARY}\nconst [{{ config, layout }}, weights, ...given] = arguments;"
            f"const model = new Model(config, layout, new Float64Array(weights));"
            f"const sampler = new Sampler(config, layout, model.weights, new Random(1)); {code}",
            data, list(model.params), *arguments,
        )  # fmt: skip

    chromium.get("about:blank")
    return compute


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize(("temperature", "prompt"), [(1.0, ""), (0.4, "ab"), (0, "z")])
def test_one_at_a_time_they_are_python_s(compute, config, temperature, prompt):
    """From the same seed, the same texts."""
    model, prompt = make(config), prompt[: config.block_size - 1]
    tokens = [model.tokenizer.opening(config.documents), *model.tokenizer.encode(prompt)]
    code = """
        const texts = [];
        const [prompt, temperature] = given;
        for (let i = 0; i < 20; i++) sampler.write(1, prompt, temperature, (tokens, length) => texts.push([...tokens.subarray(0, length)]));
        return texts;
        """
    texts = [model.tokenizer.decode(ids) for ids in compute(code, model, tokens, temperature)]
    length = config.block_size - len(prompt) if config.documents == "text" else None
    expected = model.generate(20, temperature=temperature, seed=1, prompt=prompt, length=length)
    assert texts == expected


@pytest.mark.parametrize(("config", "letters"), [*((config, "abcdefghijklmnopqrstuvwxyz") for config in SHAPES), (GPTConfig(n_embd=8), "")])
def test_logits_are_the_model_s_at_every_beginning(compute, config, letters):
    """Thousands of beginnings in many chunks, of which some wait while others are written."""
    code = """
        let [worst, nodes, texts, written] = [0, 0, new Set(), 0];
        const path = (at, place) => {
          const node = at * sampler.room + sampler.first[at] + place;
          return at < 0 ? [] : [...path(at - 1, sampler.parents[node]), sampler.tokens[node]];
        };
        const { vocab_size } = config;
        const branch = sampler.branch;
        sampler.branch = function (length, ...others) {
          for (let node = 0; node < this.waiting[length] - this.first[length]; node++, nodes++) {
            const context = new Context(model);
            const logits = path(length, node).map((token) => context.extend(token)).pop();
            logits.forEach((logit, i) => (worst = Math.max(worst, Math.abs(logit - this.logits[node * vocab_size + i]))));
          }
          branch.call(this, length, ...others);
        };
        const found = (tokens, length, count) => {
          written += count;
          texts.add(tokens.subarray(0, length).join());
        };
        for (let i = 1; i <= 2; i++) sampler.write(200 * i, [config.opening], 1, found);
        return [worst, nodes, written, texts.size];
        """
    worst, nodes, written, different = compute(code, make(config, letters))
    assert worst < 1e-10 and written == 600
    assert nodes > 500 or config.block_size == 1 or not letters
    assert different > 25 or config.block_size == 1 or not letters


def test_they_come_as_often_as_the_model_says(compute):
    model = make(GPTConfig(n_embd=8, block_size=4), "abc")
    code = """
        const texts = [];
        sampler.write(50000, [config.opening], 0.7, (tokens, length, count) => texts.push([[...tokens.subarray(0, length)], count]));
        return texts;
        """
    found = [(model.tokenizer.decode(ids), count) for ids, count in compute(code, model)]
    assert len({text for text, _ in found}) == len(found) and sum(count for _, count in found) == 50000
    for text, count in found:
        tokens = [model.tokenizer.bos, *model.tokenizer.encode(text), model.tokenizer.bos][: model.config.block_size + 1]
        p = math.prod(sampling.probabilities(logits, 0.7)[token] for logits, token in zip(model.logits(text), tokens[1:]))
        assert abs(count - 50000 * p) < 5 * math.sqrt(50000 * p) + 1, text


def test_exp(compute):
    numbers = [-i * i / 7e3 for i in range(2200)] + [-745.0, -1e300]
    found = compute("return given[0].map(exp)", make(GPTConfig()), numbers)
    assert found == pytest.approx([math.exp(x) for x in numbers], rel=1e-13, abs=0)
    assert found[:200] == pytest.approx([math.exp(x) for x in numbers[:200]], rel=2e-15, abs=0)


# ---- The section of the page -----------------------------------------------------------------------------------------


def write_many(driver):
    """Press the button, and wait. Returns the worker's last message."""
    return browser.wait(
        driver,
        """
        let last;
        const show = page.many.show;
        page.many.show = function (counted) { show.call(this, last = counted); };
        byId("many-write").click();
        while (page.many.worker) await new Promise((done) => setTimeout(done, 20));
        return last;
        """,
    )


def test_the_page_counts_them(show):
    run = microgpt.train(NAMES, GPTConfig(n_embd=8), TrainConfig(num_steps=120))
    driver = show(run.model, docs=NAMES)
    browser.type_in(driver, "o")
    counted = write_many(driver)
    assert counted["written"] == 100_000
    texts = Counter({text: times for text, times, _ in counted["frequent"]})
    assert list(texts) == [text for text, _ in texts.most_common()] and len(texts) == 20 < counted["different"]
    assert all(text.startswith("o") and isKnown == (text in NAMES) for text, _, isKnown in counted["frequent"])
    assert 0 < counted["known"] < 100_000 and 0 < counted["found"] <= sum(name.startswith("o") for name in NAMES)
    told = text_of(driver, "many-told")
    assert told.startswith(f"100,000 after o at temperature 0.50: {counted['different']:,} different; ")
    assert f"{browser.percent(counted['known'] / 1e5)} are in the training data" in told
    rows = driver.find_elements("css selector", "#many button")
    text, times, isKnown = counted["frequent"][0]
    assert rows[0].text.split() == [text, f"{times:,}"]
    assert len(rows) == 20 and driver.find_elements("css selector", "#many .new")[0].is_displayed()
    rows[0].click()
    assert driver.find_element("id", "text").get_property("value") == text


def test_without_the_data_it_says_nothing_of_them_and_it_can_be_stopped(show, trained):
    driver = show(trained.model)
    counted = write_many(driver)
    assert counted["known"] is None and "training data" not in text_of(driver, "many-told")
    assert not driver.find_element("id", "many-keys").is_displayed() and driver.find_elements("css selector", "#many .new") == []
    stopped = """
        byId("many-write").click();
        const label = byId("many-write").textContent;
        byId("many-write").click();
        return [label, byId("many-write").textContent, page.many.worker === undefined];
        """
    assert driver.execute_script(stopped) == ["Stop", "Write 100,000", True]
