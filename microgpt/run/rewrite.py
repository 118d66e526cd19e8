"""Rewrites a file's syntax tree so that what can be compiled is, and reports what was done and what not.

Lines and columns stay as they are, so tracebacks show the script.
"""

import ast

from microgpt.run import loops, value_class, vectors
from microgpt.run.arithmetic import Unread
from microgpt.run.names import at
from microgpt.run.sums import Sums, assigned_name, at_all
from microgpt.run.unify import Unifier
from microgpt.run.value_class import NotReadable

CONSUMERS = ("sum", "max", "min", "list", "tuple", "sorted")  # take all of an iterable at once
NEAR_MISSES = ("linear", "softmax", "rmsnorm")


def find_value(survey, report, within=None):
    """The ValueClass of a script, or None. within: the Survey of those files in which it may be, by default all. Of several that could be it, it is the last one in the first file that has any."""
    classes = [
        (module, node) for module in (within or survey).modules for node in ast.walk(module.tree)
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
        self.sums = Sums(self.names, found.name)
        self.looked_into = self.names.reads & {"locals", "globals", "vars", "exec", "eval"}
        self.scope = module.tree  # the function around
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
        outer, self.in_class_body, self.scope = (self.in_class_body, self.scope), False, node
        node = self._function(node, outer[0])
        self.in_class_body, self.scope = outer
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def _function(self, node, is_method):
        again = not is_method and len(self.names.bound[node.name]) > 1
        result = vectors.compiled_function(node, self.unifier) if isinstance(node, ast.FunctionDef) else None
        if result and again:
            lines = self.names.bound[node.name]
            other = next(line for line in reversed(lines) if line != node.lineno or lines.count(line) > 1)
            self.left_alone(node, node.name, f"the name is bound again in line {other}", "a little")
            return node
        if result:
            self.compiled(node, result[0])
            return result[1]
        places = len(self.report.found)
        node = self.generic_visit(node)
        if len(self.report.found) == places and node.name in NEAR_MISSES:
            self.left_alone(node, node.name, "it is not the reference's", "a little")
        return node

    def visit_ListComp(self, node):
        if not self.in_class_body:  # where a comprehension's inside does not see the names around it
            result = self._list(node)
            if result is not None:
                self.compiled(node, result[0])
                return ast.copy_location(ast.BoolOp(ast.Or(), [result[1], node]), node)
            each = self._each(node)
            if each is not None:
                return ast.copy_location(ast.BoolOp(ast.Or(), [each, node]), node)
        return self.generic_visit(node)

    def _list(self, node):
        """(what it is, the call) for a list of Values that has a compiled counterpart, or None."""
        [generator, *others] = node.generators
        if others or generator.ifs or generator.is_async:
            return None
        mapped = vectors.mapping(node)
        if mapped is not None and mapped[0] in (*self.found.standard, *self.found.formulas):
            return mapped[0], at(node, mapped[1])
        return self.sums.elements(node.elt, generator.target, generator.iter, node)

    def visit_Call(self, node):
        if not self.in_class_body:
            result = self.sums.alone(node)
            if result is not None:
                self.compiled(node, result[0])
                return result[1]
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

    # ---- loops ---------------------------------------------------------------------------------------------------------------

    def generic_visit(self, node):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and not self.in_class_body and not isinstance(node, ast.ClassDef):
                setattr(node, field, self._block(statements))
        return super().generic_visit(node)

    def _block(self, statements):
        """The statements, with what computes a sum or a list of sums in a loop tried first by the compiled call.

        The loop stays, over nothing if the call has done its work. Its variables are then not bound, so nothing else may use them.
        """
        done, i = [], 0
        while i < len(statements):
            first, second = statements[i], statements[i + 1] if i + 1 < len(statements) else None
            pair = self._sum_in_a_loop(first, second) if isinstance(second, ast.For) and self._are_its_own(second) else None
            done.extend(pair or [first])
            i += 2 if pair else 1
        return done

    def _are_its_own(self, loop):
        """Whether nothing but the loop reads its variables and what it assigns to, beyond the list or the sum it makes."""
        if self.looked_into or any(isinstance(part, (ast.Global, ast.Nonlocal)) for part in ast.walk(self.scope)):
            return False
        stored = {part.id for part in ast.walk(loop) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}
        variables = {part.id for node in ast.walk(loop) if isinstance(node, ast.For) for part in ast.walk(node.target) if isinstance(part, ast.Name)}
        inside = {id(part) for part in ast.walk(loop)}
        outside = {part.id for part in ast.walk(self.scope) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and id(part) not in inside}
        only = loop.body[0] if len(loop.body) == 1 else None
        total = {ast.unparse(only.target) if isinstance(only, ast.AugAssign) else assigned_name(only)}  # the sum itself
        return not variables & loose_names(self.scope) and not (stored - variables - total) & outside

    def _sum_in_a_loop(self, first, loop):
        if any(isinstance(part, ast.AugAssign) for part in ast.walk(loop)) and self.found.has("__iadd__"):
            return None
        listed = self.sums.appended(first, loop, loop)
        if listed is not None:
            what, name, call = listed
            test = ast.Call(ast.Name("__microgpt_extend__", ast.Load()), [ast.Name(name, ast.Load()), call], [])
            self.compiled(loop, what)
            return [first, self._over_nothing(loop, test)]
        summed = self.sums.accumulated(first, loop)
        call = summed and self.sums.call(loop, summed[1])
        if call:
            either = ast.BoolOp(ast.Or(), [call, ast.Tuple([first.value], ast.Load())])
            start = first.value
            first.value = at_all(start, ast.Subscript(either, ast.Constant(0), ast.Load()), start, call)
            test = ast.Call(ast.Name("__microgpt_is_sum__", ast.Load()), [ast.Name(summed[0], ast.Load())], [])
            self.compiled(loop, "dot product")
            return [first, self._over_nothing(loop, test)]
        return None

    def _over_nothing(self, loop, test):
        old = loop.iter
        loop.iter = at_all(old, ast.IfExp(test, ast.Tuple([], ast.Load()), old), old)
        return loop

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


def loose_names(tree):
    """Names that are read where no loop, comprehension or argument around binds them."""
    found = set()

    def visit(node, bound):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in bound:
            found.add(node.id)
        inner = bound
        if isinstance(node, (ast.For, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)):
            targets = [node.target] if isinstance(node, ast.For) else [generator.target for generator in node.generators]
            inner = bound | {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
        elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
            inner = bound | {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)}
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(tree, frozenset())
    return found
