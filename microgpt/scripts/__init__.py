"""`microgpt run`: runs a user's own microgpt-like script, unchanged, on the compiled Value.

Code is not recognised by its appearance. Each piece of a script is brought into a normal form, which decides how it runs:

    arithmetic.py   an expression of numbers: a formula, which src/scalar/formula.h computes as Python would
    execution.py    statements, executed with symbols for unknown values
    reading.py      a method of the class: the node it makes, as formulas for its data and local gradients; or the other
                    operators it calls (symbols.py). The reference is read in the same way.
    traversal.py    a backward method: the order in which it accumulates gradients
    loops.py        a loop over parameters: the new values of their numbers, as formulas
    lists.py        a list or a sum of Values: the operators, methods and dot products that make an element

value_class.py chooses for each method of the class between the compiled method, a formula, and the script's own method in
Python, which makes compiled nodes too. So a method that differs slows down only itself. Compiled code gives up if it meets an
unusual number, and then the script's own lines run; so results and errors are Python's.

names.py and files.py know the script's files, rewrite.py changes their syntax trees, the changed files call runtime.py,
report.py says what was done, and script.py runs it all.
"""

from microgpt.scripts.script import Unreadable, run_script

__all__ = ["Unreadable", "run_script"]
