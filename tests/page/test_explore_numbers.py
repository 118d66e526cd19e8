"""What the page of `microgpt explore` computes, in a headless Chromium: its numbers are Python's.

The page's JavaScript is one script, so what it declares (page, Context, probabilities, ...) can be called from here.
"""

import math
import random

import browser
import pytest
from browser import type_in
from command_line import NAMES

from microgpt import GPT, GPTConfig, Tokenizer, reference
from microgpt.compiled import scalar
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
    """What the functions of the reference are given and return while it computes a loss, in order: [(name, argument, result)]."""

    def __init__(self, monkeypatch):
        self.calls = []
        for name in "linear", "rmsnorm", "attention", "softmax":
            monkeypatch.setattr(reference, name, self.recorded(name, getattr(reference, name)))

    def recorded(self, name, function):
        def call(x, *others):
            result = function(x, *others)
            self.calls.append((name, x, result))
            return result

        return call

    def read(self, document, params, config):
        """The reference's loss of a document of tokens, and the page's Trace of each position, as Values; with the probabilities."""
        self.calls.clear()
        loss = reference.document_loss(document, params, config, ACTIVATIONS[config.activation])
        count = min(config.block_size, len(document) - 1)
        size = len(self.calls) // count
        traces = []
        for position, token in enumerate(document[:count]):
            own = self.calls[position * size : (position + 1) * size]
            calls = iter(own)
            take = lambda name: next((x, y) for found, x, y in calls if found == name)
            trace = {"token_embedding": params["wte"][token], "position_embedding": params["wpe"][position], "layers": []}
            trace["embedded"], trace["start"] = take("rmsnorm")
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
            trace["probabilities"] = take("softmax")[1]
            streams = [x for name, x, _ in own if name == "rmsnorm"][3::2]  # what the next layer begins with
            for layer, out in zip(trace["layers"], [*streams, last]):
                layer["out"] = out
            traces.append(trace)
        return loss, traces


def values_of(model, kind=Value):
    return {name: [list(map(kind, row)) for row in matrix.tolist()] for name, matrix in model.state_dict().items()}


TRACES = """
    const plain = (x) => ArrayBuffer.isView(x) ? [...x] : Array.isArray(x) ? x.map(plain) : typeof x === "object"
      ? Object.fromEntries(Object.entries(x).map(([name, part]) => [name, plain(part)])) : x;
    return plain(%s)"""


# numbers that are not, to the last bit, what the steps shown for them result in, steps that are not the sum of their terms, and factors that
# have another value where they are from; of gradients, every third
WRONG_SUMS = """
    const { model, reading: { traces, targets } } = page;
    const pass = { model, traces, targets, gradients: await gradientsOf(model, traces, targets, () => true) };
    const all = { forward: traces.map((_, t) => tensorsOf(pass, t)), gradients: targets.map((_, t) => gradientsAt(pass, t)) };
    const slopes = [...all.gradients.flat(), ...gradientsOfMatrices(pass).flatMap(({ rows }) => rows())];
    const wrong = [];
    let checked = 0;
    for (const [tensor, apart] of [...all.forward.flat().map((tensor) => [tensor, 1]), ...slopes.map((tensor) => [tensor, 3])]) {
      for (let i = checked % apart; i < tensor.values.length; i += apart, checked++) {
        const steps = tensor.of(i);
        if (!Object.is(steps.at(-1).value + 0, tensor.values[i] + 0)) wrong.push([tensor.id, i, steps.at(-1).value, tensor.values[i]]);
        for (const { text, terms, value } of steps.filter(({ terms }) => terms)) {
          let sum = 0;
          for (const { factors } of terms) sum += factors.reduce((product, factor) => product * factor.value, 1);
          if (Math.abs(sum - value) > 1e-12 * Math.abs(value) + 1e-300) wrong.push([tensor.id, i, text, sum, value]);
          for (const { name, value, place } of terms.flatMap(({ factors }) => factors)) {
            if (!place || name.startsWith("exp(")) continue;
            const from = all[place.side][place.position].find(({ id }) => id === place.id).values[place.index];
            if (from !== value || name.startsWith("∂") !== (place.side === "gradients")) wrong.push([tensor.id, i, name]);
          }
        }
      }
    }
    return [wrong.slice(0, 9), checked]"""


