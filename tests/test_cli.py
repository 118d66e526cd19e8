"""The command line end to end, in processes of its own: what it prints and where, and how it ends."""

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from command_line import NAMES, TINY, driver, environment, microgpt_command, posix, printed

import microgpt
from microgpt import EvalConfig, TrainConfig, cli, engines, words
from microgpt.commands import COMMANDS, options
from microgpt.commands import train as train_command
from microgpt.commands.options import in_options

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
    done = microgpt_command(
        "train",
        "--preset",
        preset,
        "--engine",
        "graph",
        cwd=tmp_path,
        env=environment(MICROGPT_NAMES=os.environ["MICROGPT_NAMES"]),
    )
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
    done = microgpt_command("train", data, "--steps", 0, "--samples", 0, *TINY)
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
    done = subprocess.run(
        driver(code, "train", data, "--steps", 2, *TINY), capture_output=True, encoding="utf-8", env=environment()
    )
    unwanted = [name for name in eval(done.stderr) if name not in bare]
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
    assert settings() == (*microgpt.PRESETS["current"][:2], 42, None)
    assert settings("--preset", "first") == (*microgpt.PRESETS["first"][:2], 42, None)


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
    ],
)
def test_an_option_replaces_one_field_of_the_preset(settings, preset, options, fields):
    config, training, _ = microgpt.PRESETS[preset]
    expected = [
        type(part)(**{name: fields.get(name, value) for name, value in vars(part).items()})
        for part in (config, training)
    ]
    assert list(settings("--preset", preset, *options)[:2]) == expected


def test_every_field_has_an_option():
    config, training, _ = microgpt.PRESETS["current"]
    assert set(options.OPTIONS) == {*vars(config), *vars(training), *vars(EvalConfig()), "temperature"}


def test_seed_engine_and_temperature(settings, data):
    assert settings("--seed", "7", "--engine", "python")[2:] == (7, "python")
    done = microgpt_command("train", data, "--seed", 7, "--steps", 6, "--samples", 3, *TINY)
    assert done.stdout == printed(NAMES, seed=7)
    greedy = microgpt_command("train", data, "--steps", 6, "--samples", 3, "--temperature", 0, *TINY)
    assert len({line.split(": ")[1] for line in greedy.stdout.splitlines()[-3:]}) == 1


