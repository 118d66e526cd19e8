"""microgpt plot: the contents of the picture; it is written completely or not at all, and never over a log."""

import math
import os
import random
import statistics
import struct
import subprocess
import sys
from array import array

import pytest

from microgpt import cli
from microgpt.cli.commands.plot import short_names
from microgpt.common.words import sized
from microgpt.display import history, plot
from microgpt.display.history import History

pytest.importorskip("matplotlib", reason="plots need matplotlib")
from matplotlib.figure import Figure

HEAD = "step,loss,smoothed,lr,val_loss\n"


def made_up(length, every=None, seed=1):
    rng = random.Random(seed)
    losses = array("d", (2 + 1 / step + rng.random() for step in range(1, length + 1)))
    val_losses = [(step, 2.5 + 1 / step) for step in range(every, length + 1, every)] if every else []
    return History(array("q", range(1, length + 1)), losses, val_losses)


def drawn(histories):
    figure = Figure()
    plot._draw(figure, histories)
    [axes] = figure.axes
    return figure, axes


def legend_of(figure):
    [legend] = figure.legends or [figure.axes[0].get_legend()]
    return [text.get_text() for text in legend.get_texts()]


# ---- What is drawn ---------------------------------------------------------------------------------------------------


def test_one_run():
    run = made_up(250, every=50)
    figure, axes = drawn({"losses": run})
    single, mean, held_out = axes.lines
    assert list(single.get_ydata()) == run.losses.tolist() and list(single.get_xdata()) == run.steps.tolist()
    expected = [history.smoothed(run.losses, step) for step in run.steps]
    assert mean.get_ydata() == pytest.approx(expected, rel=1e-12)
    assert list(zip(held_out.get_xdata(), held_out.get_ydata())) == run.val_losses
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("step", "loss (nats per token)", "losses")
    assert legend_of(figure) == ["losses of single steps", "mean of the last 100 steps", "held-out loss"]
    low, high = axes.get_ylim()
    shown = [*expected, *(loss for _, loss in run.val_losses)]
    assert low < min(shown) and max(shown) < high


@pytest.mark.parametrize("count", [2, 9, 30])
def test_each_run_has_a_colour_and_its_name(count):
    runs = {f"_run ${i}$": made_up(20, every=10 if i == 1 else None, seed=i) for i in range(count)}
    figure, axes = drawn(runs)
    assert len(axes.lines) == 2 * count + 1
    assert len({str(line.get_color()) for line in axes.lines}) == count
    assert legend_of(figure) == [*runs, "losses of single steps", "mean of the last 100 steps", "held-out loss"]
    figure.savefig(os.devnull, format="png")  # two dollar signs are not a formula


def test_long_runs_are_thinned_and_keep_their_end():
    run = made_up(300_000)
    figure, axes = drawn({"long": run, "short": made_up(10)})
    single, mean = axes.lines[:2]
    assert 1000 < len(single.get_xdata()) < 2000 and 500 < len(mean.get_xdata()) < 2000
    for line in (single, mean):
        assert line.get_xdata()[-1] == 300_000
    assert mean.get_ydata()[-1] == pytest.approx(math.fsum(run.losses[-3000:]) / 3000)
    assert "mean of the last 3,000 steps" in legend_of(figure)


def test_numbers_that_are_not_finite(tmp_path):
    run = History(array("q", [1, 2, 3]), array("d", [2.0, math.nan, 3.0]), [(2, math.inf), (3, 2.25)])
    _, axes = drawn({"run": run})
    assert list(axes.lines[1].get_ydata()) == [2.0, 2.0, 2.5] and all(map(math.isfinite, axes.get_ylim()))
    plot.plot({"run": History(array("q", [1]), array("d", [math.nan]), [])}, tmp_path / "nan.png")


def test_seeds_are_one_curve_in_a_band():
    runs = [made_up(40, every=10, seed=seed) for seed in range(4)]
    runs[3] = runs[3]._replace(steps=runs[3].steps[:30], losses=runs[3].losses[:30], val_losses=runs[3].val_losses[:3])
    figure, axes = drawn({"seeds": runs})
    mean, held_out = axes.lines
    means = [[history.smoothed(run.losses, step) for run in runs] for step in range(1, 31)]  # of the steps that all have
    assert list(mean.get_xdata()) == list(range(1, 31)) and list(held_out.get_xdata()) == [10, 20, 30]
    assert mean.get_ydata() == pytest.approx([statistics.fmean(each) for each in means], rel=1e-12)
    band, _ = axes.collections
    low = dict(band.get_paths()[0].vertices[1:31])
    assert low == pytest.approx({i: statistics.fmean(each) - statistics.stdev(each) for i, each in enumerate(means, 1)}, rel=1e-12)
    assert legend_of(figure) == ["mean of the last 100 steps", "held-out loss", "± one standard deviation over the seeds"]


