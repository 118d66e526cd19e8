"""The report of `microgpt run` about a script, on standard error: one line, or with --explain one for each place."""

import os
from collections import Counter
from dataclasses import dataclass, field

from microgpt.common.words import printable

# The factor by which a training step of the published model takes longer if only this stays in Python: measured with
# tests/scripts/public/current.py and a counter in that method, which makes it unreadable.
STEPS = {
    "backward": 50, "__add__": 18, "__mul__": 17, "__radd__": 6, "exp": 2.5, "__truediv__": 2.5, "__pow__": 2.4, "log": 1.3, "relu": 1.3,
    "__rmul__": 1.2, "parameter update": 10, "class": 200,
}  # fmt: skip
SELDOM = 1.1
SLOW = 10  # a factor at which most of the gain is lost


@dataclass
class Place:
    """reason: None if it is compiled, else why it was left alone. times: the estimated factor by which a step then takes longer."""

    path: str
    line: int
    what: str
    reason: str | None = None
    times: float = 1.0

    def why(self):
        cost = f"{self.times:g} times as long" if self.times >= 2 else f"{self.times - 1:.0%} longer"
        return f"{self.reason.removeprefix(f'line {self.line}: ')} (a step takes about {cost})"


@dataclass
class Report:
    """path: that of the script. found: the places, in the order in which they were found."""

    path: str
    found: list = field(default_factory=list)

    def compiled(self, path, line, what):
        self.found.append(Place(path, line, what))

    def left_alone(self, path, line, what, reason, kind):
        """kind: one of STEPS, or another method."""
        self.found.append(Place(path, line, what, reason, STEPS.get(kind, SELDOM)))

    def places(self):
        return sorted(self.found, key=lambda place: (place.path != self.path, place.path, place.line))

    def where(self, place):
        return f"line {place.line}" if place.path == self.path else f"{os.path.basename(place.path)} line {place.line}"

    def summary(self):
        """One line: what is compiled, and what is not, why, and at what cost. What costs most of the gain comes first."""
        places = self.places()
        counts = Counter(place.what for place in places if place.reason is None)
        replaced = ", ".join(f"{what} ({n})" if n > 1 else what for what, n in counts.items())
        slow, kept = (
            "; ".join(f"{p.what}, {self.where(p)}: {p.why()}" for p in places if p.reason is not None and (p.times >= SLOW) == large)
            for large in (True, False)
        )
        parts = [f"slow: {slow}"] if slow else []
        parts += [f"compiled: {replaced}" if replaced else "nothing is compiled, the script runs as it is"]
        parts += [f"left alone: {kept}"] if kept else []
        return printable(f"microgpt run: {' | '.join(parts)}")

    def explanation(self):
        """A line for each place: file:line: what, and whether it is compiled, or why not and at what cost."""
        lines = [
            f"{os.path.basename(place.path)}:{place.line}: {place.what}: "
            + ("compiled" if place.reason is None else f"left alone: {place.why()}")
            for place in self.places()
        ]
        nothing = f"{os.path.basename(self.path)}: nothing to compile was found"
        return "\n".join(printable(f"microgpt run: {line}") for line in lines or [nothing])
