"""Writes options.md from the options' own definitions: python docs/options.py"""

from pathlib import Path

from microgpt import config
from microgpt.common.options import options_of, table
from microgpt.corpus.documents import LONG_DOCS
from microgpt.engines import ENGINE, THREADS
from microgpt.snapshots import SNAPSHOTS
from microgpt.training import SEED

INTRODUCTION = """\
# Every option

In Python, an option is a field or an argument; on the command line, it is a flag. The tables list both names.
[microgpt/reference.py](../microgpt/reference.py) defines the meaning of each option in a few lines. A preset (`microgpt.PRESETS`,
`--preset`) sets the first two groups; the defaults here are those of the preset `current`. An engine refuses options that it does not
compute.

This page is written by `python docs/options.py`.
"""

SECTIONS = {
    "The model: `GPTConfig`": options_of(config.GPTConfig).values(),
    "The training: `TrainConfig`": options_of(config.TrainConfig).values(),
    "The held-out loss: `EvalConfig`": options_of(config.EvalConfig).values(),
    "The next character: `GPT.generate`, `microgpt sample`": options_of(config.SampleConfig).values(),
    "The run: arguments of `microgpt.train`": [SEED, ENGINE, THREADS, LONG_DOCS, SNAPSHOTS],
}


def page():
    return "\n".join([INTRODUCTION, *(f"## {title}\n\n{table(options)}" for title, options in SECTIONS.items())])


if __name__ == "__main__":
    Path(__file__).with_name("options.md").write_text(page(), encoding="utf-8")
