"""Runs a script as `python script.py` does, rewritten: as the module __main__, with its own arguments, folder and errors."""

import ast
import atexit
import builtins
import importlib
import importlib.machinery
import os
import signal
import subprocess
import sys
import types
import warnings

from microgpt.common.words import quoted_path
from microgpt.run import runtime
from microgpt.run.report import Report
from microgpt.run.rewrite import rewrite

STAYS = ("microgpt.compiled.fallback",)
GIVEN_UP = {}  # modules of this package, kept alive
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPILED_FILES = {"scalar.pyx", "script.pxi", "adam.pxi"}  # as tracebacks name them, with a path of where they were built


class Unreadable(Exception):
    """There is no script to run; the message says why."""


def run_script(path, arguments=(), *, explain=False, quiet=False):
    """Run the script `path` with `arguments`, as the program of this process; returns its exit code.

    What happens inside is the script's: SystemExit goes on to the caller; for any other exception the traceback is shown, as
    Python would show it, and the code is 1. explain: say for each place what was done with it; quiet: say nothing.
    """
    source = read(path)
    name = os.path.abspath(path)
    try:
        code, report = compiled(source, name)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # nobody shows it as Python does but Python
        return subprocess.call([sys.executable, path, *arguments])
    main = take_over(path, name, arguments)
    if not quiet and sys.stderr is not None:
        print(report.explanation() if explain else report.summary(), file=sys.stderr, flush=True)
    runtime.install()
    atexit.register(at_exit)
    try:
        exec(code, main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        return show(error)
    return 0


def read(path):
    try:
        with open(path, "rb") as file:
            source = file.read(2**20)
            if 0 in source and not os.path.isfile(path):  # a device that never ends; a file's NULs are for Python to refuse
                raise Unreadable(f"{quoted_path(path)} is not a script: it has NUL bytes; name a Python file")
            return source + file.read()
    except IsADirectoryError:
        raise Unreadable(f"{quoted_path(path)} is a folder; name the script in it") from None
    except OSError as error:
        raise Unreadable(f"cannot open {quoted_path(path)}: {error.strerror}; check the path") from None


def compiled(source, name):
    """The code of a script and the Report about it; raises what compile() does if it is not Python."""
    plain = compile(source, name, "exec", dont_inherit=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they have been given once
        try:
            tree, report = rewrite(ast.parse(source, name), name)
            return compile(tree, name, "exec", dont_inherit=True) if report.replaced() else plain, report
        except RecursionError:  # an expression thousands deep, which Python takes
            return plain, Report(name)


def take_over(path, name, arguments):
    """Makes this process the script's: __main__, sys.argv and sys.path[0]. Returns the new module __main__."""
    main = types.ModuleType("__main__")
    loader = importlib.machinery.SourceFileLoader("__main__", name)
    main.__dict__.update(__file__=name, __builtins__=builtins, __loader__=loader)
    for attribute, empty in (("__cached__", None), ("__annotations__", {})):  # some versions of Python set them, some do not
        if hasattr(sys.modules["__main__"], attribute):
            setattr(main, attribute, empty)
    sys.modules["__main__"] = main
    sys.argv[:] = [path, *arguments]
    folder = os.path.dirname(os.path.realpath(path))
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder
        if any(os.path.exists(os.path.join(folder, mine)) for mine in ("microgpt.py", "microgpt/__init__.py")):
            give_up_name()
    return main


def give_up_name():
    """Lets `import microgpt` find the script's own module of that name, as it does under Python."""
    importlib.import_module("microgpt.compiled.fallback")  # the one that compiled code imports later; it stays
    for name in [name for name in sys.modules if name.split(".")[0] == "microgpt" and name not in STAYS]:
        GIVEN_UP[name] = sys.modules.pop(name)


def show(error):
    """Shows an exception that left the script as Python does, with the script's frames alone. Returns the exit code."""
    keep_script_frames(error)
    sys.excepthook(type(error), error, error.__traceback__)
    if not isinstance(error, KeyboardInterrupt):
        return 1
    if os.name == "posix":
        at_exit.signal = signal.SIGINT
    return 130


def keep_script_frames(error):
    """Takes this package's frames out of the traceback of an exception, and of those it came from."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames, trace = [], error.__traceback__
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if not name.startswith(PACKAGE + os.sep) and os.path.basename(name) not in COMPILED_FILES:
                frames.append(trace)
            trace = trace.tb_next
        for frame, following in zip(frames, [*frames[1:], None]):
            frame.tb_next = following
        error.__traceback__ = frames[0] if frames else None
        error = error.__cause__ or error.__context__


def at_exit():
    """After the script's own exit functions: end as Python ends a script after Ctrl-C, by the signal."""
    if at_exit.signal is not None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        signal.signal(at_exit.signal, signal.SIG_DFL)
        os.kill(os.getpid(), at_exit.signal)


at_exit.signal = None
