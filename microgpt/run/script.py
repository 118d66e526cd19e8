"""Runs a script as `python script.py` does, rewritten: as the module __main__, with its own arguments, folder and errors."""

import ast
import atexit
import builtins
import importlib.machinery
import os
import signal
import sys
import types

from microgpt.run import runtime
from microgpt.run.rewrite import rewrite


class Unreadable(Exception):
    """There is no script to run; the message says why."""


def run_script(path, arguments=(), *, explain=False, quiet=False):
    """Run the script `path` with `arguments`, as the program of this process; returns its exit code.

    What happens inside is the script's: SystemExit goes on to the caller; for any other exception the traceback is shown, as
    Python would show it, and the code is 1. explain: say for each place what was done with it; quiet: say nothing.
    """
    source = read(path)
    name = os.path.abspath(path)
    main = take_over(path, name, arguments)
    try:
        code, report = compiled(source, name)
    except (SyntaxError, ValueError):
        return show_error(frames=None)
    if not quiet:
        print(report.explanation() if explain else report.summary(), file=sys.stderr, flush=True)
    runtime.install()
    atexit.register(at_exit)
    try:
        exec(code, main.__dict__)
    except SystemExit:
        raise
    except BaseException:
        return show_error(frames=1)
    return 0


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except IsADirectoryError:
        raise Unreadable(f"{path} is a folder; name the script in it") from None
    except OSError as error:
        raise Unreadable(f"cannot open {path}: {error.strerror}") from None


def compiled(source, name):
    """The code of a script and the Report about it. Errors are those of Python's own compiler on the script."""
    plain = compile(source, name, "exec", dont_inherit=True)
    tree, report = rewrite(ast.parse(source, name), name)
    if not report.replaced():
        return plain, report
    return compile(tree, name, "exec", dont_inherit=True), report


def take_over(path, name, arguments):
    """Makes this process the script's: __main__, sys.argv and sys.path[0]. Returns the new module __main__."""
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __file__=name, __builtins__=builtins, __cached__=None, __annotations__={},
        __loader__=importlib.machinery.SourceFileLoader("__main__", name),
    )
    take_over.former = sys.modules["__main__"]  # kept: a module that goes takes its globals with it
    sys.modules["__main__"] = main
    sys.argv[:] = [path, *arguments]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    return main


def show_error(frames):
    """Shows the exception being handled as Python does for a script: without this module's frames. Returns the exit code.

    frames: how many of them the traceback starts with; None for all.
    """
    kind, error, trace = sys.exc_info()
    for _ in range(frames or 0):
        trace = trace.tb_next if trace is not None else None
    error = error.with_traceback(trace if frames else None)
    sys.excepthook(kind, error, error.__traceback__)
    if not isinstance(error, KeyboardInterrupt):
        return 1
    if os.name == "posix":
        at_exit.signal = signal.SIGINT
    return 130


def at_exit():
    """After the script's own exit functions: end as Python ends a script after Ctrl-C, by the signal."""
    if at_exit.signal is not None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        signal.signal(at_exit.signal, signal.SIG_DFL)
        os.kill(os.getpid(), at_exit.signal)


at_exit.signal = None
