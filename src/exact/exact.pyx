"""The exact engine's interface to Python: it checks arguments, releases the GIL, and raises what the reference would raise.

All computing is in src/exact/*.c and *.h, which know nothing of Python.
"""

import math
import os
from array import array
from random import Random

from microgpt import reference
from microgpt.common.words import counted
from microgpt.engines import sampling
from microgpt.engines import EngineError, chosen_isa  # no-cython-lint: kernels.pxi uses it

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY, exp, isfinite, log, pow
from libc.stddef cimport size_t
from libc.stdint cimport SIZE_MAX, uint32_t, uint64_t


include "common/shape.pxi"
include "common/documents.pxi"


cdef extern from "exact/model.h" nogil:
    ctypedef struct Group:
        pass

    ctypedef struct Cache:
        size_t length, capacity

    ctypedef struct Adam:
        double *gradients
        double *m
        double *v
        double beta1, beta2, eps, c1, c2
        uint64_t num_steps
        bint large

    ctypedef struct AdamStep:
        double beta1, rest1, beta2, rest2, c1, c2, lr, eps, inverse_c1, inverse_c2, decay

    ctypedef struct Kernels:
        const char *isa
        size_t width
        size_t (*adam)(const Shape *, double *params, Adam *, const AdamStep *) noexcept nogil
        int (*decode)(const Shape *, const double *, Cache *, Group *, uint32_t, double *, double *) noexcept nogil
        void (*softmax)(const Shape *, double *, double *, size_t) noexcept nogil
        int (*libm_agrees)() noexcept nogil
        int (*rounds_as_written)() noexcept nogil

    const Kernels exact_kernels_baseline


cdef extern from "exact/engine.h" nogil:
    const int COLUMNS
    int exact_group_reserve(Group *g, const Shape *s, size_t spans, size_t columns, size_t threads)
    void exact_group_free(Group *g)
    int exact_cache_reserve(Cache *c, const Shape *s, size_t positions)
    void exact_cache_free(Cache *c)
    int exact_adam_reserve(Adam *a, const Shape *s)

    ctypedef struct Trainer:
        Shape shape
        const Kernels *kernels
        double *params
        Group group
        Adam adam
        size_t n_losses

    void exact_trainer_free(Trainer *t)
    outcome exact_document_loss(Trainer *t, const uint32_t *tokens, size_t length, double *loss)
    outcome exact_losses(Trainer *t, const Documents *docs, size_t first, size_t n_docs, double *losses, size_t n_threads)
    outcome exact_batch_gradients(Trainer *t, const Documents *docs, size_t step, const Options *o, double *loss)
    outcome exact_train(Trainer *t, const Documents *docs, size_t first, size_t n_steps, const Options *o, const double *lr,
                        double *losses, double *norms, size_t *n_losses, double *overflowing)


cdef extern from "exact/sampling.h" nogil:
    int keep_top(double *x, size_t n, size_t k, double *work)
    double accumulate(double *sums, const double *weights, size_t n)
    size_t bisect(const double *sums, size_t n, double x)


include "common/kernels.pxi"


def group_columns():
    """How many columns, one for each token, the short documents of a group fill."""
    return COLUMNS


# ---- Which kernels ------------------------------------------------------------------------------------------------------

cdef dict trusted = {}  # instruction set -> has this build been found to compute with it as Python does
cdef dict agreed = {}  # instruction set -> did the C library pass the self-test with it


cdef bint same_library() except -1:
    """Are exp, log and pow here Python's? A compiler may have linked its own, which round otherwise, one number in twenty."""
    for i in range(1, 257):
        x = i / 8.03
        if exp(-x) != math.exp(-x) or log(x) != math.log(x) or pow(x, -1.5) != math.pow(x, -1.5):
            return False
    return True


cdef check_build(const Kernels *kernels):
    """EngineError if the compiler that built this changed the arithmetic."""
    isa = kernels.isa.decode()
    if isa not in trusted:
        fault = ""
        if not kernels.rounds_as_written():
            fault = "fuses or reorders operations; build it without options such as -ffast-math and -ffp-contract=fast"
        elif not same_library():
            fault = "has an exp, log or pow that is not Python's; link the C library that Python uses, or build with another compiler"
        if fault:
            raise EngineError(f"this build of the exact engine ({compiler_name().decode()}, {isa}) {fault}")
        trusted[isa] = True


