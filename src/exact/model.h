/* What the kernels work on: one document's activations, and Adam's state. No Python, no instruction set. */
#ifndef MICROGPT_MODEL_H
#define MICROGPT_MODEL_H

#include "common/shape.h"
#include "common/team.h"

#include <stdint.h>

/* Some rows of a matrix, and the derivatives of the loss with respect to their output; see linear.h. */
typedef struct {
    const double *w, *dy; /* (rows, n_in), (rows) */
    size_t rows;
} Segment;

/* A document in a group: its positions are neighbouring columns, followed by those of the next document. The columns that pad a
 * group to a multiple of a vector belong to its last document, with harmless numbers. */
typedef struct {
    const uint32_t *tokens; /* n + 1 of them: inputs, and targets one later */
    size_t n, first;        /* positions; the column of the first */
    size_t length;          /* n, for the last document with the padding, as a multiple of a vector */
    size_t exps;            /* where its numbers begin in a layer's exps */
} Span;

/* Activations are [feature][column]: neighbouring columns fill a vector, so every sum over features is a sum a lane, in the
 * reference's order by construction. A row has `stride` columns, a multiple of a vector. Throughout the kernels, a shape (rows)
 * means [rows][stride]; and d_name is the derivative of the loss with respect to name. */
typedef struct {
    double *x;                             /* (n_embd) the residual stream as it enters the layer */
    double *mean_square1, *scale1, *norm1; /* (1) with 1e-5 added, (1) its -1/2th power, (n_embd) */
    double *qkv;                           /* (3 n_embd): q, k and v */
    double *exps, *total, *inverse_total;  /* per document and head: (triangle, see attention.h), (1), (1) */
    double *heads;                         /* (n_embd) the heads' output */
    double *mid;                           /* (n_embd) the residual stream between attention and MLP */
    double *mean_square2, *scale2, *norm2; /* (1), (1), (n_embd) */
    double *pre, *act;                     /* (n_mlp) before and after the activation */
    double *d_out, *d_mid, *d_qkv, *d_pre; /* (n_embd) of the layer's output, (n_embd), (3 n_embd), (n_mlp) */
} Layer;

/* Rows of a matrix whose gradients are computed, and passed to Adam, at a time: as many as stay in the cache. */
enum { BLOCK_PARAMS = 2048 };
static inline size_t block_rows(size_t n_in) { return n_in >= BLOCK_PARAMS / 8 ? 8 : BLOCK_PARAMS / n_in / 8 * 8; }

/* What a thread has for itself. */
typedef struct {
    double *tile;             /* [key][8] one head's scores for 8 queries */
    double *d_dots, *weights; /* [query][key] one head's */
    double *transposed;       /* see transpose(): up to n_mlp features, a multiple of 16 */
    double *gradients;        /* of block_rows() of a matrix */
    Segment *segments;        /* (3 n_head) */
    double largest[2];        /* of the factors of the gradients: activations, derivatives */
} Scratch;

/* Some documents side by side, and all that is computed of them. */
typedef struct {
    Span *spans;
    size_t n_spans, columns, stride;           /* documents; their columns; columns of a row, padding included */
    size_t span_capacity, capacity, n_scratch; /* what there is memory for: documents, columns, threads */
    void *arena;                               /* the memory of all below but the layers' and threads' lists */

    double *embedding, *mean_square, *scale; /* (n_embd), (1), (1) */
    Layer *layers;
    double *out;                       /* (n_embd) the last layer's output */
    double *logits, *exps;             /* (vocab) exps: e**(logit - largest) */
    double *total, *inverse_total, *p; /* (1) p: the target's probability */

    double *d_logits, *d_target;            /* (vocab), (1) its number for the target */
    double *d_embedding, *d_norm, *d_heads; /* (n_embd) */
    double *power;                          /* (n_head) total**-2 or mean_square**-1.5 */
    double *d_total, *d_p;                  /* (1) */
    Scratch *scratch;
} Group;

/* A thread's part of the work on a group. */
typedef struct {
    Team *team;
    size_t index, n; /* this thread, of so many */
} Share;

/* Keys and values of the positions so far, for writing one token at a time. */
typedef struct {
    size_t length, capacity; /* positions held; positions there is memory for, a multiple of 8 */
    double *keys;            /* [layer][n_embd][capacity] */
    double *values;          /* [layer][capacity][n_embd], with room to read 8 past the end */
    double *scores, *exps;   /* [capacity] one head's */
} Cache;

typedef struct {
    double *gradients, *m, *v;
    double beta1, beta2, eps;
    double c1, c2; /* 1 - beta**num_steps of the last step */
    uint64_t num_steps;
    int large; /* some v may be too large for the vectors */
} Adam;

/* One step of Adam's, see adam.h. */
typedef struct {
    double beta1, rest1, beta2, rest2, c1, c2, lr, eps; /* rest = 1 - beta */
    double inverse_c1, inverse_c2;                      /* 1 / c */
    double decay;                                       /* the share that parameters lose before it */
} AdamStep;

/* The kernels of one instruction set. Those that take a Share are called by all threads of a team at the same time, and
 * synchronize. */
typedef struct {
    const char *isa;
    size_t width; /* doubles in a vector */
    void (*forward)(const Shape *, const double *params, Group *, const Share *);
    void (*loss)(const Shape *, Group *, double *losses); /* one a document */
    void (*backward)(const Shape *, const double *params, Group *, double d_loss, const Share *);
    /* No gradient is larger than this; numbers that are not finite may be ignored. */
    double (*bound)(const Shape *, const Group *, const Share *);
    /* The gradients of a share of the parameters, added to the present ones with `accumulate`; with a step, they are used at
     * once and not kept. */
    void (*gradients)(const Shape *, double *params, Group *, Adam *, int accumulate, const AdamStep *, const Share *);
    /* *norm: the gradients' length, to which a clip_norm above 0 scales them down. Returns n_params, or the index of the first
     * whose square overflows. */
    size_t (*clip)(const Shape *, double *gradients, double clip_norm, double *norm);
    void (*decay)(const Shape *, double *params, double share);
    /* Returns n_params, or the index of the parameter whose squared gradient overflows; those before it are updated. */
    size_t (*adam)(const Shape *, double *params, Adam *, const AdamStep *);
    /* A share of that, where no square can overflow. */
    void (*share_adam)(const Shape *, double *params, Adam *, const AdamStep *, const Share *);
    /* One token through the model, after those in the cache. Returns 0, or 1 when the activation of *overflowing overflows. */
    int (*decode)(const Shape *, const double *params, Cache *, Group *scratch, uint32_t token, double *logits,
                  double *overflowing);
    /* x: n logits, replaced by their probabilities; work: 2 * n. Both with room for a multiple of 8. */
    void (*softmax)(const Shape *, double *x, double *work, size_t n);
    int (*libm_agrees)(void);
    int (*rounds_as_written)(void);
} Kernels;

extern const Kernels exact_kernels_baseline, exact_kernels_avx2, exact_kernels_avx512;

#endif
