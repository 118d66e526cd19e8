"""Executes the statements of a function or loop with symbols for unknown values, so that it does not matter how they are written.

If a condition is unknown, both branches are executed to the end, and their outcomes are merged.
"""

import ast
import copy

from microgpt.scripts.arithmetic import Arithmetic, Unread


class Execution(Arithmetic):
    """A subclass defines the state (saved, restore), the outcome (outcome, merged), and the targets of assignments (assign)."""

    def run(self, body):
        """The outcome of these statements."""
        for i, line in enumerate(body):
            if isinstance(line, ast.If):
                condition, rest = self.condition(line.test), body[i + 1 :]
                if isinstance(condition, bool):
                    return self.run([*(line.body if condition else line.orelse), *rest])
                before = self.saved()
                yes = self.run([*line.body, *rest])
                self.restore(before)
                return self.merged(condition, yes, self.run([*line.orelse, *rest]), line)
            if isinstance(line, (ast.Return, ast.Continue)):
                return self.outcome(line)
            self.statement(line)
        return self.outcome(None)

    def statement(self, line):
        if isinstance(line, ast.Pass) or isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
            return
        if isinstance(line, ast.Import) and all(alias.name == "math" for alias in line.names):
            return
        if isinstance(line, ast.Assign):
            targets, value = line.targets, line.value
        elif isinstance(line, ast.AnnAssign):
            targets, value = [line.target], line.value
        elif isinstance(line, ast.AugAssign):
            target = copy.copy(line.target)
            target.ctx = ast.Load()
            targets, value = [line.target], ast.copy_location(ast.BinOp(target, line.op, line.value), line)
            try:
                self.number(value)
            except Unread:  # += is another operation for anything but a number
                raise self.unread(line) from None
        else:
            raise self.unread(line)
        if value is None:  # a declaration
            return
        if isinstance(value, ast.Tuple) and any(isinstance(target, ast.Tuple) for target in targets):
            if len(targets) > 1 or len(targets[0].elts) != len(value.elts):
                raise self.unread(line)
            for target, result in zip(targets[0].elts, [self.value(part) for part in value.elts]):
                self.assign(target, result, line)
            return
        result = self.value(value)
        for target in targets:
            self.assign(target, result, line)
