"""A Jupyter kernel for the tests: cells are run in it, one after the other, and what they show comes back. It also writes the outputs of
the notebooks in examples/ anew:

MICROGPT_NAMES=names.txt python tests/support/kernel.py examples/first_steps.ipynb
"""

import json
import os
import queue
import sys
import time
from pathlib import Path

import pytest


class Kernel:
    """A running kernel. `run` runs a cell. folder: its current folder; variables: its environment."""

    def __init__(self, folder=None, **variables):
        manager = pytest.importorskip("jupyter_client.manager", reason="jupyter_client is not installed")
        pytest.importorskip("ipykernel", reason="ipykernel is not installed")
        self.manager, self.client = manager.start_new_kernel(env={**os.environ, **variables}, kernel_name="python3", cwd=folder)

    def run(self, code, interrupt=None, timeout=60):
        """(what the cell displays: a list of (type of message, content); its error, or None).

        interrupt: called with each message; once it is true, the kernel is interrupted, as by the button of a notebook.
        """
        sent, shown, end = self.client.execute(code), [], time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != sent:
                continue
            if kind == "status" and content["execution_state"] == "idle":
                errors = [content for kind, content in shown if kind == "error"]
                return shown, errors[0] if errors else None
            if kind not in ("status", "execute_input"):
                shown.append((kind, content))
            if interrupt and interrupt(kind, content):
                self.manager.interrupt_kernel()
                interrupt = None
        raise TimeoutError(f"the cell took longer than {timeout} seconds: {code}")

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def outputs_of(shown):
    """The messages that a cell displayed, as outputs of a notebook file, in which an update replaces what it updates."""
    outputs, displays = [], {}
    for kind, content in shown:
        name = content.get("transient", {}).get("display_id")
        if kind == "update_display_data":
            displays[name]["data"] = _lines_of(content["data"])
        elif kind == "stream":
            if not outputs or outputs[-1].get("name") != content["name"]:
                outputs.append({"name": content["name"], "output_type": "stream", "text": []})
            outputs[-1]["text"] = ("".join(outputs[-1]["text"]) + content["text"]).splitlines(keepends=True)
        else:
            output = {"data": _lines_of(content["data"])}
            if kind == "execute_result":
                output["execution_count"] = content["execution_count"]
            outputs.append({**output, "metadata": content["metadata"], "output_type": kind})
            displays[name] = outputs[-1]
    return outputs


def _lines_of(data):
    is_text = lambda kind: kind.startswith("text/") or kind.endswith("xml")
    return {kind: value.splitlines(keepends=True) if is_text(kind) else value for kind, value in sorted(data.items())}


def executed(path):
    """A notebook file with the current outputs of its cells."""
    notebook, kernel = json.loads(Path(path).read_text(encoding="utf-8")), Kernel(Path(path).parent)
    try:
        count = 0
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                shown, error = kernel.run("".join(cell["source"]))
                if error:
                    raise RuntimeError("\n".join(error["traceback"]))
                count += 1
                cell |= {"execution_count": count, "outputs": outputs_of(shown)}
    finally:
        kernel.close()
    return notebook


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(executed(sys.argv[1]), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
