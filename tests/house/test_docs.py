"""Every fenced example in docs/ runs, in the order of its page, in a folder of its own; the README's tree is the tree."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import microgpt

BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIAL = DOCS / "tutorial.md"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if page != TUTORIAL and BLOCK.search(page.read_text(encoding="utf-8"))]


def test_there_are_pages():
    assert {"checkpoints.md", "training.md", "sampling.md"} <= {page.name for page in PAGES}


@pytest.mark.skipif(not shutil.which("bash"), reason="the examples are for a shell")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples(page, tmp_path):
    names = os.environ.get("MICROGPT_NAMES") or str(Path(microgpt.__file__).parent / "corpus" / "names.txt")
    environment = {**os.environ, "MICROGPT_NAMES": names}
    for language, needs, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if needs and importlib.util.find_spec(needs) is None:
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


def test_the_table_of_speeds_is_that_of_the_newest_record():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == script("tables").written(text) and script("tables").table() in text, "run: python docs/tables.py"


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
