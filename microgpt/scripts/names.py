"""The meaning of names in a script: which are bound where, and so which are certainly Python's own `sum` or `math.exp`.

Scopes are ignored: a name that is bound anywhere in a file counts as the script's own everywhere in it. This may refuse too
much, but never too little. A Survey is about all files of a script.
"""

import ast
import builtins
import math
from collections import defaultdict
from dataclasses import dataclass, field

BUILTINS = frozenset(dir(builtins))
CHANGES = {name for kind in (list, set) for name in dir(kind) if not name.startswith("_")} - set(dir(tuple)) - {"copy"}


SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.ClassDef)


def bound_in(scope):
    """The names that a function, class or comprehension binds, or declares as global or nonlocal."""
    for part in ast.walk(scope):
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            yield part.id
        elif isinstance(part, ast.arg):
            yield part.arg
        elif isinstance(part, (ast.Global, ast.Nonlocal)):
            yield from part.names
        elif isinstance(part, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.split(".")[0] for alias in part.names)
        elif isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and part is not scope:
            yield part.name
        elif isinstance(part, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and part.name:
            yield part.name
        elif isinstance(part, ast.MatchMapping) and part.rest:
            yield part.rest


class Names:
    """The names a script binds.

    bound: name -> lines that bind it, except in class bodies (whose names are seen only as attributes).
    imported: name -> the module, or `module.name`, that every binding of it imports.
    attributes: (name or None, attribute) -> lines that set or delete `name.attribute`; None for any other expression.
    reads: attributes that are read, and strings, which may be the name of one.
    import_statements: (level, module, names imported from it) of each.
    computed: attributes that classes in the file define and that run a function when they are read.
    of_module: names that are bound, but not in a function or class. deleted: names that are unbound somewhere. changed: attributes
    whose lists or sets are changed in place.

    exports: (level, module) -> the names that `from module import *` binds, or None if that is not known.
    """

    def __init__(self, tree, exports=lambda level, module: None):
        self.bound, self.imported, self.attributes = defaultdict(list), {}, defaultdict(list)
        self.star_imports, self.modules, self.reads, self.exports = [], set(), set(), exports
        self.import_statements, self.computed, self.deleted, self.changed = [], set(), set(), set()
        self._imports = defaultdict(list)
        self._visit(tree, in_class=False)
        local = {name for node in ast.walk(tree) if isinstance(node, SCOPES) for name in bound_in(node)}
        self.of_module = self.bound.keys() - local
        for name, sources in self._imports.items():
            if len(sources) == len(self.bound[name]) and len(set(sources)) == 1:
                self.imported[name] = sources[0]

    def _bind(self, name, node, in_class):
        if not in_class:
            self.bound[name].append(node.lineno)

    def _visit(self, node, in_class):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._bind(node.name, node, in_class)
            if in_class and (node.decorator_list or node.name in ("__getattr__", "__getattribute__", "__getitem__", "__missing__")):
                self.computed.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self._bind(node.id, node, in_class)
            if isinstance(node.ctx, ast.Del):
                self.deleted.add(node.id)
        elif isinstance(node, ast.arg):
            self._bind(node.arg, node, False)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node, in_class)
        elif isinstance(node, ast.ExceptHandler) and node.name or isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            self._bind(node.name, node, in_class)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            self._bind(node.rest, node, in_class)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            self.attributes[node.value.id if isinstance(node.value, ast.Name) else None, node.attr].append(node.lineno)
        elif isinstance(node, ast.Attribute):
            self.reads.add(node.attr)
            if isinstance(node.value, ast.Attribute) and node.attr in CHANGES:
                self.changed.add(node.value.attr)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Attribute):
            self.changed.add(node.value.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.reads.add(node.value)
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                self.reads.add(node.func.id)
            if isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr") and len(node.args) > 1:
                self._setattr(node)
        body = isinstance(node, ast.ClassDef)
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.GeneratorExp))
        for child in ast.iter_child_nodes(node):
            self._visit(child, (body and child in node.body) or (in_class and not body and not function))

    def _setattr(self, call):
        target, attribute = call.args[:2]
        name = target.id if isinstance(target, ast.Name) else None
        self.attributes[name, attribute.value if isinstance(attribute, ast.Constant) else "*"].append(call.lineno)

    def _import(self, node, in_class):
        if isinstance(node, ast.ImportFrom):
            self.import_statements.append((node.level, node.module or "", [alias.name for alias in node.names]))
        else:
            self.import_statements.extend((0, alias.name, []) for alias in node.names)
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                source = f"{'.' * node.level}{node.module or ''}.{alias.name}"
                self.modules.add(source.rsplit(".", 1)[0])
            else:
                source = alias.name if alias.asname else alias.name.split(".")[0]
                self.modules.add(alias.name)
            if alias.name == "*" and node.module == "math":
                for name in dir(math):
                    if not name.startswith("_"):
                        self._bind(name, node, in_class)
                        self._imports[name].append(f"math.{name}")
                continue
            if alias.name == "*":
                exported = self.exports(node.level, node.module)
                if exported is None:
                    self.star_imports.append((node.module, node.lineno))
                for name in exported or ():
                    self._bind(name, node, in_class)
                continue
            name = alias.asname or alias.name.split(".")[0]
            self._bind(name, node, in_class)
            if not in_class:
                self._imports[name].append(source)

    def is_builtin(self, name):
        """Whether `name` is Python's own everywhere in the script."""
        return name in BUILTINS and not self.bound.get(name) and not self.star_imports

    def math(self, node):
        """`exp` for an expression that is certainly math.exp, however it was imported, else None."""
        if self.star_imports:  # which may bind any name
            return None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return node.attr if self.imported.get(node.value.id) == "math" else None
        if isinstance(node, ast.Name):
            module, _, name = self.imported.get(node.id, "").rpartition(".")
            return name if module == "math" else None
        return None

    def imports(self, module):
        """Whether the script imports `module` or something inside it."""
        return any(name == module or name.startswith(module + ".") for name in self.modules)


