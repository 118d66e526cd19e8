// The gradients: by how much the loss of a text changes with each number that model.js computed for it, and with each weight. The chain
// rule, operation by operation, from the loss back to the embeddings, in float64. A gradient has the name of what it belongs to.

const PRODUCTS = 500_000; // of a weight and a gradient, between two moments at which the work can be interrupted: 1 or 2 ms

/**
 * The gradients of the numbers of a Trace, and of what training makes of its logits: the probabilities, and the loss, (1).
 * @typedef {Omit<Trace, "token" | "position"> & { probabilities: Vector, loss: Vector }} Gradient
 */

/**
 * The loss of a text and its gradients.
 * @typedef {object} Gradients
 * @property {number[]} losses of each position: how much the token that comes next surprises the model, in nats
 * @property {number} loss their mean
 * @property {Gradient[]} traces of each position
 * @property {Record<string, Matrix>} params of each matrix: sums over all positions
 */

/**
 * The gradients of a text, computed in slices; null once not wanted().
 * @param {Model} model
 * @param {Trace[]} traces of its positions
 * @param {number[]} targets the token that comes after each of them
 * @param {() => boolean} wanted
 * @returns {Promise<Gradients | null>}
 */
async function gradientsOf(model, traces, targets, wanted) {
  /** @type {Gradients | null} */
  let found = null;
  await inSlices(backward(model, traces, targets), wanted, (gradients) => (found = gradients));
  return found;
}

/**
 * The same, at once; yields now and then. Gradients at all positions are the rows of a matrix, on which kernels.js is fast; the vectors
 * of a Gradient are these rows.
 * @param {Model} model
 * @param {Trace[]} traces
 * @param {number[]} targets
 * @returns {Generator<void, Gradients>}
 */
function* backward({ config, params, slope }, traces, targets) {
  const { n_layer, n_embd, n_head } = config;
  const positions = [...targets.keys()];
  /** @type {Record<string, Matrix>} */
  const sums = {};
  for (const [name, { length, rows }] of Object.entries(params)) sums[name] = Object.assign(new Float64Array(length), { rows });
  /** From the gradients of y = W x to those of x; adds to that of W. @type {(name: string, dy: Vector[], x: Vector[]) => Generator<void, Vector[]>} */
  function* linearBack(name, dy, x) {
    const [w, columns] = [params[name], x[0].length];
    const dx = new Float64Array(positions.length * columns);
    const part = Math.max(1, Math.round(PRODUCTS / w.length)); // positions
    for (let t = 0; t < positions.length; t += part) {
      const [from, to] = [dy.slice(t, t + part), x.slice(t, t + part)].map(stacked);
      multiplyBack(dx.subarray(t * columns), w, from, from.length / w.rows, w.rows, columns);
      addOuter(sums[name], from, to, from.length / w.rows, w.rows, columns);
      yield;
    }
    return positions.map((t) => rowOf(dx, t, columns));
  }

  const losses = [];
  /** @type {{ loss: Vector, probabilities: Vector, logits: Vector }[]} */
  const ends = [];
  for (const t of positions) {
    const { logits } = traces[t];
    const shares = probabilities(logits);
    const came = targets[t];
    losses.push(-Math.log(shares[came]));
    const end = { loss: Float64Array.of(1 / targets.length), probabilities: new Float64Array(shares.length), logits };
    end.probabilities[came] = end.loss[0] * (-1 / shares[came]);
    end.logits = softmaxBack(end.probabilities, shares);
    ends.push(end);
  }
  yield;

  /** Of the stream at each position, from after the last layer to before the first. */
  let streams = yield* linearBack("lm_head", ends.map(({ logits }) => logits), positions.map((t) => traces[t].layers[n_layer - 1].out));
  /** @type {LayerTrace[][]} */
  const layers = [];
  for (let i = n_layer - 1; i >= 0; i--) {
    const past = positions.map((t) => traces[t].layers[i]);
    /** @type {(name: string, dy: Vector[], x: Vector[]) => Generator<void, Vector[]>} */
    const through = (name, dy, x) => linearBack(`layer${i}.${name}`, dy, x);
    const out = streams;
    const active = yield* through("mlp_fc2", out, past.map(({ active }) => active));
    const hidden = active.map((dy, t) => dy.map((di, j) => di * slope(past[t].hidden[j])));
    const mlp_normed = yield* through("mlp_fc1", hidden, past.map(({ mlp_normed }) => mlp_normed));
    // mutant: page-residual
    const attended = out.map((dy, t) => add(dy, rmsnormBack(mlp_normed[t], past[t].attended)));
    const mixed = yield* through("attn_wo", attended, past.map(({ mixed }) => mixed));
    const [keys, values] = [0, 1].map(() => positions.map(() => new Float64Array(n_embd))); // to which each position adds
    const looks = /** @type {ReturnType<typeof attentionBack>[]} */ ([]);
    for (const t of positions) {
      looks.push(attentionBack(mixed[t], past.slice(0, t + 1), n_head, keys, values));
      yield;
    }
    const read = past.map(({ normed }) => normed);
    const v = yield* through("attn_wv", values, read);
    const k = yield* through("attn_wk", keys, read);
    const q = yield* through("attn_wq", looks.map(({ q }) => q), read);
    const normed = positions.map((t) => add(add(v[t], k[t]), q[t]));
    const before = positions.map((t) => (i ? traces[t].layers[i - 1].out : traces[t].start));
    streams = positions.map((t) => add(attended[t], rmsnormBack(normed[t], before[t])));
    layers.unshift(
      positions.map((t) => ({
        normed: normed[t], ...looks[t], k: keys[t], v: values[t], mixed: mixed[t], found: attended[t], attended: attended[t],
        mlp_normed: mlp_normed[t], hidden: hidden[t], active: active[t], thought: out[t], out: out[t],
      })),
    );
    yield;
  }

  const found = positions.map((t) => {
    const start = streams[t];
    const embedded = rmsnormBack(start, traces[t].embedded);
    addTo(rowOf(sums.wte, traces[t].token, n_embd), embedded);
    addTo(rowOf(sums.wpe, t, n_embd), embedded);
    const own = layers.map((layer) => layer[t]);
    return { token_embedding: embedded, position_embedding: embedded, embedded, start, layers: own, ...ends[t] };
  });
  return { losses, loss: (1 / targets.length) * losses.reduce((a, b) => a + b), traces: found, params: sums };
}