@pytest.mark.parametrize("x, scale", [("seconds", 0.5), ("tokens", 7)])
def test_other_axes(x, scale):
    run = made_up(2000, every=500)
    places = array("d", (scale * step for step in run.steps))
    figure = Figure()
    plot._draw(figure, {"run": run._replace(**{x: places})}, x, log_x=True, log_y=True)
    [axes] = figure.axes
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_xlabel()) == ("log", "log", plot.UNITS[x])
    single, mean, held_out = axes.lines
    assert list(held_out.get_xdata()) == [scale * step for step, _ in run.val_losses]
    assert {scale * step for step in range(1, 20)} < set(mean.get_xdata()) and mean.get_xdata()[-1] == 2000 * scale
    with pytest.raises(ValueError, match=f"a run has no {x}, as in saved runs"):
        plot._draw(Figure(), {"run": run}, x)


@pytest.mark.parametrize("ending, magic", [(".png", b"\x89PNG\r\n"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_same_runs_make_the_same_bytes(tmp_path, ending, magic):
    runs = {"one 김": made_up(50, every=10), "another": made_up(70)}
    for name in ("first", "second"):
        plot.plot(runs, tmp_path / (name + ending))
    image = (tmp_path / f"first{ending}").read_bytes()
    assert image.startswith(magic) and image == (tmp_path / f"second{ending}").read_bytes()
    if ending == ".png":
        assert struct.unpack(">II", image[16:24]) == (1200, 750)


def test_what_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueError, match="nothing to plot; give at least one run"):
        plot.plot({}, tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"must end in \.png, \.svg, \.pdf, .*; not '.*losses\.gif'"):
        plot.plot({"run": made_up(5)}, tmp_path / "losses.gif")
    with pytest.raises(OSError, match=r"'.*losses\.png' cannot be written: No such file"):
        plot.plot({"run": made_up(5)}, tmp_path / "nowhere" / "losses.png")
    assert os.listdir(tmp_path) == []


# ---- The command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, a new one with two logs."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(HEAD + "1,2.5,2.5,0.01,\n2,2.25,2.4,0.01,2.3\n", encoding="utf-8")
    return tmp_path


def failure(capsys, *arguments):
    code = cli.main(["plot", *arguments])
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("microgpt: error: ") and captured.err.count("\n") == 1
    return code, captured.err.removeprefix("microgpt: error: ").rstrip("\n")


def test_the_command_without_a_display(folder):
    environment = {**os.environ, "MPLBACKEND": "tkagg", "MPLCONFIGDIR": str(folder)}
    environment.pop("DISPLAY", None)
    command = [sys.executable, "-Werror", "-m", "microgpt", "plot", "a.csv", "b.csv", "-o", "loss.png"]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    size = sized((folder / "loss.png").stat().st_size)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"loss.png: 2 runs, {size}\n", "")
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_no_log_is_overwritten(folder, capsys):
    before = (folder / "a.csv").read_bytes()
    assert failure(capsys, "a.csv", "-o", "a.csv") == (
        2, "--out must end in .png, .svg, .pdf, which determines its format; not 'a.csv'",
    )  # fmt: skip
    if hasattr(os, "symlink"):
        os.symlink("a.csv", "link.png")
        code, message = failure(capsys, "a.csv", "-o", "link.png")
        assert (code, message) == (2, "--out: 'link.png' is one of the logs, which would be lost; name another file")
    assert (folder / "a.csv").read_bytes() == before


def test_a_failure_leaves_the_old_picture(folder, capsys, monkeypatch):
    old = b"Software\0microgpt"
    (folder / "old.png").write_bytes(old)
    (folder / "b.csv").write_text(HEAD + "1,2.5\n", encoding="utf-8")
    assert failure(capsys, "a.csv", "b.csv", "-o", "old.png") == (
        1, "'b.csv' is damaged, or not a log of microgpt train: see line 2",
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, message = failure(capsys, "a.csv", "-o", "old.png")
    assert code == 1 and message.startswith("a plot needs matplotlib (")
    assert message.endswith("); install it with: pip install 'microgpt-cython[plot]'")
    assert (folder / "old.png").read_bytes() == old


def test_a_log_is_given_once(folder, capsys):
    assert failure(capsys, "a.csv", os.path.join(".", "a.csv"), "-o", "x.png")[0] == 2
    assert failure(capsys, "missing.csv", "-o", "x.png") == (1, "there is no file 'missing.csv'; check the path")


def test_short_names():
    assert short_names(["runs/a.csv"]) == ["a"]
    assert short_names(["runs/a.csv", "b.jsonl"]) == ["a", "b"]
    assert short_names(["runs/a.csv", "runs/a.jsonl"]) == ["a.csv", "a.jsonl"]
    separated = [os.path.join("x", "loss.csv"), os.path.join("y", "loss.csv"), "z.csv"]
    assert short_names(separated)[:2] == [os.path.join("x", "loss"), os.path.join("y", "loss")]
    [long] = short_names(["a" * 30 + "b" * 30 + ".csv"])
    assert long == "a" * 19 + "…" + "b" * 20
    first, second = short_names([f"{'a' * 30}{i}{'b' * 30}.csv" for i in range(2)])
    assert first != second
    assert short_names([os.fsdecode(b"\xff.csv")]) == ["\ufffd"]
