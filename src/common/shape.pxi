# A model's shape for the C code, from its configuration.

cdef extern from "common/activations.h" nogil:
    enum activation:
        pass
    enum:
        N_ACTIVATIONS
    const char *activation_name(int i)


cdef extern from "common/shape.h" nogil:
    ctypedef struct LayerOffsets:
        size_t wq, wk, wv, wo, fc1, fc2

    ctypedef struct Shape:
        size_t n_layer, n_embd, n_head, head_dim, n_mlp, block_size, vocab
        activation activation
        double inverse_n_embd, inverse_root
        size_t n_params, wte, wpe, lm_head
        LayerOffsets first_layer
        size_t layer_params
        int vector_libm


ACTIVATIONS = tuple([activation_name(i).decode() for i in range(N_ACTIVATIONS)])  # that the kernels compute


cdef set_shape(Shape *s, config, vocab_size, const double[::1] params):
    """Fill in a GPTConfig's shape; ValueError unless `params` are as many as it has."""
    cdef size_t expected = config.num_params(vocab_size)  # OverflowError when beyond size_t
    if <size_t>params.shape[0] != expected or expected == 0:
        raise ValueError(f"this configuration has {expected} parameters, but the buffer has {params.shape[0]}")
    if config.activation not in ACTIVATIONS:
        raise EngineError(f"these kernels have no activation {config.activation!r}; they have {', '.join(ACTIVATIONS)}")
    s.n_layer, s.n_embd, s.n_head, s.head_dim = config.n_layer, config.n_embd, config.n_head, config.head_dim
    s.n_mlp, s.block_size, s.vocab, s.n_params = config.n_mlp, config.block_size, vocab_size, expected
    s.activation = <activation><int>ACTIVATIONS.index(config.activation)  # mutant: activation-by-name
    s.inverse_n_embd = config.n_embd**-1
    s.inverse_root = (config.head_dim**0.5) ** -1
    start, s.layer_params = config.starts(vocab_size)
    s.wte, s.wpe, s.lm_head = start["wte"], start["wpe"], start["lm_head"]
    cdef LayerOffsets *at = &s.first_layer
    at.wq, at.wk, at.wv, at.wo = [start[f"layer0.{name}"] for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo")]
    at.fc1, at.fc2 = start["layer0.mlp_fc1"], start["layer0.mlp_fc2"]
    square = config.n_embd**2
    if (at.wk - at.wq, at.wv - at.wk) != (square, square):
        raise ValueError("the kernels take attn_wq, attn_wk and attn_wv for one matrix: they must follow one another")
