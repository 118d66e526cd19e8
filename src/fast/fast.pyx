"""The fast engine's interface to Python: it checks arguments, releases the GIL, and raises errors.

All computing is in src/fast/*.c and *.h, which know nothing of Python. There, numbers are floats (float32); here and above, doubles.
"""

from array import array

from microgpt.engines import EngineError, chosen_isa  # no-cython-lint: kernels.pxi uses it

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport isfinite
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t


include "common/shape.pxi"
include "common/documents.pxi"


cdef extern from "fast/model.h" nogil:
    ctypedef struct Kernels:
        const char *isa


cdef extern from "fast/engine.h" nogil:
    ctypedef struct Trainer:
        Shape shape
        const Kernels *kernels
        float *params
        float *gradients
        float *m
        float *v
        double beta1, beta2, eps
        uint64_t num_steps

    size_t fast_token_bytes(const Shape *s)
    ctypedef struct CMeasure "Measure":
        Shape shape
        const Kernels *kernels

    outcome fast_losses(CMeasure *m, const double *params, const Documents *docs, size_t first, size_t n_docs, double *losses,
                        size_t n_threads)
    void fast_measure_free(CMeasure *m)
    int fast_trainer_reserve(Trainer *t)
    void fast_trainer_free(Trainer *t)
    outcome fast_batch_gradients(Trainer *t, const Documents *docs, size_t step, const Options *o, double *loss)
    outcome fast_train(Trainer *t, const Documents *docs, size_t first, size_t n_steps, const Options *o, const double *lr,
                       double *losses, double *norms, size_t *n_losses)


include "common/kernels.pxi"


cdef class Network(OneCaller):
    """One model's float32 parameters, activations, gradients and Adam state, in addition to the model's own buffer of doubles.

    Not for two threads at a time: the second gets a RuntimeError.
    """

    cdef Trainer trainer
    cdef double[::1] params
    cdef readonly str isa

    def __cinit__(self, config, vocab_size, double[::1] params not None):
        set_shape(&self.trainer.shape, config, vocab_size, params)
        self.trainer.kernels = chosen_kernels()
        self.isa = self.trainer.kernels.isa.decode()
        self.params = params

    def __dealloc__(self):
        fast_trainer_free(&self.trainer)

    cdef prepare(self, training):
        """Adam is set up at the first step of a run, and keeps its settings; its betas are rounded to float32."""
        cdef Trainer *t = &self.trainer
        if t.params == NULL:
            if fast_trainer_reserve(t) < 0:
                raise MemoryError(f"there is not enough memory for the gradients and moments of {t.shape.n_params} parameters")
            t.beta1, t.beta2, t.eps = <float>training.beta1, <float>training.beta2, training.eps  # mutant: float-betas

    @property
    def bytes_per_token(self):
        """About how much memory each token of a batch takes."""
        return fast_token_bytes(&self.trainer.shape)

    def check_params(self):
        """EngineError where a parameter is beyond the range of float32; one that is too small is rounded."""
        cdef size_t i
        for i in range(self.trainer.shape.n_params):
            if not isfinite(<float>self.params[i]):
                raise EngineError(
                    f"parameter {i} is {self.params[i]!r}, and the fast engine's numbers are finite and at most 3.4e+38; "
                    "start from smaller weights, or choose an exact engine"
                )

    cdef read_params(self):
        cdef size_t i
        self.check_params()
        for i in range(self.trainer.shape.n_params):
            self.trainer.params[i] = <float>self.params[i]

    cdef void write_params(self) noexcept nogil:
        cdef size_t i
        for i in range(self.trainer.shape.n_params):
            self.params[i] = self.trainer.params[i]

    def train(self, corpus, steps, training, list losses not None, size_t n_threads=1, list norms=None):
        """See Engine.train. FloatingPointError where a loss is not finite, OverflowError where a number
        leaves the range of float32, EngineError for settings and parameters that have no meaning in it."""
        cdef Steps task
        cdef outcome result
        if not len(steps):
            return
        task = Steps(corpus, steps, training, n_threads)
        if norms is not None:
            task.measure_norms()
        self.acquire()
        try:
            self.prepare(training)
            self.read_params()
            with nogil:  # mutant: release-gil
                result = fast_train(
                    &self.trainer, &task.docs, task.first_step, task.n_steps, &task.options, &task.lr[0], &task.losses[0],
                    task.norms_or_null, &task.n_losses,
                )
                self.write_params()
            losses.extend(task.losses[:task.n_losses])
            if norms is not None:
                norms.extend(task.norms[:task.n_losses])
        finally:
            self.release()
        self.check(result)

    cdef check(self, outcome result):
        if result == NO_MEMORY:
            raise MemoryError("there is not enough memory for this batch's activations; a smaller batch_size takes less")
        if result == BAD_CORPUS:
            raise ValueError(f"a document must be two or more token ids below {self.trainer.shape.vocab}")
        if result == LOSS_NOT_FINITE:
            raise FloatingPointError("the loss is not finite")
        if result == GRADIENT_OVERFLOW:
            raise OverflowError("a parameter, or the square of a gradient, is too large for a float32")

    def backward(self, corpus, step, training, size_t n_threads=1):
        """(loss, gradients) of a step: a float, and a list in parameter order."""
        cdef Steps task = Steps(corpus, range(step, step + 1), training, n_threads)
        cdef double loss = 0.0
        cdef size_t i
        cdef outcome result
        self.acquire()
        try:
            self.prepare(training)
            self.read_params()
            with nogil:
                result = fast_batch_gradients(&self.trainer, &task.docs, task.first_step, &task.options, &loss)
            self.check(result)
            return loss, [self.trainer.gradients[i] for i in range(self.trainer.shape.n_params)]
        finally:
            self.release()

    def moments(self):
        """Adam's first and second moments, two arrays of doubles in parameter order; None before training."""
        cdef size_t i, n = self.trainer.shape.n_params
        if self.trainer.params == NULL:
            return None
        return (
            array("d", [self.trainer.m[i] for i in range(n)]),
            array("d", [self.trainer.v[i] for i in range(n)]),
        )

    def restore(self, training, const double[::1] m not None, const double[::1] v not None, uint64_t num_steps):
        """Continue as after num_steps steps that left these moments."""
        cdef size_t i, n = self.trainer.shape.n_params
        if <size_t>m.shape[0] != n or <size_t>v.shape[0] != n:
            raise ValueError(f"this model has {n} parameters, but {m.shape[0]} and {v.shape[0]} moments were given")
        self.acquire()
        try:
            self.prepare(training)
            for i in range(n):
                self.trainer.m[i], self.trainer.v[i] = <float>m[i], <float>v[i]
            self.trainer.num_steps = num_steps
        finally:
            self.release()


