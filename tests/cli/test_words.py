"""Messages: none is long or contains a control character, and each names a remedy that exists."""

import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from command_line import NAMES, TEN_NAMES, environment, microgpt_command, posix, succeed

import microgpt
from microgpt import GPTConfig, TrainConfig, cli, engines
from microgpt.cli.commands import COMMANDS
from microgpt.common import words
from microgpt.scripts import script
from microgpt.tokenizer import Tokenizer
from microgpt.training import start
from microgpt.verdict import remedy

OBEYED = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
RED = "\x1b[31mred\x1b]0;title\x07"
HOSTILE = [RED, "\x9b2J", "a\nb\r\t\0", "\u202egpj.exe", "\u2066x\u2069", "\u2028", "\udcff", "\x7f\x85"]
SMALL = GPTConfig(n_embd=4, n_head=2, block_size=8)


def said(arguments, capsys, code=None):
    """The sentence, without its prefix, with which a call in this process fails."""
    found = cli.main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    assert found == code if code else found in (1, 2), err
    assert re.fullmatch("microgpt: error: [^\n]+\n", err) and len(err) < 400, err
    assert not OBEYED.search(err[:-1]), ascii(err)
    return err.removeprefix("microgpt: error: ").rstrip("\n")


# ---- Words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_printable(text):
    shown = words.printable(f"é{text}😀")
    assert not OBEYED.search(shown) and shown.startswith("é") and shown.endswith("😀")
    assert shown[1:-1].encode().decode("unicode_escape") == text  # the escapes can be reversed


def test_what_any_terminal_shows_stays():
    text = "zoë 김민준 ज़ोया 😀 \u200d\u200e\xa0\\x1b '\""
    assert words.printable(text) == text


def test_quoted_is_never_long():
    class Strange:
        def __repr__(self):
            return RED

    assert words.quoted("a" * 58) == repr("a" * 58)
    for value in ("a" * 59, RED * 10**5, b"\xff" * 1000, 10**4000, 10**10_000, [10**10_000], [RED] * 50, {"a": "\udcff" * 100}, Strange()):
        shown = words.quoted(value)
        assert len(shown) <= 60 and not OBEYED.search(shown)
    assert words.quoted(10**10_000) == "a number of 33220 bits"
    assert words.quoted("a" * 100) == "'" + "a" * 27 + "..." + "a" * 28 + "'"
    path = "/a" * 70
    assert words.quoted_path(path) == repr(path) and len(words.quoted_path(path * 2)) <= words.LONGEST_PATH


