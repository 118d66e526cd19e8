"""Every fenced example in docs/ runs, in the order of its page, in its own folder; the README's tree lists all files."""

import ast
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import microgpt

BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIAL = DOCS / "tutorial.md"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if page != TUTORIAL and BLOCK.search(page.read_text(encoding="utf-8"))]
LONG = {"sweep", "training"}  # these train for a while


def test_there_are_pages():
    assert {"checkpoints", "sampling", *LONG} <= {page.stem for page in PAGES}


@pytest.mark.skipif(not shutil.which("bash"), reason="the examples are for a shell")
@pytest.mark.parametrize("page", [pytest.param(page, marks=[pytest.mark.slow] * (page.stem in LONG), id=page.stem) for page in PAGES])
def test_examples(page, tmp_path):
    names = Path(microgpt.__file__).parent / "corpus" / "names.txt"  # a tenth of the published ones, and so of the time to read them
    environment = {**os.environ, "MICROGPT_NAMES": str(names)}
    for language, needs, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "text" or (needs and importlib.util.find_spec(needs) is None):  # "text": what something printed
            continue
        if language == "sh":
            function = f'microgpt() {{ "{sys.executable}" -Werror -m microgpt "$@"; }}\n'
            command = ["bash", "-euc", function + code]
        else:
            assert language == "python"
            command = [sys.executable, "-Werror", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, (code, done.stderr)


def test_the_tutorial_prints_what_it_says(names, capsys):
    blocks = BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
    program = {}
    for (language, _, code), (following, _, expected) in zip(blocks, [*blocks[1:], ("", "", "")]):
        if language == "python":
            exec(compile(code, TUTORIAL, "exec"), program)  # one program, piece after piece
            assert capsys.readouterr().out == (expected if following == "text" else ""), code


def script(name):
    """A module of docs/."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_options_is_what_the_options_say():
    assert (DOCS / "options.md").read_text(encoding="utf-8") == script("options").page(), "run: python docs/options.py"


def test_the_tables_of_speeds_are_those_of_the_newest_records():
    tables = script("tables")
    for path in tables.PAGES:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert text == tables.written(path) and tables.MARKED.search(text), "run: python docs/tables.py"


def test_every_public_name_is_on_one_page_of_the_site_and_no_other_is():
    on_pages = [name for _, _, names in script("hooks").API.values() for name in names]
    assert sorted(on_pages) == microgpt.__all__


def test_everything_on_these_pages_is_documented():
    """The site omits names without a docstring; compiled names have theirs in a stub."""
    stub = ast.parse((Path(microgpt.__file__).parent / "compiled" / "scalar.pyi").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(stub) if isinstance(node, ast.FunctionDef) and not node.decorator_list]
    silent = [node.name for node in functions if node.name[0] != "_" and not ast.get_docstring(node)]
    for name in set(microgpt.__all__) - set(microgpt._HOMES["microgpt.compiled.scalar"]):
        thing = getattr(microgpt, name)
        members = [getattr(thing, key) for key in vars(thing) if key[0] != "_"] if isinstance(thing, type) else []
        silent += [(name, part) for part in (thing, *members) if (callable(part) or hasattr(part, "__get__")) and not inspect.getdoc(part)]
    assert not silent


def test_a_docstring_that_lists_options_indents_nothing_else():
    for kind in (microgpt.GPTConfig, microgpt.TrainConfig, microgpt.EvalConfig):
        assert not re.findall(r"^ +(?! |\w+ = ).*", kind.__doc__, re.MULTILINE)


def test_every_page_is_in_the_navigation_of_the_site():
    hooks, text = script("hooks"), (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.name for page in DOCS.glob("*.md")} | set(hooks.PAGES) | {f"api/{name}.md" for name in hooks.API}
    assert sorted(re.findall(r": ([\w/]+\.md)$", text, re.MULTILINE)) == sorted(pages)


def test_the_style_sheets_of_the_site_are_there():
    [named] = re.findall(r"^extra_css: \[(.*)\]$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert all((DOCS / name).is_file() for name in named.split(", "))


@pytest.mark.parametrize(
    "markdown, repository, expected",
    [
        ("[a](training.md#x)", "", "[a](training.md#x)"),
        ("[a](../README.md)", "", "[a](index.md)"),
        ("![a](loss-against-time.png)", "", "![a](loss-against-time.png)"),
        ("[`code`](../src/exact/train.c)", "", "`code`"),
        ("[`code`](../src/exact/train.c)", "https://host/me/it/", "[`code`](https://host/me/it/blob/main/src/exact/train.c)"),
        ("[a](../src/exact)", "https://host/me/it", "[a](https://host/me/it/tree/main/src/exact)"),
        ("`[a](../src)`, [b](#c), [d](https://e.org)", "", "`[a](../src)`, [b](#c), [d](https://e.org)"),
        ("```python numpy\n[a](../src)\n```", "", "```python\n[a](../src)\n```"),
    ],
)
def test_links_of_the_site(markdown, repository, expected):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="tutorial.md"))
    assert script("hooks").on_page_markdown(markdown, page, {"repo_url": repository}, None) == expected


def test_a_link_to_what_does_not_exist_is_a_warning_which_fails_the_build(caplog):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="tutorial.md"))
    script("hooks").on_page_markdown("[a](../src/nothing.c)", page, {"repo_url": ""}, None)
    assert "docs/tutorial.md links to src/nothing.c, which does not exist" in caplog.text


# ---- The tree in the README ------------------------------------------------------------------------------------------

ROOT = DOCS.parent
NOT_SOURCE = re.compile(r"__.*|.*\.(so|pyd|c)")  # special to Python, or built
[TREE] = re.findall(r"^## The tree\n\n```\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("folder", ["microgpt", "src"])
def test_the_tree_has_everything_in(folder):
    [part] = re.findall(rf"^{folder}/\n((?: .*\n)+)", TREE, re.MULTILINE)
    sources = [path for path in (ROOT / folder).iterdir() if not NOT_SOURCE.fullmatch(path.name)]
    expected = {f"{path.name}/" if path.is_dir() else path.name for path in sources}
    assert expected - set(re.findall(r"[\w.]+/?", part)) == set()


def test_all_that_the_tree_names_is_there():
    folders = [ROOT / name for name in re.findall(r"^(\w+)/", TREE, re.MULTILINE)]
    there = {path.name for folder in folders for path in (folder, *folder.rglob("*"))}
    named = re.findall(r"\b(\w+)/|\b(\w+\.(?:pyi?|pyx|pxi|h|txt|typed))\b", TREE)
    assert len(named) > 30 and {folder or file for folder, file in named} <= there
