"""Two ways to make an old script faster: `microgpt run`, or replacing its class by an import.

    python examples/accelerate.py [STEPS]

What you learn: old_script.py is a microgpt in plain Python with its own changes. `microgpt run` compiles the parts that are
like the reference's, without a change to the file. Or you edit it: `from microgpt import Value` replaces the class Value.
The output is the same in every digit; a time is printed only if it is.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

steps = sys.argv[1] if len(sys.argv) > 1 else "30"
script = Path(__file__).with_name("old_script.py")

# The edit: everything from the class to the next two empty lines
source = script.read_text(encoding="utf-8")
start = source.index("class Value:")
end = source.index("\n\n\n", start)
edited_source = source[:start] + "from microgpt import Value" + source[end:]


def run(*command):
    """The output of a command, and the seconds it takes."""
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, *command, steps]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment, check=True)
    return done.stdout, time.perf_counter() - started


with tempfile.TemporaryDirectory() as folder:
    edited = Path(folder, "edited.py")
    edited.write_text(edited_source, encoding="utf-8")
    Path(folder, "greek_names.txt").write_bytes(script.with_name("greek_names.txt").read_bytes())
    ways = {
        "python old_script.py": run(script),
        "python, with the class imported": run(edited),
        "microgpt run old_script.py": run("-m", "microgpt", "run", "--quiet", script),
    }

expected, pure = ways["python old_script.py"]
print(expected)
for way, (printed, seconds) in ways.items():
    assert printed == expected, way
    print(f"{way:32} {seconds:6.2f} s {pure / seconds:6.1f} times as fast")
