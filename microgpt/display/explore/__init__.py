"""`microgpt explore`: a trained model as one HTML page that computes in the browser, without a network.

page.html is the template, into which page.css, the scripts and the model's data and weights are inserted. The weights
are the model's doubles, bit for bit, so the page's forward pass (model.js) gives Python's logits, except where the
browser's exp and pow round differently.
"""

import base64
import hashlib
import json
import math
import re
import sys
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

from microgpt import __version__, verdict
from microgpt.common.files import write_atomically
from microgpt.common.options import options_of
from microgpt.common.words import quoted_path, sized
from microgpt.config import TrainConfig
from microgpt.snapshots import Snapshots

# joined into one script, in this order; the last one starts the page
SCRIPTS = (
    "elements", "numbers", "activations", "model", "alphabet", "pca", "near", "drawing", "svg", "pixels", "pictures", "next",
    "samples", "many", "attention", "labels", "embeddings", "kernels", "gradients", "sums", "flow", "units", "film",
    "training", "configuration", "desk", "address", "opening", "safetensors", "trainer", "main",
)  # fmt: skip
# and those that train, in a Web Worker
WORKER = ("activations", "random", "kernels", "learn", "sampler", "counting", "worker")
SUFFIXES = ("", "-b")  # of the ids of each model's elements, as many as a page can show
GENERATOR = "microgpt explore"  # in the page's head, by which is_page recognizes it
MOST_POINTS = 500  # of the loss curve
PART = 150_000  # bytes of numbers in an element, each of them whole: a multiple of 8, and of 3, so that Base64 needs no padding within
LARGEST_LOSS = 1e300  # the sum of a hundred such losses is still finite


@dataclass(frozen=True)
class Shown:
    """A model that a page shows, and what is known of its training."""

    model: Any  # a GPT
    name: str = ""
    losses: Sequence[float] = ()  # of each training step, in nats per token; without them there is no curve
    val_losses: Sequence[Any] = ()  # (step, held-out loss) pairs, in order
    steps: Sequence[int] | None = None  # the steps of the losses, if not 1, 2, 3, ...
    training: TrainConfig | None = None  # shown with the configuration
    snapshots: Snapshots | None = None  # for the slider through the training
    step: int | None = None  # after how many steps the model's weights are, if not after all
    docs: Sequence[str] | None = None  # what it was trained on, which the page then contains, to count how many of its texts are new


def page(model, *, name="", losses=(), val_losses=(), steps=None, training=None, snapshots=None, step=None, docs=None, beside=None):
    """The page of a GPT, as a string of HTML.

    beside: another model, as a Shown, to show next to it; the other arguments are those of Shown. Raises ValueError for losses that
    cannot be drawn and for an activation that the page cannot compute. For a Run:
    `page(run.model, losses=run.losses, val_losses=run.val_losses, training=run.training, snapshots=run.snapshots)`.
    """
    shown = [Shown(model, name, losses, val_losses, steps, training, snapshots, step, docs), *([] if beside is None else [beside])]
    style, script = _source("page.css"), joined(SCRIPTS)
    # nothing may be fetched or sent, and only this script may run, and the worker that it makes
    only = f"script-src {_hash(script)}; worker-src blob:; style-src {_hash(style)}"
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; {only}"
    html = Template(_source("page.html")).substitute(
        policy=policy, generator=f"{GENERATOR} {__version__}", style=style, script=script, worker=joined(WORKER),
        models="".join(map(_elements, shown, SUFFIXES)),
    )  # fmt: skip
    return html.encode("ascii", "xmlcharrefreplace").decode()  # in ASCII, which browsers read three times as fast


class Page:
    """The page of a GPT as an object that a notebook shows in a frame. html: its text. Arguments as for `page`."""

    def __init__(self, model: Any, name: str = "", **options: Any) -> None:
        self.html: str = page(model, name=name, **options)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page to a file, whole or not at all. OSError if this fails."""
        try:
            write_atomically(path, self.html.encode())
        except OSError as error:
            raise OSError(f"{quoted_path(path)} cannot be written: {error.strerror or error}") from error

    def _repr_html_(self):
        style = "width:100%;height:800px;border:1px solid;resize:vertical"
        return f'<iframe title="microgpt explore" style="{style}" srcdoc="{escape(self.html)}"></iframe>'

    def __repr__(self) -> str:
        return f"<Page of {sized(len(self.html.encode()))}; .save(path) writes it>"


def write(path, model, *, name="", losses=(), val_losses=(), steps=None, training=None, snapshots=None, step=None, docs=None, beside=None):
    """Write the page of a GPT to a file, whole or not at all. Arguments as for `page`. Raises OSError if this fails."""
    shown = Page(
        model, name, losses=losses, val_losses=val_losses, steps=steps, training=training, snapshots=snapshots, step=step, docs=docs,
        beside=beside,
    )  # fmt: skip
    shown.save(path)


def is_page(path):
    """Whether `write` wrote this file. Raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        return f'name="generator" content="{GENERATOR} '.encode() in file.read(2000)


