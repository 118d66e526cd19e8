"""Finds the class that is a script's Value, and decides for each of its methods how it runs.

    standard   it does the same as the reference's, according to reading.py: the compiled operator
    formula    it makes another node, by plain arithmetic: src/scalar/methods.h
    own        anything else: the script's unchanged method, which makes compiled nodes

The class as a whole is left alone only if the compiled one cannot replace it.
"""

import ast
import functools
from dataclasses import dataclass, field, replace
from inspect import isfunction

from microgpt import reference
from microgpt.scripts.arithmetic import ONE, Unread, eval_number, number, program, replaced
from microgpt.scripts.names import Module
from microgpt.scripts.reading import GRAD, Reader, is_flag
from microgpt.scripts.symbols import CALLS, METHOD, STEPS, Delegation, Node, Operand, Text, Wrapped
from microgpt.scripts.traversal import ORDERS, order_of

# The bits of src/scalar/overrides.h; the first ones also say which operation made a node.
BITS = {
    "__add__": 1, "__mul__": 2, "__pow__": 3, "log": 4, "exp": 5, "relu": 6, "__radd__": 7, "__rmul__": 8, "__neg__": 9,
    "__sub__": 10, "__rsub__": 11, "__truediv__": 12, "__rtruediv__": 13,
}  # fmt: skip
FIRST_FORMULA = 7
REFLECTED = {"__radd__": "__add__", "__rmul__": "__mul__", "__rsub__": "__sub__", "__rtruediv__": "__truediv__"}
ONLY_NUMBERS = ("__pow__", *REFLECTED)  # the operand is a number where the compiled operator is called
UNARY = ("log", "exp", "relu", "__neg__")
FLOAT_GRAD, FLOAT_ROOT, FLOAT_ONES, FLOAT_DATA, KEEP_EXPONENT = 1, 2, 4, 8, 16  # of script_class in src/scalar/script.h
PLACES = ("data", "grad", "_children", "_local_grads")

# Every named method of the reference. If a script's class lacks it, the compiled class must not have it either.
NAMED = [name for name, thing in vars(reference.Value).items() if isfunction(thing) and not name.startswith("_")]

# Definitions that change how the compiled class makes, finds or compares its instances.
DECISIVE = {
    "__new__", "__del__", "__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__init_subclass__", "__class_getitem__",
    "__set_name__", "__instancecheck__", "__subclasshook__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__",
    "__copy__", "__deepcopy__", "__mro_entries__", "__prepare__", "__match_args__", "__weakref__", "__dict__",
}  # fmt: skip


class NotReadable(Exception):
    """The class cannot be compiled; the message says why."""


@dataclass
class ValueClass:
    """A class that the compiled one replaces. module: the one that defines it."""

    node: ast.ClassDef
    module: Module
    reader: Reader
    standard: set = field(default_factory=set)
    formulas: dict = field(default_factory=dict)  # name -> (has an operand?, case of Values, case of numbers), see script_formula
    own: dict = field(default_factory=dict)  # operators and backward that stay in Python: name -> reason
    floats: int = 0
    order: int = 0  # of the backward pass, see backward.h
    made_by: dict = field(default_factory=dict)  # bit in overrides.h -> the extra attributes of a node
    slots: bool = False
    used: bool = False  # the class statement has been executed
    places: list = field(default_factory=list)  # attributes, besides the compiled ones, for which nodes must have a place

    @property
    def name(self):
        return self.node.name

    @property
    def names(self):
        return self.module.names

    @property
    def roles(self):
        return self.reader.roles

    def has(self, name):
        return name in self.reader.methods

    def missing(self):
        """The methods of the compiled class that this class lacks."""
        return [name for name in dict.fromkeys([*BITS, *NAMED]) if not self.has(name)]

    def own_names(self):
        """The methods that the reference lacks or defines differently, for the report."""
        return [name for name in self.reader.methods if name not in self.standard and not name.startswith("__") and name != "backward"]

    def plain_constructor(self):
        """Whether it has the name and the effect of the compiled one."""
        init = self.reader.methods["__init__"]
        arguments = [argument.arg for argument in init.args.args][1:]
        lines = [line for line in init.body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))]
        others = init.args.posonlyargs or init.args.kwonlyargs or init.args.vararg or init.args.kwarg or init.decorator_list
        return (
            arguments == ["data", "children", "local_grads"]
            and not others
            and len(lines) == 4
            and [ast.unparse(default) for default in init.args.defaults] == ["()", "()"]
            and all(isinstance(line, (ast.Assign, ast.AnnAssign)) and isinstance(line.value, (ast.Name, ast.Constant)) for line in lines)
            and not self.roles.extras
            and self.roles.locals is not None
        )


