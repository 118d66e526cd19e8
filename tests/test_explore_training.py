"""Training in the page of `microgpt explore`, in a headless Chromium: its random numbers and its losses are Python's."""

import random
from dataclasses import asdict

import pytest

import microgpt
from microgpt import GPTConfig, TrainConfig
from microgpt.display import explore
from microgpt.reference import ACTIVATIONS

DOCS = [
    "emma", "olivia", "ava", "a", "isabella", "sophia", "mia", "x", "wilhelminaalexandraconstance", "é😀z", "harper", "evelyn",
]  # fmt: skip
LIBRARY = "\n".join(explore._source(f"{script}.js") for script in explore.WORKER if script != "worker")
ALL_OPTIONS = TrainConfig(
    100, 0.02, batch_size=3, beta1=0.9, beta2=0.95, eps=1e-6, schedule="cosine", warmup_steps=9, clip_norm=1.0, weight_decay=0.1,
    min_learning_rate=0.001,
)  # fmt: skip


def compute(driver, code, *arguments):
    """The result of JavaScript that uses what the worker does."""
    return driver.execute_script(f"{LIBRARY}\n{code}", *arguments)


@pytest.fixture
def driver(chromium):
    chromium.get("about:blank")
    return chromium


@pytest.mark.parametrize("seed", [0, 42, -7, 2**31, 2**32 + 1, 2**53 - 1])
def test_random_numbers_are_python_s(driver, seed):
    rng = random.Random(seed)
    items = list(range(700))
    rng.shuffle(items)
    expected = [[rng.random() for _ in range(700)], [rng.gauss(1, 2) for _ in range(7)], rng.random(), rng.gauss(0, 1)]
    shuffled, *found = compute(
        driver,
        """
        const rng = new Random(arguments[0]);
        const items = Array.from({ length: 700 }, (_, i) => i);
        rng.shuffle(items);
        const numbers = Array.from({ length: 700 }, () => rng.random());
        return [items, numbers, Array.from({ length: 7 }, () => rng.gauss(1, 2)), rng.random(), rng.gauss()];
        """,
        seed,
    )
    assert shuffled == items and found[0] == expected[0] and found[2] == expected[2]
    assert [*found[1], found[3]] == pytest.approx([*expected[1], expected[3]], rel=1e-14)  # log, sin and cos may round differently


@pytest.mark.parametrize(
    ("config", "training"),
    [
        (GPTConfig(), TrainConfig(100)),
        (GPTConfig(n_layer=2, n_embd=9, n_head=3, block_size=5, bos_first=True), TrainConfig(100)),
        (GPTConfig(n_layer=2, n_embd=7, n_head=1, zero_init_out=True), ALL_OPTIONS),
        (GPTConfig(n_embd=5, n_head=5, block_size=1), TrainConfig(100, schedule="constant")),
        *((GPTConfig(3, 10, 2, 7, activation, scale_init=True), TrainConfig(100)) for activation in ACTIVATIONS),
    ],
)
def test_losses_are_those_of_exact(driver, config, training):
    code = """
        const [docs, config, training, seed] = arguments;
        const learner = new Learner(docs, config, training, seed);
        return [Array.from({ length: training.num_steps }, () => learner.step().loss), [...learner.weights]];
        """
    losses, weights = compute(driver, code, DOCS, asdict(config), asdict(training), 42)
    run = microgpt.train(DOCS, config, training, engine="exact")
    assert losses == pytest.approx(run.losses, rel=1e-9, abs=0)
    assert weights == pytest.approx(list(run.model.params), rel=1e-7, abs=1e-12)


def test_the_norm_is_the_gradient_s_length(driver):
    """A gradient that is clipped to a length just above its own stays as it is, one clipped just below does not."""
    code = """
        const [docs, config, training] = arguments;
        const steps = (clip_norm) => {
          const learner = new Learner(docs, config, { ...training, clip_norm, eps: 1 }, 1);
          const { norm } = learner.step();
          return { norm, weight: learner.weights.join() };
        };
        const { norm, weight } = steps(null);
        return [norm, steps(norm * 1.0001).weight === weight, steps(norm * 0.9999).weight === weight];
        """
    norm, above, below = compute(driver, code, DOCS, asdict(GPTConfig()), asdict(TrainConfig()))
    assert norm > 0 and above and not below
