"""Every fenced example in docs/ runs, in the order of its page, in a folder of its own."""

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
DOCS = Path(__file__).parent.parent / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if BLOCK.search(page.read_text(encoding="utf-8"))]


def test_there_are_pages():
    assert {"checkpoints.md", "training.md", "sampling.md"} <= {page.name for page in PAGES}


@pytest.mark.skipif(not shutil.which("bash"), reason="the examples are for a shell")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples(page, tmp_path):
    names = os.environ.get("MICROGPT_NAMES") or str(Path(microgpt.__file__).parent / "names.txt")
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