def looks_like_value(node):
    """Whether it has operators and a backward pass."""
    names = {getattr(statement, "name", None) for statement in node.body}
    return "backward" in names and bool(names & {"__add__", "__mul__"})


def recognise(node, module, survey):
    """The ValueClass of a class definition. survey: that of the script's files, see names.py. Raises NotReadable."""
    if node.bases and [ast.unparse(base) for base in node.bases] != ["object"]:
        raise NotReadable(f"it has a base class (line {node.lineno})")
    if node.keywords or node.decorator_list:
        raise NotReadable(f"it has a {'metaclass or another keyword' if node.keywords else 'decorator'} (line {node.lineno})")
    for statement in node.body:
        check_statement(statement)
    try:
        found = ValueClass(node, module, Reader(node, module.names, module.functions, flags_of(module)))
        check_surroundings(found, survey)
        for name in sorted(found.reader.methods, key=lambda name: BITS.get(name, len(BITS))):
            if name not in ("__init__", "backward"):
                decide(found, name, survey)
    except Unread as reason:
        raise NotReadable(str(reason)) from None
    finish(found)
    return found


def flags_of(module):
    """name -> value of the globals of a module that are first set to True or False."""
    return {
        target.id: line.value.value
        for line in module.tree.body[::-1]
        if is_flag(line)
        for target in line.targets
        if isinstance(target, ast.Name)
    }


def check_statement(statement):
    line = f"line {statement.lineno}"
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign, ast.AnnAssign, ast.Expr, ast.Pass)):
        raise NotReadable(f"{line} is neither a method nor an attribute, so the compiled class cannot have it")
    names = [getattr(statement, "name", None)]
    names += [target.id for target in getattr(statement, "targets", []) if isinstance(target, ast.Name)]
    for name in names:
        if name in DECISIVE:
            raise NotReadable(f"it defines {name} ({line})")
    for part in ast.walk(statement):
        if isinstance(part, ast.Name) and part.id in ("super", "__class__"):
            raise NotReadable(f"line {part.lineno} uses {part.id}")


# ---- The rest of the script ------------------------------------------------------------------------------------------------


def check_surroundings(found, survey):
    """Raise NotReadable if the script does something that the compiled class does not support."""
    name, names, roles = found.name, found.module.names, found.roles
    if survey.imports("microgpt") and not survey.only_accelerates():
        raise NotReadable("the script imports more of microgpt than accelerate")
    if survey.imports("weakref"):
        raise NotReadable("the script imports weakref, and compiled nodes have no weak references")
    if roles.closure and (survey.imports("copy") or survey.imports("pickle")):
        raise NotReadable("copies of its nodes would have the closures of the nodes they were copied from")
    for module, line in names.star_imports:
        raise NotReadable(f"line {line} imports everything from {module}, which may rebind any name")
    again = [line for line in names.bound[name] if line > found.node.lineno or line not in class_lines(found)]
    if again:
        raise NotReadable(f"{name} is bound again (line {again[-1]})")
    slots = slots_of(found.node)
    found.slots = slots is not None
    if found.slots and (not set(slots) >= set(roles.names()) or set(slots) & {"__dict__", "__weakref__"}):
        raise NotReadable("__slots__ lacks an attribute of the nodes, or has __dict__ or __weakref__")
    check_attributes(found, survey)
    if roles.kind != "tuple" and any(roles.children in module.names.changed for module in survey.modules):
        raise NotReadable(f"the script changes a node's {roles.children} in place")
    if not found.slots and survey.reads & {"__dict__", "vars"}:
        raise NotReadable("the script reads the __dict__ of an object")
    for theirs, ours in zip(PLACES, (roles.data, roles.grad, roles.children, roles.locals)):
        if ours not in (theirs, None) and ours in PLACES:
            raise NotReadable(f"{ours} is the name of another attribute in the reference")


def class_lines(found):
    """The top-level definitions of a class with this name. The methods refer to the last one."""
    return {node.lineno for node in found.module.tree.body if isinstance(node, ast.ClassDef) and node.name == found.name} | {
        found.node.lineno
    }