def activations():
    """The names of the activations that the page can compute, in the order of their table, activations.js."""
    [table] = re.findall(r"^const ACTIVATIONS = {\n(.*?)^};", _source("activations.js"), re.MULTILINE | re.DOTALL)
    return re.findall(r"^  (\w+): ", table, re.MULTILINE)


def joined(scripts):
    """The text of these scripts as one, in ASCII."""
    text = '"use strict";\n' + "\n".join(_source(f"{script}.js") for script in scripts)
    return re.sub(r"[^\0-\x7f]", lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def curve(losses, val_losses=(), steps=None, most=MOST_POINTS):
    """The points of a run's loss curve: at most `most` of its steps, the last one included; None without losses.

    A dict of lists. steps: counted from 1; smoothed: verdict.smoothed at each; low, high: about four in five of the
    losses averaged there lie between them; held_out: [step, loss] pairs, with None for a loss that is not finite.
    Raises ValueError for losses that are not finite, or too large to average.
    """
    if not losses:
        return None
    if not all(abs(loss) < LARGEST_LOSS for loss in losses):
        raise ValueError(f"a curve cannot be drawn of losses that are not numbers below {LARGEST_LOSS:g}")
    count = min(len(losses), most)
    ends = [len(losses) * i // count for i in range(1, count + 1)]
    recent = [sorted(losses[max(0, end - verdict.SMOOTHED_STEPS) : end]) for end in ends]
    return {
        "steps": [end if steps is None else steps[end - 1] for end in ends],
        "smoothed": [verdict.smoothed(losses, end) for end in ends],
        "low": [part[len(part) // 10] for part in recent],
        "high": [part[-1 - len(part) // 10] for part in recent],
        "held_out": [[step, loss if math.isfinite(loss) else None] for step, loss in val_losses],
    }


def _elements(shown, suffix):
    """The elements of a Shown, from which the page's script makes it; their ids end in the suffix."""
    if shown.model.config.activation not in activations():
        raise ValueError(f"the page cannot compute the activation {shown.model.config.activation!r}; it knows {', '.join(activations())}")
    film, snapshots = _film(shown.snapshots, shown.losses, len(shown.losses) if shown.step is None else shown.step)
    return (
        f'<script type="application/json" id="data{suffix}">{_as_json(_data(shown) | {"film": film})}</script>\n'
        f'<div id="weights{suffix}" hidden>\n{_base64(array("d", shown.model.params))}</div>\n'
        f'<div id="snapshots{suffix}" hidden>\n{"".join(f"<div>{_base64(weights)}</div>" for weights in snapshots)}</div>\n'
    )


def _data(shown):
    model, training = shown.model, shown.training
    losses = curve(shown.losses, shown.val_losses, shown.steps)
    tokenizer, vocab_size = model.tokenizer, model.tokenizer.vocab_size
    tokens = {"vocab_size": vocab_size, "bos": tokenizer.bos, "opening": tokenizer.opening(model.config.documents)}
    return {
        "name": shown.name,
        "version": __version__,
        "config": {**asdict(model.config), **tokens},
        "layout": [[name, *shape] for name, shape in model.config.shapes(vocab_size).items()],
        "num_params": model.num_params,
        "characters": [ord(char) for char in tokenizer.chars],  # not a string: surrogates would pair up
        "configuration": _configuration(model, training, losses["steps"][-1] if losses else 0),
        "losses": losses,
        "documents": None if shown.docs is None else list(shown.docs),
        "training": asdict(TrainConfig() if training is None else training),  # that the page's own training begins with
    }


def _film(snapshots, losses, step):
    """The stops of the slider, and the weights of each but the last, which is the model's own step: all float32."""
    if snapshots is None:
        return None, []
    kept = [(at, weights) for at, weights in zip(snapshots.steps, snapshots.weights) if at < step]
    stops = [*(at for at, _ in kept), step]
    known = len(losses) and not len(losses) < step
    shown = [verdict.smoothed(losses, max(1, at)) for at in stops] if known else [None] * len(stops)
    return {"steps": stops, "losses": shown}, [weights for _, weights in kept]


def _configuration(model, training, steps_done):
    """The rows of the page's table: [name, value, description]."""
    rows = [
        *_options(model.config),
        ["vocab_size", model.tokenizer.vocab_size, "tokens: the characters and BOS"],
        ["num_params", model.num_params, "numbers that training adjusts"],
    ]
    if training is not None:
        rows += [["steps_done", steps_done, "training steps completed"], *_options(training)]
    return rows


def _options(settings):
    rows = []
    for name, option in options_of(settings).items():
        unit = f", in {option.unit}" if option.unit not in option.text else ""  # "" is in every text
        rows.append([name, getattr(settings, name), option.text + unit])
    return rows


def _as_json(data):
    """JSON in ASCII that cannot close the script element it is in."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _base64(numbers):
    """Numbers in elements that are not seen. The browser can do something else between two of them, but not within one."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    data = numbers.tobytes()
    parts = (base64.b64encode(data[start : start + PART]).decode("ascii") for start in range(0, len(data), PART))
    return "".join(f'<script type="text/plain">{part}</script>\n' for part in parts)


def _source(name):
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(text):
    """The source expression with which a Content-Security-Policy allows an inline element of this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