cdef bint vectors_for(const Kernels *kernels, str choice) except -1:
    if choice not in ("", "vector", "plain"):
        raise EngineError(f"MICROGPT_LIBM must be vector or plain, not {choice!r}")
    if choice:
        return choice == "vector"
    isa = kernels.isa.decode()
    if isa not in agreed:
        agreed[isa] = bool(kernels.libm_agrees())
    return agreed[isa]


def info():
    """How the exact engine computes here: a dict of isa, isas (those there are), libm ("vector" or "plain") and compiler."""
    cdef const Kernels *kernels = chosen_kernels()
    return {
        "isa": kernels.isa.decode(),
        "isas": isas(),
        "libm": "vector" if vectors_for(kernels, os.environ.get("MICROGPT_LIBM", "")) else "plain",
        "compiler": compiler_name().decode(),
    }


# ---- Training -----------------------------------------------------------------------------------------------------------

cdef raise_memory(what):
    raise MemoryError(f"there is not enough memory for {what}")


cdef class Network(OneCaller):
    """One model's kernels, activations, gradients and Adam state, on the model's own parameter buffer.

    Not for two threads at a time: the second gets a RuntimeError.
    """

    cdef Trainer trainer
    cdef object params_owner
    cdef readonly str isa, libm

    def __cinit__(self, config, vocab_size, double[::1] params not None):
        cdef Shape *s = &self.trainer.shape
        set_shape(s, config, vocab_size, params)
        self.trainer.kernels = chosen_kernels()
        check_build(self.trainer.kernels)
        s.vector_libm = vectors_for(self.trainer.kernels, os.environ.get("MICROGPT_LIBM", ""))
        self.isa = self.trainer.kernels.isa.decode()
        self.libm = "vector" if s.vector_libm else "plain"
        self.trainer.params = &params[0]
        self.params_owner = params

    def __dealloc__(self):
        exact_trainer_free(&self.trainer)

    cdef prepare(self, training):
        """Adam is set up at the first step of a run, and keeps its settings."""
        cdef Adam *adam = &self.trainer.adam
        if adam.gradients == NULL:
            if exact_adam_reserve(adam, &self.trainer.shape) < 0:
                raise_memory(f"the gradients and moments of {self.trainer.shape.n_params} parameters")
            adam.beta1, adam.beta2, adam.eps = training.beta1, training.beta2, training.eps

    def start(self, training):
        """Make the gradients and moments, all 0, with the settings of `training`; `train` does so itself."""
        self.prepare(training)

    def train(self, corpus, steps, training, list losses not None, size_t n_threads=1, list norms=None):
        """See Engine.train. Returns the step whose loss is not finite, or None; the caller determines the cause."""
        cdef Steps task
        cdef double overflowing = 0.0
        cdef outcome result
        if not len(steps):
            return None
        self.acquire()
        try:
            self.prepare(training)
            task = self.task(corpus, steps, training, n_threads)
            if norms is not None:
                task.measure_norms()
            with nogil:
                result = exact_train(
                    &self.trainer, &task.docs, task.first_step, task.n_steps, &task.options, &task.lr[0], &task.losses[0],
                    task.norms_or_null, &task.n_losses, &overflowing,
                )
            losses.extend(task.losses[:task.n_losses])
            if norms is not None:
                norms.extend(task.norms[:task.n_losses])
        finally:
            self.release()
        if result == LOSS_NOT_FINITE:
            return steps[task.n_losses]
        self.check(result, training.batch_size)
        if result == GRADIENT_OVERFLOW:
            overflowing**2  # as clipping or Adam does in the reference, for its error
            raise OverflowError(34, "Numerical result out of range")
        return None

    cdef Steps task(self, corpus, steps, training, size_t n_threads):
        if training.batch_size > SIZE_MAX:
            self.check(NO_MEMORY, training.batch_size)
        return Steps(corpus, steps, training, n_threads)

    cdef check(self, outcome result, batch_size):
        """Raise what stopped the C code at a batch of so many documents."""
        if result == NO_MEMORY and batch_size > self.trainer.n_losses:
            raise_memory(f"a batch of {counted(batch_size, 'document')}")
        if result == NO_MEMORY:
            raise_memory("this document's activations; a smaller block_size takes less")
        if result == BAD_CORPUS:
            raise ValueError(f"a document must be two or more token ids below {self.trainer.shape.vocab}")

    def backward(self, corpus, step, training, size_t n_threads=1):
        """Fill `gradients` with the gradients of a step's loss, and return the loss; None where it is not finite."""
        cdef Steps task
        cdef double loss = 0.0
        cdef outcome result
        self.acquire()
        try:
            self.prepare(training)
            task = self.task(corpus, range(step, step + 1), training, n_threads)
            with nogil:
                result = exact_batch_gradients(&self.trainer, &task.docs, task.first_step, &task.options, &loss)
            self.check(result, training.batch_size)
        finally:
            self.release()
        return None if result == LOSS_NOT_FINITE else loss

    # Flat buffers in parameter order, or None before training. They are the engine's own: read and restore them between calls.

    @property
    def gradients(self):
        return self.view(self.trainer.adam.gradients)

    @property
    def m(self):
        """Adam's first moments."""
        return self.view(self.trainer.adam.m)

    @property
    def v(self):
        """Adam's second moments."""
        return self.view(self.trainer.adam.v)

    @property
    def num_steps(self):
        """Adam's steps so far."""
        return self.trainer.adam.num_steps

    @num_steps.setter
    def num_steps(self, value):
        self.trainer.adam.num_steps = value
        self.trainer.adam.c1 = self.trainer.adam.c2 = 0.0

    cdef view(self, double *data):
        if data == NULL:
            return None
        cdef Buffer buffer = Buffer.__new__(Buffer)
        buffer.owner, buffer.data, buffer.shape[0] = self, data, self.trainer.shape.n_params
        buffer.strides[0] = sizeof(double)
        return memoryview(buffer)


