# Choosing an engine's kernels, and one caller at a time; included after the engine's `Kernels` are declared.

from _thread import allocate_lock  # threading.Lock, without the rest of threading


cdef extern from "simd/isa.h" nogil:
    int isa_supported(const char *name)
    const char *compiler_name()


cdef extern from "common/engine.h" nogil:
    const Kernels *kernels_at "SYMBOL(kernels_at)" (int i)


def isas():
    """The instruction sets this build has and this processor runs, best first."""
    cdef int i = 0
    names = []
    while kernels_at(i) != NULL:
        if isa_supported(kernels_at(i).isa):
            names.append(kernels_at(i).isa.decode())
        i += 1
    return names


cdef const Kernels *chosen_kernels() except NULL:
    """Those of the instruction set that the environment variable MICROGPT_ISA names, or the best."""
    cdef int i = 0
    name = chosen_isa(isas())
    while kernels_at(i).isa.decode() != name:
        i += 1
    return kernels_at(i)


cdef class OneCaller:
    """A base for what computes for one caller at a time; the second gets a RuntimeError."""

    cdef object lock

    def __cinit__(self, *args, **kwargs):
        self.lock = allocate_lock()

    cdef acquire(self):
        if not self.lock.acquire(False):  # mutant: one-caller
            raise RuntimeError("this engine is at work already; an engine computes for one caller at a time")

    cdef release(self):
        self.lock.release()
