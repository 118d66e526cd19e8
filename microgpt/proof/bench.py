"""Measuring: how long each engine takes for the same training run, checked against the pure reference before it is timed.

Each measurement is made in a fresh process, and the engines take turns for several rounds, so that other load on the machine affects all
of them alike. A time counts only if the first losses equal the reference's in every bit or, for an engine that is not exact, up to
rounding. Documents differ in length and a fast engine sees more of them, so times are measured per token and shown for a document of mean
length.
"""

import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from typing import NamedTuple

from microgpt import engines
from microgpt.common.words import shortened
from microgpt.config import GPTConfig, TrainConfig

CHECKED_STEPS = 2
CHECKED_SAMPLES = 2
WARM_UP_STEPS = 5  # before the clock runs
MIN_STEPS = 8
SECONDS, PYTHON_SECONDS = 0.5, 4.0  # the approximate duration of a measurement
TRAINING = TrainConfig(num_steps=10_000)
ROUNDING = 1e-5  # the relative error allowed of a loss that is not exact


class MeasuringError(RuntimeError):
    """A measuring process failed; the message says why."""


class Case(NamedTuple):
    """One thing to measure. engine: an engine's name, or "value": the plain reference with only its class Value compiled."""

    engine: str
    n_embd: int = 16
    collector: bool = True  # whether Python's cyclic garbage collector is on, as it is by default
    isa: str = ""  # the instruction set a compiled engine is held to; "": the best there is

    @property
    def baseline(self):
        return self._replace(engine="python", isa="")

    @property
    def name(self):
        return f"{self.engine} {self.isa}".rstrip()

    @property
    def training(self):
        return replace(TRAINING, batch_size=self.kind.batch_size)

    @property
    def kind(self):
        """The class of the engine."""
        return engines.engine_class("python" if self.engine == "value" else self.engine)

    def __str__(self):
        return f"{self.name}, n_embd {self.n_embd}, collector {'on' if self.collector else 'off'}"


class Timing(NamedTuple):
    """One measurement, and for the check the losses of the first steps and a few samples."""

    us_per_token: float  # of training
    mean_tokens: float  # of the dataset's documents
    characters_per_second: float  # of sampling
    losses: list
    samples: list
    memory: int | None  # the peak of the process, in bytes; None if the system does not report it


class Row(NamedTuple):
    """A case's result, from all rounds: medians and (least, most). ratio: how many times faster than the reference.

    differs: None, or what differs from the reference's result; then there is no time.
    """

    case: Case
    us_per_document: float | None
    us_spread: tuple | None
    ratio: float | None
    ratio_spread: tuple | None
    characters_per_second: float | None
    memory: int | None
    differs: str | None


def cases_of(first, *more):
    """The cases for models of width n_embd `first`: every engine and instruction set; and a few for each width of `more`."""
    names = ["python", "value", *engines.ENGINES[1:]]
    cases = [Case(name, first, isa=isa) for name in names for isa in Case(name).kind.isas() or [""]]
    cases += [Case(name, first, collector=False) for name in names if Case(name).kind.exact]
    return cases + [Case(name, n_embd) for n_embd in more for name in engines.ENGINES]


def compare(cases, source="names", rounds=3, note=lambda text: None):
    """Measure `cases` and return their Rows. source: the dataset, see load_docs; note: told what is being measured."""
    everything = dict.fromkeys(case for wanted in cases for case in (wanted.baseline, wanted))
    timings = {case: [] for case in everything}
    for number in range(1, rounds + 1):
        for case in everything:
            note(f"round {number} of {rounds}: {case}")
            timings[case].append(_in_fresh_process(case, source))
    return [_row(case, timings[case], timings[case.baseline]) for case in cases]


def _row(case, own, base):
    memory = max((timing.memory for timing in own if timing.memory), default=None)
    differs = next(filter(None, (_difference(timing, base[0], not case.kind.exact) for timing in own)), None)
    if differs:
        return Row(case, None, None, None, None, None, memory, differs)
    us = [timing.us_per_token * timing.mean_tokens for timing in own]
    ratios = [b.us_per_token / o.us_per_token for b, o in zip(base, own)]
    rate = statistics.median(timing.characters_per_second for timing in own)
    return Row(case, statistics.median(us), (min(us), max(us)), statistics.median(ratios), (min(ratios), max(ratios)), rate,
               memory, None)  # fmt: skip


def _difference(timing, base, rounded):
    """What differs from the reference's result, in words, or None. rounded: losses may differ by some roundings of float32."""
    for step, (got, expected) in enumerate(zip(timing.losses, base.losses, strict=True), 1):
        if got != expected and not (rounded and math.isclose(got, expected, rel_tol=ROUNDING)):
            return f"loss of step {step}: {got!r}, reference {expected!r}"
    if timing.samples != base.samples:
        return f"samples {timing.samples}, reference {base.samples}"
    return None


# ---- One measurement ----------------------------------------------------------------------------------------------------


