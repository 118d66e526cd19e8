"""Rewrites a file's syntax tree so that what can be compiled is, and reports what was done and what not.

Lines and columns stay as they are, so tracebacks show the script.
"""

import ast

from microgpt.run import loops, value_class, vectors
from microgpt.run.arithmetic import Unread
from microgpt.run.names import at
from microgpt.run.unify import Unifier
from microgpt.run.value_class import NotReadable

CONSUMERS = ("sum", "max", "min", "list", "tuple", "sorted")  # take all of an iterable at once
NEAR_MISSES = ("linear", "softmax", "rmsnorm")


def find_value(survey, report):
    """The ValueClass of a script, or None. Of several that could be it, it is the last one in the first file that has any."""
    classes = [
        (module, node) for module in survey.modules for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and value_class.looks_like_value(node)
    ]  # fmt: skip
    found = []
    for module, node in classes:
        try:
            found.append(value_class.recognise(node, module, survey))
        except NotReadable as reason:
            report.left_alone(module.path, node.lineno, f"class {node.name}", str(reason), "everything")
    mine = [value for value in found if value.module is found[0].module]
    for other in [*mine[:-1], *found[len(mine) :]]:
        report.left_alone(other.module.path, other.node.lineno, f"class {other.name}", "another class is the compiled one", "all it does")
    if not classes:
        report.left_alone(survey.modules[0].path, 1, "the script", "it has no class with operators and a backward pass", "everything")
    return mine[-1] if found else None


def rewrite_all(survey, found, report):
    for module in survey.modules:
        rewrite(module, found, report)


def rewrite(module, found, report):
    """Changes the syntax tree of a module in place. found: the script's ValueClass."""
    Rewriter(module, found, report).visit(module.tree)
    ast.fix_missing_locations(module.tree)


class Rewriter(ast.NodeTransformer):
    def __init__(self, module, found, report):
        self.module, self.found, self.report, self.names = module, found, report, module.names
        self.unifier = Unifier(self.names, found.name, {"data": found.roles.data})
        self.in_class_body = False

    def compiled(self, node, what):
        self.report.compiled(self.module.path, node.lineno, what)

    def left_alone(self, node, what, reason, cost):
        self.report.left_alone(self.module.path, node.lineno, what, reason, cost)

    def visit_ClassDef(self, node):
        if node is self.found.node:
            return self._value_class(node)
        outer, self.in_class_body = self.in_class_body, True
        node = self.generic_visit(node)
        self.in_class_body = outer
        return node

    def _value_class(self, node):
        own = self.found.own_names()
        self.compiled(node, node.name + (f" with its own {', '.join(own)}" if own else ""))
        for name, reason in self.found.own.items():
            cost = "most of the gain" if name in value_class.HOT else "what it takes in Python"
            self.left_alone(self.found.reader.methods[name], f"{node.name}.{name}", reason, cost)
        node.decorator_list = [at(node, ast.parse("__microgpt_value__", mode="eval").body)]
        return node

    def visit_FunctionDef(self, node):
        outer, self.in_class_body = self.in_class_body, False
        node = self._function(node, outer)
        self.in_class_body = outer
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def _function(self, node, is_method):
        again = not is_method and len(self.names.bound[node.name]) > 1
        result = vectors.compiled_function(node, self.unifier) if isinstance(node, ast.FunctionDef) else None
        what = result[0] if result else "linear" if vectors.is_linear(node, self.unifier) else None
        if what and again:
            lines = self.names.bound[node.name]
            other = next(line for line in reversed(lines) if line != node.lineno or lines.count(line) > 1)
            self.left_alone(node, node.name, f"the name is bound again in line {other}", "a little")
            return node
        if result:
            self.compiled(node, what)
            return result[1]
        places = len(self.report.found)
        node = self.generic_visit(node)
        if len(self.report.found) == places and node.name in NEAR_MISSES:
            self.left_alone(node, node.name, "it is not the reference's", "a little")
        return node

    def visit_ListComp(self, node):
        if not self.in_class_body:  # where a comprehension's inside does not see the names around it
            result = vectors.compiled_comprehension(node, self.unifier, {*self.found.standard, *self.found.formulas})
            if result is not None:
                self.compiled(node, result[0])
                return result[1]
            each = self._each(node)
            if each is not None:
                return ast.copy_location(ast.BoolOp(ast.Or(), [each, node]), node)
        return self.generic_visit(node)

    def visit_Call(self, node):
        whole = isinstance(node.func, ast.Name) and node.func.id in CONSUMERS and self.names.is_builtin(node.func.id) and node.args
        if whole and isinstance(node.args[0], ast.GeneratorExp) and not self.in_class_body:
            each = self._each(node.args[0])
            if each is not None:
                node.args[0] = ast.copy_location(ast.BoolOp(ast.Or(), [each, node.args[0]]), node.args[0])
                return node
        return self.generic_visit(node)

    def _each(self, node):
        """The call for the list of the numbers that a comprehension computes of some nodes, or None."""
        if len(node.generators) == 1:
            try:
                return loops.compiled_comprehension(node, self.names, self.found.roles)
            except Unread:
                pass
        return None

    def visit_For(self, node):
        if not self.in_class_body:
            try:
                loop = loops.compiled_loop(node, self.names, self.found.roles)
                self.compiled(node, "parameter update" if loops.looks_like_update(node, self.found.roles) else "loop over parameters")
                return loop
            except Unread as reason:
                if loops.looks_like_update(node, self.found.roles):
                    self.left_alone(node, "parameter update", str(reason), "about 0.5 us for each parameter and step")
        return self.generic_visit(node)