@pytest.mark.parametrize("seed", range(24))
def test_logits_are_python_s(show, seed):
    rng = random.Random(seed)
    alphabet = ALPHABETS[seed % len(ALPHABETS)]
    model = random_model(rng, alphabet)
    driver = show(model)
    for _ in range(8):  # one after the other on the same page, which keeps what two texts share
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


# these have every activation, 1 to 4 layers and 1 to 4 heads, of 1 to 7 numbers
@pytest.mark.parametrize("seed", (0, 6, 8, 10, 14, 18, 23))
def test_every_number_and_its_gradient_are_python_s(show, seed, monkeypatch):
    rng = random.Random(seed)
    alphabet = ALPHABETS[seed % len(ALPHABETS)]
    model = random_model(rng, alphabet)
    driver = show(model)
    block_size = model.config.block_size
    for length in {rng.randrange(block_size), min(1, block_size - 1), block_size + 1}:
        text = "".join(rng.choices(alphabet, k=length))
        type_in(driver, text)
        document = [model.tokenizer.bos, *model.tokenizer.encode(text), model.tokenizer.bos]
        params = values_of(model, scalar.Value)
        with monkeypatch.context() as patch:
            loss, traces = Recorder(patch).read(document, params, model.config)
        loss.backward()
        found = driver.execute_script(TRACES % "page.reading.traces")
        slopes = browser.wait(
            driver,
            "const { model, reading } = page; const found = await gradientsOf(model, reading.traces, reading.targets, () => true);"
            + TRACES % "found",
        )
        assert slopes["loss"] == pytest.approx(loss.data, rel=1e-12)
        for position, (ours, theirs, pythons) in enumerate(zip(found, slopes["traces"], traces, strict=True)):
            assert (ours.pop("token"), ours.pop("position")) == (document[position], position)
            assert theirs.pop("loss") == [1 / len(traces)]
            assert slopes["losses"][position] == pytest.approx(-math.log(pythons["probabilities"][document[position + 1]].data), rel=1e-11)
            parts = zip(*([trace, *trace.pop("layers")] for trace in (ours, theirs, pythons)), strict=True)
            for part, slope, wanted in parts:
                assert wanted.keys() == slope.keys() and wanted.keys() - part.keys() <= {"probabilities"}
                for name, values in wanted.items():
                    if name in part:
                        assert part[name] == pytest.approx([value.data for value in values], rel=1e-11, abs=1e-13), name
                    if not name.endswith("_embedding"):  # which are weights, whose gradients are sums over positions
                        assert_near(slope[name], values, name)
            assert theirs["token_embedding"] == theirs["position_embedding"] == theirs["embedded"]
        for name, rows in params.items():
            assert_near(slopes["params"][name], sum(rows, []), name)
        if length <= block_size:
            wrong, checked = browser.wait(driver, WRONG_SUMS)
            assert wrong == [] and checked > 100


def assert_near(found, values, name):
    """Compare gradients, to 1e-12 of the largest."""
    expected = [value.grad for value in values]
    assert found == pytest.approx(expected, rel=0, abs=1e-12 * max(map(abs, expected))), name


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
    """Its embedding, scaled twice, times the unit's weights; the strongest are named."""
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
    """Until then it is the one that the last character excites most."""
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
    # a random number is less than 1, but where the weights' sum is rounded it can be as if it were 1
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
    """It reads a line break where documents begin; what it writes never ends, and the bars have no end."""
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
    """With keys of zero all positions are looked at alike."""
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
