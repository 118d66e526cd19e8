"""How a notebook shows a run, a model and a Value, and their `repr`."""

import math
import re
import xml.etree.ElementTree as ElementTree
from html import unescape

import browser
import pytest
from command_line import NAMES

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig, reference
from microgpt.display import cards, explore
from microgpt.training import start

CONFIG = GPTConfig(n_layer=2, n_embd=8, activation="gelu")


@pytest.fixture(scope="module")
def run():
    return microgpt.train(NAMES, CONFIG, TrainConfig(num_steps=150), evaluation=EvalConfig(0.2, 50), seed=7)


def rows(html):
    """Name -> text of a table."""
    return {row[0].text: row[1].text for row in ElementTree.fromstring(html).iter("tr")}


# ---- Words and tables ------------------------------------------------------------------------------------------------


def test_what_repr_says(run):
    model = "<GPT of 1,856 parameters: n_layer=2, n_embd=8, n_head=4, block_size=16, activation='gelu', 12 tokens>"
    assert run.model.num_params == 1856 and repr(run.model) == model
    mean = math.fsum(run.losses[-100:]) / 100
    expected = f"<Run of 150 of 150 steps, loss {run.losses[-1]:.4f}, smoothed {mean:.4f}, held-out {run.val_losses[-1][1]:.4f}; {model}>"
    assert repr(run) == expected
    fresh = start(["ab"], GPTConfig(n_embd=4), TrainConfig(num_steps=1))
    assert repr(fresh) == f"<Run of 0 of 1 step; {fresh.model!r}>"


def test_the_table_of_a_run(run):
    mean, step = math.fsum(run.losses[-100:]) / 100, min(run.val_losses, key=lambda pair: pair[1])[0]
    held_out, best = run.val_losses[-1][1], dict(run.val_losses)[step]
    model = {
        "model": "n_layer=2, n_embd=8, n_head=4, block_size=16, activation='gelu'", "parameters": "1,856",
        "characters": f"11 characters: {run.model.tokenizer.chars}", "engine": "exact",
    }  # fmt: skip
    assert rows(run._repr_html_()) == {
        "steps": "150 of 150",
        "loss": f"{mean:.4f}, the mean of the last 100 steps; guessing at random among 12 tokens has {math.log(12):.4f}",
        "held-out loss": f"{held_out:.4f}, the best {best:.4f} after step {step}",
        "data": f"{len(run.corpus)} documents to train on, {len(run.held_out)} held out", "seed": "7", **model,
    }  # fmt: skip
    assert rows(run.model._repr_html_()) == model
    assert run._repr_html_() == run._repr_html_()


def test_a_hostile_alphabet_and_a_run_without_a_step():
    run = start(["<script>&\"'", "\x00\u2028\ud800"], GPTConfig(n_embd=4), TrainConfig(num_steps=3))
    html = run._repr_html_()
    assert "<svg" not in html and "script>" not in html
    assert rows(html)["characters"] == "14 characters: \\x00\"&'<>ciprst\\u2028\\ud800" and rows(html)["steps"] == "0 of 3"


# ---- The curve -------------------------------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def points(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


def test_the_curve(run):
    """The line follows the smoothed losses and the dots the held-out losses, in the scale of the picture."""
    svg = ElementTree.fromstring(cards.curve(run.losses, run.val_losses))
    [line], [band], dots = svg.iter("polyline"), svg.iter("polygon"), [*svg.iter("circle")]
    curve = explore.curve(run.losses, run.val_losses, most=120)
    places = points(line)
    assert [x for x, _ in places] == sorted(x for x, _ in places) and len(places) == 120
    (_, first), (last, end) = places[0], places[-1]
    scale = (end - first) / (curve["smoothed"][0] - curve["smoothed"][-1])  # pixels per nat
    assert scale > 0
    for (_, y), loss in zip(places, curve["smoothed"]):
        assert y - first == pytest.approx(scale * (curve["smoothed"][0] - loss), abs=0.2)
    for dot, (step, loss) in zip(dots, run.val_losses):
        x, y = float(dot.get("cx")), float(dot.get("cy"))
        assert y - first == pytest.approx(scale * (curve["smoothed"][0] - loss), abs=0.2)
        assert x == pytest.approx(6 + (last - 6) * step / 150, abs=0.1)
    assert len(dots) == 3
    for x, y in [*places, *points(band)]:
        assert 0 < x < cards.WIDTH and 0 < y < cards.HEIGHT
    said = f"Loss of 150 steps, smoothed: from {run.losses[0]:.4f} to {curve['smoothed'][-1]:.4f}, between "
    assert svg.get("role") == "img" and svg.get("aria-label") == svg.find("title").text and svg.get("aria-label").startswith(said)
    colours = {element.get(name) for element in svg.iter() for name in ("fill", "stroke")}
    assert colours == {"currentColor", "none", None}  # the notebook's own


