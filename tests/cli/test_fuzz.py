"""Hostile values for every option and argument of every command: each call ends with one sentence or with success.

Calls are made in this process, a few in processes of their own. Some hundreds of them are made, by chance but always the same;
with MICROGPT_FUZZ=all it is every value of every option, which takes a quarter of an hour.
"""

import argparse
import contextlib
import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from command_line import TEN_NAMES, environment, posix

import microgpt
from microgpt import GPTConfig, TrainConfig, cli
from microgpt.cli.commands import COMMANDS
from microgpt.proof import bench, verify
from microgpt.scripts import script

SOME = 25  # calls per command
SECONDS, ENDLESS = 30, 0.2  # the longest time of a call on a busy machine; the time after which a run of 10**20 steps is stopped
LONGEST = 400  # characters in a message
VALUES = [
    "", " ", "-", "--", "---", "=", "==", ".", "..", "/", "~", "*", "\n", "a\nb", "\t", "\r", "\x1b[31mred\x1b]0;title\x07", "\x9b2J",
    "\u202egpj.exe", "\u2028", "\0", "a\0b", "\udcff", "\ud800", "é", "٣", "²", "①", "😀", "x" * 100_000, "9" * 99, "9" * 400, "9" * 4299,
    "9" * 5000, "-" + "9" * 50, "0", "-0", "1", "2", "-1", "-1e-3", "1.5", "1e3", "1_000", "0x10", "100000000000000000000", "1e400", "1e-400",
    "nan", "-nan", "inf", "-inf", "True", "None", "[]", "{}", "{0}", "%s", "%(default)s", "%n%n", "$HOME", "`id`", "';\"", "\"", "a'b\"c", "\\",
    "--help", "--version", "--seed", "-h", "@docs.txt", "folder", "folder/", "no/where", "docs.txt", "docs.txt/x", "model", "cut.csv",
    "log.csv", "log.jsonl", "x.csv", "x.png", "x.html", "/dev/null", "/dev/full", "closed", "names", "train", "fast", "relu", "NUL", "con:",
]  # fmt: skip
FOR_PARAMETERS = {"data": "docs.txt", "model": "model", "logs": "log.csv", "script": "script.py"}
NEEDED = {"plot": ["--out=x.png"], "sweep": ["--learning-rate=0.01,0.02", "--trials=1"]}
TINY = ["--n-embd=4", "--n-head=2", "--block-size=8"]
NAMED = re.compile(r"(?<![\w'\"-])--[a-z][\w-]*")  # options in a sentence
NOT_OURS = {"--upgrade"}  # an option of pip


def actions(command):
    """The options and arguments of the command's parser."""
    [commands] = [action for action in cli._parser([command])._actions if isinstance(action, argparse._SubParsersAction)]
    return commands.choices[command]._actions


def options(command):
    return [name for action in actions(command) for name in action.option_strings]


def usual(command, without=()):
    """The arguments of a call that would succeed, except for the parameter `without`."""
    parameters = [action.dest for action in actions(command) if not action.option_strings]
    return [FOR_PARAMETERS[name] for name in parameters if name in FOR_PARAMETERS and name != without] + NEEDED.get(command, [])


def with_values(command, action):
    """The command lines that give one option or argument each value."""
    start = [command, *usual(command, without=action.dest)]
    if command in ("train", "inspect", "sweep") and action.dest != "data":
        start += TINY
    for value in VALUES:
        if not action.option_strings:
            yield [command, value, *start[1:]]
            yield [*start, "--", value]
        for name in action.option_strings:
            yield [*start, f"{name}={value}"]
            yield [*start, name, value]


def calls(command):
    every = [argv for action in actions(command) for argv in with_values(command, action)]
    if os.environ.get("MICROGPT_FUZZ") == "all":
        return every
    return random.Random(command).sample(every, min(len(every), SOME))


# ---- A call and its possible outcomes ------------------------------------------------------------------------------------


