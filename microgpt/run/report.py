"""What `microgpt run` says about a script on standard error: one line, or with --explain one for each place."""

import os
from collections import Counter
from dataclasses import dataclass, field

from microgpt.common.words import printable


@dataclass
class Place:
    """reason: None if it is compiled, else why it was left alone. cost: what that costs, in words."""

    path: str
    line: int
    what: str
    reason: str | None = None
    cost: str | None = None

    def why(self):
        return f"{self.reason.removeprefix(f'line {self.line}: ')} (costs {self.cost})"


@dataclass
class Report:
    """path: the script's. found: the places, as they were found."""

    path: str
    found: list = field(default_factory=list)

    def compiled(self, path, line, what):
        self.found.append(Place(path, line, what))

    def left_alone(self, path, line, what, reason, cost):
        self.found.append(Place(path, line, what, reason, cost))

    def places(self):
        return sorted(self.found, key=lambda place: (place.path != self.path, place.path, place.line))

    def where(self, place):
        return f"line {place.line}" if place.path == self.path else f"{os.path.basename(place.path)} line {place.line}"

    def summary(self):
        """One line: what runs compiled, and what does not, why, and what that costs."""
        counts = Counter(place.what for place in self.places() if place.reason is None)
        replaced = ", ".join(f"{what} ({n})" if n > 1 else what for what, n in counts.items())
        kept = "; ".join(f"{p.what}, {self.where(p)}: {p.why()}" for p in self.places() if p.reason is not None)
        text = f"compiled: {replaced}" if replaced else "nothing is compiled, the script runs as it is"
        return printable(f"microgpt run: {text}" + (f" | left alone: {kept}" if kept else ""))

    def explanation(self):
        """A line for each place: file:line: what, and whether it is compiled, or why not and what that costs."""
        lines = [
            f"{os.path.basename(place.path)}:{place.line}: {place.what}: "
            + ("compiled" if place.reason is None else f"left alone: {place.why()}")
            for place in self.places()
        ]
        nothing = f"{os.path.basename(self.path)}: nothing to compile was found"
        return "\n".join(printable(f"microgpt run: {line}") for line in lines or [nothing])
