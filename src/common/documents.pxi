# What training is given, for the C code: a corpus, as microgpt.corpus.tokens.Corpus holds it, and a TrainConfig.

cdef extern from "common/documents.h" nogil:
    ctypedef struct Documents:
        const uint32_t *tokens
        const uint64_t *starts
        size_t n_tokens, n_docs, first, length

    ctypedef struct Options:
        size_t batch_size, n_threads

    double *option_number(Options *o, int i, const char **name)

    enum outcome:
        DONE, NO_MEMORY, BAD_CORPUS, LOSS_NOT_FINITE, GRADIENT_OVERFLOW


cdef class Reading:
    """A corpus as the C code reads it, in place."""

    cdef const uint32_t[::1] tokens
    cdef const uint64_t[::1] starts
    cdef Documents docs

    def __cinit__(self, corpus, *_):
        """ZeroDivisionError, as in the reference, for a corpus without documents."""
        self.tokens, self.starts = corpus.tokens, corpus.starts
        self.docs.n_tokens = self.tokens.shape[0]
        self.docs.n_docs = len(corpus) if self.starts is None else max(self.starts.shape[0] - 1, 0)
        if self.docs.n_docs == 0 or self.docs.n_tokens == 0:
            raise ZeroDivisionError("there are no documents to train on")
        self.docs.tokens = &self.tokens[0]
        if self.starts is None:
            self.docs.first, self.docs.length = corpus.first, corpus.length
        else:
            self.docs.starts = &self.starts[0]


cdef class Steps(Reading):
    """Some steps of a run: the documents, what is done with them, and room for what comes out."""

    cdef Options options
    cdef size_t first_step, n_steps, n_losses
    cdef double[::1] lr, losses, norms
    cdef double *norms_or_null

    def __cinit__(self, corpus, steps, training, size_t n_threads=1):
        """steps: a range of step numbers, one after the other."""
        if steps.step != 1 or steps.start < 0:
            raise ValueError(f"steps come one after the other, from 0 on; not {steps!r}")
        self.options.batch_size, self.options.n_threads = training.batch_size, n_threads
        self.fill_numbers(training)
        self.first_step, self.n_steps = steps.start, len(steps)
        self.lr = array("d", map(training.lr, steps))
        self.losses = array("d", bytes(8 * len(steps)))

    cdef measure_norms(self):
        """Make room for the length of each step's gradients, too."""
        self.norms = array("d", bytes(8 * self.n_steps))
        self.norms_or_null = &self.norms[0] if self.n_steps else NULL

    cdef fill_numbers(self, training):
        cdef const char *name
        cdef int i = 0
        cdef double *number = option_number(&self.options, i, &name)
        while number != NULL:
            number[0] = getattr(training, name.decode()) or 0.0
            i += 1
            number = option_number(&self.options, i, &name)
