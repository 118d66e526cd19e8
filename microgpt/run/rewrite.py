"""Rewrites a script's syntax tree so that what is the reference's runs compiled, and reports what was done and what not.

Lines and columns stay as they are, so tracebacks show the script.
"""

import ast

from microgpt.run import optimizer, value_class, vectors
from microgpt.run.names import Names
from microgpt.run.report import Report
from microgpt.run.unify import Unifier
from microgpt.run.value_class import COMPILED_ATTRIBUTES, METHODS, OPERATORS, NotTheReference

NEAR_MISSES = ("linear", "softmax", "rmsnorm")


def rewrite(tree, path):
    """The syntax tree of a script, changed in place, and the Report about it."""
    report, names = Report(path), Names(tree)
    found = find_value(tree, names, report)
    if found is not None:
        unifier = Unifier(names, found.name, found.attributes)
        Rewriter(found, names, unifier, report).visit(tree)
        ast.fix_missing_locations(tree)
    return tree, report


# ---- Which class -----------------------------------------------------------------------------------------------------------


def find_value(tree, names, report):
    """The ValueClass of the script, if it has exactly one and nothing else in the script stands against it; else None."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and value_class.looks_like_value(node)]
    found = []
    for node in classes:
        try:
            candidate = value_class.recognise(node, names)
            check_surroundings(candidate, tree, names)
            found.append(candidate)
        except NotTheReference as reason:
            report.left_alone(node.lineno, f"class {node.name}", str(reason))
    if len(found) > 1:
        for candidate in found:
            report.left_alone(candidate.node.lineno, f"class {candidate.name}", "there are several such classes")
        return None
    if not classes:
        report.left_alone(1, "the script", "it has no class like the reference's Value")
    return found[0] if found else None


def check_surroundings(found, tree, names):
    """Raises NotTheReference if the rest of the script does something that the compiled class would not take part in."""
    name = found.name
    if names.imports("microgpt"):
        raise NotTheReference("the script imports microgpt itself")
    for module, line in names.star_imports:
        raise NotTheReference(f"line {line} imports everything from {module}, which may rebind any name")
    if len(names.bound[name]) > 1:
        raise NotTheReference(f"{name} is bound again (line {max(names.bound[name])})")
    check_attributes(found, names)
    arguments = {argument.arg for argument in defined(found.node, "__init__").args.args}
    accepted = {"data", "children", "local_grads"} if found.revision == "current" else {"data"}
    for keyword in (arguments - accepted) & names.keywords:
        raise NotTheReference(f"the script calls something with {keyword}=, an argument the compiled class has not got")
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == name for base in node.bases):
            for method in node.body:
                if getattr(method, "name", None) in OPERATORS:
                    raise NotTheReference(f"the subclass {node.name} (line {node.lineno}) has operators of its own")
    if found.revision == "first":
        check_first_revision(found, tree)


def check_attributes(found, names):
    """Attributes the script sets: on the class (monkeypatching), on modules it relies on, on nodes that have no room for them."""
    core = {*OPERATORS, *METHODS, "backward", "__init__", "__new__", "__eq__", "__hash__", *found.attributes.values()}
    methods = {*OPERATORS, *METHODS, "backward"}
    for (base, attribute), lines in names.attributes.items():
        if base == found.name and (attribute in core or attribute == "*"):
            raise NotTheReference(f"line {lines[0]} sets {base}.{attribute}")
        if attribute in methods and base != "self":
            raise NotTheReference(f"line {lines[0]} sets .{attribute} of something")
        if names.imported.get(base) in ("math", "builtins"):
            raise NotTheReference(f"line {lines[0]} sets {base}.{attribute}")
    allowed = set(found.attributes.values())
    for method in found.own:
        for part in ast.walk(method):
            if isinstance(part, ast.Attribute) and not isinstance(part.ctx, ast.Load) and part.attr not in allowed:
                raise NotTheReference(f"line {part.lineno} sets .{part.attr}, for which the compiled class has no place")
    if found.slots is None:
        for (base, attribute), lines in names.attributes.items():
            elsewhere = base == "self" or base in names.imported
            if attribute not in allowed and not elsewhere and base != found.name:
                raise NotTheReference(f"line {lines[0]} sets .{attribute}, for which the compiled class has no place")


def check_first_revision(found, tree):
    """What only the closures could serve: their attributes, and nodes with children made outside of the class."""
    inside = set(ast.walk(found.node))
    private = {found.attributes[name] for name in ("_backward", "_prev", "_op")}
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.Attribute) and node.attr in private:
            raise NotTheReference(f"line {node.lineno} uses .{node.attr}, which the compiled class has not got")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == found.name and len(node.args) > 1:
            raise NotTheReference(f"line {node.lineno} makes a node with children by hand")


def defined(node, name):
    return next(statement for statement in node.body if getattr(statement, "name", None) == name)


# ---- The changes -------------------------------------------------------------------------------------------------------------


class Rewriter(ast.NodeTransformer):
    """Replaces, in the whole script, what vectors.py and optimizer.py recognise, and the class."""

    def __init__(self, found, names, unifier, report):
        self.found, self.names, self.unifier, self.report = found, names, unifier, report
        self.in_class_body = False

    def visit_ClassDef(self, node):
        if node is self.found.node:
            return self._compiled_class(node)
        outer, self.in_class_body = self.in_class_body, True
        node = self.generic_visit(node)
        self.in_class_body = outer
        return node

    def visit_FunctionDef(self, node):
        outer, self.in_class_body = self.in_class_body, False
        node = self._function(node, outer)
        self.in_class_body = outer
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def _function(self, node, is_method):
        again = not is_method and len(self.names.bound[node.name]) > 1
        result = None
        if isinstance(node, ast.FunctionDef):
            result = vectors.compiled_function(node, self.unifier, self.found.reference)
        what = result[0] if result else "linear" if vectors.is_linear(node, self.unifier) else None
        if what and again:
            lines = self.names.bound[node.name]
            other = next(line for line in reversed(lines) if line != node.lineno or lines.count(line) > 1)
            self.report.left_alone(node.lineno, node.name, f"the name is bound again in line {other}")
            return node
        if result:
            self.report.compiled(node.lineno, what)
            return result[1]
        places = len(self.report.found)
        node = self.generic_visit(node)
        if len(self.report.found) == places and node.name in NEAR_MISSES:
            self.report.left_alone(node.lineno, node.name, "it is not the reference's")
        return node

    def visit_ListComp(self, node):
        result = None
        if not self.in_class_body:  # where a comprehension's inside does not see the names around it
            result = vectors.compiled_comprehension(node, self.unifier, self.found.reference)
        if result is None:
            return self.generic_visit(node)
        self.report.compiled(node.lineno, result[0])
        return result[1]

    def visit_For(self, node):
        if not self.in_class_body:
            try:
                what, loop = optimizer.compiled_loop(node, self.unifier)
                self.report.compiled(node.lineno, what)
                return loop
            except optimizer.NotAnUpdate as reason:
                if optimizer.looks_like_update(node, self.found.attributes["data"]):
                    self.report.left_alone(node.lineno, "parameter update", str(reason))
        return self.generic_visit(node)

    def _compiled_class(self, node):
        found = self.found
        own = found.own_names()
        self.report.compiled(node.lineno, node.name + (f" with its own {', '.join(own)}" if own else ""))
        slots = ast.literal_eval(found.slots) if found.slots is not None else None
        others = {name: found.attributes[name] for name in COMPILED_ATTRIBUTES if found.attributes.get(name, name) != name}
        decorator = ast.parse(f"__microgpt_value__({found.missing!r}, {others!r}, {slots!r}, {found.floats!r})", mode="eval").body
        changed = ast.ClassDef(node.name, [], [], found.own or [ast.Pass()], [vectors.at(node, decorator)])
        if hasattr(node, "type_params"):
            changed.type_params = []
        return ast.copy_location(changed, node)
