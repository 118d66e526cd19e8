"""Rewrites a file's syntax tree so that it calls compiled code where possible, and reports what was done and what was not.

Lines and columns stay as they are, so tracebacks show the script.
"""

import ast

from microgpt.scripts import loops, value_class
from microgpt.scripts.arithmetic import Unread
from microgpt.scripts.lists import Lists
from microgpt.scripts.names import at
from microgpt.scripts.value_class import NotReadable

CONSUMERS = ("sum", "max", "min", "list", "tuple", "sorted")  # consume a whole iterable at once
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)


def find_value(survey, report, within=None):
    """The ValueClass of a script, or None. within: the Survey of the files that may contain it, by default all. If there are
    several candidates, it is the last one in the first file that has any."""
    classes = [
        (module, node) for module in (within or survey).modules for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and value_class.looks_like_value(node)
    ]  # fmt: skip
    found = []
    for module, node in classes:
        try:
            found.append(value_class.recognise(node, module, survey))
        except NotReadable as reason:
            report.left_alone(module.path, node.lineno, f"class {node.name}", str(reason), "class")
    mine = [value for value in found if value.module is found[0].module]
    for other in [*mine[:-1], *found[len(mine) :]]:
        report.left_alone(other.module.path, other.node.lineno, f"class {other.name}", "another class is the compiled one", "class")
    if not classes:
        report.left_alone(survey.modules[0].path, 1, "the script", "it has no class with operators and a backward pass", "class")
    return mine[-1] if found else None


def rewrite_all(survey, found, report):
    for module in survey.modules:
        rewrite(module, found, report, survey)


def rewrite(module, found, report, survey):
    """Changes the syntax tree of a module in place. found: the script's ValueClass."""
    Rewriter(module, found, report, survey).visit(module.tree)
    ast.fix_missing_locations(module.tree)


def either(compiled, own):
    """`compiled or own`"""
    return ast.copy_location(ast.BoolOp(ast.Or(), [compiled, own]), own)


