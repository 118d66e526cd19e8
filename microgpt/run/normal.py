"""One form for code that differs in ways that do not matter: docstrings, annotations, temporaries, idioms of the same meaning.

The reference's lines (in value_class.py and vectors.py) and a script's go through here before they are compared.
"""

import ast
import copy

REDUCERS = ("sum", "max", "min")


def normal(function, names):
    """A copy of the function definition `function` in that form. names: of the script it stands in."""
    function = Normalizer(names).visit(copy.deepcopy(function))
    function.decorator_list, function.returns = [], None
    function.body = inline_temporaries(function.body) if is_straight_line(function.body) else function.body
    return function


class Normalizer(ast.NodeTransformer):
    def __init__(self, names):
        self.names = names

    def visit(self, node):
        name = self.names.math(node)
        if name is not None and isinstance(node.ctx, ast.Load):
            renamed = ast.copy_location(ast.Name(f"math.{name}", ast.Load()), node)
            return renamed
        return super().visit(node)

    def visit_FunctionDef(self, node):
        node = self.generic_visit(node)
        node.returns, node.type_comment = None, None
        node.args.args = [*node.args.posonlyargs, *node.args.args]
        node.args.posonlyargs = []
        body = [line for statement in node.body for line in split_assignments(statement)]
        node.body = [line for line in body if not is_remark(line)] or [ast.Pass()]
        return node

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        node = self.generic_visit(node)
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_Assign(self, node):
        node = self.generic_visit(node)
        node.type_comment = None
        return node

    def visit_If(self, node):
        """if not isinstance(a, B): a = B(a)   is   a = a if isinstance(a, B) else B(a)"""
        node = self.generic_visit(node)
        test, body = node.test, node.body
        if node.orelse or len(body) != 1 or not isinstance(body[0], ast.Assign) or len(body[0].targets) != 1:
            return node
        if not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and isinstance(body[0].targets[0], ast.Name)):
            return node
        old = ast.Name(body[0].targets[0].id, ast.Load())
        return ast.copy_location(ast.Assign(body[0].targets, ast.IfExp(test.operand, old, body[0].value)), node)

    def visit_IfExp(self, node):
        node = self.generic_visit(node)
        if isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not):
            node.test, node.body, node.orelse = node.test.operand, node.orelse, node.body
        return node

    def visit_Call(self, node):
        """sum([... for ...])   is   sum(... for ...)"""
        node = self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in REDUCERS and len(node.args) == 1 and not node.keywords:
            [argument] = node.args
            if isinstance(argument, ast.ListComp):
                node.args = [ast.GeneratorExp(argument.elt, argument.generators)]
        return node


def is_remark(statement):
    """A docstring, `pass`, or an import of math, which names.py has taken into account."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Import):
        return all(alias.name == "math" for alias in statement.names)
    return isinstance(statement, ast.Pass)


def split_assignments(statement):
    """`a, b = x, y` as two statements, where the order cannot matter: each value is a constant, an empty display or a name."""
    if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
        return [statement]
    [target], value = statement.targets, statement.value
    if not (isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts)):
        return [statement]
    stored = {ast.unparse(t) for t in target.elts}
    for v in value.elts:
        if not is_fresh(v) and not (isinstance(v, ast.Name) and v.id not in stored):
            return [statement]
    return [ast.copy_location(ast.Assign([t], v), statement) for t, v in zip(target.elts, value.elts)]


def is_fresh(node):
    """A constant, `[]`, `set()` or the like."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("set", "list", "dict") and not node.args
    return isinstance(node, ast.Constant) or (isinstance(node, (ast.List, ast.Tuple)) and not node.elts)


# ---- Temporaries ----------------------------------------------------------------------------------------------------------


def is_straight_line(body):
    """Names assigned one after the other, then a return: nothing in it can notice when an expression is computed."""
    *assignments, last = body
    return isinstance(last, ast.Return) and all(
        isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name)
        for line in assignments
    )


def inline_temporaries(body):
    """Without the names that are assigned once and then used once, outside of a comprehension (where it would be many times)."""
    body = list(body)
    for line in list(body[:-1]):
        name, i = line.targets[0].id, body.index(line)
        before, own, after = uses(name, body[:i]), uses(name, [line.value]), uses(name, body[i + 1 :])
        if not before and not own and after == ["once"]:
            body = [*body[:i], *(Replace(name, line.value).visit(other) for other in body[i + 1 :])]
    return body


def uses(name, nodes, inside=False):
    """What is done with `name`: for each place "stored", "once" (loaded), or "often" (inside what may run often, or later)."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == name:
            found.append("stored" if not isinstance(node.ctx, ast.Load) else "often" if inside else "once")
        inner = isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp, ast.Lambda, ast.FunctionDef))
        found += uses(name, ast.iter_child_nodes(node), inside or inner)
    return found


class Replace(ast.NodeTransformer):
    def __init__(self, name, value):
        self.name, self.value = name, value

    def visit_Name(self, node):
        return self.value if node.id == self.name and isinstance(node.ctx, ast.Load) else node
