"""What differs in two runs: the settings, and the first loss and the first weight that differ.

Runs are compared as two `Side`s: all that is known of a run, from an object, or from a file of microgpt or another implementation.
"""

import math
import os
import re
import struct
from dataclasses import asdict, dataclass, field
from typing import Any

from microgpt.common.words import quoted_path
from microgpt.display import history
from microgpt.model import GPT
from microgpt.storage import checkpoint
from microgpt.storage.schema import CheckpointError
from microgpt.training import Run

PRINTED = re.compile(r"step +(\d+) / +\d+ \| loss (\S+)")  # the reference's line for a step
FULL = 12  # digits after the decimal point: unless they were rounded, at least one of a run's losses has this many
ORDER = ("settings", "alphabet", "data", "loss", "held-out loss", "weight")


@dataclass(frozen=True)
class Difference:
    """A difference between two runs, a and b: a setting, or the first difference in another part. `str` describes it in words.

    Attributes:
        part: What differs. In the order of comparison: "settings", "alphabet", "data", "loss", "held-out loss", "weight".
        name: The name of the setting, the step or the weight.
        a: The value in a, or None if it has none.
        b: The value in b, or None if it has none.
        distance: The distance of two floats, in units in the last place; otherwise None.
        count: How many values of this part differ.
        of: How many values this part has.
    """

    part: str
    name: str
    a: object
    b: object
    distance: int | None
    count: int
    of: int

    def __str__(self) -> str:
        what = " ".join(filter(None, (self.part, self.name)))
        lines = [f"{what} differs" + (f" ({self.count:,} of {self.of:,} do)" if self.of > 1 and self.part != "settings" else "")]
        lines += [f"  {name}  {_shown(value)}" for name, value in (("A", self.a), ("B", self.b))]
        if self.distance is not None:
            lines.append(f"  {self.distance:,} unit{'s' * (self.distance != 1)} in the last place")
        return "\n".join(lines)


@dataclass
class Side:
    """What is known of a run: name of a part -> name -> value. decimals: digits to which its losses were rounded; None: not rounded."""

    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    decimals: int | None = None


def diff(a: Any, b: Any) -> list[Difference]:
    """Find the differences of two runs, to the last bit: every setting, and the first difference in each other part.

    Args:
        a: A `Run`, a `GPT`, a list of losses, or the path of a file: a saved run or model, a log (.csv, .jsonl), a model as JSON
            (`GPT.to_json`), a text with one decimal or hexadecimal loss per line, or the reference's printed output. Rounded losses are
            compared in the digits they have.
        b: Likewise.

    Returns:
        The differences in the order of their parts; an empty list if everything that both have is equal.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is none of these, or the two have nothing to compare.
    """
    a, b = _side(a), _side(b)
    common = [part for part in ORDER if part in a.parts and part in b.parts]
    if not common:
        raise ValueError(f"there is nothing to compare, because one has only {_listed(a)} and the other only {_listed(b)}; give two runs")
    decimals = min((side.decimals for side in (a, b) if side.decimals is not None), default=None)
    return [found for part in common for found in _differences(part, a.parts[part], b.parts[part], decimals if part == "loss" else None)]


def units_apart(a, b):
    """The distance of two floats, counted in doubles; that of 0 and -0 is 1. None if either is not a number."""
    if math.isnan(a) or math.isnan(b):
        return None
    return abs(_rank(a) - _rank(b))


def _rank(number):
    [bits] = struct.unpack("<q", struct.pack("<d", number))
    return bits if bits >= 0 else -(2**63) - bits - 1


def _differences(part, a, b, decimals):
    """Every Difference in the settings, or the first one in another part; a, b: name -> value."""
    names = [name for name in a if name in b] if part == "settings" else list(dict.fromkeys([*a, *b]))  # a model has only its own settings
    if part in ("loss", "held-out loss"):
        names = sorted(names)
    different = [name for name in names if name not in a or name not in b or not _same(a[name], b[name], decimals)]
    told = different
    if part != "settings":
        told = [next((name for name in different if name in a and name in b), different[0])] if different else []
    for name in told:
        x, y = a.get(name), b.get(name)
        floats = part != "settings" and isinstance(x, float) and isinstance(y, float) and decimals is None
        yield Difference(part, _called(part, name), x, y, units_apart(x, y) if floats else None, len(different), len(names))


