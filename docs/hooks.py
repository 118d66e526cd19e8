"""Hooks of the documentation site (mkdocs.yml): pages from Markdown outside docs/, the API reference, and links that work on GitHub too."""

import logging
import os
import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = {  # page of the site -> file of the repository
    "index.md": "README.md",
    "examples.md": "examples/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
FIRST_SCREEN = re.compile(r"\n## Installation\n.*", re.DOTALL)  # the home page is the README up to here

API = {  # page -> (title, introduction, public names): all names of microgpt, as tests/house/test_docs.py checks
    "training": (
        "Training", "Train a model, watch each step, and handle a run that stops.",
        ["train", "Run", "Step", "Interrupted", "DivergenceError", "TrainingWarning", "EngineError"],
    ),
    "models": ("Models", "Load and save a model, compute its losses and logits, and generate documents.", ["load", "GPT", "CheckpointError"]),
    "data": ("Data", "Read documents, convert characters to token ids, and find settings that suit the data.",
             ["load_docs", "Tokenizer", "suggest", "Suggestion", "DataError", "DataWarning"]),
    "settings": (
        "Settings", "The options of a model, of its training and of its evaluation. [Every option](../options.md) lists them in tables.",
        ["GPTConfig", "TrainConfig", "EvalConfig", "Preset", "PRESETS"],
    ),
    "values": (
        "Values and Adam", "The scalar layer: the reference's automatic differentiation, functions and optimizer, compiled.",
        ["Value", "linear", "softmax", "rmsnorm", "attention", "cross_entropy", "matrix", "Adam", "draw", "Drawing"],
    ),
    "measuring": (
        "Measuring and comparing", "Evaluate a model on documents, compare two runs, repeat a run with other seeds, and search for settings.",
        ["evaluate", "Evaluation", "diff", "Difference", "repeat", "Repeats", "Estimate", "sweep", "Study", "Trial"],
    ),
    "scripts": ("Scripts and notebooks", "Compile the code of your own script or notebook; see [`microgpt run`](../run.md).", ["accelerate"]),
}  # fmt: skip

CODE = r"^```[\s\S]*?^```$|^ {4}.*$|`[^`\n]+`"  # contains no links
LINK = re.compile(rf"({CODE})|(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)", re.MULTILINE)
log = logging.getLogger("mkdocs.hooks")


def on_files(files, config):
    from mkdocs.structure.files import File

    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if page == "index.md":
            text = "---\nhide: [navigation]\n---\n" + FIRST_SCREEN.sub("\n", text)
        files.append(File.generated(config, page, content=text))
    for name in API:
        files.append(File.generated(config, f"api/{name}.md", content=api_page(name)))
    return files


def api_page(name):
    title, introduction, names = API[name]
    return f"# {title}\n\n{introduction}\n\n" + "\n".join(f"::: microgpt.{name}\n" for name in names)


def on_page_markdown(markdown, page, config, files):
    uri = page.file.src_uri
    if uri.startswith("api/"):
        return markdown
    markdown = re.sub(
        r"^```(\w+) \w+$", r"```\1", markdown, flags=re.MULTILINE
    )  # "python numpy": the package that the test of the example needs
    source = PAGES.get(uri, f"docs/{uri}")
    return LINK.sub(lambda found: found[0] if found[1] else link(found, uri, source, config["repo_url"]), markdown)


def link(found, uri, source, repository):
    """A link of the Markdown file `source`, adapted to the page `uri` of the site."""
    _, image, text, address = found.groups()
    path, mark, anchor = address.partition("#")
    if not path or ":" in path:
        return found[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / target).exists():
        log.warning("%s links to %s, which does not exist", source, target)
    there = {file: page for page, file in PAGES.items()}.get(target)
    if there is None and posixpath.dirname(target) == "docs" and not target.endswith(".py"):
        there = posixpath.basename(target)
    if there is not None:
        return f"{image}[{text}]({posixpath.relpath(there, posixpath.dirname(uri) or '.')}{mark}{anchor})"
    kind = "tree" if (ROOT / target).is_dir() else "blob"
    branch = os.environ.get("REPOSITORY_BRANCH", "main")
    return f"[{text}]({repository.rstrip('/')}/{kind}/{branch}/{target}{mark}{anchor})" if repository else text