cdef class Buffer:
    """Lends an array of doubles to a memoryview, and keeps its owner alive."""

    cdef object owner
    cdef double *data
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]

    def __getbuffer__(self, Py_buffer *view, int flags):
        view.buf, view.obj, view.len = self.data, self, self.shape[0] * sizeof(double)
        view.itemsize, view.ndim, view.readonly = sizeof(double), 1, 0
        view.format = b"d"
        view.shape, view.strides = self.shape, self.strides
        view.suboffsets, view.internal = NULL, NULL


# ---- Adam alone ---------------------------------------------------------------------------------------------------------

cdef class AdamKernel:
    """A step of Adam on flat buffers: how scalar.Adam, which has the numbers and checks their ranges, updates many Values at once."""

    cdef Shape shape
    cdef const Kernels *kernels

    def __cinit__(self):
        self.kernels = &exact_kernels_baseline  # wide vectors lower the clock of some processors, for the code around this as well
        check_build(self.kernels)
        self.shape.vector_libm = vectors_for(self.kernels, os.environ.get("MICROGPT_LIBM", ""))

    def __call__(
        self, double[::1] params, double[::1] gradients, double[::1] m, double[::1] v, double lr, double beta1, double beta2, double eps,
        double c1, double c2,
    ):
        """Update params, m and v. All gradients are below 1e17 in absolute value, so that no square overflows; m and v below 1e50, v
        not below 0; both betas from 0 to below 1; c1 and c2, which are 1 - beta**step, above 0.
        """
        cdef Adam adam
        cdef AdamStep step = AdamStep(beta1, 1 - beta1, beta2, 1 - beta2, c1, c2, lr, eps, 1 / c1, 1 / c2, 0.0)
        adam.gradients, adam.m, adam.v, adam.eps, adam.large = &gradients[0], &m[0], &v[0], eps, False
        self.shape.n_params = params.shape[0]
        self.kernels.adam(&self.shape, &params[0], &adam, &step)


# ---- Reading and writing ------------------------------------------------------------------------------------------------

