"""Notebooks: one run from the command line as a script, and cells of one that is open.

microgpt run notebook.ipynb        its code cells, one after the other; what a cell ends with is printed
%load_ext microgpt                 then, in a cell: %%microgpt
microgpt.accelerate()              all cells that follow; in a script, all modules that it imports from then on
"""

import ast
import json
import os
import sys

from microgpt.display import cards
from microgpt.scripts import files, runtime
from microgpt.scripts.arithmetic import Unread
from microgpt.scripts.names import Module, Survey
from microgpt.scripts.report import Report
from microgpt.scripts.rewrite import find_value, rewrite, rewrite_all

OF_PYTHON = ("%%time", "%%timeit", "%%capture", "%%microgpt")  # cell magics after which comes Python


def code_of(source):
    """(the code cells of a notebook as one text; for each its last line, and whether what it ends with is shown). ValueError if it is no
    notebook.

    Lines for the shell and for IPython (!, %) are left out.
    """
    notebook = json.loads(source)
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("it has no cells")
    lines, ends = [], []
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code":
            text = "".join(cell.get("source", []))
            lines += python_lines(text)
            ends.append((len(lines), not text.rstrip().endswith(";")))
    return "\n".join(lines) + "\n", ends


def python_lines(cell):
    lines = cell.splitlines()
    if lines and lines[0].startswith("%%"):
        lines = lines[1:] if lines[0].split()[0] in OF_PYTHON else []
    special = [i for i, line in enumerate(lines) if line.lstrip().startswith(("%", "!", "?"))]
    for i in special:
        try:  # it may be within a text or an expression of several lines
            ast.parse("\n".join(lines))
            break
        except SyntaxError:
            indent = lines[i][: len(lines[i]) - len(lines[i].lstrip())]
            lines[i] = f"{indent}pass"
    return lines


def show_results(tree, ends):
    """Has the script print what each cell ends with, as a notebook shows it."""
    last = {}
    for statement in tree.body:
        last[next(i for i, (end, _) in enumerate(ends) if statement.lineno <= end)] = statement
    for i, statement in last.items():
        if isinstance(statement, ast.Expr) and ends[i][1]:
            name = ast.copy_location(ast.Name("__microgpt_show__", ast.Load()), statement)
            statement.value = ast.copy_location(ast.Call(name, [statement.value], []), statement)


# ---- A notebook that is open, or a script that is running -------------------------------------------------------------------


class Cells:
    """Rewrites the cells of a notebook as they are run (one of IPython's transformers of syntax trees). The first class that can be
    compiled is."""

    def __init__(self):
        self.survey, self.found, self.always = Survey(), None, False

    def visit(self, tree):
        source = ast.unparse(tree)
        module = Module("a cell", tree, *self._names(tree))
        self.survey.modules.append(module)
        report = Report(module.path)
        if self.found is None and not any(isinstance(node, ast.ClassDef) for node in ast.walk(tree)):
            return tree
        try:
            if self.found is None:
                self.found = find_value(Survey([module, *self.survey.modules[:-1]]), report)
                if self.found is None or self.found.module is not module:
                    self.found = None
                    print(report.summary(), file=sys.stderr)
                    return tree
                runtime.install(self.found)
            rewrite(module, self.found, report, self.survey)
            print(report.summary(), file=sys.stderr)
        except (Unread, RecursionError):
            return ast.parse(source)
        return tree

    def _names(self, tree):
        module = Module.of("a cell", ast.unparse(tree))
        return module.names, module.functions


CELLS = Cells()


VALUES = ["microgpt.Value", "microgpt.reference.Value"]  # and their subclasses


def load_ipython_extension(shell):
    """%load_ext microgpt: gives the notebook the cell magic %%microgpt, which runs a cell compiled, and shows Values as graphs."""

    def magic(line, cell):
        shell.ast_transformers.append(CELLS)
        try:
            shell.run_cell(cell)
        finally:
            shell.ast_transformers.remove(CELLS)

    shell.register_magic_function(magic, "cell", "microgpt")
    for name in VALUES:
        shell.display_formatter.formatters["image/svg+xml"].for_type(name, cards.of_value)


def unload_ipython_extension(shell):
    """%unload_ext microgpt: takes back what %load_ext gave."""
    shell.magics_manager.magics["cell"].pop("microgpt", None)
    for name in VALUES:
        shell.display_formatter.formatters["image/svg+xml"].pop(name, None)


def accelerate() -> None:
    """From now on, what `microgpt run` would compile is compiled: in a notebook, in the cells that follow; in a script, in the modules
    that it imports after this call, from its own folder or below. Says in a line on standard error what that is.

    The script's class takes the place of `microgpt.Value`, which is not to be used beside it.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        if CELLS not in shell.ast_transformers:
            shell.ast_transformers.append(CELLS)
        return
    path = os.path.abspath(getattr(sys.modules["__main__"], "__file__", None) or "a session")
    folder, report = os.path.dirname(os.path.realpath(path)), Report(path)
    try:
        with open(path, "rb") as file:
            main = Module.of(path, file.read(), files.exports_of(path, folder))
    except (OSError, SyntaxError, ValueError):
        return
    survey = files.survey(main, folder)
    others = Survey(survey.modules[1:])
    found = find_value(survey, report, others) if others.modules else None
    if found is not None:
        rewrite_all(others, found, report)
        runtime.install(found)
        files.install(folder, found, survey)
    print(report.summary(), file=sys.stderr)
