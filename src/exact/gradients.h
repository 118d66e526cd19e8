/* The gradients of the parameters, from the results of the forward and backward passes: kept, or passed straight to Adam.
 *
 * They are computed a few rows of a matrix at a time. No thread needs another's rows, and no pass needs the matrices any more:
 * so rows are updated as soon as their gradients are computed, which then never leave the cache. A thread has the same
 * parameters in every step. */
#ifndef MICROGPT_GRADIENTS_H
#define MICROGPT_GRADIENTS_H

#include "adam.h"
#include "linear.h"

typedef struct {
    const Shape *shape;
    double *params;
    Group *group;
    Adam *adam;
    const AdamStep *step; /* NULL: the gradients are kept */
    int accumulate;       /* they are added to the present ones */
    Scratch *own;
    Range mine; /* of the parameters */
} Pass;

/* Where the gradients of `count` parameters from `at` on go. */
INLINE double *destination(const Pass *u, size_t at) { return u->step ? u->own->gradients : u->adam->gradients + at; }
INLINE const double *beginning(const Pass *u, size_t at) { return u->accumulate ? u->adam->gradients + at : NULL; }

/* Adam for `count` rows of them, `features` in each, which are n_in numbers apart, from parameter `at` on. */
INLINE void updated(const Pass *u, size_t at, size_t count, size_t features, size_t n_in) {
    if (features == n_in)
        features *= count, count = 1;
    if (u->step)
        for (size_t i = 0; i < count * n_in; i += n_in)
            adam_range(u->step, u->params, u->adam->m, u->adam->v, u->own->gradients + i, at + i, features);
}

/* Of a matrix of `rows` rows that begins at parameter `at`, the rows that are this thread's: the blocks that begin among its
 * parameters. */
INLINE Range rows_of(const Pass *u, size_t at, size_t rows, size_t n_in) {
    size_t block = block_rows(n_in), first = u->mine.first, end = u->mine.end, size = block * n_in;
    return (Range){smaller(rows, first <= at ? 0 : (first - at + size - 1) / size * block),
                   smaller(rows, end <= at ? 0 : (end - at + size - 1) / size * block)};
}

/* forward computed y = w x; x: (n_in), dy: (rows). As many features at a time as stay in the cache. */
static void matrix_gradient(const Pass *u, size_t at, size_t rows, size_t n_in, const double *x, const double *dy) {
    const Group *g = u->group;
    Range mine = rows_of(u, at, rows, n_in);
    size_t block = block_rows(n_in), most = cached_rows(g->stride);
    for (size_t j = 0; j < n_in && mine.first < mine.end; j += most) {
        size_t features = smaller(most, n_in - j);
        transpose(u->own->transposed, x + j * g->stride, features, g->stride, PANEL);
        for (size_t i = mine.first; i < mine.end; i += block) {
            size_t count = smaller(block, mine.end - i), here = at + i * n_in + j;
            linear_backward_w(destination(u, here), beginning(u, here), u->own->transposed, dy + i * g->stride, count, features,
                              n_in, g);
            updated(u, here, count, features, n_in);
        }
    }
}

/* forward computed x = wte[token] + wpe[position]; so the gradient of each of these rows is the sum of dx over descending
 * positions. A row that no document uses has gradient 0. by_token: wte, else wpe */
static void embedding_gradient(const Pass *u, size_t at, size_t rows, int by_token) {
    const Group *g = u->group;
    size_t e = u->shape->n_embd, padded = padded_to_vector(e);
    Range mine = rows_of(u, at, rows, e);
    if (mine.first == mine.end)
        return;
    transpose(u->own->transposed, g->d_embedding, e, g->stride, padded);
    for (size_t i = mine.first, block = block_rows(e); i < mine.end; i += block) {
        size_t count = smaller(block, mine.end - i), here = at + i * e;
        double *sums = destination(u, here);
        const double *before = beginning(u, here);
        if (!before)
            memset(sums, 0, count * e * sizeof(double));
        else if (sums != before)
            memcpy(sums, before, count * e * sizeof(double));
        for (const Span *d = g->spans + g->n_spans; d-- > g->spans;) /* mutant: rows-documents */
            for (size_t p = d->n; p-- > 0;) {
                size_t row = (by_token ? d->tokens[p] : p) - i; /* far beyond the previous row */
                if (row < count)
                    for (size_t j = 0; j < e; j++)
                        sums[row * e + j] += u->own->transposed[(d->first + p) * padded + j];
            }
        updated(u, here, count, e, e);
    }
}

