"""The numbers that the page of `microgpt explore` computes, in a headless Chromium, equal Python's.

The page's JavaScript is one script, so what it declares (page, Context, probabilities, ...) can be called from here.
"""

import random

import browser
import pytest
from browser import type_in
from command_line import NAMES

from microgpt import GPT, GPTConfig, Tokenizer, reference
from microgpt.display import explore
from microgpt.engines import sampling
from microgpt.reference import ACTIVATIONS, Value

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[browser]'")
ActionChains = webdriver.ActionChains

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz", "김민준서연", "ज़ोयाआरव", "محمد", "😀👍🏽🦄𝒳", "aé😀\ue000\U0010ffff", " \t\n-", "x",
]  # fmt: skip


def random_model(rng, alphabet, spread=0.3):
    n_head = rng.choice([1, 2, 3, 4])
    config = GPTConfig(
        n_layer=rng.randint(1, 4), n_embd=n_head * rng.randint(1, 7), n_head=n_head, block_size=rng.randint(1, 24),
        activation=rng.choice(list(ACTIVATIONS)), bos_first=rng.random() < 0.5, init_std=rng.uniform(0.05, spread),
    )  # fmt: skip
    return GPT.init(config, Tokenizer.from_docs([alphabet], config.bos_first), rng)


class Recorder:
    """The calls of the reference's functions while it computes logits, in order: [(name, argument, result), ...]."""

    def __init__(self, monkeypatch):
        self.calls = []
        for name in "linear", "rmsnorm", "attention", "softmax":
            monkeypatch.setattr(reference, name, self.recorded(name, getattr(reference, name)))

    def recorded(self, name, function):
        def call(x, *others):
            result = function(x, *others)
            self.calls.append((name, [xi.data for xi in x], [yi.data for yi in result]))
            return result

        return call

    def trace(self, model, tokens):
        """The page's Trace of each position, computed by the reference; None for numbers that no function returns."""
        config, params = model.config, values_of(model)
        keys, values = [[] for _ in range(config.n_layer)], [[] for _ in range(config.n_layer)]
        traces = []
        for position, token in enumerate(tokens):
            self.calls.clear()
            reference.gpt(token, position, keys, values, params, config, ACTIVATIONS[config.activation])
            calls = iter(self.calls)
            take = lambda name: next((x, y) for found, x, y in calls if found == name)
            trace = {"token_embedding": numbers(params["wte"][token]), "position_embedding": numbers(params["wpe"][position])}
            trace["embedded"], trace["start"] = take("rmsnorm")
            trace["layers"] = []
            for _ in range(config.n_layer):
                layer = {"normed": take("rmsnorm")[1], **{name: take("linear")[1] for name in "qkv"}}
                heads = [take("softmax") for _ in range(config.n_head)]
                layer["scores"], layer["weights"] = (sum(parts, []) for parts in zip(*heads))
                layer["mixed"] = take("attention")[1]
                layer["found"] = take("linear")[1]
                layer["attended"], layer["mlp_normed"] = take("rmsnorm")
                layer["hidden"] = take("linear")[1]
                layer["active"], layer["thought"] = take("linear")
                trace["layers"].append(layer)
            last, trace["logits"] = take("linear")
            streams = [call[1] for call in self.calls if call[0] == "rmsnorm"][3::2]  # the input of the next layer
            for layer, out in zip(trace["layers"], [*streams, last]):
                layer["out"] = out
            traces.append(trace)
        return traces


def numbers(values):
    return [value.data for value in values]


def values_of(model):
    return {name: [list(map(Value, row)) for row in matrix.tolist()] for name, matrix in model.state_dict().items()}


TRACES = """
    const plain = (x) => ArrayBuffer.isView(x) ? [...x] : Array.isArray(x) ? x.map(plain) : typeof x === "object"
      ? Object.fromEntries(Object.entries(x).map(([name, part]) => [name, plain(part)])) : x;
    return plain(page.reading.traces)"""