# ---- Values of options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "--seed=--"], "--seed: must be a whole number, not '--'"),
        (["train", "--threads=--"], "--threads: must be a whole number, not '--'"),
        (["train", "--checkpoint-every=--"], "--checkpoint-every: must be a whole number, not '--'"),
        (["train", "--engine=--"], "--engine: invalid choice: '--' (choose from python, graph, exact, fast)"),
        (["train", "docs.txt", "--init=--"], "there is no file '--'; check the path"),
        (["train", "docs.txt", "--resume=--"], "there is no file '--'; check the path"),
        (["bench", "--n-embd=--"], "--n-embd: must be a whole number, not '--'"),
        (["sample", "model", "--prompt=--"], "the character '-' (U+002D) is not in the model's vocabulary"),
        (["train", "--n-layer", "9" * 900], f"--n-layer must have at most 100 digits, not {'9' * 28}...{'9' * 29}"),
        (["train", "--n-layer", "9" * 4300], f"--n-layer: must have at most 1000 digits, not '{'9' * 27}...{'9' * 28}'"),
        (["train", "--steps", "9" * 5000], "--steps: must have at most 1000 digits, not "),
        (["train", "--seed", "9" * 5000], "--seed: must have at most 1000 digits, not "),
        (["train", "docs.txt", "--threads", "9" * 500], "--threads must be at least 0 and at most 1024, not 9999"),
        (["train", "--samples", "-" + "9" * 500], "--samples: must be at least 0, not -9999"),
        (["train", "--checkpoint-every", "-" + "9" * 500, "--out", "x"], "--checkpoint-every must be at least 1, not -9999"),
        (["train", "--n-head", "9" * 99], f"--n-embd 16 is not divisible by --n-head {'9' * 28}...{'9' * 29}: "),
        (["train", "--n-embd", str(720720 * 1009), "--n-head", "1013"], "--n-embd 727206480 is not divisible by --n-head 1013: "),
        (
            ["train", "--warmup-steps", "9" * 99, "--steps", "9" * 98],
            f"--warmup-steps {'9' * 28}...{'9' * 29} leaves none of the --steps {'9' * 28}...{'9' * 29} after",
        ),
        (["train", "--engine", "x" * 5000], f"--engine: invalid choice: '{'x' * 27}...{'x' * 28}' (choose from "),
        (["train", "--zero-init-out=" + "x" * 5000], f"--zero-init-out/--no-zero-init-out: ignored explicit argument '{'x' * 27}...x"),
        (["train", "--" + "x" * 5000], f"unrecognized arguments: --{'x' * 26}...{'x' * 29} (see microgpt train --help)"),
        (["train", "--", "docs.txt", *["x"] * 500], "unrecognized arguments: x x x "),
        (["x" * 5000], f"COMMAND: invalid choice: '{'x' * 27}...{'x' * 28}' (choose from train, "),
        (["train", "x" * 5000], "'xxxx"),
        (["train", "--learning-rate", "-1e-3"], "--learning-rate must be at least 0 and finite, not -0.001"),
        (["train", "--eps", "-inf"], "--eps must be more than 0 and finite, not -inf"),
        (["sample", "model", "--threads", "-1"], "--threads must be at least 0 and at most 1024, not -1"),
        (["sample", "model", "-n", "-1"], "-n: must be at least 0, not -1"),
        (["train", "a\0b"], r"'a\x00b' is not a valid argument, because it contains a NUL or half of a character"),
        (["train", "--out", "\ud800"], r"'\ud800' is not a valid argument, because it contains a NUL or half of a character"),
        (["train", ""], "there is no file ''; check the path"),
        (
            ["train", "docs.txt", "--engine", "fast", "--engine", "python", "--threads", "2"],
            "--threads 2 needs --engine exact or fast; the engine 'python' ",
        ),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_values(folder, capsys, arguments, message):
    microgpt.GPT.init(SMALL, Tokenizer("abc"), __import__("random").Random(1)).save("model")
    assert said(arguments, capsys).startswith(message)
    assert sorted(os.listdir()) == ["docs.txt", "model"]


def test_a_file_called_by_two_dashes(folder):
    succeed("train", "docs.txt", "--steps", 2, "--samples", 0, "--n-embd", 4, "--out=--")
    assert os.path.isfile("--") and succeed("sample", "-n", 1, "--", "--")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["trian"], "COMMAND: invalid choice: 'trian', did you mean train? (choose from train, "),
        (["generate", "x"], "COMMAND: invalid choice: 'generate', did you mean sample? (choose from train, "),
        (["train", "--epochs", "9"], "unrecognized arguments: --epochs, did you mean --steps? (see "),
        (["train", "--max_iters=9"], "unrecognized arguments: --max_iters=9, did you mean --steps? (see "),
        (["train", "--lr", "0.1"], "unrecognized arguments: --lr, did you mean --learning-rate? (see "),
        (["train", "--lr=0.1"], "unrecognized arguments: --lr=0.1, did you mean --learning-rate? (see "),
        (["train", "--step", "9"], "unrecognized arguments: --step, did you mean --steps? (see "),
        (["train", "--layers", "9"], "unrecognized arguments: --layers, did you mean --n-layer? (see "),
        (["train", "--gpu", "9"], "unrecognized arguments: --gpu (see "),
        (["train", "--engine", "exakt"], "--engine: invalid choice: 'exakt', did you mean exact? (choose from "),
        (["sample", "model", "--seeds", "1"], "unrecognized arguments: --seeds 1, did you mean --seed? (see "),
        (["train", "nothing.txt"], "there is no file 'nothing.txt'; check the path"),
        (["sample", "nothing"], "there is no file 'nothing'; check the path"),
        (["plot", "nothing.csv", "-o", "x.png"], "there is no file 'nothing.csv'; check the path"),
        (["run", "nothing.py"], "cannot open 'nothing.py': No such file or directory; check the path"),
        (["train", "."], "'.' is a folder; give a text file"),
        (["sample", "."], "'.' is not a file; give one that microgpt saved"),
        (["run", "."], "'.' is a folder; name the script in it"),
        (["train", "model"], "'model' is not a text file: it has a NUL byte at offset "),
        (["sample", "docs.txt"], "'docs.txt' is not a saved model, or only a part of one"),
        (["explore", "docs.txt"], "'docs.txt' is not a saved model, or only a part of one"),
        (["plot", "docs.txt", "-o", "x.png"], "'docs.txt' is not a saved model, or only a part of one; a log's name ends in .csv "),
        (["plot", "model", "-o", "x.png"], "'model' is a model without its training; give a run "),
        (["train", "docs.txt", "--resume", "docs.txt"], "'docs.txt' is not a saved model, or only a part of one"),
        (["train", "docs.txt", "--resume", "model"], "'model' is a model without its training; to train it further, start from it with --init"),
        (["sample", "model", "--prompt", "X"], "the character 'X' (U+0058) is not in the model's vocabulary; it knows 'abc'"),
    ],
)  # fmt: skip
def test_the_commonest_mistakes(folder, capsys, arguments, message):
    microgpt.GPT.init(SMALL, Tokenizer("abc"), __import__("random").Random(1)).save("model")
    assert said(arguments, capsys).startswith(message)


