"""The files of a script: finding them, and rewriting those that it imports.

A script's files are those in its own folder and below. Those reached by import statements are read before the script starts,
because what one file does to a node decides how the class in another file can be compiled. A module that is imported in
another way is rewritten when it is imported. Installed packages (site-packages) are never rewritten.
"""

import importlib.machinery
import os
import sys

from microgpt.scripts.names import Module, Survey
from microgpt.scripts.report import Report
from microgpt.scripts.rewrite import rewrite

OF_OTHERS = {"site-packages", "dist-packages"}


def survey(main, folder):
    """The Survey of a script. main: its Module, whose imports have not been followed yet; folder: where absolute imports are searched."""
    found, waiting = {os.path.realpath(main.path): main}, [main]
    while waiting:
        module = waiting.pop()
        for path in imported_files(module, folder):
            real = os.path.realpath(path)
            if real in found or not belongs(real, folder):
                continue
            try:
                with open(path, "rb") as file:
                    found[real] = Module.of(path, file.read(), exports_of(path, folder))
            except (OSError, SyntaxError, ValueError):  # the import will report it
                continue
            waiting.append(found[real])
    return Survey(list(found.values()))


def belongs(path, folder):
    """Whether a file is the script's own."""
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(folder)).split(os.sep)
    return inside[0] != os.pardir and not OF_OTHERS.intersection(inside) and path.endswith(".py")


def imported_files(module, folder):
    for level, name, members in module.names.import_statements:
        yield from files_of(module.path, level, name, members, folder)


def files_of(path, level, name, members, folder):
    """The files that an import statement in the file `path` may load: enclosing packages, the module, submodules that it names."""
    base = folder
    if level:
        base = os.path.dirname(path)
        for _ in range(level - 1):
            base = os.path.dirname(base)
    for part in name.split(".") if name else ():
        yield from existing(os.path.join(base, "__init__.py"))
        base = os.path.join(base, part)
    yield from existing(base + ".py", os.path.join(base, "__init__.py"))
    for member in members:
        yield from existing(os.path.join(base, member + ".py"), os.path.join(base, member, "__init__.py"))


def existing(*paths):
    return [path for path in paths if os.path.isfile(path)]


def exports_of(path, folder, depth=0):
    """A function for Names: the names that `from module import *` in the file `path` binds."""

    def exports(level, name):
        files = [file for file in files_of(path, level, name, (), folder) if belongs(file, folder)]
        if not files or depth > 4:
            return None
        try:
            with open(files[-1], "rb") as file:
                module = Module.of(files[-1], file.read(), exports_of(files[-1], folder, depth + 1))
        except (OSError, SyntaxError, ValueError):
            return None
        return None if module.names.star_imports else [name for name in module.names.bound if not name.startswith("_")]

    return exports


class Finder:
    """Finds the script's own modules as Python does, and rewrites them."""

    def __init__(self, folder, found, survey):
        self.folder, self.found, self.survey = folder, found, survey
        self.modules = {os.path.realpath(module.path): module for module in survey.modules[1:]}

    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if (
            spec is not None
            and spec.has_location
            and belongs(spec.origin, self.folder)
            and type(spec.loader) is importlib.machinery.SourceFileLoader
        ):
            spec.loader = Loader(spec.loader.name, spec.loader.path, self)
            return spec
        return None

    def code(self, source, path):
        module = self.modules.pop(os.path.realpath(path), None)
        if module is None:
            module = Module.of(path, source, exports_of(path, self.folder))
            rewrite(module, self.found, Report(path), self.survey)
        return compile(module.tree, path, "exec", dont_inherit=True)


class Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name, path, finder):
        super().__init__(name, path)
        self.finder = finder

    def get_code(self, name):
        source = self.get_data(self.path)
        plain = compile(source, self.path, "exec", dont_inherit=True)  # shows Python's errors and warnings
        try:
            return self.finder.code(source, self.path)
        except Exception:  # if reading it fails for any reason, Python can still run it
            return plain


def install(folder, found, survey):
    """From now on, rewrite modules of the script in `folder` when they are imported. Those of the survey are already rewritten."""
    sys.meta_path.insert(0, Finder(folder, found, survey))