def check_attributes(found, survey):
    """The attributes for which nodes need a place: those that are set on anything that may be a node."""
    name, roles = found.name, found.roles
    methods = {*BITS, *NAMED, *(name for name, method in found.reader.methods.items() if not method.decorator_list)}
    compiled = set(roles.compiled())
    wanted, of_class = dict.fromkeys(roles.extras), set()
    for base, attribute, line, imported in survey.stores:
        if attribute == name or imported in ("math", "builtins"):
            raise NotReadable(f"line {line} sets {base}.{attribute}")
        if base == name and attribute in (*compiled, "*", "__init__", "__new__", "__eq__", "__hash__", "__setattr__"):
            raise NotReadable(f"line {line} sets {base}.{attribute}")
        if base == name:
            of_class.add(attribute)
        if base in ("self", name) or imported:
            continue
        if attribute in methods:
            raise NotReadable(f"line {line} sets .{attribute} of something")
        if attribute == "*" and not found.slots:
            raise NotReadable(f"line {line} sets an attribute whose name is computed")
        wanted[attribute] = None
    for part in ast.walk(found.node):
        if isinstance(part, ast.Attribute) and not isinstance(part.ctx, ast.Load) and ast.unparse(part.value) != name:
            wanted[part.attr] = None
    defined = {getattr(line, "name", None) for line in found.node.body}
    found.places = [place for place in wanted if place not in compiled | defined]
    if found.slots:
        found.places = [place for place in slots_of(found.node) if place not in compiled]
    for place in found.places:
        if place in of_class:
            raise NotReadable(f"{place} is set on the class and on its nodes")
        if place in PLACES or place in methods:
            raise NotReadable(f"{place} is the name of another attribute or method in the compiled class")


