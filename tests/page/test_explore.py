"""The page of `microgpt explore` as Python assembles it, and the command; in a browser: test_explore_numbers.py,
test_explore_page.py and its neighbours."""

import base64
import hashlib
import json
import math
import os
import random
import re
import subprocess
import sys
from array import array
from html.parser import HTMLParser
from pathlib import Path

import pytest

import microgpt
from microgpt import GPT, EvalConfig, GPTConfig, Tokenizer, TrainConfig, cli
from microgpt.common.words import sized
from microgpt.display import explore, history
from microgpt.reference import ACTIVATIONS

HOSTILE = ["<script>alert(1)</script>", "</script>", "<!--", "]]>", "a&b\"'`", "\u2028\u2029\x00\ud800", "${x}\\"]
DOCS = ["emma", "olivia", "ava", "isabella", "sophia", "mia"]
FOLDER = Path(explore.__file__).parent


@pytest.fixture(scope="module")
def run():
    training, evaluation = TrainConfig(num_steps=30), EvalConfig(0.2, 10)
    return microgpt.train(DOCS, GPTConfig(n_embd=8), training, evaluation=evaluation)


@pytest.fixture
def saved(run, tmp_path, monkeypatch):
    """A saved run in the current folder."""
    monkeypatch.chdir(tmp_path)
    run.save("model.safetensors")
    return "model.safetensors"


def everything(run):
    return {"losses": run.losses, "val_losses": run.val_losses, "training": run.training}


