"""`microgpt run`: somebody's own microgpt-like script, unchanged, on the compiled Value.

script.py runs the file; rewrite.py changes its syntax tree where value_class.py, vectors.py and optimizer.py recognise the
reference; names.py, normal.py and unify.py are what they recognise it with; runtime.py is what the changed script calls.
"""

from microgpt.run.script import Unreadable, run_script

__all__ = ["Unreadable", "run_script"]
