/* The activations of the MLP, by name: what GPTConfig.activation may be on an engine in C. Their meaning is ACTIVATIONS in
 * microgpt/reference.py; each engine's kernels are in its activation.h, where a switch without a default has a case for each.
 */
#ifndef MICROGPT_ACTIVATIONS_H
#define MICROGPT_ACTIVATIONS_H

#define FOR_EACH_ACTIVATION(X)                                                                                                 \
    X(RELU, "relu")                                                                                                            \
    X(RELU2, "relu2")                                                                                                          \
    X(GELU, "gelu")                                                                                                            \
    X(SILU, "silu")

#define MEMBER(member, name) ACTIVATION_##member,
enum activation { FOR_EACH_ACTIVATION(MEMBER) };
#undef MEMBER

#define ONE(member, name) +1
enum { N_ACTIVATIONS = FOR_EACH_ACTIVATION(ONE) }; /* no value of enum activation, so that a switch needs no case for it */
#undef ONE

static inline const char *activation_name(int i) {
#define NAME(member, name) name,
    static const char *const names[] = {FOR_EACH_ACTIVATION(NAME)};
#undef NAME
    return names[i];
}

#endif
