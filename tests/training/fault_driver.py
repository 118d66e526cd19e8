"""Trains in a child process for each requested fault, under tests/training/faults.c; see tests/training/test_faults.py.

standard input: a line of JSON for each case, {folder, call, nth, errno, lasting, arguments}; standard output: a line for each,
{code, out, err, calls}. All children are forked from one process that has imported microgpt, since there are hundreds.
"""

import ctypes
import json
import os
import sys
import traceback

from microgpt import cli, training  # noqa: F401
from microgpt.cli.commands import train  # noqa: F401

faults = ctypes.CDLL(None)


def child(case):
    os.chdir(case["folder"])
    for fd, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join("..", f"{os.path.basename(case['folder'])}.{name}"), os.O_WRONLY | os.O_CREAT, 0o666), fd)
    os.environ["TMPDIR"] = os.path.join(case["folder"], "..", "tmp")
    faults.arm(case["call"].encode(), (case["folder"] + "/").encode(), case["nth"], case["errno"], case["lasting"])
    try:
        code = cli.main(["train", "docs.txt", *case["arguments"]])
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        code = 99
    calls = faults.fired()
    faults.arm(b"", b"", 0, 0, 0)
    with open(os.path.join("..", f"{os.path.basename(case['folder'])}.calls"), "w") as file:
        file.write(str(calls))
    os._exit(code)


def contents(case, name):
    with open(f"{case['folder']}.{name}", encoding="utf-8") as file:
        return file.read()


for line in sys.stdin:
    case = json.loads(line)
    pid = os.fork()
    if pid == 0:
        child(case)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    result = {"code": code, "out": contents(case, "stdout"), "err": contents(case, "stderr"), "calls": int(contents(case, "calls"))}
    print(json.dumps(result), flush=True)
