"""Errors of the command line are one sentence, before training if possible."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import (
    NAMES,
    SMALL,
    TEN_NAMES,
    TINY,
    assert_fails,
    environment,
    fail,
    microgpt_command,
    microgpt_here,
    printed,
    succeed,
)  # fmt: skip

import microgpt
from microgpt import TrainConfig, cli, compiled, engines, reference
from microgpt.cli.commands import train as train_command
from microgpt.cli.options import in_options
from microgpt.training import start


def test_files_that_cannot_be_used(folder):
    assert fail("sample", "nothing") == "there is no file 'nothing'; check the path"
    assert "'docs.txt' is not a saved model" in fail("sample", "docs.txt")
    assert "'docs.txt' is not a saved model" in fail("train", "docs.txt", "--resume", "docs.txt")
    assert fail("train", "docs.txt", "--out", "no/where") == "--out: there is no folder 'no'; make it first"
    assert fail("train", "docs.txt", "--out", str(folder)) == f"--out: {str(folder)!r} is a folder; name a file in it"
    microgpt.train(TEN_NAMES, training=TrainConfig(num_steps=2)).model.save("m")
    assert "is a model without its training; to train it further, start from it with --init" in fail("train", "docs.txt", "--resume", "m")
    assert "the character 'X' (U+0058) is not in" in fail("sample", "m", "--prompt", "X")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--engine", "fast", "--threads", "-1"], "--threads must be at least 0 and at most 1024, not -1"),
        (["--n-embd", "128", "--engine", "exact"], None),  # the pure script ends with RecursionError here
        (["--n-embd", "64", "--n-layer", "2", "--engine", "exact"], None),
        (
            ["--n-embd", "16", "--n-head", "3"],
            "--n-embd 16 is not divisible by --n-head 3: every head needs the same width",
        ),
        (
            ["--n-embd", "16", "--n-head", "32"],
            "--n-embd 16 is not divisible by --n-head 32: every head needs the same width",
        ),
        (["--temperature", "0"], None),
        (["--learning-rate", "5", "--steps", "1000"], "training diverged at step "),
        (["--learning-rate", "1e200"], "training diverged at step 2 of 2: "),
        (["--val-fraction", "0.99"], "of 10 different documents a --val-fraction of 0.99 leaves none to train on"),
    ],
)
def test_the_table_of_bad_input(folder, arguments, message):
    """Cases in which the reference fails: they work here, or the error is one sentence."""
    done = microgpt_here("train", "docs.txt", "--steps", 2, "--samples", 2, *arguments)
    if message is None:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode in (1, 2) and done.stderr.startswith(f"microgpt: error: {message}"), done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--engine", "fast", "--batch-size", "1000000000"], "choose a smaller --batch-size or --block-size"),
        (
            ["--engine", "graph", "--threads", "2"],
            "--threads 2 needs --engine exact or fast; the engine 'graph' computes on one thread",
        ),
        (["--engine", "fast", "--eps", "1e-50"], "--eps must be at least 1e-15 and finite on the engine 'fast', not 1e-50"),
    ],
)
def test_what_cannot_be_done_is_refused_before_training(folder, arguments, message):
    assert message in fail("train", "docs.txt", "--steps", 2, *SMALL, *arguments)


def test_the_log_and_the_model_are_two_files(folder):
    done = microgpt_here("train", "docs.txt", "--steps", 2, *SMALL, "--log", "x.csv", "--out", "x.csv")
    assert done.returncode == 2 and "--log: 'x.csv' is the file of --out, which would be lost" in done.stderr


def test_how_many_were_found_before_there_was_no_other(folder):
    succeed("train", "docs.txt", "--steps", 4, *SMALL, "--out", "run")
    options = ("-n", 50, "--unique", "--temperature", 0)
    assert "after 1 of 50" in fail("sample", "run", *options, "--engine", "exact")
    assert "after 1 of 50" in fail("sample", "run", *options, "--engine", "fast")


# ---- With exit codes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], r"the following arguments are required: COMMAND \(see microgpt --help\)"),
        (["fly"], r".*invalid choice: 'fly'.*\(see microgpt --help\)"),
        (["--fly"], r".*\(see microgpt --help\)"),
        (["train", "--fly"], r"unrecognized arguments: --fly \(see microgpt train --help\)"),
        (["train", "--step", "3"], r"unrecognized arguments: --step, did you mean --steps\? .*"),  # options added later would break them
        (["info", "x", "y"], r"unrecognized arguments: y \(see microgpt info --help\)"),
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
        (["train", "--clip-norm", "0"], r"--clip-norm must be more than 0 and finite, not 0.0; otherwise omit it"),
        (["train", "--weight-decay", "-1"], r"--weight-decay must be at least 0 and finite, not -1.0"),
        (["train", "--warmup-steps", "-1"], r"--warmup-steps must be at least 0, not -1"),
        (["train", "--val-fraction", "1"], r"--val-fraction must be at least 0 and less than 1, not 1.0"),
        (["train", "--eval-every", "0"], r"--eval-every must be at least 1, not 0; otherwise omit it"),
        (["train", "--patience", "3"], r"--patience needs documents to measure on; give a --val-fraction too, such as 0.1, or --val"),
        (["train", "--eval-every", "100"], r"--eval-every needs documents to measure on; give a --val-fraction too, .* or --val"),
        (["train", "--split-seed", "3"], r"--split-seed chooses the held-out documents; omit it, or give a --val-fraction too, .*"),
        (["train", "--val", "x", "--val-fraction", "0.1"], r"--val-fraction and --val both give documents to measure on; omit one of them"),
        (["train", "-", "--val", "-"], r"standard input can be read only once; give a file to train on or to --val"),
        (["train", "--val", ""], r"--val needs the name of a file; it was given an empty one"),
        (["train", "--checkpoint-every", "3"], r"--checkpoint-every needs --out FILE, the file to write"),
        (["train", "--checkpoint-every", "0", "--out", "x"], r"--checkpoint-every must be at least 1, not 0"),
        (["train", "--resume", "x", "--init", "x"], r"--resume continues a run with its own weights; .*"),
        (["train", "--log", "x.txt"], r"--log must end in \.csv or \.jsonl, which determines its format; not 'x\.txt'"),
        (["sample"], r"the following arguments are required: MODEL .*"),
        (["sample", "x", "--top-k", "0"], r"--top-k must be at least 1, not 0; otherwise omit it"),
        (["sample", "x", "--prompt", "\udcff"], r"--prompt: must be text in UTF-8, not '\\udcff' .*"),
        (["run", "--explain"], r"the following arguments are required: SCRIPT \(see microgpt run --help\)"),
        (["bench", "--n-embd", "16", "3"], r"--n-embd must be a multiple of 4, the number of heads; not 3"),
        (["sample", "x", "--top-p", "0"], r"--top-p must be more than 0 and at most 1, not 0.0; otherwise omit it"),
        (["train", "--temperature", "-1"], r"--temperature must be at least 0 and finite.*"),
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
        (b"", r"'.*docs\.txt' is empty; give a text file"),
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
    done = microgpt_here("train", path, *TINY)
    assert done.stdout == ""
    assert_fails(done, 1, message)


def test_a_folder_and_a_wrong_microgpt_names(tmp_path):
    assert_fails(microgpt_here("train", tmp_path), 1, r"'.*' is a folder; .*")
    done = microgpt_command("train", "names", env=environment(MICROGPT_NAMES=str(tmp_path / "nemo")))
    assert_fails(done, 1, r"there is no file '.*nemo' \(named by the environment variable MICROGPT_NAMES\); .*")


def test_notes_go_to_standard_error(tmp_path):
    path = tmp_path / "docs.txt"
    path.write_text("\n".join(NAMES), encoding="utf-8-sig")
    done = microgpt_here("train", path, "--steps", 6, "--samples", 3, *TINY)
    assert (done.returncode, done.stdout) == (0, printed(NAMES))
    assert re.fullmatch(r"microgpt: '.*docs\.txt' begins with a byte order mark .*\n", done.stderr)


def test_without_a_network_the_built_in_names_are_used(tmp_path):
    offline = environment(
        https_proxy="http://127.0.0.1:9",
        no_proxy=None,
        NO_PROXY=None,  # a port on which nothing listens
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
    assert list(map(int, steps)) == list(range(1, diverged))  # every earlier step is printed


@pytest.mark.parametrize(
    "options, advice",
    [
        (["--learning-rate", "5"], "--learning-rate 5 is far too large, because .*; try 0.01"),
        (["--learning-rate", "5", "--weight-decay", "9"], "--learning-rate 5 is far too large, because .*; try 0.01"),
        (["--weight-decay", "1e5"], r"--weight-decay 100000 subtracts 1000 times each weight in a step; try one below 100"),
        (["--init-std", "1e10"], "the initial weights are too large; try a smaller --init-std"),
        (["--init-std", "1e200"], "the initial weights are too large; .*"),
        (["--beta1", "0.9", "--beta2", "0"], "Adam's steps can grow without bound if --beta2 .*; try a --beta2 above 0.81"),
        (["--learning-rate", "1", "--n-embd", "16"], "try a --learning-rate below 1 or a smaller --init-std"),
    ],
    ids=str,
)
def test_what_is_at_fault_where_training_diverges(data, options, advice):
    for command in ("train", "inspect"):
        done = microgpt_here(command, data, "--engine", "exact", *options)
        assert_fails(done, 1, rf"training (would diverge|diverged) at step \d+.*: .*; {advice}")


def test_a_model_too_large_for_float32_is_refused_before_training(data, tmp_path):
    model = tmp_path / "model"
    options = ["--steps", 0, "--samples", 0, "--n-embd", 4, "--init-std", "1e40", "--out", model]
    assert microgpt_here("train", data, *options).returncode == 0
    done = microgpt_here("train", data, "--engine", "fast", "--init", model)
    assert done.stdout == ""
    assert_fails(done, 1, r"parameter \d+ is .*e\+\d\d, and the fast engine's numbers .*; start from smaller weights, or .*")


def test_samples_that_cannot_be_drawn(data):
    done = microgpt_here("train", data, "--steps", 1, "--learning-rate", "1e308", *TINY)
    assert_fails(done, 1, r"no sample can be drawn: .*; --learning-rate 1e\+308 is .*; try 0\.01, or a higher --temperature")


@pytest.mark.parametrize(
    "error, message",
    [
        (engines.EngineError("this model's graph is too deep; use engine='graph'"), "this model's graph is too deep; use --engine graph"),
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
    bare = [sys.executable, "-S"]  # without site-packages, which may contain a built package
    done = subprocess.run([*bare, "-m", "microgpt", "--version"], **options)
    assert_fails(done, 1, r"'.*' has no compiled modules for Python .*; build them, .*: pip install -e \.")
    done = subprocess.run([*bare, "-c", "import microgpt; microgpt.Value"], **options)
    assert done.returncode == 1 and " has no compiled modules for Python " in done.stderr.splitlines()[-1]
    for name in ("microgpt.reference", "microgpt.config", "microgpt.tokenizer"):  # these need no compiled core
        assert subprocess.run([*bare, "-c", f"import {name}"], **options).returncode == 0


def test_a_free_threaded_python_that_keeps_the_gil_off(monkeypatch):
    code = compile(Path(compiled.__file__).read_text(encoding="utf-8"), compiled.__file__, "exec")
    with monkeypatch.context() as patch, pytest.raises(ImportError, match="need the GIL; run Python without PYTHON_GIL=0 and -X gil=0"):
        patch.setattr(sys, "flags", SimpleNamespace(gil=0))
        exec(code, {"__path__": compiled.__path__})


def test_the_reference_in_a_bare_checkout(tmp_path):
    """It runs alone, without the package, and prints what the published script prints."""
    page = shutil.copy(reference.__file__, tmp_path)
    docs = ["ab", "b"]  # few letters, and so short samples
    (tmp_path / "docs.txt").write_text("\n".join(docs), encoding="utf-8")
    options = {"cwd": tmp_path, "capture_output": True, "encoding": "utf-8", "env": environment(PYTHONPATH=None)}
    shorter = "import reference; reference.main('docs.txt', num_steps=3)"
    done = subprocess.run([sys.executable, "-S", "-c", shorter], **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == printed(docs, steps=3, samples=20, engine="graph", n_layer=1, n_embd=16, n_head=4, block_size=16)
    done = subprocess.run([sys.executable, "-S", page], **options)
    assert done.returncode == 1 and done.stderr.startswith("usage: python reference.py FILE")


@pytest.mark.parametrize(
    "options",
    [["--n-embd", "100000"], ["--n-layer", "1" + 22 * "0"], ["--block-size", "1" + 12 * "0"], ["--n-embd", "1" + 12 * "0"]],
)
def test_a_model_that_no_machine_holds_is_refused_at_once(data, options):
    assert_fails(microgpt_here("train", data, *options), 1, r"a model of .* parameters takes .* GB to train, .* smaller --n-embd.*")


@pytest.mark.parametrize("name", engines.ENGINES)
def test_a_training_that_the_machine_does_not_hold_is_refused_before_it_starts(monkeypatch, name):
    docs, training = ["abc", "abcdefghijkl"] * 30, TrainConfig(batch_size=20)
    memory = start(docs, training=training, engine=name).memory
    assert min(memory._replace(snapshots=1)) > 0
    monkeypatch.setattr(engines, "machine_memory", lambda: memory.total() - 1)
    monkeypatch.setattr("microgpt.model._check_size", lambda num_params: None)
    with pytest.raises(
        MemoryError, match=r"this training takes .* \(.* weights.*, .* a step's activations, .* documents\), and this machine has"
    ):
        start(docs, training=training, engine=name)
    remedies = [engines.Memory(*sizes).remedy() for sizes in ((3, 2, 1), (2, 3, 1), (1, 2, 3))]
    assert remedies == ["choose a smaller n_embd or n_layer", "choose a smaller batch_size or block_size", "give less data"]


@pytest.mark.parametrize("option", ["--out", "--log", "--resume", "--init"])
def test_an_empty_file_name_is_refused(data, option):
    assert_fails(microgpt_here("train", data, option, ""), 2, f"{option} needs the name of a file.*")


def test_what_is_the_user_s_own_is_not_turned_into_options():
    error = ValueError("'schedule and eps' has batch_size in it, the model's seed too; omit seed")
    assert in_options(error) == "'schedule and eps' has --batch-size in it, the model's seed too; omit --seed"
