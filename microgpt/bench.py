"""Measuring: how long each engine takes for the same training run, checked against the pure reference before it is timed.

Each measurement is made in a fresh process, and the competitors take turns for several rounds, so that whatever else the
machine does falls on all of them. A time counts only if the first losses equal the reference's in every bit. Documents differ
in length and a fast engine sees more of them, so times are taken per token and shown for a step of mean length.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from microgpt.config import GPTConfig, TrainConfig

CHECKED_STEPS = 3
TRAINING = TrainConfig(num_steps=10_000)


class Case(NamedTuple):
    """What is measured. engine: an engine's name, or "value": the plain reference with only its class Value compiled."""

    engine: str
    n_embd: int = 16
    collector: bool = True  # whether Python's cyclic garbage collector is on, as it is where nobody turns it off

    @property
    def baseline(self):
        return self._replace(engine="python")

    def __str__(self):
        return f"{self.engine}, n_embd {self.n_embd}, collector {'on' if self.collector else 'off'}"


class Timing(NamedTuple):
    """One measurement. losses: of the first steps, for the check; memory: the process's peak in bytes, None if unknown."""

    us_per_token: float
    mean_tokens: float  # of the dataset's documents
    losses: list
    memory: int | None


class Row(NamedTuple):
    """A case's result, from all rounds: medians and (least, most). ratio: how many times faster than the reference.

    differs: None, or what differs from the reference's result; then there is no time.
    """

    case: Case
    us_per_step: float | None
    us_spread: tuple | None
    ratio: float | None
    ratio_spread: tuple | None
    memory: int | None
    differs: str | None


DEFAULT_CASES = (
    Case("python"), Case("value"), Case("graph"), Case("exact"),
    Case("python", collector=False), Case("value", collector=False), Case("graph", collector=False),
    Case("python", 32), Case("graph", 32), Case("exact", 32),
    Case("python", 64), Case("exact", 64),
)  # fmt: skip


def compare(cases=DEFAULT_CASES, source="names", rounds=3, note=lambda text: None):
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
    for timing in own:
        for step, (got, expected) in enumerate(zip(timing.losses, base[0].losses), 1):
            if got != expected:
                return Row(case, None, None, None, None, memory, f"loss of step {step}: {got!r}, reference {expected!r}")
    us = [timing.us_per_token * timing.mean_tokens for timing in own]
    ratios = [b.us_per_token / o.us_per_token for b, o in zip(base, own)]
    return Row(
        case, statistics.median(us), (min(us), max(us)), statistics.median(ratios), (min(ratios), max(ratios)), memory, None
    )


# ---- One measurement ----------------------------------------------------------------------------------------------------

def _in_fresh_process(case, source):
    command = [sys.executable, "-m", "microgpt.bench", json.dumps(case), source]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"measuring {case} failed: {process.stderr.strip().splitlines()[-1:]}")
    return Timing(*json.loads(process.stdout))


def measure(case, source):
    """The Timing of one case in this process."""
    import gc

    from microgpt import load_docs, reference, training
    from microgpt.engines.graph import reference_with
    from microgpt.scalar import Value

    docs, config = load_docs(source), GPTConfig(n_embd=case.n_embd)
    run = training.start(docs, config, TRAINING, engine="python" if case.engine == "value" else case.engine)
    engine, corpus, done = run.model.engine, run.corpus, []
    if case.engine == "value":
        engine = type(engine)(config, run.model.tokenizer.vocab_size, run.model.params, reference_with({"Value": Value}))
    if not case.collector:
        gc.disable()
    engine.train(corpus, range(CHECKED_STEPS), TRAINING, done)
    budget = 2.0 if case.engine == "python" else 0.5
    tokens, portion, seconds = 0, 1, 0.0
    while seconds < budget and len(done) < TRAINING.num_steps:
        steps = range(len(done), min(len(done) + portion, TRAINING.num_steps))
        started = time.perf_counter()
        engine.train(corpus, steps, TRAINING, done)
        seconds += time.perf_counter() - started
        tokens += sum(min(config.block_size, len(corpus[step % len(corpus)]) - 1) for step in steps)
        portion = min(2 * portion, max(1, int(portion * budget / 4 / seconds)))
    mean = sum(min(config.block_size, len(doc) + 1) for doc in docs) / len(docs)
    return Timing(1e6 * seconds / tokens, mean, done[:CHECKED_STEPS], _peak_memory())


def _peak_memory():
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


# ---- Reports ------------------------------------------------------------------------------------------------------------

def machine():
    """What the figures were measured on: name -> text."""
    from microgpt import _exact

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
    lines = [f"{'engine':8} {'n_embd':>6} {'collector':>9} {'us a step':>10} {'from .. to':>17} {'times':>9} {'from .. to':>17} {'peak':>7}"]
    for row in rows:
        name = f"{row.case.engine:8} {row.case.n_embd:6d} {'on' if row.case.collector else 'off':>9}"
        if row.differs:
            lines.append(f"{name} no time: {row.differs}")
            continue
        peak = f"{row.memory / 2**20:.0f} MB" if row.memory else "?"
        lines.append(
            f"{name} {_figure(row.us_per_step):>10} {_range(row.us_spread):>17} {_figure(row.ratio):>9} "
            f"{_range(row.ratio_spread):>17} {peak:>7}"
        )
    return "\n".join(lines)


def _figure(x):
    return f"{x:,.0f}" if x >= 1000 else f"{x:.4g}"


def _range(spread):
    return " .. ".join(map(_figure, spread))


if __name__ == "__main__":
    case, source = sys.argv[1:]
    print(json.dumps(measure(Case(*json.loads(case)), source)))