def _same(x, y, decimals):
    if isinstance(x, float) and isinstance(y, float):
        if decimals is not None:
            return f"{x:.{decimals}f}" == f"{y:.{decimals}f}"
        return struct.pack("<d", x) == struct.pack("<d", y)
    return x == y


def _called(part, name):
    return f"of step {name}" if part in ("loss", "held-out loss") else str(name)


def _shown(value):
    if value is None:
        return "none"
    return f"{value!r}  {value.hex()}" if isinstance(value, float) else str(value)


def _listed(side):
    return ", ".join(part for part in ORDER if part in side.parts)


# ---- What is known of a run --------------------------------------------------------------------------------------------


def _side(source):
    if isinstance(source, Run):
        return _run(source.model, source, source, source, source.fingerprint())
    if isinstance(source, GPT):
        return _model(source)
    if isinstance(source, (str, bytes, os.PathLike)):
        return _of_file(source)
    return Side(_losses([float(loss) for loss in source]))


def _of_file(path):
    if os.fsdecode(path).endswith(history.FORMATS):
        return _of_log(path)
    path = checkpoint.file_of(path)
    if checkpoint.is_saved(path):
        return _of_saved(checkpoint.read(path))
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if text.lstrip().startswith("{"):
        return _model(GPT.from_json(text))
    return _of_text(text, path)


def _of_saved(saved):
    if saved.progress is None:
        return _model(saved)
    return _run(saved, saved, saved.source, saved.progress, saved.source.fingerprint)


def _of_log(path):
    """Read a log of display.history, or any table with the columns step and loss."""
    losses, measured = {}, {}
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        try:
            for row in history.rows(file, path):
                losses[int(row["step"])] = float(row["loss"])
                if row.get("val_loss") not in (None, ""):
                    measured[int(row["step"])] = float(row["val_loss"])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(f"{quoted_path(path)} is not a log: see line {len(losses) + 2}") from None
    return Side({"loss": losses} | ({"held-out loss": measured} if measured else {}))


def _of_text(text, path):
    """Read one loss per line, or the reference's output, in which other lines are ignored."""
    printed = PRINTED.findall(text)
    words = [loss for _, loss in printed] or text.split()
    steps = [int(step) for step, _ in printed] or range(1, len(words) + 1)
    try:
        losses = [float.fromhex(word) if "0x" in word else float(word) for word in words]
    except ValueError:
        losses = []
    if not losses:
        raise CheckpointError(
            f"{quoted_path(path)} cannot be compared; give a saved run or model, a log (.csv, .jsonl), or a text with one loss per line"
        )
    decimals = max(FULL if "x" in word or "e" in word.lower() else len(word.partition(".")[2]) for word in words)
    return Side({"loss": dict(zip(steps, losses))}, decimals if decimals < FULL else None)


def _run(model, settings, source, progress, fingerprint):
    """The Side of a Run or a Checkpoint. model: has config, tokenizer and params; settings: has training and evaluation; source:
    has seed and long_docs; progress: has losses and val_losses."""
    side = _model(model)
    side.parts["settings"] |= asdict(settings.training) | asdict(settings.evaluation) | {"seed": source.seed, "long_docs": source.long_docs}
    side.parts |= {"data": {"fingerprint": fingerprint}} | _losses(progress.losses, progress.val_losses)
    return side


def _model(model):
    """The Side of a model: a GPT or a Checkpoint."""
    weights, at = {}, 0
    for name, (rows, columns) in model.config.shapes(model.tokenizer.vocab_size).items():
        for i in range(rows):
            for j in range(columns):
                weights[f"{name}[{i}][{j}]"] = model.params[at]
                at += 1
    return Side({"settings": asdict(model.config), "alphabet": {"": model.tokenizer.chars}, "weight": weights})


def _losses(losses, val_losses=()):
    measured = {"held-out loss": dict(val_losses)} if val_losses else {}
    return {"loss": dict(enumerate(losses, 1))} | measured