/** Vectors as the rows of a matrix. @param {Vector[]} vectors */
function stacked(vectors) {
  const [{ length }] = vectors;
  const matrix = new Float64Array(vectors.length * length);
  vectors.forEach((vector, t) => matrix.set(vector, t * length));
  return matrix;
}

// ---- What the chain rule makes of the operations: from the gradient dy of what they return to that of their argument -----------------

/** @type {(sum: Vector, x: Vector) => void} */
function addTo(sum, x) {
  for (let i = 0; i < sum.length; i++) sum[i] += x[i];
}

/** Of y = softmax(x). @type {(dy: Vector, y: Vector) => Vector} */
function softmaxBack(dy, y) {
  const mean = dot(y, dy);
  return y.map((yi, i) => yi * (dy[i] - mean));
}

/** How much the scale of a norm changes with the sum of the squares. @param {Vector} x what is scaled */
const scaleSlope = (x) => (-0.5 * rmsscale(x) ** 3) / x.length;

/** Of y = rmsnorm(x). @type {(dy: Vector, x: Vector) => Vector} */
function rmsnormBack(dy, x) {
  const scale = rmsscale(x);
  const d_squares = dot(dy, x) * scaleSlope(x);
  return x.map((xi, i) => dy[i] * scale + d_squares * 2 * xi);
}

/**
 * Of attention, from the gradient of `mixed` at the last of these positions. Adds to those of the keys and values of all of them.
 * @param {Vector} mixed
 * @param {LayerTrace[]} past
 * @param {number} n_head
 * @param {Vector[]} keys
 * @param {Vector[]} values
 */
function attentionBack(mixed, past, n_head, keys, values) {
  const count = past.length;
  const layer = past[count - 1];
  const width = mixed.length / n_head;
  const scale = scoreScale(width);
  const [weights, scores, q] = [layer.weights, layer.scores, layer.q].map(({ length }) => new Float64Array(length));
  for (let head = 0, start = 0; head < n_head; head++, start += width) {
    const shares = rowOf(layer.weights, head, count);
    const d_shares = rowOf(weights, head, count);
    for (let t = 0; t < count; t++) {
      for (let j = start; j < start + width; j++) {
        d_shares[t] += mixed[j] * past[t].v[j];
        values[t][j] += shares[t] * mixed[j];
      }
    }
    const d_scores = softmaxBack(d_shares, shares);
    scores.set(d_scores, head * count);
    for (let t = 0; t < count; t++) {
      const d_dot = d_scores[t] * scale;
      for (let j = start; j < start + width; j++) {
        q[j] += d_dot * past[t].k[j];
        keys[t][j] += d_dot * layer.q[j];
      }
    }
  }
  return { weights, scores, q };
}
