/* What the kernels of the fast engine work on: groups of documents, their activations, and Adam's state. No Python, no threads.
 *
 * A batch is divided into groups of a few documents. A group's documents are sorted by length, and its tokens lie position by
 * position: first that of every document at position 0, then those at position 1, ... So the documents that reach a position
 * are the first of them, nothing is padded, and in attention a vector's lanes are different documents at one position. In a
 * group of very few documents, or of long ones, the tokens lie document by document, and the lanes are the positions of one.
 *
 * Activations are [feature][token], `stride` floats a row, and a comment gives the number of features in parentheses. Tokens
 * from n_tokens on fill up the last vector: their activations are finite, and have weight 0. Names that end in _t are
 * transposed: [token][feature], a row padded to whole vectors. d_x is the derivative of the batch's loss with respect to x.
 */
#ifndef MICROGPT_FAST_MODEL_H
#define MICROGPT_FAST_MODEL_H

#include "common/shape.h"

#include <stdint.h>

/* Blocks of large products, see blocks.h: terms of a sum and columns, which stay in the second cache; rows that are copied at a
 * time; floats for the copies of both. */
#define DEPTH 256
#define BREADTH 384
#define HEIGHT 64
#define PACKED (DEPTH * (BREADTH + HEIGHT))
#define PAST 16 /* rows past a matrix's last that may be read */

#define WIDEST 16        /* floats in the widest vector: layouts are the same for every instruction set */
#define MOST_DOCS WIDEST /* in a group: the lanes of a vector, so that attention wastes none */

typedef struct {
    float *scale1, *norm1, *norm1_t;      /* (1), (n_embd) twice */
    float *qkv;                           /* (3 n_embd) queries, keys and values */
    float *weights;                       /* [head][pair], see attention.h */
    float *heads, *heads_t;               /* (n_embd) the heads' output */
    float *scale2, *norm2, *norm2_t;      /* (1), (n_embd) twice */
    float *act, *act_t;                   /* (n_mlp) the activation of the MLP, f(fc1 norm2) */
    float *slope;                         /* (n_mlp) f'(fc1 norm2) where the backward pass needs it, see activation.h */
    float *d_qkv, *d_mid, *d_pre, *d_out; /* (3 n_embd), (n_embd), (n_mlp), (n_embd): of each matrix's output */
} Layer;

/* How large a group is, or may become without more memory. */
typedef struct {
    size_t runs, columns, stride, pairs;
} Extent;

typedef struct {
    size_t n_docs, n_tokens, columns, stride; /* columns: n_tokens up to whole vectors */
    size_t numbers[MOST_DOCS];                /* [document] which of the batch's it is */
    int by_document;                          /* how the tokens lie: document by document, or position by position */

    /* Runs of tokens: those of one position, or with by_document those of one document. */
    size_t n_runs, n_pairs;
    size_t *counts, *offsets, *pairs; /* [run] its tokens, the first of them, its first pair */

    uint32_t *inputs, *positions; /* [token] */
    float *targets;               /* [token] ids, as floats: vectors compare them */
    float *shares;                /* [token] the weight of its loss in the batch's */
    float *losses;                /* [token] share * loss */

    Layer *layers;
    float *scale0, *norm0; /* (1), (n_embd): the embeddings, normed */
    float *x, *mid;        /* (n_embd) the residual stream: between the layers, and in a layer after attention */
    float *out_t;          /* (n_embd) the last layer's output */
    float *d_logits;       /* (vocab) */
    float *d_embedding_t;  /* (n_embd) */

    /* Of the layer that is being computed */
    float *d_norm, *d_heads;                        /* (n_embd) d_norm2, then d_norm1 */
    float *d_scores;                                /* [head][pair] */
    float *query_t, *d_out_t, *d_key_t, *d_value_t; /* [head][token][feature, padded], with by_document */

    void *memory; /* of all the above */
    Extent room;
    int outcome; /* of filling it, an enum outcome */
} Group;

/* Some of a group's tokens: whole vectors of them. */
typedef struct {
    size_t first, end, stride;
    int half;      /* whether they are one vector, of which tokens fill at most half */
    float *packed; /* room for linear.h */
} Columns;

typedef struct {
    float lr, beta1, beta2, eps; /* lr: divided by the first moment's 1 - beta1**step */
    float inverse_c2;            /* 1 / (1 - beta2**step) */
    float keep;                  /* 1 - lr * weight_decay */
    float clip;                  /* what the gradients are multiplied by */
} Update;

/* Some rows of a matrix, whose gradient and update one thread computes. QKV: wq, wk and wv, which follow one another. */
enum matrix { WTE, WPE, LM_HEAD, QKV, WO, FC1, FC2 };
typedef struct {
    enum matrix matrix;
    size_t layer, first_row, n_rows, n_in;
    size_t start, count; /* its parameters in the flat buffers */
} Task;

typedef struct Sampler Sampler; /* of sampler.h */
typedef struct Portion Portion;
typedef struct Lanes Lanes; /* of lanes.h */
struct Team;                /* of team.h */

/* The kernels of one instruction set. */
typedef struct {
    const char *isa;
    /* The forward and backward passes of a group, in stages, see pass.h: all but the gradients of the matrices. A stage is for
     * some of the group's columns or for some of the heads, first to end. */
    void (*columns)(const Shape *, const float *params, Group *, size_t stage, size_t first, size_t end, float *packed);
    void (*heads)(const Shape *, Group *, size_t stage, size_t first, size_t end);
    /* A group's losses, forward only, see measure.h. */
    void (*measure)(const Shape *, const float *params, Group *);
    /* dw: (n_rows, n_in), the gradient of the task's rows over all groups */
    void (*gradients)(const Shape *, const Group *, size_t n_groups, const Task *, float *dw);
    void (*add)(float *y, const float *x, size_t n); /* y += x */
    double (*sum)(const float *x, size_t n);
    double (*sum_of_squares)(const float *x, size_t n);
    /* Adam over a task's parameters. Returns 0, or 1 when a gradient's square or a parameter overflowed. */
    int (*update)(const Update *, float *params, const float *gradients, float *m, float *v, size_t n);
    /* Writing documents, `lanes` at a time: first their common beginnings, see beginnings.h; then a thread's share of a
     * portion, see write.h. Each returns an enum written. */
    size_t lanes;
    int (*prepare)(Sampler *, Lanes *);
    int (*write)(const Sampler *, const Portion *, Lanes *, struct Team *);
    int (*write_long)(const Sampler *, const Portion *, Lanes *); /* see slide.h */
} Kernels;

extern const Kernels fast_kernels_baseline, fast_kernels_avx2, fast_kernels_avx512;

/* Even stages are for columns, odd ones for heads. */
static inline size_t stages_of(const Shape *s) { return 4 * s->n_layer + 1; }
static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t rounded_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

#endif
