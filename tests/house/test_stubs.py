"""The stubs (.pyi) describe the compiled modules: every public name, with its parameters and their defaults."""

import ast
import inspect
from pathlib import Path

import pytest

from microgpt import compiled, reference
from microgpt.compiled import access, lines, scalar
from microgpt.compiled import exact as _exact
from microgpt.compiled import fast as _fast

FOLDER = Path(compiled.__file__).parent
MODULES = {module.__name__.rpartition(".")[2]: module for module in (access, lines, scalar, _exact, _fast)}
INSIDE = {"Reading", "Steps", "Buffer", "OneCaller"}  # which the modules make for themselves; and script_..., which are for `microgpt run`


def stub(name):
    return ast.parse((FOLDER / f"{name}.pyi").read_text(encoding="utf-8")).body


def declared(body):
    """Name -> its definition."""
    names = {node.name: node for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    return names | {node.target.id: node for node in body if isinstance(node, ast.AnnAssign)}


def classes(body):
    return [node for node in body if isinstance(node, ast.ClassDef)]


def public(names):
    return {name for name in names if not name.startswith("_")}


def parameters(function):
    """[(name, whether there is a default), ...] of the parameters in a stub, without self."""
    names = [argument.arg for argument in function.args.args]
    defaults = len(function.args.defaults)
    found = [(name, i >= len(names) - defaults) for i, name in enumerate(names)]
    return [pair for pair in found if pair[0] != "self"]


def told(function):
    """The same for a compiled function; None if it has no signature, like the operators."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    found = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    if any(parameter.kind != parameter.POSITIONAL_OR_KEYWORD for parameter in found):
        return None
    return [(parameter.name, parameter.default is not parameter.empty) for parameter in found]


def test_every_compiled_module_has_a_stub():
    compiled = {path.name.partition(".")[0] for ending in ("*.so", "*.pyd") for path in FOLDER.glob(ending)}
    assert compiled == {path.stem for path in FOLDER.glob("*.pyi")} == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_names_of_a_module(name):
    module = MODULES[name]
    own = {key for key, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__}
    own = {key for key in own if not key.startswith("script_")} - INSIDE | {key for key in vars(module) if key == "ACTIVATIONS"}
    assert public(declared(stub(name))) == set(getattr(module, "__all__", public(own)))


@pytest.mark.parametrize("name", MODULES)
def test_the_attributes_of_its_classes(name):
    for node in classes(stub(name)):
        compiled, named = getattr(MODULES[name], node.name), declared(node.body)
        assert public(named) == public(vars(compiled)), node.name
        assert all(hasattr(compiled, attribute) for attribute in named)
        methods = {key for key, thing in named.items() if isinstance(thing, ast.FunctionDef) and not thing.decorator_list}
        assert all(callable(getattr(compiled, key)) == (key in methods) for key in named), node.name


@pytest.mark.parametrize("name", scalar.__all__)
def test_signatures_are_those_of_the_reference(name):
    compiled, pure = getattr(scalar, name), getattr(reference, name)
    assert inspect.signature(compiled) == inspect.signature(pure)
    for key, method in vars(pure).items() if isinstance(pure, type) else ():
        if inspect.isfunction(method) and key != "__init__":
            found = inspect.signature(getattr(compiled, key)).parameters.values()
            expected = inspect.signature(method).parameters.values()
            assert [p.default for p in found][: len(expected)] == [p.default for p in expected], key
    if isinstance(pure, type):
        subclass = type("Subclass", (compiled,), {})
        assert inspect.signature(subclass) == inspect.signature(pure) and compiled.__doc__[0].isupper()


@pytest.mark.parametrize("name", MODULES)
def test_the_parameters_of_what_can_be_called(name):
    module, body = MODULES[name], stub(name)
    checked = 0
    for where, part in [(module, body), *((getattr(module, node.name), node.body) for node in classes(body))]:
        for key, node in declared(part).items():
            found = told(getattr(where, key)) if isinstance(node, ast.FunctionDef) and not node.decorator_list else None
            if found is not None:
                assert parameters(node) == found, key
                checked += 1
    assert checked > 1