def test_help_names_every_option_and_its_default(capsys):
    assert cli.main(["train", "--help"]) == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    others = ["--preset", "--seed", "--engine", "--threads", "--samples", "--long"]
    others += ["--out", "--checkpoint-every", "--resume", "--init", "--log"]
    for option in [*options.OPTIONS.values(), *others]:
        assert option in text
    assert "(default: 16 in current, 8 in first)" in text
    assert text.count("(default: ") == len(options.OPTIONS) + len(others) + 1  # and DATA
    assert cli.main(["--help"]) == 0
    assert "train" in capsys.readouterr().out


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_on_80_columns(command, capsys, monkeypatch):
    """Lines end at spaces, not within an option or a command that somebody copies."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([command, "--help"] if command else ["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 80 and not [line for line in lines if line.endswith("-")]


def test_help_tells_the_fast_engine_s_bounds(capsys):
    assert cli.main(["train", "--help"]) == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "(default: 1; 16 with --engine fast)" in text
    [beta] = map(float, re.findall("with --engine fast up to ([0-9.]+)", text))
    [eps] = map(float, re.findall("with --engine fast at least ([0-9.e-]+)", text))
    microgpt.train(NAMES, training=TrainConfig(num_steps=1, beta1=beta, beta2=beta, eps=eps), engine="fast")
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
    assert "instruction set  baseline (there are " in forced and "exp and pow      by the C library" in forced
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


# ---- Errors -----------------------------------------------------------------------------------------------------


def assert_fails(done, code, message):
    """One line on standard error, which is `message` (a pattern), and exit code `code`."""
    assert done.returncode == code, done
    assert re.fullmatch(f"microgpt: error: {message}\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], r"the following arguments are required: COMMAND \(see microgpt --help\)"),
        (["fly"], r".*invalid choice: 'fly'.*\(see microgpt --help\)"),
        (["--fly"], r".*\(see microgpt --help\)"),
        (["train", "--fly"], r"unrecognized arguments: --fly \(see microgpt train --help\)"),
        (["train", "--step", "3"], r"unrecognized arguments: --step .*"),  # options added later would break them
        (["info", "x"], r"unrecognized arguments: x \(see microgpt info --help\)"),
        (["train", "--steps"], r"--steps: expected one argument .*"),
        (["train", "--steps", "1.5"], r"--steps: must be a whole number, not '1.5' \(see microgpt train --help\)"),
        (["train", "--eps", "x"], r"--eps: must be a number, not 'x' .*"),
        (["train", "--seed", ""], r"--seed: must be a whole number, not '' .*"),
        (["train", "--samples", "-1"], r"--samples: must be at least 0, not -1 .*"),
        (["train", "--engine", "warp"], r"--engine: invalid choice: 'warp' .*"),
        (["train", "--steps", "-3"], r"--steps must be at least 0, not -3"),
        (["train", "--n-head", "3"], r"--n-embd 16 is not divisible by --n-head 3: .* from 1, 2, 4, 8, 16"),
        (["train", "--n-layer", "0"], r"--n-layer must be at least 1, not 0"),
        (["train", "--block-size", "0"], r"--block-size must be at least 1, not 0"),
        (["train", "--init-std", "nan"], r"--init-std must be .*, not nan"),
        (["train", "--learning-rate", "-1"], r"--learning-rate must be at least 0 and finite, not -1.0"),
        (["train", "--beta1", "1"], r"--beta1 must be .* less than 1, not 1.0"),
        (["train", "--eps", "0"], r"--eps must be more than 0 .*"),
        (["train", "--batch-size", "0"], r"--batch-size must be at least 1, not 0"),
        (["train", "--schedule", "step"], r"--schedule: invalid choice: 'step' .*"),
        (["train", "--clip-norm", "0"], r"--clip-norm must be more than 0 and finite, not 0.0"),
        (["train", "--weight-decay", "-1"], r"--weight-decay must be at least 0 and finite, not -1.0"),
        (["train", "--warmup-steps", "-1"], r"--warmup-steps must be at least 0, not -1"),
        (["train", "--val-fraction", "1"], r"--val-fraction must be at least 0 and less than 1, not 1.0"),
        (["train", "--eval-every", "0"], r"--eval-every must be at least 1, not 0"),
        (["train", "--patience", "3"], r"--patience needs documents to measure on; give a --val-fraction too, such as 0.1"),
        (["train", "--checkpoint-every", "3"], r"--checkpoint-every needs --out FILE, the file to write"),
        (["train", "--checkpoint-every", "0", "--out", "x"], r"--checkpoint-every must be at least 1, not 0"),
        (["train", "--resume", "x", "--init", "x"], r"--resume goes on with a run's own weights; .*"),
        (["train", "--log", "x.txt"], r"--log must end in \.csv or \.jsonl, which says how to write it; not 'x\.txt'"),
        (["sample"], r"the following arguments are required: MODEL .*"),
        (["sample", "x", "--top-k", "0"], r"--top-k must be at least 1, not 0"),
        (["sample", "x", "--prompt", "\udcff"], r"--prompt: must be text in UTF-8, not '\\udcff' .*"),
        (["run", "--explain"], r"the following arguments are required: SCRIPT \(see microgpt run --help\)"),
        (["bench", "--n-embd", "16", "3"], r"--n-embd must be a multiple of 4, the number of heads; not 3"),
        (["sample", "x", "--top-p", "0"], r"--top-p must be more than 0 and at most 1, not 0.0"),
        (["train", "--temperature", "-1"], r"--temperature must be 0 \(greedy\) or more.*"),
        (["train", "--temperature", "inf"], r"--temperature must be .*"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    code = cli.main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert_fails(subprocess.CompletedProcess(arguments, code, captured.out, captured.err), 2, message)


def test_a_wrong_configuration_ends_the_process_with_2(data):
    done = microgpt_command("train", data, "--n-head", 3)
    assert done.stdout == ""
    assert_fails(done, 2, "--n-embd 16 is not divisible .*")


@pytest.mark.parametrize(
    "content, message",
    [
        (None, r"there is no file '.*docs\.txt'; check the path"),
        (b"", r"'.*docs\.txt' is empty; give a text file, one document a line"),
        (b"\n \n", r"'.*docs\.txt' holds only blank lines; .*"),
        ("zoé\nnoël".encode("latin-1"), r"'.*docs\.txt' is not UTF-8: byte 0xe9 .* likely latin-1: .*iconv .*"),
        ("emma".encode("utf-16"), r"'.*docs\.txt' is not UTF-8 but UTF-16; .*"),
        (b"\x00\x01\x02", r"'.*docs\.txt' is not a text file: .*"),
    ],
)
def test_data_that_cannot_be_trained_on(tmp_path, content, message):
    path = tmp_path / "docs.txt"
    if content is not None:
        path.write_bytes(content)
    done = microgpt_command("train", path, *TINY)
    assert done.stdout == ""
    assert_fails(done, 1, message)


def test_a_folder_and_a_wrong_microgpt_names(tmp_path):
    assert_fails(microgpt_command("train", tmp_path), 1, r"'.*' is a folder; .*")
    done = microgpt_command("train", "names", env=environment(MICROGPT_NAMES=str(tmp_path / "nemo")))
    assert_fails(done, 1, r"there is no file '.*nemo' \(named by the environment variable MICROGPT_NAMES\); .*")


def test_notes_go_to_standard_error(tmp_path):
    path = tmp_path / "docs.txt"
    path.write_text("\n".join(NAMES), encoding="utf-8-sig")
    done = microgpt_command("train", path, "--steps", 6, "--samples", 3, *TINY)
    assert (done.returncode, done.stdout) == (0, printed(NAMES))
    assert re.fullmatch(r"microgpt: '.*docs\.txt' begins with a byte order mark .*\n", done.stderr)


def test_without_a_network_the_built_in_names_are_used(tmp_path):
    offline = environment(
        https_proxy="http://127.0.0.1:9",
        no_proxy=None,
        NO_PROXY=None,  # a port where nobody listens
        XDG_CACHE_HOME=str(tmp_path),
        HOME=str(tmp_path),
        WIN_PD_OVERRIDE_LOCAL_APPDATA=str(tmp_path),
    )
    done = microgpt_command("train", "--steps", 1, "--samples", 1, *TINY, env=offline, cwd=tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(r"microgpt: names.txt could not be downloaded \(.*\): .*built-in list .*\n", done.stderr)
    assert done.stdout.startswith("num docs: ") and "sample  1: " in done.stdout


def test_divergence_says_which_step_and_why(data):
    done = microgpt_command("train", data, "--learning-rate", "1e200", *TINY)
    assert_fails(done, 1, r"training diverged at step (\d+) of 1000: .*; --learning-rate 1e\+200 is far too large, .*; try 0\.01")
    steps = re.findall(r"^step +(\d+) / 1000 \| loss", done.stdout, re.MULTILINE)
    diverged = int(re.search(r"at step (\d+)", done.stderr)[1])
    assert list(map(int, steps)) == list(range(1, diverged))  # every step before is there


@pytest.mark.parametrize(
    "options, advice",
    [
        (["--learning-rate", "5"], "--learning-rate 5 is far too large, as .*; try 0.01"),
        (["--learning-rate", "5", "--weight-decay", "9"], "--learning-rate 5 is far too large, as .*; try 0.01"),
        (["--weight-decay", "1e5"], r"--weight-decay 100000 takes 1000 times each weight away in a step; try one below 100"),
        (["--init-std", "1e10"], "the weights it starts from are too large; try a smaller --init-std, or another model .*--init"),
        (["--init-std", "1e200"], "the weights it starts from are too large; .*"),
        (["--beta1", "0.9", "--beta2", "0"], "Adam's steps grow without bound where --beta2 .*; try a --beta2 above 0.81"),
        (["--learning-rate", "1", "--n-embd", "16"], "try a --learning-rate below 1 or a smaller --init-std"),
    ],
    ids=str,
)
def test_what_is_at_fault_where_training_diverges(data, options, advice):
    for command in ("train", "inspect"):
        done = microgpt_command(command, data, "--engine", "exact", *options)
        assert_fails(done, 1, rf"training (would diverge|diverged) at step \d+.*: .*; {advice}")


def test_a_model_too_large_for_float32_is_refused_before_training(data, tmp_path):
    model = tmp_path / "model"
    options = ["--steps", 0, "--samples", 0, "--n-embd", 4, "--init-std", "1e40", "--out", model]
    assert microgpt_command("train", data, *options).returncode == 0
    done = microgpt_command("train", data, "--engine", "fast", "--init", model)
    assert done.stdout == ""
    assert_fails(done, 1, r"parameter \d+ is .*e\+\d\d, and the fast engine's numbers .*; start from smaller weights, or .*")


def test_samples_that_cannot_be_drawn(data):
    done = microgpt_command("train", data, "--steps", 1, "--learning-rate", "1e308", *TINY)
    assert_fails(done, 1, r"no sample can be drawn: .*; --learning-rate 1e\+308 is .*; try 0\.01, or a higher --temperature")


@pytest.mark.parametrize(
    "error, message",
    [
        (RecursionError, "this model's graph is too deep for Python's recursion; use --engine graph, .*"),
        (MemoryError, "there is not enough memory; choose a smaller --n-embd.*"),
        (MemoryError("a batch with this batch_size"), "a batch with this --batch-size"),
    ],
)
def test_models_too_large_for_this_machine(data, monkeypatch, capsys, error, message):
    def start(*_, **__):
        raise error

    monkeypatch.setattr(train_command, "start", start)
    code = cli.main(["train", data])
    captured = capsys.readouterr()
    assert_fails(subprocess.CompletedProcess(data, code, captured.out, captured.err), 1, message)


def test_an_error_of_our_own_shows_its_traceback(data, monkeypatch):
    monkeypatch.setattr(train_command, "start", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", data])


def test_a_checkout_that_is_not_built(tmp_path):
    package = os.path.dirname(microgpt.__file__)
    shutil.copytree(package, tmp_path / "microgpt", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    options = {"cwd": tmp_path, "capture_output": True, "encoding": "utf-8", "env": environment(PYTHONPATH=None)}
    bare = [sys.executable, "-S"]  # without site-packages, where the built one may be
    done = subprocess.run([*bare, "-m", "microgpt", "--version"], **options)
    assert_fails(done, 1, r"the compiled core is not there \(.*microgpt\.scalar.*\); build it, .*: pip install -e \.")
    done = subprocess.run([*bare, "-c", "import microgpt"], **options)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith(
        "ImportError: the compiled core is not there"
    )


@pytest.mark.parametrize(
    "options",
    [["--n-embd", "100000"], ["--n-layer", "1" + 22 * "0"], ["--block-size", "1" + 12 * "0"], ["--n-embd", "1" + 12 * "0"]],
)
def test_a_model_that_no_machine_holds_is_refused_at_once(data, options):
    assert_fails(microgpt_command("train", data, *options), 1, r"a model of .* parameters takes .* GB to train, .* smaller --n-embd.*")


@pytest.mark.parametrize("option", ["--out", "--log", "--resume", "--init"])
def test_an_empty_file_name_is_refused(data, option):
    assert_fails(microgpt_command("train", data, option, ""), 2, f"{option} needs the name of a file.*")


def test_what_is_the_user_s_own_is_not_turned_into_options():
    error = ValueError("'schedule and eps' has batch_size in it, the model's seed too; leave seed away")
    assert in_options(error) == "'schedule and eps' has --batch-size in it, the model's seed too; leave --seed away"


# ---- Ends -------------------------------------------------------------------------------------------------------


def open_training(data, *options, code="", **pipes):
    """A long training as a child process that hears Ctrl-C even where this one was started to ignore it."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    command = driver(code, "train", data, "--steps", 1_000_000, *TINY, *options)
    return subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, **pipes)


@posix
def test_ctrl_c(data):
    child = open_training(data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    with child:
        for line in child.stdout:  # which are seen while training goes on
            if line.startswith("step    3 /"):
                break
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert re.fullmatch(r"microgpt: interrupted after step \d+ of 1000000\n", err)
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
    assert (closed.returncode, closed.stderr) == (0, "")
