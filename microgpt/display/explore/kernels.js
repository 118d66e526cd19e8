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
 * The chain rule through y = W x, to x: dx += dy W at each position.
 * @param {Float64Array} dx (count, n_in)
 * @param {Float64Array} w (n_out, n_in)
 * @param {Float64Array} dy (count, n_out)
 * @param {number} count
 * @param {number} n_out
 * @param {number} n_in
 */
function multiplyBack(dx, w, dy, count, n_out, n_in) {
  for (let t = 0; t < count; t += 2) {
    const u = Math.min(t + 1, count - 1);
    const end = (t + 1) * n_out;
    for (let i = 0; i < n_in; i += 4) {
      const j = Math.min(i + 1, n_in - 1);
      const k = Math.min(i + 2, n_in - 1);
      const l = Math.min(i + 3, n_in - 1);
      const to_t = t * n_in, to_u = u * n_in;
      let at = dx[to_t + i], bt = dx[to_t + j], ct = dx[to_t + k], dt = dx[to_t + l];
      let au = dx[to_u + i], bu = dx[to_u + j], cu = dx[to_u + k], du = dx[to_u + l];
      let a = i, b = j, c = k, d = l;
      for (let p = t * n_out, q = u * n_out; p < end; p++, q++, a += n_in, b += n_in, c += n_in, d += n_in) {
        const yt = dy[p], yu = dy[q], wa = w[a], wb = w[b], wc = w[c], wd = w[d];
        at += wa * yt;
        bt += wb * yt;
        ct += wc * yt;
        dt += wd * yt;
        au += wa * yu;
        bu += wb * yu;
        cu += wc * yu;
        du += wd * yu;
      }
      dx[to_t + i] = at;
      dx[to_t + j] = bt;
      dx[to_t + k] = ct;
      dx[to_t + l] = dt;
      dx[to_u + i] = au;
      dx[to_u + j] = bu;
      dx[to_u + k] = cu;
      dx[to_u + l] = du;
    }
  }
}

/**
 * The chain rule through y = W x, to W: g += dy x, over all positions.
 * @param {Float64Array} g (n_out, n_in)
 * @param {Float64Array} dy (count, n_out)
 * @param {Float64Array} x (count, n_in)
 * @param {number} count
 * @param {number} n_out
 * @param {number} n_in
 */
function addOuter(g, dy, x, count, n_out, n_in) {
  for (let t = 0; t < n_out; t += 2) {
    const u = Math.min(t + 1, n_out - 1);
    for (let i = 0; i < n_in; i += 4) {
      const j = Math.min(i + 1, n_in - 1);
      const k = Math.min(i + 2, n_in - 1);
      const l = Math.min(i + 3, n_in - 1);
      const to_t = t * n_in, to_u = u * n_in;
      let at = g[to_t + i], bt = g[to_t + j], ct = g[to_t + k], dt = g[to_t + l];
      let au = g[to_u + i], bu = g[to_u + j], cu = g[to_u + k], du = g[to_u + l];
      const end = count * n_out;
      for (let p = t, q = u, a = i, b = j, c = k, d = l; p < end; p += n_out, q += n_out, a += n_in, b += n_in, c += n_in, d += n_in) {
        const yt = dy[p], yu = dy[q], xa = x[a], xb = x[b], xc = x[c], xd = x[d];
        at += xa * yt;
        bt += xb * yt;
        ct += xc * yt;
        dt += xd * yt;
        au += xa * yu;
        bu += xb * yu;
        cu += xc * yu;
        du += xd * yu;
      }
      g[to_t + i] = at;
      g[to_t + j] = bt;
      g[to_t + k] = ct;
      g[to_t + l] = dt;
      g[to_u + i] = au;
      g[to_u + j] = bu;
      g[to_u + k] = cu;
      g[to_u + l] = du;
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
