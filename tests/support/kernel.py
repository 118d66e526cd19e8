"""A Jupyter kernel for the tests: cells are run in it, one after the other, and what they show comes back."""

import queue
import time

import pytest


class Kernel:
    """A running kernel; `run` runs a cell."""

    def __init__(self, **variables):
        manager = pytest.importorskip("jupyter_client.manager", reason="jupyter_client is not installed")
        pytest.importorskip("ipykernel", reason="ipykernel is not installed")
        self.manager, self.client = manager.start_new_kernel(env=variables, kernel_name="python3")

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