@pytest.mark.parametrize("losses", [[], [2.0], [1.0, math.nan, 2.0], [1.0, 1e301]])
def test_what_cannot_be_drawn_is_left_out(losses):
    assert cards.curve(losses) == ""


def test_a_flat_curve():
    assert {y for _, y in points(ElementTree.fromstring(cards.curve([2.0] * 5)).find("polyline"))} == {cards.HEIGHT - cards.MARGIN}


# ---- Values ----------------------------------------------------------------------------------------------------------


def test_values_in_ipython(layer):
    """After %load_ext, a Value is shown as a graph with its repr, a leaf as its repr alone; %unload_ext undoes this."""
    shell = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed").InteractiveShell.instance()
    a, b = layer.Value(2.0), layer.Value(-3.0)
    c = (a * b).relu()
    shown = lambda value: shell.display_formatter.format(value, include={"image/svg+xml", "text/plain"})[0]
    plain = {"text/plain": repr(c)}
    assert shown(c) == plain and not hasattr(c, "_repr_svg_")
    shell.run_line_magic("load_ext", "microgpt")
    try:
        assert "microgpt" in shell.magics_manager.magics["cell"]
        svg = ElementTree.fromstring(shown(c)["image/svg+xml"])
        assert [text.text for text in svg.iter(f"{SVG}text") if text.text in ("×", "relu")] == ["relu", "×"]
        assert shown(c)["text/plain"] == repr(c) and shown(a) == {"text/plain": repr(a)}
        many = a
        for _ in range(100):
            many = many + b
        assert "40 Values of 102: … 62 more" in shown(many)["image/svg+xml"]
    finally:
        shell.run_line_magic("unload_ext", "microgpt")
    assert shown(c) == plain and "microgpt" not in shell.magics_manager.magics["cell"]


def test_a_value_has_the_reference_s_attributes_only():
    assert not [name for name in dir(microgpt.Value) if "repr" in name and name not in dir(reference.Value)]


# ---- A figure and the page -------------------------------------------------------------------------------------------


def test_a_run_s_figure(run):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    figure = run.plot()
    [axes] = figure.axes
    single, _, held_out = axes.lines
    assert list(single.get_ydata()) == run.losses and list(zip(*held_out.get_data())) == run.val_losses
    png, size = figure._repr_png_()
    assert png.startswith(b"\x89PNG") and size == {"width": 600, "height": 375}
    with pytest.raises(ValueError, match="the run has done no step yet"):
        start(NAMES, CONFIG).plot()


def test_a_run_s_page(run, tmp_path):
    options = {"losses": run.losses, "val_losses": run.val_losses, "training": run.training}
    shown = run.explore("seven")
    assert shown.html == explore.page(run.model, name="seven", **options)
    assert run.model.explore(docs=NAMES).html == explore.page(run.model, docs=NAMES)
    shown.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == shown.html
    [inside] = re.findall(r'^<iframe .*srcdoc="([^"]*)"></iframe>$', shown._repr_html_())
    assert unescape(inside) == shown.html and re.fullmatch(r"<Page of [\d.]+ kB; .save\(path\) writes it>", repr(shown))


def test_a_run_with_its_best_weights_says_of_which_step_they_are():
    run = microgpt.train(
        NAMES, CONFIG, TrainConfig(num_steps=200, learning_rate=0.03), evaluation=EvalConfig(0.2, 10, patience=2), snapshots=4
    )
    step = run.best[0]
    assert run.stopped_early and step < len(run.losses)
    options = {"losses": run.losses, "val_losses": run.val_losses, "training": run.training, "snapshots": run.snapshots}
    assert run.explore().html == explore.page(run.model, **options, step=step) != explore.page(run.model, **options)


def test_the_page_in_a_notebook_s_frame(chromium, run, tmp_path):
    """The page computes in the frame without errors; it has no address in which to store its choices."""
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8>{run.explore()._repr_html_()}", encoding="utf-8")
    chromium.get_log("browser")
    chromium.get((tmp_path / "notebook.html").as_uri())
    chromium.switch_to.frame(chromium.find_element("css selector", "iframe"))
    browser.wait(chromium, "await page.ready")
    chromium.find_element("id", "text").click()  # ends the opening animation
    browser.type_in(chromium, "em")
    browser.wait(chromium, "await new Promise((done) => setTimeout(done, 500))")
    *_, logits = run.model.logits("em")
    assert chromium.execute_script("return [...page.reading.logits]") == pytest.approx(logits, abs=1e-9)
    assert chromium.get_log("browser") == []
    chromium.switch_to.default_content()
