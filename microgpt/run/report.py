"""What `microgpt run` says about a script on standard error: one line, or with --explain one for each place."""

import os
from collections import Counter
from dataclasses import dataclass, field

from microgpt.common.words import printable


@dataclass
class Report:
    """path: the script's. found: (line, what it is, None if it is compiled, else why it was left alone), as they were found."""

    path: str
    found: list = field(default_factory=list)

    def compiled(self, line, what):
        self.found.append((line, what, None))

    def left_alone(self, line, what, reason):
        self.found.append((line, what, reason))

    def replaced(self):
        """What was replaced, in the order of the script, each with the number of places."""
        return Counter(what for _, what, reason in sorted(self.found, key=lambda place: place[0]) if reason is None)

    def kept(self):
        return sorted((place for place in self.found if place[2] is not None), key=lambda place: place[0])

    def summary(self):
        """One line: what runs compiled, and what does not and why."""
        replaced = ", ".join(f"{what} ({n})" if n > 1 else what for what, n in self.replaced().items())
        kept = "; ".join(f"{what}, line {line}: {reason}" for line, what, reason in self.kept())
        text = f"compiled: {replaced}" if replaced else "nothing is compiled, the script runs as it is"
        return printable(f"microgpt run: {text}" + (f" | left alone: {kept}" if kept else ""))

    def explanation(self):
        """A line for each place: file:line: what, and whether it is compiled or why not."""
        name = os.path.basename(self.path)
        lines = [
            f"{name}:{line}: {what}: " + ("compiled" if reason is None else f"left alone: {reason}")
            for line, what, reason in sorted(self.found, key=lambda place: place[0])
        ]
        return "\n".join(printable(f"microgpt run: {line}") for line in lines or [f"{name}: nothing like the reference was found"])
