"""Ctrl-C and its kin: what a signal does, from the first import of a program to its last line.

    end_at_once     while nothing is done yet: one sentence, and the end
    raise_from_now  while a command works: KeyboardInterrupt
    Noted           while a step or a file is being finished: the signal is written down, and heard in between

A handler that raises can lose its exception: a destructor or a callback in which it happens to be raised drops it. So
`received` has every signal, and is looked at where a command would go on.
"""

import os
import time

try:
    import _signal as signal  # `signal` imports enum first, and a Ctrl-C in that would be a traceback
except ImportError:
    import signal

CTRL_C, PYTHONS = signal.SIGINT, signal.default_int_handler  # its number, and the handler that raises KeyboardInterrupt
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
IMPATIENT = 0.2  # seconds: what follows sooner is the same signal again, as where a terminal is closed
SENTENCE = b"microgpt: interrupted\n"

received = []  # the numbers of the signals that came, in order


def end_at_once():
    """From now on, Ctrl-C ends the process with one sentence and exit code 130."""
    if signal.getsignal(CTRL_C) is PYTHONS:  # not where it is ignored, as in the background
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
    """A context in which signals are appended to the list `stopped`, and not heard otherwise.

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
                except ValueError:  # not in the main thread, where signals are somebody else's
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
    except OSError:  # nobody is there to read it
        pass
    os._exit(128 + number)


def _raise(number, _):
    received.append(number)
    raise KeyboardInterrupt
