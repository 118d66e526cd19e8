# A corpus for the C code, as microgpt.tokenizer.Corpus holds it.

cdef extern from "common/training.h" nogil:
    ctypedef struct Documents:
        const uint32_t *tokens
        const uint64_t *starts
        size_t n_tokens, n_docs

    enum outcome:
        DONE, NO_MEMORY, BAD_CORPUS, LOSS_NOT_FINITE, GRADIENT_OVERFLOW


cdef set_documents(Documents *docs, const uint32_t[::1] tokens, const uint64_t[::1] starts):
    """Point to a corpus, which must outlive `docs`; ZeroDivisionError, as in the reference, for one without documents."""
    docs.n_tokens, docs.n_docs = tokens.shape[0], max(starts.shape[0] - 1, 0)
    if docs.n_docs == 0 or docs.n_tokens == 0:
        raise ZeroDivisionError("there are no documents to train on")
    docs.tokens, docs.starts = &tokens[0], &starts[0]
