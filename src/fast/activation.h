/* The MLP's activation f: everything in the fast engine that depends on which one a model has. Its meaning is ACTIVATIONS in
 * microgpt/reference.py.
 *
 *     forward     pre = fc1 x,  act = f(pre)                            x: (n_embd), fc1: (n_mlp, n_embd), pre, act: (n_mlp)
 *     backward    d_act = fc2 transposed times d_out,  d_pre = f'(pre) * d_act      d_out: (n_embd), fc2: (n_embd, n_mlp)
 *
 * The forward pass leaves f'(pre) in `slope`, except for relu: there it is 1 where act is positive, else 0.
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

/* f(x) = x * s, f'(x) = s + x * s * (1 - s) * dz, where s = sigmoid(z(x)), dz = z'(x). s and 1 - s come from e**-|z|, which
 * does not overflow: one of them is 1 / (1 + e**-|z|), the other is e**-|z| / (1 + e**-|z|), and neither cancels. */
INLINE vf gated(vf x, vf z, vf dz, vf *slope) {
    const vf zero = vset1(0.0f), one = vset1(1.0f);
    vf size = vmax(z, zero - z);
    /* mutant: gate-underflow */
    vf e = vkeep(vgt(vset1(87.0f), size), vexp(zero - size)); /* 0 where vexp would stay above it */
    vf large = one / (one + e), small = e * large;
    vf s = vselect(vgt(z, zero), large, small); /* mutant: gate-side */
    *slope = vfma(small * large * dz, x, s);    /* mutant: gated-slope */
    return x * s;
}

/* GPT-2's form, x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2: since (1 + tanh(u)) / 2 = sigmoid(2 * u), it is gated
 * with z = 2 * sqrt(2 / pi) * (x + 0.044715 * x**3) (Hendrycks & Gimpel, 2016). */
INLINE vf gelu(vf x, vf *slope) {
    const vf one = vset1(1.0f), k = vset1(1.5957691216057308f), most = vset1(100.0f);
    vf square = x * x;
    /* mutant: gelu-overflow */
    square = vselect(vgt(square, most), most, square); /* no overflow; |z| is over 87 from |x| = 10 on */
    vf z = k * x * vfma(vset1(0.044715f), square, one), dz = k * vfma(vset1(3 * 0.044715f), square, one);
    return gated(x, z, dz, slope);
}

INLINE vf silu(vf x, vf *slope) { return gated(x, x, vset1(1.0f), slope); } /* Elfwing et al., 2017 */

/* ---- Forward and backward ---- */

/* pre: (n_mlp) = fc1 x; a separate function, so that its code exists only once */
static void pre_activation(const Shape *s, float *pre, const float *fc1, const float *x, Columns to) {
    linear_forward(pre, fc1, x, s->n_mlp, s->n_embd, to);
}

/* act = f(pre), slope = f'(pre) unless it is NULL, where f is not fused with the product: act holds pre first. */
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

/* act: (n_mlp) = f(fc1 x), slope: (n_mlp), or NULL where no backward pass follows */
INLINE void mlp_forward(const Shape *s, float *act, float *slope, const float *fc1, const float *x, Columns to) {
    switch (s->activation) {
    case ACTIVATION_RELU: linear_forward_to(act, fc1, x, s->n_mlp, s->n_embd, to, positive_part, act); return;
    case ACTIVATION_RELU2: forward_by(relu2, s, act, slope, fc1, x, to); return;
    case ACTIVATION_GELU: forward_by(gelu, s, act, slope, fc1, x, to); return;
    case ACTIVATION_SILU: forward_by(silu, s, act, slope, fc1, x, to); return;
    }
}

/* d_pre: (n_mlp) = f'(pre) * (fc2 transposed times d_out) */
INLINE void mlp_backward(const Shape *s, float *d_pre, const float *fc2, const float *d_out, const float *act,
                         const float *slope, Columns to) {
    switch (s->activation) {
    case ACTIVATION_RELU: linear_backward_to(d_pre, fc2, d_out, s->n_embd, s->n_mlp, to, where_positive, act); return;
    case ACTIVATION_RELU2:
    case ACTIVATION_GELU:
    case ACTIVATION_SILU: linear_backward_to(d_pre, fc2, d_out, s->n_embd, s->n_mlp, to, times, slope); return;
    }
}

#endif