static void gradients(const Shape *s, double *params, Group *g, Adam *adam, int accumulate, const AdamStep *step,
                      const Share *share) {
    size_t e = s->n_embd;
    const Pass u = {s, params, g, adam, step, accumulate, &g->scratch[share->index], share_of(share, s->n_params, 1)};
    embedding_gradient(&u, s->wte, s->vocab, 1);
    embedding_gradient(&u, s->wpe, s->block_size, 0);
    matrix_gradient(&u, s->lm_head, s->vocab, e, g->out, g->d_logits);
    for (size_t i = 0; i < s->n_layer; i++) {
        const Layer *a = &g->layers[i];
        LayerOffsets w = layer_offsets(s, i);
        matrix_gradient(&u, w.wq, 3 * e, e, a->norm1, a->d_qkv);
        matrix_gradient(&u, w.wo, e, e, a->heads, a->d_mid);
        matrix_gradient(&u, w.fc1, s->n_mlp, e, a->norm2, a->d_pre);
        matrix_gradient(&u, w.fc2, e, s->n_mlp, a->act, a->d_out);
    }
}

/* ---- how large they can be ------------------------------------------------------------------------------------------ */

/* Not below the largest |x| of n numbers, nor `largest`; NaN is ignored. */
static double largest_of(double largest, const double *x, size_t n) {
    vd bits = vset1(0.0), all = vset1(0.0);
    for (size_t i = 0; i < n; i += W)
        bits = vbits_or(bits, vload(x + i));
    if (!vbits(vnot(vlt(vabs(bits), vset1(2.0))))) /* no exponent has its highest bit: so all are below 2 */
        return largest > 2.0 ? largest : 2.0;
    for (size_t i = 0; i < n; i += W)
        all = vmax(vabs(vload(x + i)), all);
    double lanes[W];
    vstore(lanes, all);
    for (size_t k = 0; k < W; k++)
        largest = lanes[k] > largest ? lanes[k] : largest;
    return largest;
}

/* A gradient is a sum over the columns of an activation times a derivative, or of derivatives. Each thread examines a part. */
static double bound(const Shape *s, const Group *g, const Share *share) {
    double x = (double)s->n_embd, dy = 0.0; /* normalized activations are at most n_embd**0.5 */
    size_t stride = g->stride;
#define LOOK(largest, array, rows)                                                                                             \
    do {                                                                                                                       \
        Range mine = share_of(share, rows, 1);                                                                                 \
        largest = largest_of(largest, array + mine.first * stride, (mine.end - mine.first) * stride);                          \
    } while (0)
    LOOK(x, g->out, s->n_embd);
    LOOK(dy, g->d_logits, s->vocab);
    LOOK(dy, g->d_embedding, s->n_embd);
    for (size_t i = 0; i < s->n_layer; i++) {
        const Layer *a = &g->layers[i];
        LOOK(x, a->heads, s->n_embd);
        LOOK(x, a->act, s->n_mlp);
        LOOK(dy, a->d_out, s->n_embd);
        LOOK(dy, a->d_mid, s->n_embd);
        LOOK(dy, a->d_qkv, 3 * s->n_embd);
        LOOK(dy, a->d_pre, s->n_mlp);
    }
#undef LOOK
    g->scratch[share->index].largest[0] = x;
    g->scratch[share->index].largest[1] = dy;
    meet(share);
    for (size_t i = 0; i < share->n; i++) {
        x = g->scratch[i].largest[0] > x ? g->scratch[i].largest[0] : x;
        dy = g->scratch[i].largest[1] > dy ? g->scratch[i].largest[1] : dy;
    }
    return x * dy * (double)stride;
}

#endif
