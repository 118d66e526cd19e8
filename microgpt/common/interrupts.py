"""Ctrl-C and similar signals: what a signal does, from a program's first import to its last line.

    end_at_once     before any work has begun: print one sentence and exit
    raise_from_now  while a command works: KeyboardInterrupt
    Noted           while a step or a file is being finished: record the signal, to be handled afterwards

The exception of a handler can get lost, when it happens to be raised in a destructor or a callback that ignores it. So `received` records
every signal, and a command checks it before it continues.
"""

import os
import time

try:
    import _signal as signal  # `signal` imports enum first, and a Ctrl-C in that would be a traceback
except ImportError:
    import signal

CTRL_C, PYTHONS = signal.SIGINT, signal.default_int_handler  # its number, and the handler that raises KeyboardInterrupt
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
IMPATIENT = 0.2  # seconds: a signal that follows sooner is a repetition, as when a terminal is closed
SENTENCE = b"microgpt: interrupted\n"

received = []  # the numbers of the signals that came, in order


def end_at_once():
    """From now on, Ctrl-C ends the process with one sentence and exit code 130."""
    if signal.getsignal(CTRL_C) is PYTHONS:  # not if it is ignored, as in a background job
        signal.signal(CTRL_C, _end)


def raise_from_now():
    """From now on, Ctrl-C raises KeyboardInterrupt, if until now it ended the process."""
    if signal.getsignal(CTRL_C) is _end:
        signal.signal(CTRL_C, _raise)


def as_python_has_it():
    """From now on, Ctrl-C does what it does in any Python program, if until now it did something of the above."""
    if signal.getsignal(CTRL_C) in (_end, _raise):
        signal.signal(CTRL_C, PYTHONS)


class Noted:
    """A context in which signals are only appended to the list `stopped`.

    A second Ctrl-C raises KeyboardInterrupt at once, for a step that takes minutes. handlers: those that are replaced; None:
    all, but for a signal that is ignored. In another thread than the main one nothing changes.
    """

    def __init__(self, numbers, stopped, handlers=None):
        self.numbers, self.stopped, self.handlers, self.before = numbers, stopped, handlers, {}
        self.first = time.monotonic()  # when the first signal came

    def __enter__(self):
        for number in self.numbers:
            handler = signal.getsignal(number)
            if handler in self.handlers if self.handlers else handler != signal.SIG_IGN:
                try:
                    self.before[number] = signal.signal(number, self._note)
                except ValueError:  # not the main thread, which alone handles signals
                    break
        return self.stopped

    def _note(self, number, _):
        now = time.monotonic()
        if not self.stopped:
            self.first = now
        self.stopped.append(number)
        if number == CTRL_C and now - self.first >= IMPATIENT:
            raise KeyboardInterrupt

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)


def _end(number, _):
    try:
        os.write(2, SENTENCE)
    except OSError:  # nothing reads standard error
        pass
    os._exit(128 + number)


def _raise(number, _):
    received.append(number)
    raise KeyboardInterrupt
