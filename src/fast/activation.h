/* The MLP's activation f: all that the fast engine does differently for each of them.
 *
 *     forward     act[i] = f(pre[i]),  pre = fc1 x                 fc1: (n_mlp, n_embd), x: (n_embd), pre and act: (n_mlp)
 *     backward    d_pre[i] = f'(pre[i]) * d_act[i],  d_act = fc2 transposed times d_out    fc2: (n_embd, n_mlp), d_out: (n_embd)
 *
 * The backward pass needs f'(pre). The forward pass leaves it in `slope`, but for relu, where act tells it.
 */
#ifndef MICROGPT_FAST_ACTIVATION_H
#define MICROGPT_FAST_ACTIVATION_H

#include "linear.h"
#include "model.h"
#include "simd/floats.h"

/* ---- Epilogues of linear.h ---- */

INLINE vf positive_part(vf sum, const float *other) {
    (void)other;
    return vmax(sum, vset1(0.0f));
}

INLINE vf where_positive(vf sum, const float *other) {
    const vf zero = vset1(0.0f);
    return vselect(vgt(vload(other), zero), sum, zero);
}

INLINE vf times(vf sum, const float *other) { return sum * vload(other); }

/* ---- Functions: f(x), and f'(x) in *slope ---- */

typedef vf Function(vf x, vf *slope);

INLINE vf relu2(vf x, vf *slope) {
    vf r = vmax(x, vset1(0.0f));
    *slope = r + r; /* mutant: relu2-slope */
    return r * r;
}

/* ---- Forward and backward ---- */

static void pre_activation(const Shape *s, float *pre, const float *fc1, const float *x, Columns to) {
    linear_forward(pre, fc1, x, s->n_mlp, s->n_embd, to);
}

INLINE void forward_by(Function *f, const Shape *s, float *act, float *slope, const float *fc1, const float *x, Columns to) {
    pre_activation(s, act, fc1, x, to);
    for (size_t i = 0; i < s->n_mlp; i++)
        for (size_t t = i * to.stride + to.first; t < i * to.stride + to.end; t += W) {
            vf derivative;
            vstore(act + t, f(vload(act + t), &derivative));
            if (slope)
                vstore(slope + t, derivative);
        }
}

/* slope: (n_mlp), or NULL where there is no backward pass */
INLINE void mlp_forward(const Shape *s, float *act, float *slope, const float *fc1, const float *x, Columns to) {
    switch (s->activation) {
    case ACTIVATION_RELU: linear_forward_to(act, fc1, x, s->n_mlp, s->n_embd, to, positive_part, act); return;
    case ACTIVATION_RELU2: forward_by(relu2, s, act, slope, fc1, x, to); return;
    }
}

INLINE void mlp_backward(const Shape *s, float *d_pre, const float *fc2, const float *d_out, const float *act,
                         const float *slope, Columns to) {
    switch (s->activation) {
    case ACTIVATION_RELU: linear_backward_to(d_pre, fc2, d_out, s->n_embd, s->n_mlp, to, where_positive, act); return;
    case ACTIVATION_RELU2: linear_backward_to(d_pre, fc2, d_out, s->n_embd, s->n_mlp, to, times, slope); return;
    }
}

#endif