# ---- Other people's files ----------------------------------------------------------------------------------------------


def changed(path, change):
    """A saved model whose header was changed by `change`, a function of a dict."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header = change(header) or header
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data[8 + length :])


def metadata(header, name, **values):
    entry = json.loads(header["__metadata__"][name])
    header["__metadata__"][name] = json.dumps({**entry, **values})


CHANGES = [
    lambda header, text: header["wpe"].update(shape=text),
    lambda header, text: header["wpe"].update(shape=[text]),
    lambda header, text: header["wpe"].update(dtype=text),
    lambda header, text: header["wpe"].update(data_offsets=[text, 8]),
    lambda header, text: header.update({text: {"dtype": "F64"}}),
    lambda header, text: header["__metadata__"].update({text: "x"}),
    lambda header, text: header["__metadata__"].update(format=f"microgpt-{text}"),
    lambda header, text: header["__metadata__"].update(config=text),
    lambda header, text: header["__metadata__"].update(microgpt=text, config="{"),
    lambda header, text: metadata(header, "config", activation=text),
    lambda header, text: metadata(header, "config", n_layer=text),
    lambda header, text: metadata(header, "config", **{text: 1}),
    lambda header, text: metadata(header, "training", schedule=text),
    lambda header, text: metadata(header, "source", long_docs=text),
    lambda header, text: metadata(header, "source", engine=[text]),
    lambda header, text: metadata(header, "evaluation", val_fraction=text),
    lambda header, text: metadata(header, "progress", rng=text),
]


@pytest.mark.parametrize("text", [RED, "\u202e\x9b" * 40, "\n" * 300, "\udcff", "x" * 10_000], ids=lambda text: ascii(text[:6]))
def test_a_stranger_s_model(folder, capsys, text):
    run = microgpt.train(NAMES, SMALL, TrainConfig(num_steps=1))
    for change in CHANGES:
        run.save("model")
        changed(folder / "model", lambda header: change(header, text))
        with pytest.raises(microgpt.CheckpointError) as caught:
            microgpt.load("model")
        sentence = said(["sample", "model"], capsys, 1)
        assert sentence == str(caught.value) and sentence.startswith("'model' ")  # already correct before it is printed


@posix
@pytest.mark.parametrize("name", [RED, "\u202egpj", "a\nb", os.fsdecode(b"\xff")], ids=ascii)
def test_names_of_files(folder, capsys, name):
    for arguments in (["train", name], ["sample", name], ["explore", name], ["plot", name, "-o", "x.png"], ["run", name],
                      ["train", "docs.txt", "--out", f"{name}/x"], ["train", "docs.txt", "--log", name], ["plot", "x.csv", "-o", name],
                      ["train", f"--{name}"], ["train", "--engine", name], [name], ["train", f"--zero-init-out={name}"]):  # fmt: skip
        said(arguments, capsys)
    (folder / name).write_bytes(b"zo\xe9\nb")
    assert words.printable(name)[:3] in said(["train", name], capsys)
    (folder / name).write_bytes(b"\xef\xbb\xbfemma\nolivia")  # a note
    assert cli.main(["train", name, "--steps", "1", "--samples", "0", "--n-embd", "4"]) == 0
    assert not any(map(OBEYED.search, capsys.readouterr().err.removesuffix("\n").split("\n")))


def test_a_line_of_the_data(folder, capsys):
    (folder / "docs.txt").write_text(f"emma\n{RED} {'x' * 100}\n", encoding="utf-8")
    sentence = said(["train", "docs.txt", "--long-docs", "error", "--engine", "exact"], capsys, 1)
    assert r"\x1b[31mred" in sentence


def test_whatever_a_message_holds_is_printable(folder, capsys, monkeypatch):
    """`say` escapes control characters, even in text that no message has quoted."""
    monkeypatch.setattr("microgpt.cli.commands.train.start", lambda *_, **__: (_ for _ in ()).throw(ValueError(RED + "\n\u202e\udcff")))
    assert said(["train", "docs.txt"], capsys, 1) == r"\x1b[31mred\x1b]0;title\x07\n\u202e\udcff"


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs a device that never ends")
def test_a_device_without_an_end(folder, capsys):
    assert said(["train", "/dev/zero"], capsys, 1).startswith("'/dev/zero' is not a text file: it has a NUL byte at offset 0")
    assert said(["run", "/dev/zero"], capsys, 1) == "'/dev/zero' is not a script, because it has NUL bytes; name a Python file"
    with open("/dev/zero", "rb") as zeros:
        done = subprocess.run([sys.executable, "-m", "microgpt", "train", "-"], stdin=zeros, capture_output=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith(b"microgpt: error: standard input is not a text file")


# ---- Other people's text on a terminal ---------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(arguments, monkeypatch, kind):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", kind())
        assert cli.main(list(map(str, arguments))) == 0
        return sys.stdout.getvalue()


def test_samples_are_escaped_on_a_terminal_and_nowhere_else(folder, monkeypatch):
    (folder / "docs.txt").write_text("a\x1bb\tc\u202ed\n" * 3, encoding="utf-8", newline="\n")
    train = ["train", "docs.txt", "--steps", "200", "--samples", "3", "--n-embd", "8", "--out", "model", "--temperature", "0"]
    text, escaped = "a\x1bb\tc\u202ed", "a\\x1bb\\tc\\u202ed"
    assert f"sample  1: {text}\n" in shown(train, monkeypatch, io.StringIO)
    on_terminal = shown(train, monkeypatch, Terminal)
    assert f"sample  1: {escaped}\n" in on_terminal and not re.search("[\x1b\u202e]", on_terminal.replace("\x1b[?25", ""))
    for options in ([], ["--unique", "-n", "1"], ["--scores"]):
        sample = ["sample", "model", "--temperature", "0", "-n", "2", *options]
        assert shown(sample, monkeypatch, io.StringIO).startswith(text)
        on_terminal = shown(sample, monkeypatch, Terminal)
        assert on_terminal.startswith(escaped) and not re.search("[\x1b\u202e]", on_terminal)
    assert r"'\tabc\x1bd\u202e'" in (found := shown(["inspect", "docs.txt"], monkeypatch, io.StringIO)) or r"\x1b" in found
    assert not re.search("[\x1b\u202e]", found)


@posix
def test_what_explore_and_plot_print(folder, monkeypatch):
    pytest.importorskip("matplotlib")
    microgpt.train(NAMES, SMALL, TrainConfig(num_steps=2)).save(RED)
    for arguments in (["explore", RED, "-o", f"{RED}.html"], ["plot", RED, "-o", f"{RED}.svg"]):
        assert shown(arguments, monkeypatch, io.StringIO).startswith(RED)
        assert not OBEYED.search(shown(arguments, monkeypatch, Terminal).rstrip("\n"))
    assert "\x1b" not in (folder / f"{RED}.svg").read_text(encoding="utf-8")  # the title


def test_passing_notes_and_the_report_on_a_script(folder, monkeypatch, capsys):
    from microgpt.cli.commands import note

    monkeypatch.setattr(sys, "stderr", Terminal())
    note(RED)
    assert sys.stderr.getvalue() == "\r\033[K" + words.printable(RED)
    from microgpt.scripts.report import Report

    report = Report(f"{RED}.py")
    report.left_alone(f"{RED}.py", 1, RED, RED, "nothing")
    assert not OBEYED.search(report.summary()) and not OBEYED.search(report.explanation())


# ---- Remedies ----------------------------------------------------------------------------------------------------------


def options_of(command):
    parser = cli._parser([command])
    return {name for action in parser._subparsers._group_actions[0].choices[command]._actions for name in action.option_strings}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_remedies_for_a_lack_of_memory(command, monkeypatch, capsys):
    """Each remedy names only options of the command that fails."""
    module = __import__(f"microgpt.cli.commands.{command}", fromlist=["run"])

    def run(arguments):
        raise MemoryError

    monkeypatch.setattr(module, "run", run)
    parameters = {
        "sample": ["x"], "eval": ["x", "y"], "diff": ["x", "y"], "explore": ["x"], "export": ["x", "y"], "plot": ["x", "-o", "y"], "run": ["x"],
    }  # fmt: skip
    sentence = said([command, *parameters.get(command, [])], capsys, 1)
    assert set(re.findall(r"--[\w-]+", sentence)) <= options_of(command)
    assert ("--n-embd" in sentence) == (command in ("train", "inspect"))


def test_a_graph_too_deep_for_python(folder, capsys, monkeypatch):
    def backward(*_):
        raise RecursionError

    monkeypatch.setattr("microgpt.engines.scalar.ScalarEngine._backward", backward)
    for command in ("train", "inspect"):
        sentence = said([command, "docs.txt", "--engine", "python", "--n-embd", 4], capsys, 1)
        assert sentence == "this model's graph is too deep for plain Python's recursion; use --engine graph, which gives the same bits"


@pytest.mark.parametrize("deep", [900, 3000, 50_000])
def test_a_script_too_deep_to_rewrite_is_python_s(folder, deep):
    """A script too deep runs if Python can run it; otherwise Python reports it, and no option of another command is recommended."""
    (folder / "deep.py").write_text(f"x = {'-' * deep}1\nprint(x)\n")
    plain = subprocess.run([sys.executable, "deep.py"], capture_output=True, encoding="utf-8", env=environment())
    ours = microgpt_command("run", "--quiet", "deep.py")
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert ours.stderr.splitlines()[-1:] == plain.stderr.splitlines()[-1:]


def test_the_rewriting_of_a_script_that_goes_too_deep(monkeypatch):
    monkeypatch.setattr(script, "find_value", lambda *_: (_ for _ in ()).throw(RecursionError))
    plain = script.Script("x = 1\n", "x.py", ".")
    assert plain.found is None and plain.code.co_filename == "x.py"
    assert "reading it ended with RecursionError" in plain.report.explanation()


def test_weights_that_are_too_large(folder):
    """If the weights were drawn, init_std is the reason; if they were loaded, the model is."""
    config = GPTConfig(n_embd=4, n_head=2, init_std=1e10)
    drawn = start(NAMES, config)
    drawn.save("model")
    assert remedy(drawn, 1) == "the initial weights are too large; try a smaller init_std"
    for loaded in (start(NAMES, init="model"), start(NAMES, resume="model")):
        assert remedy(loaded, 1) == "the initial weights are too large; start from another model"
        assert "init_std" not in remedy(loaded, 1) + remedy(loaded, 2)


def test_a_measurement_that_fails(folder, capsys):
    sentence = said(["bench", "--data", "docs.txt", "--rounds", 1, "--n-embd", 4 * 10**11], capsys, 1)
    assert re.fullmatch(r"measuring python, n_embd 4\d+, collector on failed: MemoryError: .*; choose a smaller --n-embd, .*", sentence)


@pytest.mark.parametrize("engine", engines.ENGINES)
@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda engine: TrainConfig(clip_norm=10**400), "clip_norm must be more than 0 and finite, not 1000"),
        (lambda engine: TrainConfig(num_steps=10**400), "num_steps must have at most 100 digits, not 1000"),
        (lambda engine: GPTConfig(n_layer=10**5000), "n_layer must have at most 100 digits, not a number of 16610 bits"),
        (
            lambda engine: microgpt.train(NAMES, SMALL, engine=engine, threads=10**30),
            "threads must be at least 0 and at most 1024, not 1000",
        ),
        (lambda engine: microgpt.train(NAMES, SMALL, engine=engine, threads=True), "threads must be a whole number, not True"),
        (lambda engine: microgpt.train(NAMES, SMALL, engine=engine, seed=10**5000), "seed must have at most 1000 digits, not "),
        (
            lambda engine: microgpt.train(NAMES, GPTConfig(n_layer=10**99, n_embd=4 * 10**99, block_size=10**99), engine=engine),
            "a model of ",
        ),
    ],
)
def test_numbers_too_large_for_any_engine(engine, wrong, message):
    with pytest.raises((ValueError, TypeError, MemoryError)) as caught:
        wrong(engine)
    assert str(caught.value).startswith(message) and not isinstance(caught.value, microgpt.DivergenceError)


# ---- Streams that are closed or full ----------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    "arguments, unbuffered", [(["train", "--help"], None), (["run", "--help"], None), (["--version"], None), (["--version"], "1")]
)
def test_help_that_nobody_takes(arguments, unbuffered):
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "microgpt", *arguments]
    options = {"stderr": subprocess.PIPE, "encoding": "utf-8", "env": environment(PYTHONUNBUFFERED=unbuffered)}
    closed = subprocess.run(command, **options)
    assert (closed.returncode, closed.stderr) == (0, "")
    if os.path.exists("/dev/full"):
        command[2] = '"$@" >/dev/full'
        full = subprocess.run(command, **options)
        assert (full.returncode, full.stderr) == (1, "microgpt: error: the output cannot be written: No space left on device\n")


@posix
def test_an_error_of_run_where_a_stream_is_closed(folder):
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "microgpt", "run", "nothing.py"]
    closed = subprocess.run(command, stderr=subprocess.PIPE, encoding="utf-8", env=environment())
    assert closed.returncode == 1 and closed.stderr.startswith("microgpt: error: cannot open 'nothing.py'")
    command[2] = '"$@" 2>&-'
    closed = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment())
    assert (closed.returncode, closed.stdout) == (1, "")


# ---- Parts that cannot be loaded ---------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("core", ["scalar", "exact", "fast"])
def test_a_core_that_cannot_be_loaded(tmp_path, core):
    """The message does not call it missing, and is the same for the command and the module."""
    package = os.path.dirname(microgpt.__file__)
    shutil.copytree(package, tmp_path / "microgpt", ignore=shutil.ignore_patterns("__pycache__"))
    [library] = (tmp_path / "microgpt" / "compiled").glob(f"{core}.*.so")
    library.write_bytes(library.read_bytes()[:100])
    (tmp_path / "docs.txt").write_text("\n".join(TEN_NAMES), encoding="utf-8")
    options = {"cwd": tmp_path, "capture_output": True, "encoding": "utf-8", "env": environment(PYTHONPATH=str(tmp_path))}
    arguments = ["train", "docs.txt", "--engine", "fast"]
    script = "import sys; from microgpt.__main__ import main; sys.exit(main())"  # like the installed command
    for command in (["-m", "microgpt"], ["-c", script]):
        done = subprocess.run([sys.executable, *command, *arguments], **options)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("microgpt: error: ") and f"{core}." in done.stderr, done.stderr
        assert done.stderr.endswith("; the installation is damaged: install microgpt-cython again\n")


def test_another_interpreter_in_this_process():
    """If the core cannot be loaded, the reason is the system's own message, not that it was not built."""
    code = (
        "try:\n  import _interpreters as interpreters\n"
        "except ImportError:\n  import _xxsubinterpreters as interpreters\n"
        "inner = '''import sys; sys.path[:0] = " + repr([os.path.dirname(os.path.dirname(microgpt.__file__))]) + "\n"
        "import microgpt\n"
        "try:\n  print(microgpt.Value(2.0).data)\n"
        "except ImportError as error:\n  print(error)\n'''\n"
        "interpreters.run_string(interpreters.create(), inner)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment())
    assert done.stdout == "2.0\n" or "subinterpreter" in done.stdout, done