@pytest.fixture
def small(folder, monkeypatch):
    """A folder with files of every kind; presets and commands are replaced by fast ones."""
    for name, preset in microgpt.PRESETS.items():
        monkeypatch.setitem(microgpt.PRESETS, name, preset._replace(training=replace(preset.training, num_steps=3)))
    monkeypatch.setattr(verify, "exact_engines", lambda: ["exact"])
    monkeypatch.setattr(verify, "NUM_SAMPLES", 1)
    monkeypatch.setattr(bench, "compare", lambda *_, **__: [])
    monkeypatch.setattr(
        "microgpt.scripts.run_script", lambda path, *_, **__: script.read(path) and 0
    )  # the real one would take over this process
    monkeypatch.setattr("webbrowser.open", lambda *_: False)
    monkeypatch.setenv("MICROGPT_NAMES", str(folder / "docs.txt"))
    (folder / "folder").mkdir()
    config = GPTConfig(n_embd=4, n_head=2, block_size=8)
    run = microgpt.train(TEN_NAMES, config, TrainConfig(num_steps=3))
    files = {"script.py": b"import sys\nprint(len(sys.argv))\n", "closed": b"x", "cut.csv": b"step,loss\n1,2"}
    files["docs.txt"] = (folder / "docs.txt").read_bytes()
    run.save("model")
    files["model"] = (folder / "model").read_bytes()
    files["log.csv"] = b"step,loss\n1,2.5\n2,2.25\n"
    files["log.jsonl"] = b'{"step": 1, "loss": 2.5}\n'

    def restore():
        for name, content in files.items():
            path = folder / name
            if not path.is_file() or path.read_bytes() != content:
                path.unlink(missing_ok=True)
                path.write_bytes(content)
        (folder / "closed").chmod(0)

    return restore


class TooLong(BaseException):
    pass


@contextlib.contextmanager
def limits(seconds):
    """Replaces everything that would make a test wait or use up the machine."""
    import resource

    def stop(*_):
        raise TooLong

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, before[1]))
    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, before)


def called(argv):
    """(exit code, standard error) of a call in this process; (None, "") if it takes too long."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", newline="\n") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            with limits(ENDLESS if endless(argv) else SECONDS):
                code = cli.main(argv)
        except TooLong:
            return None, ""
        streams[1].flush()
    return code, streams[1].buffer.getvalue().decode("utf-8")


def called_apart(argv):
    """The same for a call in a separate process."""
    command = [sys.executable, "-Werror", "-m", "microgpt", *map(os.fsencode, argv)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment(), timeout=60)
    return done.returncode, done.stderr.decode("utf-8")


def endless(argv):
    """Whether a number is so large that the call may legitimately take long."""
    return any(re.fullmatch(r"[0-9_]{4,}", part.rpartition("=")[2]) for part in argv)


def wrong(argv, code, said):
    """What is wrong with the outcome of a call, or None."""
    if code is None:
        return None if endless(argv) else "it does not end"
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if said and not said.endswith("\n"):
        return "no line end"
    lines = said.split("\n")[:-1]
    if not all(line.startswith("microgpt") for line in lines):
        return "not a message of microgpt's"
    if max(map(len, lines), default=0) > LONGEST:
        return "a long message"
    if re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", said):
        return "control characters"
    errors = [line.startswith("microgpt: error: ") for line in lines]  # notes may come before
    if code and (not lines or any(errors[:-1]) or not errors[-1]):
        return "not one sentence"
    known = {*options(argv[0]), *NOT_OURS, *(part.partition("=")[0] for part in argv)} if argv[0] in COMMANDS else NOT_OURS
    named = set(NAMED.findall(re.sub(rf"{cli.QUOTED}|microgpt \w+ --[\w-]+", "", said)))
    if code and not named <= known:
        return f"it names what {argv[0]} does not have: {named - known}"
    return None


@posix
@pytest.mark.parametrize("command", COMMANDS)
def test_values(command, small):
    small()
    if command == "sweep":  # imported now, before a time limit could interrupt the import
        pytest.importorskip("optuna", reason="sweeps need Optuna")
    chance, found, began = random.Random(1), [], time.monotonic()
    for argv in calls(command):
        sendable = not any("\0" in part or "\ud800" in part or len(part) > 90_000 for part in argv)
        apart = sendable and command not in ("bench", "run") and chance.random() < 0.01
        try:
            code, said = (called_apart if apart else called)(argv)
        except Exception as error:
            found.append((argv, f"{type(error).__name__}: {error}"[:300]))
        else:
            problem = wrong(argv, code, said)
            if problem:
                found.append((argv, problem, said[:500]))
        small()
    shown = "\n".join(ascii([part[:80] for part in argv])[:300] + " " + " ".join(map(ascii, rest)) for argv, *rest in found)
    assert not found, f"{len(found)} calls in {time.monotonic() - began:.0f} s\n{shown}"