class Rewriter(ast.NodeTransformer):
    """scope: the enclosing function, or the module; bound: names that are certainly bound at the visited place."""

    def __init__(self, module, found, report, survey):
        self.module, self.found, self.report, self.names = module, found, report, module.names
        self.lists = Lists(module, found, survey)
        self.looked_into = self.names.reads & {"locals", "globals", "vars", "exec", "eval", "dir"}
        self.scope, self.bound = module.tree, frozenset()
        self.in_class_body = False

    def compiled(self, node, what):
        self.report.compiled(self.module.path, node.lineno, what)

    def left_alone(self, node, what, reason, kind):
        self.report.left_alone(self.module.path, node.lineno, what, reason, kind)

    # ---- scopes --------------------------------------------------------------------------------------------------------------

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
            self.left_alone(self.found.reader.methods[name], f"{node.name}.{name}", reason, name)
        node.decorator_list = [at(node, ast.parse("__microgpt_value__", mode="eval").body)]
        return node

    def visit_FunctionDef(self, node):
        outer = self.in_class_body, self.scope, self.bound
        arguments = {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)}
        self.in_class_body, self.scope, self.bound = False, node, frozenset(arguments)
        node = self.generic_visit(node)
        self.in_class_body, self.scope, self.bound = outer
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit(self, node):
        if not isinstance(node, ast.stmt):
            return super().visit(node)
        before = self.bound
        if isinstance(node, ast.For):
            self.bound |= stored_names(node.target)
        result = super().visit(node)
        self.bound = before | stored_names(node) if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None else before
        return result

    def generic_visit(self, node):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and not self.in_class_body and not isinstance(node, ast.ClassDef):
                setattr(node, field, self._block(statements))
        return super().generic_visit(node)

    # ---- lists and sums --------------------------------------------------------------------------------------------------------

    def _program(self, find, place, *arguments):
        """(the kind, the call) for the program that `find` finds; None if there is none."""
        if self.in_class_body:  # a comprehension there does not see the names of the class
            return None
        try:
            what, *others, program = find(*arguments)
            return what, *others, program.call(place, self.bound - self.names.deleted)
        except Unread:
            return None

    def visit_ListComp(self, node):
        found = self._program(self.lists.listed, node, node)
        if found is not None:
            self.compiled(node, found[0])
            return either(found[1], node)
        each = self._each(node)
        return either(each, node) if each is not None else self.generic_visit(node)

    def visit_Call(self, node):
        found = self._program(self.lists.summed, node, node)
        if found is not None:
            self.compiled(node, found[0])
            return self._first(found[1], node)
        whole = isinstance(node.func, ast.Name) and node.func.id in CONSUMERS and self.names.is_builtin(node.func.id) and node.args
        each = self._largest(node) or self._each(node.args[0]) if whole and isinstance(node.args[0], ast.GeneratorExp) else None
        if each is not None:
            node.args[0] = either(each, node.args[0])
            return node
        return self.generic_visit(node)

    def _largest(self, node):
        """The call for a generator such as that of `max(v.data for v in values)`, or None."""
        numbers, data = node.args[0], self.found.roles.data
        [generator, *others] = numbers.generators
        plain = (
            not others
            and not generator.ifs
            and len(node.args) == 1
            and self.lists.built_in(node, "max")
            and self.lists.is_pure(generator.iter)
        )
        if not plain or self.in_class_body or ast.unparse(numbers.elt) != f"{ast.unparse(generator.target)}.{data}":
            return None
        return at(node, ast.parse(f"__microgpt_largest__({ast.unparse(generator.iter)})", mode="eval").body)

    def _first(self, call, own):
        """`(call or (own,))[0]`"""
        whole = either(call, ast.copy_location(ast.Tuple([own], ast.Load()), own))
        return ast.fix_missing_locations(ast.copy_location(ast.Subscript(whole, ast.Constant(0), ast.Load()), own))

    def _each(self, node):
        """The call for the list of numbers that a comprehension computes from nodes, or None."""
        if len(node.generators) == 1 and not self.in_class_body:
            try:
                return loops.compiled_comprehension(node, self.names, self.found.roles)
            except Unread:
                pass
        return None

    def _block(self, statements):
        """The statements, in which a loop that computes a sum or a list is preceded by the compiled call.

        The loop stays, but over nothing if the call has done its work. Its variables are then not bound, so nothing else may use them.
        """
        done, i = [], 0
        while i < len(statements):
            first, second = statements[i], statements[i + 1] if i + 1 < len(statements) else None
            if isinstance(second, ast.For):
                self._sum_in_a_loop(first, second)
            done.append(first)
            i += 1
        return done

    def _sum_in_a_loop(self, first, loop):
        listed = self._program(self._appended, loop, first, loop)
        if listed is not None:
            what, name, call = listed
            self._over_nothing(loop, f"__microgpt_extend__({name}, CALL)", call)
            self.compiled(loop, what)
            return
        found = self._program(self._accumulated, first, first, loop)
        if found is not None:
            what, name, call = found
            start = f", {ast.unparse(first.value)}" if not isinstance(first.value, (ast.Call, ast.Constant)) else ""
            first.value = self._first(call, first.value)
            self._over_nothing(loop, f"__microgpt_is_sum__({name}{start})", call)
            self.compiled(loop, what)

    def _appended(self, first, loop):
        found = self.lists.appended(first, loop)
        self._must_be_its_own(loop)
        return found

    def _accumulated(self, first, loop):
        name, term, over, start = self.lists.accumulated(first, loop)
        what, program = self.lists.total(term, over, start)
        self._must_be_its_own(loop)
        return what, name, program

    def _over_nothing(self, loop, test, call):
        """Let the loop go over nothing if the test is true."""
        test = at(loop.iter, ast.parse(test, mode="eval").body)
        test.args = [call if isinstance(argument, ast.Name) and argument.id == "CALL" else argument for argument in test.args]
        nothing = ast.copy_location(ast.Tuple([], ast.Load()), loop.iter)
        loop.iter = ast.copy_location(ast.IfExp(test, nothing, loop.iter), loop.iter)

    def _must_be_its_own(self, loop):
        """Raise Unread unless only the loop reads its variables and the names it assigns, except for the list or the sum that it makes."""
        if self.looked_into or any(isinstance(part, (ast.Global, ast.Nonlocal)) for part in ast.walk(self.scope)):
            raise Unread("a loop whose variables may be read anywhere")
        stored = stored_names(loop)
        variables = {
            part.id for node in ast.walk(loop) if isinstance(node, ast.For) for part in ast.walk(node.target) if isinstance(part, ast.Name)
        }
        inside = {id(part) for part in ast.walk(loop)}
        outside = {
            part.id
            for part in ast.walk(self.scope)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and id(part) not in inside
        }
        only = loop.body[0] if len(loop.body) == 1 else None
        total = {
            ast.unparse(target) for target in getattr(only, "targets", None) or [getattr(only, "target", loop.target)]
        }  # the sum itself
        if variables & loose_names(self.scope) or (stored - variables - total) & outside:
            raise Unread("a loop whose variables are read after it")

    # ---- loops over parameters -------------------------------------------------------------------------------------------------

    def visit_For(self, node):
        if not self.in_class_body:
            try:
                loop = loops.compiled_loop(node, self.names, self.found.roles)
                self.compiled(node, "parameter update" if loops.looks_like_update(node, self.found.roles) else "loop over parameters")
                return loop
            except Unread as reason:
                if loops.looks_like_update(node, self.found.roles):
                    self.left_alone(node, "parameter update", str(reason), "parameter update")
        return self.generic_visit(node)


def stored_names(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}


def loose_names(tree):
    """Names that are read where no enclosing loop, comprehension or argument binds them."""
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