cdef class Measure(OneCaller):
    """Computes losses, with the present weights and its own memory."""

    cdef CMeasure measure
    cdef Network network

    def __cinit__(self, Network network not None):
        self.network = network
        self.measure.shape, self.measure.kernels = network.trainer.shape, network.trainer.kernels

    def __dealloc__(self):
        fast_measure_free(&self.measure)

    def losses(self, corpus, which, size_t n_threads):
        """The mean cross-entropy of each document of the range `which`: an array of doubles. Not finite where a number overflowed."""
        cdef Reading read = Reading(corpus)
        cdef double[::1] found = array("d", bytes(8 * len(which)))
        cdef size_t first = which.start, n = len(which)
        cdef outcome result = DONE
        self.acquire()
        try:
            if n:
                with nogil:
                    result = fast_losses(&self.measure, &self.network.params[0], &read.docs, first, n, &found[0], n_threads)
            self.network.check(result)
        finally:
            self.release()
        return found.base


# ---- Writing ---------------------------------------------------------------------------------------------------------

cdef extern from "fast/random.h" nogil:
    void c_philox "philox"(uint32_t *out, uint32_t *counter, const uint32_t *key, int n)


cdef extern from "fast/sampler.h" nogil:
    enum:
        WRITTEN, WRITER_NO_MEMORY, NOT_FINITE, UNFINISHED

    ctypedef struct Sampler:
        Shape shape
        uint32_t key[2]
        uint32_t bos
        size_t top_k, n_prefix, never, most
        float scale, top_p
        int is_long

    ctypedef struct Portion:
        uint32_t *tokens
        uint32_t *lengths


cdef extern from "fast/writer.h" nogil:
    ctypedef struct CWriter "Writer":
        const Kernels *kernels
        Sampler sampler
        Portion portion

    int fast_writer_prepare(CWriter *w, const double *params, const uint32_t *prefix, double expected)
    int fast_writer_write(CWriter *w, uint64_t first, size_t n_docs, size_t n_threads)
    int fast_writer_continue(CWriter *w)
    void fast_writer_free(CWriter *w)


