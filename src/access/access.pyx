"""Who may use a model's weights: many threads that read them, or one that changes them.

Compiled because every document that is written asks for it, and because Ctrl-C must find no moment at which something stays taken.
What is decided between two calls of Python is decided at once: the GIL guards it.
"""

import os
from _thread import allocate_lock

__all__ = ["Access"]


cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()


cdef enum:
    READING, CHANGING, TRAINING


cdef held_lock():
    lock = allocate_lock()
    lock.acquire()
    return lock


cdef class Access:
    """The right to use some weights, for one piece of work each: `with access.reading(): ...`.

    Readers wait while the weights change; who changes them waits until those who read have ended. They take turns: who waits to
    change them comes before later readers, and who waits to read comes before the next change.
    """

    cdef Py_ssize_t readers
    cdef list waiting  # a lock for each reader who waits; who releases it has counted the reader
    cdef object next  # the lock of who waits to change the weights, or None
    cdef bint changing_now
    cdef bint training_now
    cdef unsigned long changer, trainer  # the threads that do so
    cdef object process

    def __cinit__(self):
        self.waiting, self.process = [], os.getpid()

    def reading(self):
        """For what takes the weights as they are at one moment: a document, a loss."""
        return Guard.__new__(Guard, self, READING)

    def changing(self):
        """For what changes the weights, such as some steps. RuntimeError where somebody does already."""
        return Guard.__new__(Guard, self, CHANGING)

    def training(self):
        """For a whole training, which changes the weights now and then. RuntimeError where there is one already."""
        return Guard.__new__(Guard, self, TRAINING)

    def check_at_rest(self, what):
        """RuntimeError where another thread than this one is training."""
        if self.training_now and self.trainer != PyThread_get_thread_ident():
            raise RuntimeError(f"another thread is training: {what} in its callback, or after the training")

    cdef int after_fork(self) except -1:
        """In a forked process only the thread that forked goes on: nobody else is at work in it."""
        if self.process == os.getpid():
            return 0
        if self.changing_now:
            raise RuntimeError("this process was forked while its parent changed these weights; fork earlier, or load the model anew")
        self.process, self.readers, self.waiting, self.next, self.training_now = os.getpid(), 0, [], None, False
        return 0

    cdef int begin_reading(self) except -1:
        if self.changing_now or self.next is not None:  # mutant: wait-for-change
            self.after_fork()
            if self.changing_now and self.changer == PyThread_get_thread_ident():
                raise RuntimeError("this thread is changing the weights just now; read them after that")
            lock = held_lock()
            if self.changing_now or self.next is not None:
                self.waiting.append(lock)
                try:
                    lock.acquire()
                except BaseException:  # a signal
                    if lock in self.waiting:
                        self.waiting.remove(lock)
                    else:
                        self.end_reading()
                    raise
                return 0
        self.readers += 1
        return 0

    cdef int end_reading(self) except -1:
        self.readers -= 1
        if self.readers == 0 and self.next is not None:
            lock, self.next, self.changing_now = self.next, None, True
            lock.release()
        return 0

    cdef int begin_changing(self) except -1:
        lock = held_lock()
        if self.changing_now or self.readers:
            self.after_fork()
        if self.changing_now or self.next is not None:
            raise RuntimeError("something changes these weights already; wait until that has ended")
        self.changer = PyThread_get_thread_ident()
        if self.readers:  # mutant: wait-for-readers
            self.next = lock
            try:
                lock.acquire()
            except BaseException:  # a signal
                if self.next is lock:
                    self.next = None
                    self.end_changing()
                else:
                    self.end_changing()
                raise
        self.changing_now = True
        return 0

    cdef int end_changing(self) except -1:
        """Let all in who wait to read."""
        nobody = []  # made first, since it may run the garbage collector, and so other threads
        self.changing_now = False
        waiting, self.waiting = self.waiting, nobody
        self.readers += len(waiting)
        for lock in waiting:
            lock.release()
        return 0

    cdef int begin_training(self) except -1:
        if self.training_now:
            self.after_fork()
        if self.training_now:  # mutant: second-training
            raise RuntimeError("this model is in training already; wait until that has ended, or train a copy")
        self.training_now, self.trainer = True, PyThread_get_thread_ident()
        return 0


cdef class Guard:
    """What begins at `with` and ends after it."""

    cdef Access access
    cdef int kind

    def __cinit__(self, Access access not None, int kind):
        self.access, self.kind = access, kind

    def __enter__(self):
        if self.kind == READING:
            self.access.begin_reading()
        elif self.kind == CHANGING:
            self.access.begin_changing()
        else:
            self.access.begin_training()

    def __exit__(self, *error):
        if self.kind == READING:
            self.access.end_reading()
        elif self.kind == CHANGING:
            self.access.end_changing()
        else:
            self.access.training_now = False