def slots_of(node):
    """The names in __slots__; None if there are no slots."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__slots__":
            try:
                slots = ast.literal_eval(statement.value)
            except ValueError:
                raise NotReadable(f"__slots__ (line {statement.lineno}) is computed") from None
            return [slots] if isinstance(slots, str) else list(slots)
    return None


# ---- Each method --------------------------------------------------------------------------------------------------------------


@functools.lru_cache
def the_reference():
    with open(reference.__file__, encoding="utf-8") as file:
        module = Module.of(reference.__file__, file.read())
    node = next(node for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name == "Value")
    return Reader(node, module.names, {})


def cases(name):
    """The operands with which a method is read: True for a Value, False for a number, None for none."""
    return [None] if name in UNARY else [False] if name in ONLY_NUMBERS else [True, False]


def decide(found, name, survey):
    """Put a method into `standard`, `formulas` or `own`, or into none of them if it makes no node and is not an operator."""
    reader = found.reader
    try:
        if name in BITS and is_standard(found, name, survey):
            found.standard.add(name)
            return
        arity = len(reader.methods[name].args.args)
        if name.startswith("__") and name not in BITS or arity > 2:
            return
        forms = [form_or_none(reader, name, case) for case in ([None] if arity == 1 else [True, False])]
        nodes = [form for form in forms if isinstance(form, Node) and len(form.children) <= 2]
        if nodes:
            check_extras(found, FIRST_FORMULA + len(found.formulas), nodes, False)
        sources = [formula_of(form) if form in nodes else steps_of(form, found) if isinstance(form, Delegation) else None for form in forms]
        if any(sources):
            found.formulas[name] = (arity == 2, sources[0], sources[1] if arity == 2 else None)
        elif name in BITS:
            raise Unread(why_unread(reader, name, forms))
    except Unread as reason:
        if name in BITS:
            found.own[name] = str(reason)


def formula_of(node):
    """(children, formula of data and local gradients, formula of the terms added to the children's gradients or None)"""
    flows = program([0, 1, GRAD[1]], [], list(node.flows)) if node.flows else None
    return node.children, program([0, 1], [], [node.data, *node.locals]), flows


def steps_of(form, found):
    """(constants, steps, names of methods) of a Delegation, for set_case; None if it calls a method that stays in Python."""
    constants, steps, names, known = [], [], [], {Operand(0): 0, Operand(1): 1, ("input", 1): 1, Wrapped(): 2}

    def register(thing):  # of a step ~ its number
        if thing in known:
            return known[thing]
        if not isinstance(thing, Delegation):
            if thing[0] != "number":
                raise Unread("a number that is computed")
            constants.append(eval_number(thing))
            return 2 + len(constants)
        operands = list(map(register, thing.operands))
        is_method = thing.operator not in STEPS
        if is_method and thing.operator not in (*found.standard, *found.formulas) or CALLS.get(thing.operator, set()) & found.own.keys():
            raise Unread("a method in Python")
        names.extend([thing.operator] if is_method and thing.operator not in names else [])
        steps.append(
            (METHOD, *operands, names.index(thing.operator)) if is_method else (STEPS.index(thing.operator), operands[0], operands[-1])
        )
        return ~(len(steps) - 1)  # not kept in `known`, because an expression that is written twice is computed twice

    try:
        register(form)
    except Unread:
        return None
    if len(constants) > 8 or len(steps) > 60:
        return None
    first = 3 + len(constants)
    place = lambda r: r if r >= 0 else first + ~r
    return constants, [(kind, place(a), b if kind == METHOD else place(b)) for kind, a, b in steps], tuple(names)


def why_unread(reader, name, forms):
    for form, case in zip(forms, [None] if len(forms) == 1 else [True, False]):
        if form is None:
            try:
                reader.form(name, case)
            except Unread as reason:
                return str(reason)
    return f"line {reader.methods[name].lineno}: it uses other operators than the reference does"


def form_or_none(reader, name, case):
    try:
        return reader.form(name, case)
    except Unread:
        return None


def is_standard(found, name, survey):
    """Whether a method equals the reference's. Raises Unread if it does, but stores something that the compiled one cannot."""
    forms = [form_or_none(found.reader, name, case) for case in cases(name)]
    theirs = [the_reference().form(name, case) for case in cases(name)]
    if None in forms:
        return False
    if all(isinstance(form, Node) for form in forms):
        forms = [plain(found, form) for form in forms]
        ones = (number(1.0), number(1.0))
        if name == "__add__" and all(form.locals == ones for form in forms):
            forms = [replace(form, locals=(ONE, ONE)) for form in forms]
            if forms == theirs:
                found.floats |= FLOAT_ONES
        operator = REFLECTED.get(name)
        if operator in ("__add__", "__mul__") and operator in found.standard:
            return forms == [plain(found, found.reader.form(operator, False))]
        if forms != theirs:
            return False
        check_extras(found, BITS[name], forms, name == "__pow__" and survey)
        return True
    return [canonical(form) for form in forms] == [canonical(form) for form in theirs]


def plain(found, node):
    """A node's form without the constructor's float(), about which the compiled class is informed separately."""
    if not found.roles.converts:
        return node
    leaf = ("float", ("input", 1)), ("input", 1)
    return replace(node, data=replaced(node.data, *leaf), locals=tuple(replaced(x, *leaf) for x in node.locals))


def canonical(form):
    """One form for delegations that give the same nodes: -x is x * -1, and the node comes before the number."""
    if not isinstance(form, Delegation):
        return form
    operator, operands = form.operator, [canonical(operand) for operand in form.operands]
    if operator == "negative":
        return Delegation("*", (operands[0], number(-1)))
    if operator in "+*" and isinstance(operands[1], (Operand, Delegation)) and not isinstance(operands[0], (Operand, Delegation)):
        operands.reverse()
    return Delegation(operator, tuple(operands))


def check_extras(found, made_by, nodes, survey):
    """Record the other attributes of nodes made by an operation, which must be the same for each kind of operand.

    survey: the Survey if a text of the exponent is allowed, else False.
    """
    extras = dict(nodes[0].extras)
    if any(dict(node.extras) != extras for node in nodes) or extras.keys() != found.roles.extras.keys():
        raise Unread("its nodes have different attributes")
    for attribute, value in extras.items():
        if isinstance(value, Text):
            if not survey:
                raise Unread("an attribute of the node is computed")
            if attribute in survey.reads:
                found.floats |= KEEP_EXPONENT
    found.made_by[made_by] = extras


def equality(found):
    """Lines for a class whose nodes compare like those of the script: in a set or dict by identity, or not at all."""
    methods = found.reader.methods
    if not {"__eq__", "__hash__"} & methods.keys():
        return []
    returned = [line.value for line in methods["__hash__"].body if isinstance(line, ast.Return)] if "__hash__" in methods else []
    by_identity = found.names.is_builtin("id") and [ast.unparse(value) for value in returned] in (["id(self)"], ["hash(id(self))"])
    by_identity |= any(ast.unparse(line) == "__hash__ = object.__hash__" for line in found.node.body)
    return ["def __eq__(self, other): raise TypeError", f"__hash__ = {'object.__hash__' if by_identity else 'None'}"]


def finish(found):
    """Decide what depends on all methods: the backward pass, and what a class must have for the others to run."""
    reader, roles = found.reader, found.roles
    if len(reader.guards) > 1:
        raise NotReadable(f"its nodes depend on several flags: {', '.join(sorted(name for _, name, _ in reader.guards))}")
    answer = order_of(reader.methods["backward"], reader.methods, roles, reader.names, equality(found))
    if answer is None:
        found.own["backward"] = (
            f"line {reader.methods['backward'].lineno}: it visits the nodes in an order that the compiled backward pass does not have"
        )
    else:
        found.order = ORDERS.index(answer[0])
        found.floats |= FLOAT_ROOT if "." in answer[1] else 0
    found.made_by[0] = roles.extras
    found.floats |= (FLOAT_GRAD if "." in roles.zero else 0) | (FLOAT_DATA if roles.converts else 0)
    for name, operator in REFLECTED.items():
        if found.has(name) and not found.has(operator):
            found.standard.discard(name)