cdef extern from "Python.h":
    object PyUnicode_FromKindAndData(int kind, const void *buffer, Py_ssize_t size)
    object PyUnicode_New(Py_ssize_t size, uint32_t largest)
    void *PyUnicode_DATA(object text)
    int PyUnicode_4BYTE_KIND


def philox(counter, key):
    """Four random 32-bit numbers from four (counter) and two (key): Philox4x32-10."""
    cdef uint32_t[4] out, c = counter
    cdef uint32_t[2] k = key
    c_philox(out, c, k, 1)
    return tuple(out)


cdef class Writer(OneCaller):
    """Writes documents by number, many at once: see microgpt.engines.fast.FastEngine.writer. It uses the weights as they were when it was
    created."""

    cdef CWriter writer
    cdef size_t n_threads
    cdef uint32_t[::1] letters
    cdef bint ascii
    cdef readonly size_t portion

    def __cinit__(
        self, Network network, uint64_t key, letters, size_t bos, bint ends, prefix, size_t length, temperature, top_k, top_p,
        expected, size_t n_threads,
    ):
        """ends: whether BOS ends a document, or is never chosen; length: of what is written after the prefix, at least 1."""
        cdef Sampler *s = &self.writer.sampler
        cdef const double[::1] params = network.params
        cdef const uint32_t[::1] tokens = array("I", prefix)
        cdef double count = expected
        cdef int outcome
        self.ascii = letters.isascii()
        self.letters, self.n_threads = array("I", map(ord, letters)), n_threads
        s.shape, self.writer.kernels = network.trainer.shape, network.trainer.kernels
        s.key[0], s.key[1], s.bos = <uint32_t>key, <uint32_t>(key >> 32), bos
        if temperature == 0:
            temperature, top_k = 1.0, 1
        s.scale = min(1 / temperature, 1e30)  # 0 * infinity would be NaN
        s.top_k = s.shape.vocab if top_k is None else min(top_k, s.shape.vocab)
        s.top_p = 2.0 if top_p is None or top_p == 1 else max(top_p, 1e-30)
        s.n_prefix = tokens.shape[0]
        s.never, s.most = s.shape.vocab if ends else bos, s.n_prefix - 1 + length
        s.is_long = s.most > s.shape.block_size
        if length < 1 or bos >= s.shape.vocab or max(tokens) >= s.shape.vocab or <size_t>self.letters.shape[0] != s.shape.vocab:
            raise ValueError("this prompt or alphabet is not of this model")
        with nogil:
            outcome = fast_writer_prepare(&self.writer, &params[0], &tokens[0], count)
        self.check(outcome)
        # Some 20 ms of work, if documents were as long as they may be.
        effort = <double>s.shape.n_params * s.most
        self.portion = max(64, n_threads * int(min(2e9 / effort, 1e6 / s.most)))

    def __dealloc__(self):
        fast_writer_free(&self.writer)

    def write(self, uint64_t first, size_t n_docs):
        """The texts of documents first .. first + n_docs - 1."""
        cdef CWriter *w = &self.writer
        cdef size_t i, most = w.sampler.most
        cdef int outcome
        self.acquire()
        try:
            with nogil:
                outcome = fast_writer_write(w, first, n_docs, self.n_threads)
            while outcome == UNFINISHED:
                PyErr_CheckSignals()
                with nogil:
                    outcome = fast_writer_continue(w)
            self.check(outcome)
            return [self.text(w.portion.tokens + i * most, w.portion.lengths[i]) for i in range(n_docs)]
        finally:
            self.release()

    cdef text(self, uint32_t *tokens, size_t n):
        """The text of n token ids, which are overwritten."""
        cdef size_t i
        cdef unsigned char *data
        if not self.ascii:
            for i in range(n):
                tokens[i] = self.letters[tokens[i]]
            return PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, tokens, n)
        text = PyUnicode_New(n, 127)  # half the time
        data = <unsigned char *>PyUnicode_DATA(text)
        for i in range(n):
            data[i] = <unsigned char>self.letters[tokens[i]]
        return text

    cdef check(self, int outcome):
        if outcome == WRITER_NO_MEMORY:
            raise MemoryError(
                "there is not enough memory to write many documents at once with this model; engine='exact' writes one at a time"
            )
        if outcome == NOT_FINITE:
            raise ValueError(
                "the model's weights or probabilities are not finite numbers as float32; the exact engine computes in float64"
            )