def _in_fresh_process(case, source):
    command = [sys.executable, "-m", "microgpt.proof.bench", json.dumps(case), source]
    environment = os.environ | ({"MICROGPT_ISA": case.isa} if case.isa else {})
    process = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=environment)
    if process.returncode:
        reason = process.stderr.strip().split("\n")[-1].partition(";")[0] or f"exit code {process.returncode}"
        raise MeasuringError(f"measuring {case} failed: {shortened(reason, 150)}")
    return Timing(*json.loads(process.stdout))


def measure(case, source):
    """The Timing of one case in this process."""
    import gc

    from microgpt import training
    from microgpt.compiled.scalar import Value
    from microgpt.corpus.loading import load_docs
    from microgpt.engines.graph import reference_with

    docs, config = load_docs(source), GPTConfig(n_embd=case.n_embd)
    run = training.start(docs, config, case.training, engine="python" if case.engine == "value" else case.engine)
    engine, corpus, done = run.model.engine, run.corpus, []
    if case.engine == "value":
        engine = type(engine)(config, run.model.tokenizer.vocab_size, run.model.params, ops=reference_with({"Value": Value}))
    if not case.collector:
        gc.disable()
    samples, rate = _sample(engine, run.model.tokenizer)
    if not case.kind.exact:
        checked = training.start(docs, config, TRAINING, engine=case.engine)
        checked.train(lambda step: step.step == CHECKED_STEPS)
        rate = _rate_in_bulk(run.model)

    def timed(num_steps):
        steps = range(len(done), min(len(done) + num_steps, TRAINING.num_steps))
        started = time.perf_counter()
        engine.train(corpus, steps, case.training, done)
        seconds = time.perf_counter() - started
        batches = (case.training.batch(step, len(corpus)) for step in steps)
        return seconds, sum(corpus.predictions(i, config.block_size) for batch in batches for i in batch)

    warm_up = timed(WARM_UP_STEPS)[0]
    if case.engine == "python":  # in one call, as in a script: the collector has less to do if each step is a call
        budget = PYTHON_SECONDS if case.collector else PYTHON_SECONDS / 2  # without it memory grows by 17 MB a step
        seconds, tokens = timed(max(MIN_STEPS, int(budget / warm_up * WARM_UP_STEPS)))
    else:
        seconds, tokens, num_steps = 0.0, 0, WARM_UP_STEPS
        while seconds < SECONDS and len(done) < TRAINING.num_steps:
            num_steps *= 2
            seconds, tokens = (a + b for a, b in zip(timed(num_steps), (seconds, tokens)))
    mean = sum(min(config.block_size, len(doc) + 1) for doc in docs) / len(docs)
    losses = done[:CHECKED_STEPS] if case.kind.exact else checked.losses
    return Timing(1e6 * seconds / tokens, mean, rate, losses, samples, _peak_memory())


def _sample(engine, tokenizer):
    """The first samples, and how many characters per second the engine writes."""
    rng, written = random.Random(1), []
    started = time.perf_counter()
    while len(written) < CHECKED_SAMPLES or time.perf_counter() - started < 0.2:
        written.append(engine.generate(rng, tokenizer.bos, (), 0.5))
    rate = sum(map(len, written)) / (time.perf_counter() - started)
    return [tokenizer.decode(tokens) for tokens in written[:CHECKED_SAMPLES]], rate


def _rate_in_bulk(model, n=20_000):
    """How many characters per second an engine that writes many documents at once writes."""
    model.generate(n, seed=1)  # memory, tables
    started = time.perf_counter()
    return sum(map(len, model.generate(n, seed=2))) / (time.perf_counter() - started)


def _peak_memory():
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


# ---- Reports ------------------------------------------------------------------------------------------------------------


def machine():
    """The machine and software of the measurement: name -> text."""
    from microgpt.compiled import exact as _exact

    built = _exact.info()
    return {
        "processor": _processor(), "cores": str(os.cpu_count()), "system": platform.platform(),
        "python": platform.python_version(), "compiler": built["compiler"], "instruction set": built["isa"],
    }  # fmt: skip


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(rows):
    """Rows as text: medians over the rounds with (least .. most), and how many times faster than the reference."""
    lines = [
        f"{'engine':14} {'n_embd':>6} {'collector':>9} {'us a doc':>9} {'from .. to':>18} {'times':>7} {'from .. to':>16} "
        f"{'chars/s':>9} {'peak':>7}"
    ]
    for row in rows:
        line = f"{row.case.name:14} {row.case.n_embd:6d} {'on' if row.case.collector else 'off':>9} "
        if row.differs:
            line += f"no time: {row.differs}"
        else:
            line += (
                f"{_figure(row.us_per_document):>9} {_range(row.us_spread):>18} {_figure(row.ratio):>7} "
                f"{_range(row.ratio_spread):>16} {_figure(row.characters_per_second):>9} "
                f"{f'{row.memory / 2**20:.0f} MB' if row.memory else '?':>7}"
            )
        lines.append(line)
    return "\n".join(lines)


def _figure(x):
    return f"{x:,.0f}" if x >= 1000 else f"{x:.4g}"


def _range(spread):
    return " .. ".join(map(_figure, spread))


if __name__ == "__main__":
    case, source = sys.argv[1:]
    print(json.dumps(measure(Case(*json.loads(case)), source)))