@dataclass
class Module:
    """A file of a script. functions: name -> the definition of each function at its top level whose name is bound once."""

    path: str
    tree: ast.Module
    names: Names
    functions: dict

    @classmethod
    def of(cls, path, source, exports=lambda level, module: None):
        """Raises SyntaxError or ValueError if it is not Python."""
        tree = ast.parse(source, path)
        names = Names(tree, exports)
        functions = {
            node.name: node for node in tree.body
            if isinstance(node, ast.FunctionDef) and len(names.bound[node.name]) == 1 and not node.decorator_list
        }  # fmt: skip
        return cls(path, tree, names, functions)


@dataclass
class Survey:
    """All files of a script that can be found from its first one."""

    modules: list = field(default_factory=list)

    @property
    def reads(self):
        return set().union(*(module.names.reads for module in self.modules))

    @property
    def computed(self):
        return set().union(*(module.names.computed for module in self.modules))

    @property
    def stores(self):
        """(name, attribute, line, the import that the name stands for or None) for each attribute that is set or deleted."""
        for module in self.modules:
            for (base, attribute), lines in module.names.attributes.items():
                yield base, attribute, lines[0], module.names.imported.get(base)

    def only_accelerates(self):
        """Whether it uses nothing of microgpt but accelerate()."""
        used = {
            part.attr for module in self.modules for part in ast.walk(module.tree)
            if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "microgpt"
        }  # fmt: skip
        aliases = {module.names.imported.get("microgpt") for module in self.modules if module.names.imports("microgpt")}
        return used <= {"accelerate"} and aliases <= {"microgpt"}

    def imports(self, name):
        return any(module.names.imports(name) for module in self.modules)


def at(place, node):
    """`node`, a new one, with all its parts at the position of `place` in the script."""
    for part in ast.walk(node):
        if "lineno" in part._attributes:
            ast.copy_location(part, place)
    return node
