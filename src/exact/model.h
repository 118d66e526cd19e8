/* What the kernels work on: one document's activations, and Adam's state. No Python, no instruction set. */
#ifndef MICROGPT_MODEL_H
#define MICROGPT_MODEL_H

#include "common/shape.h"

#include <stdint.h>

/* Some rows of a matrix, and the derivatives of the loss with respect to what they gave; see linear.h. */
typedef struct {
    const double *w, *dy; /* (rows, n_in), (rows) */
    size_t rows;
} Segment;

/* Activations are [feature][position]: neighbouring positions fill a vector, so every sum over features is a sum a lane, in the
 * reference's order by construction. A row has `stride` positions, a multiple of 8; those from n on hold harmless numbers.
 * Throughout the kernels, a shape (rows) means [rows][stride]. */
typedef struct {
    double *x;                             /* (n_embd) the residual stream as it enters the layer */
    double *mean_square1, *scale1, *norm1; /* (1) with 1e-5 added, (1) its -1/2th power, (n_embd) */
    double *q, *k, *v;                     /* (n_embd) */
    double *exps, *total, *inverse_total;  /* per head: (triangle, see attention.h), (1), (1) */
    double *heads;                         /* (n_embd) what the heads found */
    double *mid;                           /* (n_embd) the residual stream between attention and MLP */
    double *mean_square2, *scale2, *norm2; /* (1), (1), (n_embd) */
    double *pre, *act;                     /* (n_mlp) before and after the activation */
} Layer;

typedef struct {
    size_t n, stride;       /* positions of this document; the row length for it */
    size_t capacity;        /* positions there is memory for */
    const uint32_t *tokens; /* n + 1 of them: inputs, and targets one later */
    void *arena;            /* the memory of all below */

    double *embedding, *mean_square, *scale; /* (n_embd), (1), (1) */
    Layer *layers;
    double *out;                       /* (n_embd) the last layer's output */
    double *logits, *exps;             /* (vocab) exps: e**(logit - largest) */
    double *total, *inverse_total, *p; /* (1) p: the target's probability */

    /* backward; d_x is the derivative of the loss with respect to x */
    double *d_logits;                                         /* (vocab) */
    double *d_x, *d_mid, *d_norm, *d_heads, *d_q, *d_k, *d_v; /* (n_embd) */
    double *d_act;                                            /* (n_mlp) */
    double *power;                                            /* (n_head) total**-2 or mean_square**-1.5 */
    double *d_total, *d_p;                                    /* (1) */
    double *tile;                                             /* [key][8] one head's scores for 8 queries */
    double *d_dots, *weights;                                 /* [query][key] one head's */
    Segment *segments;                                        /* (3 n_head) */
    double *transposed;                                       /* [position][feature] (up to n_mlp, a multiple of 8) */
} Document;

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

/* The kernels of one instruction set. */
typedef struct {
    const char *isa;
    size_t width; /* doubles in a vector */
    void (*forward)(const Shape *, const double *params, Document *);
    double (*loss)(const Shape *, Document *);
    void (*backward)(const Shape *, const double *params, Document *, double d_loss, double *gradients, int accumulate);
    /* Scale the gradients down to length clip_norm. Returns n_params, or the index of the first whose square overflows. */
    size_t (*clip)(const Shape *, double *gradients, double clip_norm);
    void (*decay)(const Shape *, double *params, double share);
    /* Returns n_params, or the index of the parameter whose squared gradient overflows; those before it are updated. */
    size_t (*adam)(const Shape *, double *params, Adam *, double lr);
    /* One token through the model, after those in the cache. Returns 0, or 1 when the activation of *overflowing overflows. */
    int (*decode)(const Shape *, const double *params, Cache *, Document *scratch, uint32_t token, double *logits,
                  double *overflowing);
    /* x: n logits, replaced by their probabilities; work: 2 * n. Both with room for a multiple of 8. */
    void (*softmax)(const Shape *, double *x, double *work, size_t n);
    int (*libm_agrees)(void);
} Kernels;

extern const Kernels exact_kernels_baseline, exact_kernels_avx2, exact_kernels_avx512;

#endif
