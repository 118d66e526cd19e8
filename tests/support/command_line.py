"""The command line for the tests, in a separate process or in this one: calling it, and its expected output."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import microgpt
from microgpt import GPTConfig, TrainConfig, cli

TINY = ["--engine", "python", "--n-embd", "4", "--n-head", "2", "--block-size", "8"]
SMALL = ["--n-embd", "8", "--n-head", "2"]
TEN_NAMES = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "amelia", "harper", "evelyn", "abigail"]
NAMES = TEN_NAMES[:6]
posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


def environment(**changes):
    """This process's environment without variables that change the output. None removes a variable."""
    usual = {"MICROGPT_NAMES": None, "COLUMNS": None, "NO_COLOR": None, "TERM": "xterm", "PYTHONUNBUFFERED": None}
    changes = usual | changes
    inherited = {name: value for name, value in os.environ.items() if name not in changes}
    return inherited | {name: value for name, value in changes.items() if value is not None}


def without_comment(stderr):
    """Standard error without the sentences about a model that has hardly learned anything, as after a few steps, or was not saved."""
    return re.sub(r"^microgpt: the model (has hardly learned|is untrained|was not saved).*\n", "", stderr, flags=re.MULTILINE)


def microgpt_command(*arguments, **options):
    """Run `microgpt ARGUMENTS`; stdout and stderr of the result are text. A warning in it is an error.

    What `train` says of a model that has hardly learned anything, or was not saved, is left out.
    """
    options = {"env": environment(), "stdin": subprocess.DEVNULL, "timeout": 120} | options
    if "input" in options:
        del options["stdin"]
    command = [sys.executable, "-Werror", "-m", "microgpt", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", **options)
    done.stderr = without_comment(done.stderr)
    return done


def microgpt_here(*arguments):
    """The same in this process, which saves the quarter of a second that a process takes to start."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
    with (
        mock.patch.dict(os.environ, environment(), clear=True), open(os.devnull) as nothing, mock.patch("sys.stdin", nothing),
        contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
    ):  # fmt: skip
        code = cli.main(list(map(str, arguments)))
    for stream in (out, err):
        stream.flush()
    printed, said = (stream.buffer.getvalue().decode("utf-8") for stream in (out, err))
    return subprocess.CompletedProcess(arguments, code, printed, without_comment(said))


def without_seconds(log):
    """The rows of a .csv log without the seconds, which vary."""
    rows = [line.split(",") for line in Path(log).read_text(encoding="utf-8").splitlines()]
    at = rows[0].index("seconds")
    return [row[:at] + row[at + 1 :] for row in rows]


def succeed(*arguments):
    """The output of `microgpt ARGUMENTS`, which must succeed."""
    done = microgpt_here(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fail(*arguments):
    """The sentence with which `microgpt ARGUMENTS` must fail."""
    done = microgpt_here(*arguments)
    assert done.returncode == 1, done
    assert done.stderr.startswith("microgpt: error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("microgpt: error: ").rstrip("\n")


def driver(code, *arguments):
    """A command that runs `code`, then the command line with `arguments`."""
    code = f"import sys\n{code}\nfrom microgpt.cli import main\nsys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-Werror", "-c", code, *map(str, arguments)]


def printed(docs, preset="current", steps=6, samples=3, seed=42, engine="python", **model):
    """The reference's output for a tiny model, made from the library's results."""
    config, training, temperature = microgpt.PRESETS[preset]
    config = GPTConfig(**{**vars(config), "n_embd": 4, "n_head": 2, "block_size": 8, **model})
    training = TrainConfig(**{**vars(training), "num_steps": steps})
    run = microgpt.train(docs, config, training, seed=seed, engine=engine)
    vocab_size = len(set("".join(docs))) + 1
    lines = [f"num docs: {len(docs)}", f"vocab size: {vocab_size}", f"num params: {run.model.num_params}"]
    lines += ["step %4d / %4d | loss %.4f" % (i, steps, loss) for i, loss in enumerate(run.losses, 1)]
    if preset == "current":
        lines += ["", "--- inference (new, hallucinated names) ---"]
        lines += ["sample %2d: %s" % (i, text) for i, text in enumerate(run.generate(samples, temperature), 1)]
    else:
        lines += ["", "--- inference ---"]
        lines += ["sample %d: %s" % (i, text) for i, text in enumerate(run.generate(samples, temperature), 1)]
    return "\n".join(lines) + "\n"


def assert_fails(done, code, message):
    """Assert that standard error has one line that matches `message`, and that the exit code is `code`."""
    assert done.returncode == code, done
    assert re.fullmatch(f"microgpt: error: {message}\n", done.stderr), done.stderr


def on_terminal(command, columns=100, when=None, streams=("stdout",), **variables):
    """Run `command` with a terminal as its standard output. Returns (exit code, output on the terminal, standard error).

    when: a pattern; Ctrl-C is sent as soon as the terminal shows it. streams: which of "stdout" and "stderr" are the terminal; the other
    one's text is the last result.
    """
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    places = {name: slave if name in streams else subprocess.PIPE for name in ("stdout", "stderr")}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment(**variables), **places) as child:
        os.close(slave)
        shown = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # on Linux, this means that the other end is closed
                break
            if not part:
                break
            shown += part
            if when and re.search(when, shown.decode("utf-8", "replace")):
                child.send_signal(signal.SIGINT)
                when = None
        os.close(master)
        other = [pipe.read().decode() for pipe in (child.stderr, child.stdout) if pipe]
    return child.returncode, shown.decode().replace("\r\n", "\n"), "".join(other)
