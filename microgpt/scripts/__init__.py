"""`microgpt run`: somebody's own microgpt-like script, unchanged, on the compiled Value.

Nothing is recognised by what it looks like. Each piece of a script is brought into a normal form, and that decides:

    arithmetic.py   an expression of numbers: a formula, which src/scalar/formula.h computes as Python would
    execution.py    statements, executed with symbols for what is not known
    reading.py      a method of the class: the node it makes, as formulas for its data and local gradients; or which other
                    operators it calls (symbols.py). The reference is read in the same way.
    traversal.py    a backward method: the order in which it adds up gradients
    loops.py        a loop over parameters: what each of their numbers is afterwards, as a formula
    lists.py        a list or a sum of Values: the operators, methods and dot products that make an element of it

value_class.py decides for each method of the class: the compiled one, a formula, or the script's own in Python, which makes
compiled nodes too. A method that differs costs what it must and no more. Whatever is compiled gives up where a number is out
of the ordinary, and then the script's own lines run; so results and errors are Python's.

names.py and files.py know the script's files, rewrite.py changes their syntax trees, runtime.py is what the changed files
call, report.py says what was done, and script.py runs it all.
"""

from microgpt.scripts.script import Unreadable, run_script

__all__ = ["Unreadable", "run_script"]