# numbers that differ, in any bit, from the result of the steps shown for them, or from the value of one of their factors
WRONG_SUMS = """
    const { traces } = page.reading;
    const all = traces.map((_, position) => tensorsOf(page.model, traces, position));
    const wrong = [];
    for (const tensor of all.flat()) tensor.values.forEach((value, i) => {
      const steps = tensor.of(i);
      if (!Object.is(steps.at(-1).value + 0, value + 0)) wrong.push([tensor.id, i, steps.at(-1).value, value]);
      for (const { text, terms = [] } of steps) for (const { factors } of terms) for (const { name, value, at } of factors) {
        if (!at) continue;
        const from = all[at.position].find(({ id }) => id === at.id).values[at.index];
        if (from !== value && !name.startsWith("exp(")) wrong.push([tensor.id, i, name]);
      }
    });
    return wrong.slice(0, 9)"""


@pytest.mark.parametrize("seed", range(24))
def test_every_tensor_is_python_s(show, seed, monkeypatch):
    rng = random.Random(seed)
    alphabet = ALPHABETS[seed % len(ALPHABETS)]
    model = random_model(rng, alphabet)
    driver = show(model)
    for times in range(12):  # successively on the same page, which reuses what two texts have in common
        text = "".join(rng.choices(alphabet, k=rng.randrange(model.config.block_size)))
        type_in(driver, text)
        tokens = [model.tokenizer.bos, *model.tokenizer.encode(text)]
        found = driver.execute_script("return page.context.logits.map((logits) => [...logits])")
        expected = model.logits(text)
        assert len(found) == len(expected) == len(tokens)
        for ours, pythons in zip(found, expected):
            assert ours == pytest.approx(pythons, abs=1e-9, rel=0)
        shares = driver.execute_script("return page.reading.scores")
        assert shares == pytest.approx(model.scores(text)[: len(text)], abs=1e-9)
        if times == 0 and seed in (0, 3, 6, 7, 8, 14, 17, 21, 23):  # slow; these have every activation, and 1 to 4 layers
            with monkeypatch.context() as patch:
                expected = Recorder(patch).trace(model, tokens)
            for position, (ours, pythons) in enumerate(zip(driver.execute_script(TRACES), expected, strict=True)):
                assert (ours.pop("token"), ours.pop("position")) == (tokens[position], position)
                for found, wanted in zip([ours, *ours.pop("layers")], [pythons, *pythons.pop("layers")], strict=True):
                    assert found.keys() == wanted.keys()
                    for name in wanted:
                        assert found[name] == pytest.approx(wanted[name], rel=1e-11, abs=1e-13), name
                assert driver.execute_script(WRONG_SUMS) == []


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_python_s(show, activation):
    """The random models above have weights near 0; here the activation meets large numbers of both signs too."""
    config = GPTConfig(n_embd=8, block_size=8, activation=activation, init_std=2.0)
    model = GPT.init(config, Tokenizer("abc"), random.Random(0))
    driver = show(model)
    type_in(driver, "abcabca")
    found = driver.execute_script("return page.context.logits.map((logits) => [...logits])")
    assert sum(found, []) == pytest.approx(sum(model.logits("abcabca"), []), rel=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_would_excite_a_unit_alone(show, activation):
    """The embedding of each character, scaled twice, times the unit's weights; the strongest characters are named."""
    config = GPTConfig(n_layer=2, n_embd=6, n_head=2, block_size=8, activation=activation, init_std=0.5)
    model = GPT.init(config, Tokenizer("abcdefg"), random.Random(3))
    driver = show(model)
    type_in(driver, "fad")
    params = values_of(model)
    for layer, unit, position in (0, 5, 1), (1, 23, 3):
        values = []
        for token in range(8):
            embedded = [a + b for a, b in zip(params["wte"][token], params["wpe"][position])]
            [hidden] = reference.linear(reference.rmsnorm(reference.rmsnorm(embedded)), [params[f"layer{layer}.mlp_fc1"][unit]])
            values.append(ACTIVATIONS[activation](hidden).data)
        found = driver.execute_script("return [...alone(page.model, ...arguments)]", layer, unit, position)
        assert found == pytest.approx(values, rel=1e-11)
        driver.execute_script(
            "const [layer, unit, position] = arguments; page.views[4].choose(layer, unit, position)", layer, unit, position
        )
        browser.wait(driver, "await new Promise((done) => setTimeout(done, 100))")
        rows = [row.text.split() for row in driver.find_elements("css selector", "#units-list li")]
        strongest = sorted((token for token in range(7) if values[token] > 0), key=lambda token: -values[token])[:5]
        shown = [part for token in strongest for part in ("abcdefg"[token], f"{values[token]:.2f}")]
        assert rows[position][3:] == (shown or ["no", "character", "alone"])
        active = driver.execute_script(f"return page.reading.traces.map(({{ layers }}) => layers[{layer}].active[{unit}])")
        assert [row[2] for row in rows] == ["0" if value == 0 else f"{value:.2f}" for value in active]
        assert [row[1] for row in rows] == ["⊢", *"fad"] and rows[0][3:] == ["it", "always", "begins", "so"]


def test_a_click_chooses_a_unit(show, trained):
    """Until the user chooses one, it is the unit that the last character activates most."""
    driver = show(trained.model)
    for text in "o", "ol":
        type_in(driver, text)
        browser.wait(driver, "await new Promise((done) => setTimeout(done, 100))")
        active = driver.execute_script("return [...page.reading.traces.at(-1).layers[0].active]")
        assert driver.find_element("id", "units-unit").get_property("value") == str(active.index(max(active)))
    place = "const view = page.views[4]; const { row, column } = view.layout(byId('units').clientWidth);"
    x, y = driver.execute_script(f"byId('units').scrollIntoView({{ block: 'center' }}); {place} return [LABELS + 9.5 * column, 1.5 * row]")
    canvas = driver.find_element("id", "units")
    ActionChains(driver).move_to_element_with_offset(canvas, x - canvas.size["width"] / 2, y - canvas.size["height"] / 2).click().perform()
    assert "At o (position 1), unit 9 of layer 0 is " in browser.text_of(driver, "units-told")
    type_in(driver, "olv")
    assert driver.find_element("id", "units-unit").get_property("value") == "9"


def test_python_reads_the_page_s_table_of_activations(show, trained):
    driver = show(trained.model)
    assert driver.execute_script("return Object.keys(ACTIVATIONS)") == explore.activations()


def test_logits_of_a_trained_model(show, trained):
    driver = show(trained.model)
    for text in ["", *NAMES, "e", "ol", "vvvvvv", "aaaaaaaaaaaaaaa"]:
        type_in(driver, text)
        found = driver.execute_script("return page.context.logits.map((logits) => [...logits])")
        assert sum(found, []) == pytest.approx(sum(trained.model.logits(text), []), abs=1e-9, rel=0)


def test_probabilities_are_python_s(show, trained):
    driver = show(trained.model)
    rng = random.Random(1)
    for temperature in (0, 0.05, 0.5, 1, 2):
        for n in (1, 2, 27):
            logits = [rng.choice([-3.5, 0.0, rng.gauss(0, 3)]) for _ in range(n)]
            code = "return [...probabilities(Float64Array.from(arguments[0]), arguments[1])]"
            found = driver.execute_script(code, logits, temperature)
            assert found == pytest.approx(sampling.probabilities(logits, temperature), abs=1e-12)


def test_tokens_are_drawn_as_often_as_is_probable(show, trained):
    driver = show(trained.model)
    weights = [0.0, 0.25, 0.0, 0.5, 0.25, 0.0]
    counts = driver.execute_script(
        """
        const [weights, counts] = [Float64Array.from(arguments[0]), arguments[0].map(() => 0)];
        for (let i = 0; i < 1000; i++) {
          Math.random = () => (i + 0.5) / 1000; // every part of its range as often
          counts[draw(weights)]++;
        }
        return counts;
        """,
        weights,
    )
    assert counts == pytest.approx([1000 * weight for weight in weights], abs=1)
    # a random number is less than 1, but rounding of the sum of weights can have the effect of 1
    for least_or_largest, token in ("0", 1), ("1", 4):
        code = f"Math.random = () => {least_or_largest}; return draw(Float64Array.from(arguments[0]))"
        assert driver.execute_script(code, weights) == token


def test_samples_and_their_scores(show, trained):
    driver = show(trained.model)
    for text, temperature in ("", 1), ("ol", 0.7), ("a" * 15, 1.5):
        tokens = [trained.model.tokenizer.bos, *trained.model.tokenizer.encode(text)]
        samples = browser.wait(
            driver,
            """
            const samples = [];
            const [tokens, temperature] = arguments;
            for (let i = 0; i < 40; i++) samples.push(await writeText(page.samples.context, tokens, temperature, () => true));
            return samples;
            """,
            tokens, temperature,
        )  # fmt: skip
        assert text or len({tuple(sample["ids"]) for sample in samples}) > 1
        for sample in samples:
            written = trained.model.tokenizer.decode(sample["ids"])
            assert written.startswith(text) and len(written) <= 16
            assert sample["ended"] or len(written) == 16
            assert sample["scores"] == pytest.approx(trained.model.scores(written), abs=1e-9)
    greedy = browser.wait(driver, "return writeText(page.samples.context, [page.config.bos], 0, () => true)")
    assert trained.model.tokenizer.decode(greedy["ids"]) == trained.model.generate(1, temperature=0)[0]


def test_a_model_of_one_text(show):
    """A model of text reads a line break first; its samples never end, and the bars have no end."""
    config = GPTConfig(n_embd=4, n_head=2, block_size=6, documents="text")
    model = GPT.init(config, Tokenizer("\nab"), random.Random(1))
    for i in range(4):
        model.state_dict()["lm_head"][model.tokenizer.bos, i] = 9.0 * (-1) ** i
    driver = show(model)
    assert driver.find_element("css selector", "#read .token").text.split() == ["↵", "before"]
    assert len(driver.find_elements("css selector", "#bars li")) == 3
    one_by_one = (
        "const all = []; for (let i = 0; i < 20; i++) all.push(await writeText(page.samples.context, [0, 1], 1, () => true)); return all"
    )
    samples = browser.wait(driver, one_by_one)
    assert {(len(sample["ids"]), sample["ended"], sample["ids"][0]) for sample in samples} == {(6, False, 1)}
    driver.execute_script("page.set('ab')")
    browser.wait(driver, "return page.update()")
    assert driver.execute_script("return page.reading.scores") == pytest.approx(model.scores("ab"), abs=1e-9)


def test_attention_sums_up_and_agrees_with_a_model_of_one_head(show):
    """With zero keys, the attention to all positions is equal."""
    model = GPT.init(GPTConfig(n_layer=2, n_embd=8, n_head=2), Tokenizer("abc"), random.Random(0))
    keys = model.state_dict()["layer1.attn_wk"]
    for i in range(8):
        for j in range(8):
            keys[i, j] = 0.0
    driver = show(model)
    type_in(driver, "abca")
    for position, weights in enumerate(
        driver.execute_script("return page.context.traces.map(({ layers }) => layers.flatMap(({ weights }) => [...weights]))")
    ):
        parts = [weights[i * (position + 1) :][: position + 1] for i in range(4)]
        assert [sum(part) for part in parts] == pytest.approx([1] * 4)
        assert parts[2] == parts[3] == pytest.approx([1 / (position + 1)] * (position + 1))
        assert position == 0 or parts[0] != pytest.approx(parts[2])


def test_principal_components(show, trained):
    numpy = pytest.importorskip("numpy")
    rows = numpy.array(trained.model.state_dict()["wte"].tolist())
    centred = rows - rows.mean(0)
    values, vectors = numpy.linalg.eigh(centred.T @ centred)
    vectors = vectors[:, [-1, -2]]
    vectors *= numpy.sign(vectors[numpy.abs(vectors).argmax(0), [0, 1]])
    driver = show(trained.model)
    found = driver.execute_script("return principalComponents(page.model.params.wte, page.config.vocab_size, page.config.n_embd)")
    assert numpy.allclose(found["points"], centred @ vectors, atol=1e-6)
    assert numpy.allclose(found["shares"], values[[-1, -2]] / values.sum(), atol=1e-9)
    near = driver.execute_script("return nearest(page.model.params.wte, page.config.vocab_size, page.config.n_embd, 3, 4)")
    distances = numpy.linalg.norm(rows - rows[3], axis=1)
    assert [row for row, _ in near] == list(distances.argsort()[1:5])
    assert [distance for _, distance in near] == pytest.approx(sorted(distances)[1:5])
