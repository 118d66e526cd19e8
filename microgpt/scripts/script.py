"""Runs a rewritten script as `python script.py` would: as the module __main__, with its own arguments, folder and errors."""

import atexit
import builtins
import importlib
import importlib.machinery
import linecache
import os
import runpy
import signal
import subprocess
import sys
import traceback
import types
import warnings

from microgpt.common.words import quoted_path
from microgpt.scripts import files, notebook, runtime
from microgpt.scripts.names import Module
from microgpt.scripts.report import Report
from microgpt.scripts.rewrite import find_value, rewrite_all

STAYS = ("microgpt.compiled.fallback",)
GIVEN_UP = {}  # modules of this package, kept alive
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPILED_FILES = {"scalar.pyx", "script.pxi", "adam.pxi"}  # their names in tracebacks, which also have the path of the build


class Unreadable(Exception):
    """The script cannot be read; the message says why."""


def run_script(path, arguments=(), *, module=False, explain=False, quiet=False):
    """Run the script `path` with `arguments`, as the program of this process; returns its exit code.

    SystemExit of the script is passed on to the caller. For any other exception, the traceback is shown as Python would show it,
    and the exit code is 1. module: `path` is the name of a module or package, as after `python -m`. explain: report for each
    place what was done; quiet: report nothing.
    """
    command = ["-m", path, *arguments] if module else [path, *arguments]
    folder = os.getcwd() if module else os.path.dirname(os.path.realpath(path))
    file = module_file(path, folder) if module else path
    if file is None:
        return subprocess.call([sys.executable, *command])
    name = os.path.abspath(file)
    try:
        script = Notebook(read(file), name, folder) if name.endswith(".ipynb") else Script(read(file), name, folder)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if name.endswith(".ipynb"):
            raise Unreadable(f"{quoted_path(path)} is not a notebook of Python: {error}") from None
        return subprocess.call([sys.executable, *command])  # only Python itself shows the error exactly as Python does
    main = take_over(path, name, arguments, folder)
    if not quiet and sys.stderr is not None:
        print(script.report.explanation() if explain else script.report.summary(), file=sys.stderr, flush=True)
    script.install(explain and not quiet)
    atexit.register(at_exit)
    try:
        if module:
            become_module(main, path)
        exec(script.code, main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        return show(error)
    return 0


class Script:
    """A script's source, read and rewritten. Raises SyntaxError or ValueError if it is not Python.

    code: the code object of the script itself; found: its ValueClass or None. prepare: a function that changes the syntax tree first.
    """

    def __init__(self, source, name, folder, prepare=lambda tree: None):
        self.code = compile(source, name, "exec", dont_inherit=True)
        self.folder, self.report = folder, Report(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they have already been shown
            try:
                self._rewrite(source, name, prepare)
            except Exception as error:  # such as an expression nested thousands deep, which Python accepts
                self.found, self.report = None, Report(name)
                self.report.left_alone(name, 1, "the script", f"reading it ended with {type(error).__name__}", "class")

    def _rewrite(self, source, name, prepare):
        self.found = None
        main = Module.of(name, source, files.exports_of(name, self.folder))
        prepare(main.tree)
        self.survey = files.survey(main, self.folder)
        self.found = find_value(self.survey, self.report)
        if self.found is not None:
            rewrite_all(self.survey, self.found, self.report)
        if self.found is not None or isinstance(self, Notebook):
            self.code = compile(main.tree, name, "exec", dont_inherit=True)

    def install(self, explain):
        if explain:
            runtime.measure()
        if self.found is not None:
            runtime.install(self.found)
            files.install(self.folder, self.found, self.survey)


class Notebook(Script):
    """The code cells of a notebook as a script that prints the value at the end of each cell."""

    def __init__(self, source, name, folder):
        text, ends = notebook.code_of(source)
        super().__init__(text, name, folder, lambda tree: notebook.show_results(tree, ends))
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # for tracebacks

    def install(self, explain):
        builtins.__microgpt_show__ = lambda result: None if result is None else print(repr(result))
        super().install(explain)


def module_file(name, folder):
    """The file that `python -m name` runs if it is one of the script's own; None if it is not."""
    base = os.path.join(folder, *name.split("."))
    for file in (base + ".py", os.path.join(base, "__main__.py")):
        if os.path.isfile(file):
            return file
    return None


def become_module(main, name):
    """Do what `python -m` does before it runs a module: import its packages, and set the facts about its origin."""
    _, spec, _ = runpy._get_module_details(name)
    main.__dict__.update(__spec__=spec, __package__=spec.parent, __loader__=spec.loader, __file__=spec.origin, __cached__=spec.cached)
    sys.argv[0] = spec.origin


def read(path):
    try:
        with open(path, "rb") as file:
            source = file.read(2**20)
            if 0 in source and not os.path.isfile(path):  # an endless device; Python itself refuses files with NULs
                raise Unreadable(f"{quoted_path(path)} is not a script, because it has NUL bytes; name a Python file")
            return source + file.read()
    except IsADirectoryError:
        raise Unreadable(f"{quoted_path(path)} is a folder; name the script in it, or use -m for a package") from None
    except OSError as error:
        raise Unreadable(f"cannot open {quoted_path(path)}: {error.strerror}; check the path") from None


def take_over(path, name, arguments, folder):
    """Set up the process for the script: __main__, sys.argv and sys.path[0]. Returns the new module __main__."""
    main = types.ModuleType("__main__")
    loader = importlib.machinery.SourceFileLoader("__main__", name)
    main.__dict__.update(__file__=name, __builtins__=builtins, __loader__=loader)
    for attribute, empty in (("__cached__", None), ("__annotations__", {})):  # only some versions of Python set them
        if hasattr(sys.modules["__main__"], attribute):
            setattr(main, attribute, empty)
    sys.modules["__main__"] = main
    sys.argv[:] = [path, *arguments]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder
        if any(os.path.exists(os.path.join(folder, mine)) for mine in ("microgpt.py", "microgpt/__init__.py")):
            give_up_name()
    return main


def give_up_name():
    """Let `import microgpt` find the script's own module of that name, as under Python."""
    importlib.import_module("microgpt.compiled.fallback")  # compiled code imports it later, so it stays
    for name in [name for name in sys.modules if name.split(".")[0] == "microgpt" and name not in STAYS]:
        GIVEN_UP[name] = sys.modules.pop(name)


def show(error):
    """Show an exception of the script as Python does, with only the script's frames. Returns the exit code."""
    keep_script_frames(error)
    if sys.excepthook is sys.__excepthook__ and getattr(sys.modules["__main__"], "__file__", "").endswith(".ipynb"):
        traceback.print_exception(error)  # knows the lines of the cells
    else:
        sys.excepthook(type(error), error, error.__traceback__)
    if not isinstance(error, KeyboardInterrupt):
        return 1
    if os.name == "posix":
        at_exit.signal = signal.SIGINT
    return 130


def keep_script_frames(error):
    """Remove this package's frames from the traceback of an exception, and from those of its causes."""
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
    """After the script's own exit functions, end the process by the signal, as Python ends a script after Ctrl-C."""
    if runtime.CLOCK.started is not None:
        print(runtime.CLOCK.summary(), file=sys.stderr, flush=True)
    if at_exit.signal is not None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        signal.signal(at_exit.signal, signal.SIG_DFL)
        os.kill(os.getpid(), at_exit.signal)


at_exit.signal = None
