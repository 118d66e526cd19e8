"""The layers of the package: imports only go down, and never through microgpt/__init__.py."""

import ast
import re
from dataclasses import fields, make_dataclass, replace
from pathlib import Path

import pytest

import microgpt
from microgpt import GPTConfig, TrainConfig, engines, reference
from microgpt.common.options import option, options_of
from microgpt.compiled import exact, fast

PACKAGE = Path(microgpt.__file__).parent
FLOORS = [  # from the bottom up; modules on the same layer may import each other
    {"reference"},
    {"common"},
    {"config", "tokenizer", "snapshots"},
    {"compiled"},
    {"micrograd"},
    {"corpus"},
    {"engines"},
    {"verdict"},
    {"live"},
    {"storage"},
    {"model"},
    {"training"},
    {"advice"},
    {"display"},
    {"lab"},
    {"proof", "scripts"},
    {"cli"},
    {"__main__"},
]
UPWARD = {  # allowed only inside a method or a function
    ("model", "display"), ("training", "display"),  # a notebook shows a Run and a GPT
    ("training", "lab"),  # train(run_dir=...)
}  # fmt: skip
FLOOR = {name: i for i, names in enumerate(FLOORS) for name in names}


def imports(path, inside=True):
    """(module, name) of every import of this package in a file: at its top, under TYPE_CHECKING, and `inside` functions."""
    todo = [ast.parse(path.read_text(encoding="utf-8"))]
    for node in todo:
        if inside or not isinstance(node, (ast.FunctionDef, ast.If)):
            todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "microgpt":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "microgpt")


def entry(module, name):
    """The part of microgpt/ that an import names; "" for the package itself."""
    parts = [*module.split("."), name]
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else ""


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_every_entry_has_a_floor():
    there = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert there == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    at_the_top = [*imports(path, inside=False)]
    for module, name in imports(path):
        other = entry(module, name)
        if (own, other) in UPWARD:
            assert (module, name) not in at_the_top, f"{own} imports {other} at its top"
        elif other:
            assert FLOOR[other] < FLOOR[own] or other == own, f"{own} imports {other}"
        else:
            assert name == "__version__", f"from {module} import {name} goes through microgpt/__init__.py"


# ---- The headers of the scalar core form a list ----------------------------------------------------------------------------


def test_the_headers_of_the_scalar_core_include_only_what_is_above_them():
    folder = Path(__file__).resolve().parents[2] / "src" / "scalar"
    docstring = ast.get_docstring(ast.parse((folder / "scalar.pyx").read_text(encoding="utf-8").split("cimport")[0]))
    order = re.findall(r"^    (\w+\.h) ", docstring, re.MULTILINE)
    assert set(order) == {path.name for path in folder.glob("*.h")}
    for i, name in enumerate(order):
        code = (folder / name).read_text(encoding="utf-8")
        assert set(re.findall(r'#include "(\w+\.h)"', code)) <= set(order[:i]), name
        assert not re.findall(r"^static [^={]*\);", code, re.MULTILINE), f"{name} declares what another file defines"


# ---- Engines declare what they compute -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", engines.ENGINES)
def test_an_engine_s_declaration(name):
    kind = engines.engine_class(name)
    known = {*options_of(GPTConfig), *options_of(TrainConfig)}
    assert kind.name == name and kind.exact == (name in engines.EXACT)
    assert engines.AROUND <= kind.options <= known and set(kind.limits) <= kind.options
    assert set(kind.activations) <= set(reference.ACTIVATIONS)


@pytest.mark.parametrize("name", engines.ENGINES)
@pytest.mark.parametrize("settings", [GPTConfig(), TrainConfig()], ids=lambda settings: type(settings).__name__)
def test_an_option_that_an_engine_does_not_list_is_refused(name, settings, monkeypatch):
    """Any field at its default changes nothing; otherwise the engine refuses it before the first step."""
    kind = engines.engine_class(name)
    for field in fields(settings):
        with monkeypatch.context() as patch:
            patch.setattr(kind, "options", kind.options - {field.name})
            kind.refuse(settings)
            changed = replace(settings, **{field.name: another_value(options_of(settings)[field.name])})
            with pytest.raises(engines.EngineError, match=f"the engine '{name}' does not compute {field.name}="):
                kind.refuse(changed)


def another_value(option):
    """An allowed value of the option other than its default."""
    if option.kind is bool:
        return not option.default
    if option.choices:
        return [*option.choices][-1]
    return 8 if option.kind is int else option.default / 2 if option.default else 2**-8


def test_an_option_that_nobody_computes_yet():
    """A field that is added to the configuration but to no engine causes an error and is never ignored."""
    longer = make_dataclass(
        "Longer", [("dropout", float, option(0.0, "share of activations that are dropped"))], bases=(TrainConfig,), frozen=True
    )
    for name in engines.ENGINES:
        engines.engine_class(name).refuse(longer())
        with pytest.raises(engines.EngineError, match="does not compute dropout=0.1; omit it"):
            engines.engine_class(name).refuse(longer(dropout=0.1))


def test_an_activation_that_only_the_reference_knows(monkeypatch):
    """It is computed if the reference's own code runs, and refused otherwise."""
    monkeypatch.setitem(reference.ACTIVATIONS, "cube", lambda x: x * x * x)
    config = GPTConfig(n_embd=4, activation="cube")
    assert "cube" not in (*exact.ACTIVATIONS, *fast.ACTIVATIONS)
    run = microgpt.train(["emma"], config, TrainConfig(num_steps=1), engine="python")
    for name in engines.ENGINES[1:]:
        message = f"the engine '{name}' does not compute activation='cube', only relu.*; choose engine='python'"
        with pytest.raises(engines.EngineError, match=message):
            microgpt.train(["emma"], config, TrainConfig(num_steps=1), engine=name)
        with pytest.raises(engines.EngineError, match=message):
            run.model.generate(1, engine=name)
