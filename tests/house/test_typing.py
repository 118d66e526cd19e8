"""The package's types: its names, their annotations, and the results of mypy and pyright on tests/house/typing."""

import ast
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import microgpt

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
STUB = Path(microgpt.__file__).with_name("__init__.pyi")
USERS = {"config", "corpus", "data", "docs", "engines", "loss", "model", "names", "run", "tokenizer", "training"}  # their own variables


def test_the_stub_has_the_names_that_the_package_imports():
    found = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("microgpt"):
            [alias] = node.names
            assert alias.asname == alias.name  # only then the name is exported
            found[alias.name] = node.module
    assert found == microgpt._HOME and sorted(found) == microgpt.__all__


def test_importing_all_names_overwrites_none_of_the_users():
    names = dict.fromkeys(USERS, "the user's")
    exec("from microgpt import *", names)
    assert set(microgpt.__all__) <= set(names) and all(names[name] == "the user's" for name in USERS)


def test_a_name_that_was_changed_works_and_says_so():
    with pytest.warns(DeprecationWarning, match="microgpt.graph is now microgpt.draw; use that name") as caught:
        assert microgpt.graph is microgpt.draw
    assert caught[0].filename == __file__


def test_a_keyword_and_an_attribute_that_were_renamed_work_and_say_so():
    docs, options = ["abcdefghijklmnopqrstuvwxyz", "abc"], {"training": microgpt.TrainConfig(num_steps=1)}
    with pytest.warns(DeprecationWarning) as caught:
        run = microgpt.train(docs, **options, long="split")
        assert (len(run.corpus), run.long) == (3, "split") == (len(run.corpus), run.long_docs)
        repeats = microgpt.repeat(docs, **options, seeds=1, long="split")
    assert repeats.runs[0].losses == run.losses == microgpt.train(docs, **options, long_docs="split").losses
    assert [(str(warning.message), warning.filename) for warning in caught] == [
        ("train(long=...) is now train(long_docs=...); use that name", __file__),
        ("Run.long is now Run.long_docs; use that name", __file__),
        ("repeat(long=...) is now repeat(long_docs=...); use that name", __file__),
    ]
    with pytest.raises(TypeError, match=r"train\(\) has long_docs twice, once by its old name long; omit long"):
        microgpt.train(docs, long="split", long_docs="split")


def functions():
    """(name, function) of everything callable among the public names, except for compiled functions, which have stubs."""
    for name in microgpt.__all__:
        thing = getattr(microgpt, name)
        if not getattr(thing, "__module__", "").startswith("microgpt.compiled"):
            members = vars(thing).items() if inspect.isclass(thing) else [(name, thing)]
            for member, function in members:
                function = function.fget if isinstance(function, property) else inspect.unwrap(getattr(function, "__func__", function))
                if inspect.isfunction(function) and (not member.startswith("_") or member == "__init__"):
                    yield f"{name}.{member}", function


@pytest.mark.parametrize("name, function", list(functions()))
def test_the_annotations_are_complete(name, function):
    signature = inspect.signature(function)
    bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name not in ("self", "cls", "_cls")]
    assert not bare and (signature.return_annotation is not signature.empty or function.__code__.co_filename.startswith("<"))


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_what_a_type_checker_says(checker):
    """They accept the public modules and tests/house/typing/programs.py, and find the expected mistake in each line of mistakes.py."""
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed; pip install --group lint")
    done = subprocess.run([sys.executable, "-m", checker], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