cdef class Decoder(OneCaller):
    """A function of one token id that returns the logits of the next one; it remembers the tokens (the KV cache).

    It reads the network's weights, and owns all other memory: so several threads may each use a decoder at the same time.
    """

    cdef Network network
    cdef Shape shape
    cdef Trainer reader  # the network's shape, kernels and weights, with a group of its own
    cdef Cache cache
    cdef Group scratch
    cdef double[::1] logits, probs, work

    def __cinit__(self, Network network not None):
        cdef Shape one_layer = network.trainer.shape
        self.network, self.shape = network, network.trainer.shape
        self.reader.shape, self.reader.kernels, self.reader.params = self.shape, network.trainer.kernels, network.trainer.params
        one_layer.n_layer = 1  # of scratch memory
        if exact_group_reserve(&self.scratch, &one_layer, 1, 8, 1) < 0:
            raise_memory("the activations of a token")
        room = 8 * (self.shape.vocab + 8)
        self.logits, self.probs, self.work = (array("d", bytes(room * k)) for k in (1, 1, 2))

    def __dealloc__(self):
        exact_trainer_free(&self.reader)
        exact_group_free(&self.scratch)
        exact_cache_free(&self.cache)

    def __call__(self, token):
        self.acquire()
        try:
            self.advance(token)
            return self.read(&self.logits[0])
        finally:
            self.release()

    cdef list read(self, const double *x):
        return [x[i] for i in range(self.shape.vocab)]

    cdef int advance(self, token) except -1:
        """Put one token in; its logits are in self.logits."""
        cdef double overflowing = 0.0
        cdef int overflow
        cdef uint32_t id = token
        if id >= self.shape.vocab:
            raise ValueError(f"token id {token} is out of range: this model knows {self.shape.vocab} tokens")
        if self.cache.length >= self.shape.block_size:
            raise ValueError(f"this decoder has taken block_size = {self.shape.block_size} tokens; make a new one")
        if exact_cache_reserve(&self.cache, &self.shape, self.cache.length + 1) < 0:
            raise_memory("the keys and values of the tokens so far")
        with nogil:
            overflow = self.reader.kernels.decode(
                &self.shape, self.reader.params, &self.cache, &self.scratch, id, &self.logits[0], &overflowing
            )
        if overflow:
            overflowing**2  # as the reference does, for its error
            raise OverflowError(34, "Numerical result out of range")
        return 0

    def loss(self, tokens):
        """Mean cross-entropy of token ids [BOS, ..., BOS], cut at block_size. Not finite when anything on the way was not."""
        cdef const uint32_t[::1] ids = array("I", tokens)
        cdef double loss = 0.0
        cdef outcome result = BAD_CORPUS
        self.acquire()
        try:
            if ids.shape[0]:
                with nogil:
                    result = exact_document_loss(&self.reader, &ids[0], ids.shape[0], &loss)
            self.network.check(result, 0)
        finally:
            self.release()
        return loss

    def losses(self, corpus, which, size_t n_threads=1):
        """The mean cross-entropy of each document of the range `which`, as `loss` computes it: an array of doubles."""
        cdef Reading read = Reading(corpus)
        cdef double[::1] found = array("d", bytes(8 * len(which)))
        cdef size_t first = which.start, n = len(which)
        cdef outcome result = DONE
        self.acquire()
        try:
            if n:
                with nogil:
                    result = exact_losses(&self.reader, &read.docs, first, n, &found[0], n_threads)
            self.network.check(result, 0)
        finally:
            self.release()
        return found.base

    def generate(self, rng, size_t bos, opening, prompt, temperature, top_k, length, config, tell=None):
        """Token ids of one document, from the beginning; as microgpt.engines.sampling.generate. config: the model's GPTConfig."""
        cdef size_t token, never = bos if config.documents == "text" else self.shape.vocab
        random = rng.random
        # a subclass's own choices() must be called; random.Random's is computed here, from one random() per token
        choices = None if getattr(type(rng), "choices", None) is Random.choices else rng.choices
        self.acquire()
        try:
            self.cache.length = 0
            tokens = [opening, *prompt]  # as the model reads them
            end, new = len(tokens) + length, tokens
            scale = 1.0 if temperature == 0 else temperature**-1
            kept = 1 if temperature == 0 else top_k
            while len(tokens) < end:
                if self.cache.length + len(new) > self.shape.block_size:
                    new = reference.context(tokens, bos, config)
                    self.cache.length = 0
                for token in new:
                    self.advance(token)
                token = self.choose(rng, random, choices, scale, kept, temperature, top_k, never)
                if token == bos:
                    break
                tokens.append(token)
                new = (token,)
                if tell is not None:
                    tell(token)
                PyErr_CheckSignals()
            return tokens[1:]
        finally:
            self.release()

    cdef size_t choose(self, rng, random, choices, double scale, kept, temperature, top_k, size_t never) except? 0:
        """rng.choices(range(vocab), weights=probabilities(logits, temperature, top_k, never=never))[0]"""
        cdef size_t i, n = self.shape.vocab
        cdef double *probs = &self.probs[0]
        cdef double *work = &self.work[0]
        cdef double total = 0.0
        cdef bint finite = True
        if choices is None:
            for i in range(n):
                probs[i] = self.logits[i] * scale
                finite = finite and isfinite(probs[i])
            if finite:
                if never < n:
                    probs[never] = -INFINITY
                if kept is not None and kept < n:
                    keep_top(probs, n, kept, work)
                self.reader.kernels.softmax(&self.shape, probs, work, n)
                total = accumulate(work, probs, n)
        if total > 0.0 and isfinite(total):
            return bisect(work, n, <double>random() * total)
        weights = sampling.probabilities(self.read(&self.logits[0]), temperature, top_k, never=None if never == n else never)
        return rng.choices(range(n), weights=weights)[0]
