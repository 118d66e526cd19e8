"""The command line end to end, in separate processes: what it prints and where, and its exit codes."""

import errno
import hashlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from command_line import (
    NAMES,
    TINY,
    assert_fails,
    driver,
    environment,
    microgpt_command,
    microgpt_here,
    posix,
    printed,
    without_comment,
)

import microgpt
from microgpt import EvalConfig, TrainConfig, cli, engines
from microgpt.cli import options
from microgpt.cli.commands import COMMANDS
from microgpt.cli.commands import train as train_command
from microgpt.common import words
from microgpt.config import RECIPES

# ---- Output to a pipe -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["current", "first"])
def test_output_is_the_reference_s(data, preset):
    done = microgpt_command("train", data, "--preset", preset, "--steps", 6, "--samples", 3, *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == printed(NAMES, preset)


@pytest.mark.skipif(not os.environ.get("MICROGPT_NAMES"), reason="MICROGPT_NAMES does not name a copy of names.txt")
@pytest.mark.parametrize(
    "preset, digest",
    [
        ("current", "afba81c45f1b2d6e4debeba6d37e27fa94484042b8d06a0abf7af224d2f6dd3f"),
        ("first", "b052697278b89c82bc3ddb08fef9bb1a0fc9dea98d7a92ef97ba809a734fd95e"),
    ],
)
def test_the_whole_golden_run(preset, digest, tmp_path):
    done = microgpt_command("train", "--preset", preset, cwd=tmp_path, env=environment(MICROGPT_NAMES=os.environ["MICROGPT_NAMES"]))
    assert (done.returncode, done.stderr) == (0, "")
    assert hashlib.sha256(done.stdout.encode()).hexdigest() == digest, done.stdout


def test_standard_input_and_crlf():
    done = microgpt_command("train", "-", "--steps", 6, "--samples", 3, *TINY, input="\r\n".join(NAMES))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", printed(NAMES))


def test_input_txt_in_the_current_folder(tmp_path):
    (tmp_path / "input.txt").write_text("\n".join(NAMES), encoding="utf-8")
    done = microgpt_command("train", "--steps", 6, "--samples", 3, *TINY, cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", printed(NAMES))


def test_no_steps_and_no_samples(data):
    done = microgpt_here("train", data, "--steps", 0, "--samples", 0, *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["num docs: 6", "vocab size: 12", "num params: 320"]


@posix
def test_other_alphabets_on_a_machine_without_utf8(tmp_path):
    docs = ["ज़ोया", "आरव", "김민준", "zoë", "😀"]
    path = tmp_path / "नाम.txt"
    path.write_text("\n".join(docs), encoding="utf-8")
    plain = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING=None)
    done = microgpt_command("train", path, "--steps", 6, "--samples", 3, *TINY, env=plain)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", printed(docs))
    options = ["--steps", 3, "--samples", 0, "--out", tmp_path / "model", *TINY]
    assert microgpt_command("train", path, *options, env=plain).returncode == 0
    done = microgpt_command("sample", tmp_path / "model", "-n", 1, "--prompt", "김", env=plain)
    assert (done.returncode, done.stderr, done.stdout[0]) == (0, "", "김")
    missing = microgpt_command("train", tmp_path / "नहीं.txt", env=plain)
    assert missing.returncode == 1 and missing.stderr.startswith("microgpt: error: there is no file ")


def test_start_up_imports_no_more_than_it_needs(data):
    code = (
        "import atexit\n"
        "unwanted = 'rich', 'platformdirs', 'urllib.request', 'importlib.resources', 'tempfile', 'threading'\n"
        "atexit.register(lambda: print([name for name in unwanted if name in sys.modules], file=sys.stderr))"
    )
    bare = subprocess.run(
        [sys.executable, "-c", "import sys, random; print(*sys.modules)"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.split()  # a site-packages hook may import some of them before us
    done = subprocess.run(driver(code, "train", data, "--steps", 2, *TINY), capture_output=True, encoding="utf-8", env=environment())
    unwanted = [name for name in eval(without_comment(done.stderr)) if name not in bare]
    assert (done.returncode, unwanted) == (0, [])


# ---- Options ----------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(monkeypatch, data):
    """A function of options: the GPTConfig, TrainConfig, seed and engine that they train with."""

    class Started(Exception):
        pass

    def start(docs, config, training, *, seed, engine, **others):
        raise Started(config, training, seed, engine)

    def settings(*options):
        monkeypatch.setattr(train_command, "start", start)
        with pytest.raises(Started) as caught:
            cli.main(["train", data, *options])
        return caught.value.args

    return settings


def test_the_defaults_are_the_preset_s(settings):
    assert settings() == (*microgpt.PRESETS["current"][:2], None, None)
    assert settings("--preset", "first") == (*microgpt.PRESETS["first"][:2], None, None)


def test_a_recipe_sets_everything(monkeypatch, data):
    """The preset determines data, model, training, engine and held-out documents; an option replaces each of them."""
    given = []
    monkeypatch.setattr(train_command, "load", lambda source, documents, arguments: given.append(source) or ["to be or not to be " * 20])
    monkeypatch.setattr(train_command, "start", lambda *settings, **options: given.extend([settings[1:], options]) or 1 / 0)
    recipe = RECIPES["shakespeare"]
    for more in ([], ["--engine", "exact", "--steps", "200", "--val-fraction", "0.2"], ["--val", data]):
        with pytest.raises(ZeroDivisionError):
            cli.main(["train", "--preset", "shakespeare", *more])
    (source, plain, options), (_, (_, shorter), other), (_, _, _, val) = given[:3], given[3:6], given[6:]
    assert source == "shakespeare" and plain == (recipe.config, recipe.training)
    assert (options["engine"], options["evaluation"]) == ("fast", recipe.evaluation)
    assert shorter == replace(recipe.training, num_steps=200) and other["engine"] == "exact"
    assert other["evaluation"] == replace(recipe.evaluation, val_fraction=0.2) and val["evaluation"] == EvalConfig()


@pytest.mark.parametrize("preset", ["current", "first"])
@pytest.mark.parametrize(
    "options, fields",
    [
        (["--n-layer", "2"], {"n_layer": 2}),
        (["--n-embd", "32", "--n-head", "8"], {"n_embd": 32, "n_head": 8}),
        (["--block-size", "5"], {"block_size": 5}),
        (["--activation", "relu"], {"activation": "relu"}),
        (["--activation", "relu2"], {"activation": "relu2"}),
        (["--init-std", "0"], {"init_std": 0.0}),
        (["--zero-init-out"], {"zero_init_out": True}),
        (["--no-zero-init-out"], {"zero_init_out": False}),
        (["--bos-first"], {"bos_first": True}),
        (["--no-bos-first"], {"bos_first": False}),
        (["--steps", "7"], {"num_steps": 7}),
        (["--learning-rate", "1e-3"], {"learning_rate": 1e-3}),
        (["--beta1", "0"], {"beta1": 0.0}),
        (["--beta2", "0.5"], {"beta2": 0.5}),
        (["--eps", "1e-5"], {"eps": 1e-5}),
        (["--batch-size", "4"], {"batch_size": 4}),
        (["--schedule", "cosine"], {"schedule": "cosine"}),
        (["--warmup-steps", "9"], {"warmup_steps": 9}),
        (["--clip-norm", "1"], {"clip_norm": 1.0}),
        (["--weight-decay", "0.1"], {"weight_decay": 0.1}),
        (["--min-learning-rate", "0.001"], {"min_learning_rate": 0.001}),
        (["--scale-init"], {"scale_init": True}),
    ],
)
def test_an_option_replaces_one_field_of_the_preset(settings, preset, options, fields):
    config, training, _ = microgpt.PRESETS[preset]
    expected = [type(part)(**{name: fields.get(name, value) for name, value in vars(part).items()}) for part in (config, training)]
    assert list(settings("--preset", preset, *options)[:2]) == expected


def test_every_field_has_an_option():
    config, training, _ = microgpt.PRESETS["current"]
    assert set(options.OPTIONS) == {*vars(config), *vars(training), *vars(EvalConfig()), "temperature", "top_k", "top_p"}


def test_seed_engine_and_temperature(settings, data):
    assert settings("--seed", "7", "--engine", "python")[2:] == (7, "python")
    done = microgpt_command("train", data, "--seed", 7, "--steps", 6, "--samples", 3, *TINY)
    assert done.stdout == printed(NAMES, seed=7)
    greedy = microgpt_command("train", data, "--steps", 6, "--samples", 3, "--temperature", 0, *TINY)
    assert len({line.split(": ")[1] for line in greedy.stdout.splitlines()[-3:]}) == 1


def test_help_names_every_option_and_its_default(capsys):
    assert cli.main(["train", "--help"]) == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    others = ["--auto", "--time", "--preset", "--seed", "--engine", "--threads", "--samples", "--length", "--sample-every", "--long-docs"]
    others += ["--seeds", "--workers"]
    others += [
        "--out",
        "--force",
        "--checkpoint-every",
        "--resume",
        "--init",
        "--log",
        "--val",
        "--log-gradient-norm",
        "--run-dir",
        "--encoding",
        "--column",
        "--snapshots",
    ]
    own = [flag for name, flag in options.OPTIONS.items() if name not in ("top_k", "top_p")]
    for option in [*own, *others]:
        assert option in text
    assert "(default: 16 in current, 8 in first)" in text
    assert text.count("(default: ") == len(own) + len(others) + 1  # and DATA
    assert cli.main(["--help"]) == 0
    assert "train" in capsys.readouterr().out


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_on_80_columns(command, capsys, monkeypatch):
    """Lines break at spaces, not inside an option or a command, which could not be copied then."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([command, "--help"] if command else ["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 80 and not [line for line in lines if line.endswith("-")]


def test_help_tells_the_fast_engine_s_bounds(capsys):
    assert cli.main(["train", "--help"]) == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "(default: 1; 16 with --engine fast)" in text
    [beta, beta2] = map(float, re.findall("at least 0 and less than ([0-9.]+) with --engine fast", text))
    [eps] = map(float, re.findall("at least ([0-9.e-]+) and finite with --engine fast", text))
    within = TrainConfig(num_steps=1, beta1=beta - 1e-9, beta2=beta2 - 1e-9, eps=eps)
    microgpt.train(NAMES, training=within, engine="fast")
    for beyond in (dict(beta1=beta + 1e-8), dict(beta2=beta + 1e-8), dict(eps=eps * 0.99)):
        with pytest.raises(engines.EngineError):
            microgpt.train(NAMES, training=TrainConfig(num_steps=1, **beyond), engine="fast")


def test_numbers_in_sentences():
    assert [words.counted(n, "step") for n in (0, 1, 2, 1000)] == ["0 steps", "1 step", "2 steps", "1,000 steps"]
    assert [words.sized(n) for n in (1, 999, 1000, 5_600_000, 7.8e9)] == ["1 byte", "999 bytes", "1.0 kB", "5.6 MB", "7.8 GB"]


def test_version_and_info():
    done = microgpt_command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"microgpt {microgpt.__version__}\n", "")
    done = microgpt_command("info")
    assert (done.returncode, done.stderr) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert facts["microgpt"] == microgpt.__version__
    assert facts["python"].startswith("{}.{}.{}".format(*sys.version_info))
    assert "python" in facts["engines"].split(", ")
    forced = microgpt_command("info", env=environment(MICROGPT_ISA="baseline", MICROGPT_LIBM="plain")).stdout
    assert "instruction set  baseline (available: " in forced and "exp and pow      of the C library" in forced
    wrong = microgpt_command("info", env=environment(MICROGPT_ISA="abacus"))
    assert_fails(wrong, 1, "MICROGPT_ISA is 'abacus'; this machine and this build have .*baseline")


@posix
@pytest.mark.parametrize(
    "line, words",
    [
        ("microgpt in", {"inspect", "info"}),
        ("microgpt train --ste", {"--steps"}),
        ("microgpt train names --schedule c", {"cosine", "constant"}),
    ],
)
def test_completion(tmp_path, line, words):
    pytest.importorskip("argcomplete", reason="completion needs argcomplete")
    shell = environment(
        _ARGCOMPLETE="1", COMP_LINE=line, COMP_POINT=str(len(line)), _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME=str(tmp_path / "words"),
    )  # fmt: skip
    done = microgpt_command(env=shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {word.strip() for word in (tmp_path / "words").read_text(encoding="utf-8").splitlines()} == words


# ---- Ends -------------------------------------------------------------------------------------------------------


def open_training(data, *options, code="", **pipes):
    """A long training as a child process that handles Ctrl-C even if this process ignores it."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    command = driver(code, "train", data, "--steps", 1_000_000, *TINY, *options)
    return subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, **pipes)


@posix
def test_ctrl_c(data):
    child = open_training(data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    with child:
        for line in child.stdout:  # lines appear while training continues
            if line.startswith("step    3 /"):
                break
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert re.fullmatch(rf"microgpt: interrupted after step \d+ of 1000000; {train_command.NOT_SAVED}\n", err)
    last = re.findall(r"^step +(\d+) /", out, re.MULTILINE)[-1:]
    assert last == [] or f"after step {last[0]} of" in err
    assert "inference" not in out


@posix
def test_a_reader_that_has_seen_enough(data):
    child = open_training(data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    with child:
        assert child.stdout.readline() == "num docs: 6\n"
        child.stdout.close()
        child.stdout = None
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (1, "")


@pytest.mark.parametrize("system, expected", [("nt", True), ("posix", False)])
def test_what_windows_calls_an_invalid_argument(monkeypatch, system, expected):
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", system)
        found = cli._is_broken_pipe(OSError(errno.EINVAL, "Invalid argument"))
        of_a_file = cli._is_broken_pipe(OSError(errno.EINVAL, "Invalid argument", "a:b"))
    assert (found, of_a_file) == (expected, False)


@posix
def test_output_that_cannot_be_written(data):
    if os.path.exists("/dev/full"):
        for arguments in (["train", data, "--steps", "2", *TINY], ["train", "--help"], ["info"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run(
                    [sys.executable, "-m", "microgpt", *arguments],
                    stdout=full,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    env=environment(),
                )
            assert_fails(done, 1, "the output cannot be written: No space left on device")
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "microgpt", "train", data, "--steps", "2", *TINY],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    )
    assert (closed.returncode, without_comment(closed.stderr)) == (0, "")
