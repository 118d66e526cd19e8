// The sums that take the time, for a worker: a matrix of vectors, one a position, is a Float64Array, row by row. The loops take two rows
// and four columns at once: eight sums that do not wait for each other, for six numbers that are read. Rows and columns that there are
// none of are the last one again, which gets the same number twice.

/**
 * y = W x at each of `count` positions: (count, n_in) -> (count, n_out).
 * @param {Float64Array} y
 * @param {Float64Array} w (n_out, n_in)
 * @param {Float64Array} x
 * @param {number} count
 * @param {number} n_out
 * @param {number} n_in
 */
function multiply(y, w, x, count, n_out, n_in) {
  for (let t = 0; t < count; t += 2) {
    const u = Math.min(t + 1, count - 1);
    const end = (t + 1) * n_in;
    for (let i = 0; i < n_out; i += 4) {
      const j = Math.min(i + 1, n_out - 1);
      const k = Math.min(i + 2, n_out - 1);
      const l = Math.min(i + 3, n_out - 1);
      let a = i * n_in, b = j * n_in, c = k * n_in, d = l * n_in;
      let at = 0, bt = 0, ct = 0, dt = 0, au = 0, bu = 0, cu = 0, du = 0;
      for (let p = t * n_in, q = u * n_in; p < end; p++, q++, a++, b++, c++, d++) {
        const xt = x[p], xu = x[q], wa = w[a], wb = w[b], wc = w[c], wd = w[d];
        at += wa * xt;
        bt += wb * xt;
        ct += wc * xt;
        dt += wd * xt;
        au += wa * xu;
        bu += wb * xu;
        cu += wc * xu;
        du += wd * xu;
      }
      const to_t = t * n_out, to_u = u * n_out;
      y[to_t + i] = at;
      y[to_t + j] = bt;
      y[to_t + k] = ct;
      y[to_t + l] = dt;
      y[to_u + i] = au;
      y[to_u + j] = bu;
      y[to_u + k] = cu;
      y[to_u + l] = du;
    }
  }
}

/**
 * y: x scaled to root mean square 1; scales: by what, at each position.
 * @param {Float64Array} y (count, n)
 * @param {Float64Array} scales (count)
 * @param {Float64Array} x (count, n)
 * @param {number} count
 * @param {number} n
 */
function normalize(y, scales, x, count, n) {
  for (let t = 0; t < count; t++) {
    let squares = 0;
    for (let i = t * n; i < (t + 1) * n; i++) squares += x[i] * x[i];
    const scale = (scales[t] = (squares * (1 / n) + 1e-5) ** -0.5);
    for (let i = t * n; i < (t + 1) * n; i++) y[i] = x[i] * scale;
  }
}

const PARTS = 64; // of an octave
const STEP = Math.LN2 / PARTS;
const POWERS = Float64Array.from({ length: PARTS }, (_, i) => 2 ** (i / PARTS));
const OCTAVES = Float64Array.from({ length: 1000 }, (_, i) => 2 ** -i);
const TO_WHOLE = 1.5 * 2 ** 52; // added to a small number, it leaves no room for a fraction

/** e**x for x <= 0, to a relative 1e-13 (2e-15 above e**-10), in a fraction of the time of Math.exp, which is a call. @param {number} x */
function exp(x) {
  if (!(x > -690)) return Math.exp(x);
  const steps = x * (1 / STEP) + TO_WHOLE - TO_WHOLE;
  const at = steps | 0;
  const rest = x - steps * STEP;
  const power = 1 + rest * (1 + rest * (1 / 2 + rest * (1 / 6 + rest * (1 / 24 + rest * (1 / 120)))));
  return POWERS[at & (PARTS - 1)] * OCTAVES[-(at >> 6)] * power;
}
