// The gradients: by how much the loss of a text changes with each number that model.js computed for it, and with each weight. The chain
// rule, operation by operation, from the loss back to the embeddings, in float64. A gradient has the name of what it belongs to.

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
  const pace = pacer();
  const work = backward(model, traces, targets);
  for (let slice = work.next(); ; slice = work.next()) {
    if (slice.done) return slice.value;
    await pace();
    if (!wanted()) return null;
  }
}

/**
 * The same, at once; yields after each position.
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
  /** From the gradient of y = W x to that of x; adds to that of W. @type {(name: string, dy: Vector, x: Vector) => Vector} */
  const linearBack = (name, dy, x) => {
    addProducts(sums[name], dy, x);
    return transposed(params[name], dy);
  };

  const losses = [];
  /** @type {{ loss: Vector, probabilities: Vector, logits: Vector }[]} */
  const ends = [];
  /** Of the stream at each position, from after the last layer to before the first. @type {Vector[]} */
  let streams = [];
  for (const t of positions) {
    const { logits, layers } = traces[t];
    const shares = probabilities(logits);
    const came = targets[t];
    losses.push(-Math.log(shares[came]));
    const end = { loss: Float64Array.of(1 / targets.length), probabilities: new Float64Array(shares.length), logits };
    end.probabilities[came] = end.loss[0] * (-1 / shares[came]);
    end.logits = softmaxBack(end.probabilities, shares);
    ends.push(end);
    streams.push(linearBack("lm_head", end.logits, layers[n_layer - 1].out));
    yield;
  }

  /** @type {LayerTrace[][]} */
  const layers = [];
  for (let i = n_layer - 1; i >= 0; i--) {
    const past = positions.map((t) => traces[t].layers[i]);
    /** @type {(name: string, dy: Vector, x: Vector) => Vector} */
    const through = (name, dy, x) => linearBack(`layer${i}.${name}`, dy, x);
    const [keys, values] = [0, 1].map(() => positions.map(() => new Float64Array(n_embd))); // to which each position adds
    const upper = [];
    for (const t of positions) {
      const layer = past[t];
      const out = streams[t];
      const active = through("mlp_fc2", out, layer.active);
      const hidden = active.map((di, j) => di * slope(layer.hidden[j]));
      const mlp_normed = through("mlp_fc1", hidden, layer.mlp_normed);
      // mutant: page-residual
      const attended = add(out, rmsnormBack(mlp_normed, layer.attended));
      const mixed = through("attn_wo", attended, layer.mixed);
      const { weights, scores, q } = attentionBack(mixed, past.slice(0, t + 1), n_head, keys, values);
      upper.push({ out, thought: out, active, hidden, mlp_normed, attended, found: attended, mixed, weights, scores, q });
      yield;
    }
    const own = [];
    for (const t of positions) {
      const { normed } = past[t];
      const [k, v] = [keys[t], values[t]];
      const into = add(add(through("attn_wv", v, normed), through("attn_wk", k, normed)), through("attn_wq", upper[t].q, normed));
      own.push({ ...upper[t], k, v, normed: into });
      yield;
    }
    const before = positions.map((t) => (i ? traces[t].layers[i - 1].out : traces[t].start));
    streams = own.map(({ attended, normed }, t) => add(attended, rmsnormBack(normed, before[t])));
    layers.unshift(own);
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

// ---- What the chain rule makes of the operations: from the gradient dy of what they return to that of their argument -----------------

/** Of y = W x: what of dy comes through each column of W. @type {(w: Matrix, dy: Vector) => Vector} */
function transposed(w, dy) {
  const dx = new Float64Array(w.length / dy.length);
  for (let i = 0, at = 0; i < dy.length; i++) for (let j = 0; j < dx.length; j++) dx[j] += w[at++] * dy[i];
  return dx;
}

/** Of y = W x, to W: adds dy[i] * x[j] to each g[i, j]. @type {(g: Matrix, dy: Vector, x: Vector) => void} */
function addProducts(g, dy, x) {
  for (let i = 0, at = 0; i < dy.length; i++) for (let j = 0; j < x.length; j++) g[at++] += dy[i] * x[j];
}

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
