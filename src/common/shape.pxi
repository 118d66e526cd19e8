# A model's shape for the C code, from its configuration.

cdef extern from "common/shape.h" nogil:
    ctypedef struct Shape:
        size_t n_layer, n_embd, n_head, head_dim, block_size, vocab, n_params
        int relu2, vector_libm
        double inverse_n_embd, inverse_root


cdef set_shape(Shape *s, config, vocab_size, double[::1] params):
    """Fill in a GPTConfig's shape; ValueError unless `params` are as many as it has."""
    cdef size_t expected = config.num_params(vocab_size)  # OverflowError when beyond size_t
    if <size_t>params.shape[0] != expected or expected == 0:
        raise ValueError(f"this configuration has {expected} parameters, but the buffer has {params.shape[0]}")
    if config.n_embd % config.n_head:
        raise ValueError(f"n_embd {config.n_embd} is not divisible by n_head {config.n_head}")
    s.n_layer, s.n_embd, s.n_head = config.n_layer, config.n_embd, config.n_head
    s.head_dim = s.n_embd // s.n_head
    s.block_size, s.vocab, s.n_params = config.block_size, vocab_size, expected
    s.relu2 = config.activation == "relu2"
    s.inverse_n_embd = config.n_embd**-1
    s.inverse_root = (config.head_dim**0.5) ** -1