class Elements(HTMLParser):
    """The page's elements: tags, and scripts as (attributes, text)."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.style, self.inside = [], [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag
        if tag == "script":
            self.scripts.append([dict(attributes), ""])

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, text):
        if self.inside == "script":
            self.scripts[-1][1] += text
        if self.inside == "style":
            self.style += text


def data_of(page):
    [data] = [text for attributes, text in Elements(page).scripts if attributes.get("id") == "data"]
    return json.loads(data)


# ---- The page --------------------------------------------------------------------------------------------------------


def test_weights_are_in_the_page_bit_by_bit(run):
    page = explore.page(run.model)
    assert page.isascii()
    weights = page.partition('<div id="weights" hidden>')[2].partition("</div>")[0]
    numbers = array("d", base64.b64decode(re.sub("<.*?>", "", weights)))
    if sys.byteorder == "big":
        numbers.byteswap()
    assert numbers.tobytes() == bytes(run.model.params)


def test_data(run):
    data = data_of(explore.page(run.model, name="names", **everything(run)))
    tokenizer = run.model.tokenizer
    assert data["config"] == {**vars(run.model.config), "vocab_size": tokenizer.vocab_size, "bos": tokenizer.bos, "opening": tokenizer.bos}
    assert "".join(map(chr, data["characters"])) == tokenizer.chars
    assert data["num_params"] == run.model.num_params
    assert data["layout"] == [[name, *matrix.shape] for name, matrix in run.model.state_dict().items()]
    values = {name: value for name, value, _ in data["configuration"]}
    size = {"vocab_size": tokenizer.vocab_size, "num_params": run.model.num_params}
    assert values == {**vars(run.model.config), **size, "steps_done": 30, **vars(run.training)}
    assert all(description for _, _, description in data["configuration"])
    assert ["block_size", 16, "length of the longest context, in tokens"] in data["configuration"]
    assert data["losses"]["steps"] == list(range(1, 31))
    assert data["losses"]["held_out"] == [list(pair) for pair in run.val_losses]
    bare = data_of(explore.page(run.model))
    assert bare["losses"] is None
    assert [name for name, _, _ in bare["configuration"]] == [*vars(run.model.config), *size]


def test_an_activation_that_the_page_lacks_is_refused(tmp_path, monkeypatch, capsys):
    assert set(explore.activations()) == set(ACTIVATIONS)
    model = GPT.init(GPTConfig(n_embd=4, activation="relu2"), Tokenizer("ab"), random.Random(0))
    model.save(tmp_path / "model")
    object.__setattr__(model.config, "activation", "mish")
    known = ", ".join(explore.activations())
    with pytest.raises(ValueError, match=f"the page cannot compute the activation 'mish'; it knows {known}$"):
        explore.page(model)
    monkeypatch.setattr(explore, "activations", lambda: ["relu"])
    page = tmp_path / "page.html"
    assert cli.main(["explore", str(tmp_path / "model"), "-o", str(page)]) == 1
    message = "the page cannot compute the activation 'relu2'; it knows relu"
    assert capsys.readouterr().err == f"microgpt: error: {message}\n" and not page.exists()


@pytest.mark.parametrize("bos_first", [False, True])
def test_text_of_users_cannot_become_html(bos_first):
    tokenizer = Tokenizer.from_docs(HOSTILE, bos_first)
    model = GPT.init(GPTConfig(n_embd=4, bos_first=bos_first), tokenizer, random.Random(0))
    plain = GPT.init(GPTConfig(n_embd=4), Tokenizer("ab"), random.Random(0))
    for name in HOSTILE:
        page = explore.page(model, name=name)
        assert Elements(page).tags == Elements(explore.page(plain)).tags
        data = data_of(page)
        assert (data["name"], data["characters"]) == (name, list(map(ord, tokenizer.chars)))
        page.encode()  # lone surrogates stand in it as escapes


def test_nothing_comes_from_elsewhere(run):
    elements = Elements(explore.page(run.model))
    assert not re.search(r"@import|url\(|https?:", elements.style)
    for tag, attributes in elements.tags:
        assert tag not in ("link", "img", "iframe", "object", "base"), tag
        assert not attributes.keys() & {"src", "href", "srcset", "action", "style"}, tag
        assert not [name for name in attributes if name.startswith("on")], tag
    [policy] = [dict(a)["content"] for tag, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"]
    [script] = [text for attributes, text in elements.scripts if not attributes]
    for kind, text in ("script-src", script), ("style-src", elements.style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy


def test_sources():
    scripts = {path.stem for path in FOLDER.glob("*.js")}
    assert scripts == {*explore.SCRIPTS, *explore.WORKER} and len(explore.SCRIPTS) == len(set(explore.SCRIPTS))
    for path in FOLDER.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|</script", text)
        text = text.replace("http://www.w3.org/2000/svg", "")  # a name that nothing fetches
        assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|https?:|import\b.*from", text)
    installed = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert {"page.html", "page.css"} <= installed


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    "text, ground, least",
    [
        ("ink", "paper", 7), ("ink", "panel", 7), ("ink", "shade", 4.5),
        ("quiet", "paper", 4.5), ("quiet", "panel", 4.5), ("accent", "paper", 4.5),
        ("second", "paper", 4.5), ("on-accent", "accent", 4.5), ("edge", "paper", 3),
    ],
)  # fmt: skip
def test_contrast(text, ground, least, scheme):
    """WCAG 2.2, 1.4.3 and 1.4.11: the contrast ratio of text and its background."""
    css = (FOLDER / "page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): light-dark\((.*?)\)", css))
    both = [luminance(colours[name].split(", ")[scheme]) for name in (text, ground)]
    assert (max(both) + 0.05) / (min(both) + 0.05) >= least


# ---- The loss curve --------------------------------------------------------------------------------------------------


def test_curve():
    rng = random.Random(0)
    losses = [rng.random() + 1 for _ in range(12345)]
    curve = explore.curve(losses, [(100, 2.5), (200, math.inf)])
    assert len(curve["steps"]) == explore.MOST_POINTS and curve["steps"][-1] == 12345
    assert curve["steps"] == sorted(set(curve["steps"]))
    for step, smoothed, low, high in list(zip(*list(curve.values())[:4]))[::50]:
        recent = losses[max(0, step - 100) : step]
        assert smoothed == history.smoothed(losses, step)
        assert low < smoothed < high or step < 3
        assert sum(loss < low for loss in recent) == sum(loss > high for loss in recent) == len(recent) // 10
    assert curve["held_out"] == [[100, 2.5], [200, None]]
    assert explore.curve([1.5])["low"] == explore.curve([1.5])["high"] == [1.5]
    assert explore.curve(array("d")) is None
    assert explore.curve([1.5, 1.25], steps=[10, 20])["steps"] == [10, 20]
    for loss in math.nan, math.inf, 1e308:
        with pytest.raises(ValueError, match="a curve cannot be drawn"):
            explore.curve([1.0, loss])


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command(saved, run, capsys):
    assert cli.main(["explore", saved]) == 0
    out = capsys.readouterr().out
    size = sized(os.path.getsize("model.html"))
    assert out.startswith(f"model.html: {size}; open it in a browser: file:///") and out.count("\n") == 1
    page = Path("model.html").read_text(encoding="utf-8")
    assert page == explore.page(run.model, name="model", **everything(run))
    assert cli.main(["explore", saved]) == 0  # its own page may be replaced
    assert cli.main(["explore", saved, "-o", "ä b.html"]) == 0
    assert "/%C3%A4%20b.html" in capsys.readouterr().out
    assert Path("ä b.html").read_text(encoding="utf-8") == page


def test_a_model_without_its_training(run, saved):
    run.model.save("bare")
    assert cli.main(["explore", "bare"]) == 0
    data = data_of(Path("bare.html").read_text(encoding="utf-8"))
    assert data["losses"] is None and "num_steps" not in dict(row[:2] for row in data["configuration"])
    history.Log(run, "losses.csv").close()
    assert cli.main(["explore", "bare", "--log", "losses.csv"]) == 0
    losses = data_of(Path("bare.html").read_text(encoding="utf-8"))["losses"]
    assert losses == json.loads(json.dumps(explore.curve(run.losses, run.val_losses)))
    Path("thinned.jsonl").write_text('{"step": 10, "loss": 2.5}\n{"step": 20, "loss": 2.25}\n', encoding="utf-8")
    assert cli.main(["explore", "bare", "--log", "thinned.jsonl"]) == 0
    assert data_of(Path("bare.html").read_text(encoding="utf-8"))["losses"]["steps"] == [10, 20]


def test_open(saved, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda uri: opened.append(uri) or len(opened) == 1)
    assert cli.main(["explore", saved, "--open"]) == 0
    assert opened == [(tmp_path / "model.html").as_uri()]
    assert cli.main(["explore", saved, "--open"]) == 1
    assert "no browser could be opened here; open '" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["nothing"], 1, "there is no file 'nothing'"),
        (["text.txt"], 1, "is not a saved model"),
        (["folder"], 1, "'folder' is not a file"),
        (["model.safetensors", "-o", "model.safetensors"], 2, "'model.safetensors' is the model, which would be lost"),
        (["model.safetensors", "-o", "./link"], 2, "'./link' is the model, which would be lost"),
        (["model.safetensors", "-o", "log.csv", "--log", "log.csv"], 2, "'log.csv' is the log, which would be lost"),
        (["model.safetensors", "-o", ""], 2, "--out needs the name of a file"),
        (["model.safetensors", "-o", "folder"], 1, "'folder' is a folder; name a file in it"),
        (["model.safetensors", "-o", os.devnull], 1, "cannot be written: it is not a regular file"),
        (["model.safetensors", "-o", "no/page.html"], 1, "there is no folder 'no'"),
        (["model.safetensors", "--log", "losses.txt"], 2, "--log must be a .csv or .jsonl file"),
        (["model.safetensors", "--log", "losses.csv"], 1, "there is no file 'losses.csv'"),
        (["model.safetensors", "--log", "text.csv"], 1, "'text.csv' is not a log of microgpt train"),
        (["model.safetensors", "--log", "nan.csv"], 1, "a curve cannot be drawn"),
        (["model.safetensors", "--log", ""], 2, "--log needs the name of a file"),
        (["other.safetensors"], 1, "'other.html' exists already and is not a page of microgpt explore"),
        ([], 2, "the following arguments are required: MODEL"),
    ],
)
def test_errors(saved, run, capsys, arguments, code, message):
    for name in "text.txt", "text.csv", "other.html":
        Path(name).write_text("somebody's own\n", encoding="utf-8")
    Path("nan.csv").write_text("step,loss\n1,nan\n", encoding="utf-8")
    Path("folder").mkdir()
    Path("link").symlink_to(saved)
    history.Log(run, "log.csv").close()
    run.model.save("other.safetensors")
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    assert cli.main(["explore", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("microgpt: error: ") and message in err and err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc, where nobody can make files")
def test_a_page_that_cannot_be_written(run):
    with pytest.raises(OSError, match="'/proc/page.html' cannot be written: "):
        explore.write("/proc/page.html", run.model)


def test_import_is_not_slowed_down():
    code = "import sys, microgpt; print([name for name in sys.modules if 'explore' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert (done.stdout, done.returncode) == ("[]\n", 0)
