"""Notebooks: run from the command line as a script, or open in a kernel.

microgpt run notebook.ipynb        runs the code cells in order; prints the value of the expression at the end of a cell
%load_ext microgpt                 then compiles a cell that begins with %%microgpt
microgpt.accelerate()              compiles all cells that follow; in a script, all modules that it imports from then on
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

OF_PYTHON = ("%%time", "%%timeit", "%%capture", "%%microgpt")  # cell magics that Python code follows


def code_of(source):
    """(the code cells of a notebook as one text; for each cell its last line, and whether the value at its end is shown).

    Lines for the shell and for IPython (!, %) are omitted. Raises ValueError if it is not a notebook.
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
        try:  # the line may be inside a string or an expression of several lines
            ast.parse("\n".join(lines))
            break
        except SyntaxError:
            indent = lines[i][: len(lines[i]) - len(lines[i].lstrip())]
            lines[i] = f"{indent}pass"
    return lines


def show_results(tree, ends):
    """Make the script print the value at the end of each cell, as a notebook shows it."""
    last = {}
    for statement in tree.body:
        last[next(i for i, (end, _) in enumerate(ends) if statement.lineno <= end)] = statement
    for i, statement in last.items():
        if isinstance(statement, ast.Expr) and ends[i][1]:
            name = ast.copy_location(ast.Name("__microgpt_show__", ast.Load()), statement)
            statement.value = ast.copy_location(ast.Call(name, [statement.value], []), statement)


# ---- A notebook that is open, or a script that is running -------------------------------------------------------------------


class Cells:
    """Rewrites the cells of a notebook when they run (one of IPython's transformers of syntax trees). It compiles the first class
    that can be compiled."""

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
    """%load_ext microgpt: adds the cell magic %%microgpt, which runs a cell compiled, and shows Values as graphs."""

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
    """%unload_ext microgpt: undoes %load_ext microgpt."""
    shell.magics_manager.magics["cell"].pop("microgpt", None)
    for name in VALUES:
        shell.display_formatter.formatters["image/svg+xml"].pop(name, None)


def accelerate() -> None:
    """Compile your own code from here on, as `microgpt run` does, with the same results.

    In a notebook, this holds for the cells that follow. In a script, it holds for the modules that it imports after this call from its own
    folder or below. A line on standard error says what was compiled. The class of your script takes the place of `microgpt.Value`; do not
    use both.
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
