"""Whether a piece of a script is a given form, names apart.

A form is Python source. In it, names in CAPITALS stand for any expression without side effects; names the form binds (arguments,
loop variables, locals) may be called anything in the script; other names are meant: Python's own functions, math's, and `Value`
for the class that is being recognised.
"""

import ast

from microgpt.run.names import Names
from microgpt.run.normal import Normalizer, normal
from microgpt.run.sums import is_pure


def form(source):
    """A form's syntax tree: of a function definition or an expression."""
    tree = ast.parse("import math\n" + source.strip())
    names = Names(tree)
    statement = tree.body[-1]
    if isinstance(statement, ast.FunctionDef):
        return normal(statement, names)
    return Normalizer(names).visit(statement.value)


class Unifier:
    """Compares forms with code. After a match, `expressions` has what each name in capitals stood for.

    names: of the script; class_name: what its Value is called; attributes: the reference's attribute names -> the script's.
    """

    def __init__(self, names, class_name=None, attributes=None):
        self.names, self.class_name, self.attributes = names, class_name, attributes or {}
        self.expressions, self.scopes = {}, []

    def matches(self, form, node):
        """Whether `node`, normalised, is `form`. Function names and the defaults of arguments are not compared."""
        self.expressions, self.scopes = {}, [({}, {})]
        if isinstance(form, ast.FunctionDef):
            return isinstance(node, ast.FunctionDef) and self._function(form, node)
        return self._same(form, node)

    # ---- names: each scope is a pair of dicts, the form's names -> the script's and back -----------------------------------

    def _bind(self, theirs, ours):
        forth, back = self.scopes[-1]
        return forth.setdefault(theirs, ours) == ours and back.setdefault(ours, theirs) == theirs

    def _refers(self, theirs, ours):
        for forth, back in reversed(self.scopes):
            if theirs in forth or ours in back:
                return forth.get(theirs) == ours
        if theirs == "Value":
            return ours == self.class_name
        return theirs == ours and (theirs.startswith("math.") or self.names.is_builtin(ours))

    def _expression(self, name, node):
        if not is_pure(node):
            return False
        inner = set().union(*(back for _, back in self.scopes))
        if any(isinstance(part, ast.Name) and part.id in inner for part in ast.walk(node)):
            return False
        known = self.expressions.setdefault(name, node)
        return ast.dump(known) == ast.dump(node)

    # ---- syntax trees ------------------------------------------------------------------------------------------------------

    def _same(self, form, node):
        if isinstance(form, list):
            return isinstance(node, list) and len(form) == len(node) and all(map(self._same, form, node))
        if not isinstance(form, ast.AST):
            return type(form) is type(node) and form == node
        if isinstance(form, ast.Name) and form.id.isupper():
            return isinstance(node, ast.expr) and self._expression(form.id, node)
        if type(form) is not type(node):
            return False
        special = getattr(self, f"_{type(form).__name__.lower()}", self._fields)
        return special(form, node)

    def _fields(self, form, node):
        return all(
            self._same(getattr(form, field, None), getattr(node, field, None))
            for field in form._fields
            if field not in ("ctx", "kind", "type_comment", "type_params")
        )

    def _name(self, form, node):
        if isinstance(form.ctx, ast.Load) != isinstance(node.ctx, ast.Load):
            return False
        same = self._refers if isinstance(form.ctx, ast.Load) else self._bind
        return same(form.id, node.id)

    def _constant(self, form, node):
        return type(form.value) is type(node.value) and form.value == node.value

    def _attribute(self, form, node):
        return self.attributes.get(form.attr, form.attr) == node.attr and self._same(form.value, node.value)

    def _assign(self, form, node):  # the value first: it may use an older binding of the target
        return self._same(form.value, node.value) and self._same(form.targets, node.targets)

    def _listcomp(self, form, node):
        if len(form.generators) != len(node.generators):
            return False
        for i, (theirs, ours) in enumerate(zip(form.generators, node.generators)):
            if not self._same(theirs.iter, ours.iter):
                return False
            if i == 0:
                self.scopes.append(({}, {}))
            if ours.is_async or not self._same(theirs.target, ours.target) or not self._same(theirs.ifs, ours.ifs):
                return False
        same = self._same(form.elt, node.elt)
        self.scopes.pop()
        return same

    _generatorexp = _setcomp = _listcomp

    def _functiondef(self, form, node):
        return self._bind(form.name, node.name) and self._function(form, node)

    def _function(self, form, node):
        theirs, ours = form.args, node.args
        if node.decorator_list or ours.vararg or ours.kwarg or ours.kwonlyargs or len(theirs.args) != len(ours.args):
            return False
        self.scopes.append(({}, {}))
        same = all(self._bind(t.arg, o.arg) for t, o in zip(theirs.args, ours.args)) and self._same(form.body, node.body)
        self.scopes.pop()
        return same
