"""Access to a model's weights: for any number of threads that read them, or one that changes them.

Compiled because every sampled document acquires it, and because Ctrl-C must never leave it acquired. Whatever happens between two calls
into Python is atomic, since the GIL is held.
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
    """A reader-writer lock on some weights: `with access.reading(): ...`.

    Readers wait while the weights change; a thread that changes them waits until the present readers have finished. They take turns: a
    waiting change comes before later readers, and waiting readers come before the next change.
    """

    cdef Py_ssize_t readers
    cdef list waiting  # a lock for each waiting reader; the thread that releases it has counted the reader
    cdef object next  # the lock of the thread that waits to change the weights, or None
    cdef bint changing_now
    cdef bint training_now
    cdef unsigned long changer, trainer  # the threads that do so
    cdef object process

    def __cinit__(self):
        self.waiting, self.process = [], os.getpid()

    def reading(self):
        """For work that reads the weights as they are at one moment: a document, a loss."""
        return Guard.__new__(Guard, self, READING)

    def changing(self):
        """For work that changes the weights, such as some steps. RuntimeError if a thread is doing so already."""
        return Guard.__new__(Guard, self, CHANGING)

    def training(self):
        """For a whole training, which changes the weights from time to time. RuntimeError if one is under way already."""
        return Guard.__new__(Guard, self, TRAINING)

    def check_at_rest(self, what):
        """RuntimeError if a thread other than this one is training."""
        if self.training_now and self.trainer != PyThread_get_thread_ident():
            raise RuntimeError(f"another thread is training: {what} in its callback, or after the training")

    cdef int after_fork(self) except -1:
        """In a forked process only the thread that forked exists, so no other holds the lock."""
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
        """Admit all waiting readers."""
        nobody = []  # made first, since making it may run the garbage collector, and so other threads
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
    """The context manager that acquires the lock and releases it."""

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
