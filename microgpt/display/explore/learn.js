// Training: the loss, its gradient and Adam, as microgpt/reference.py defines them, in float64. A layer is computed for all
// positions of a document before the next one; a matrix of vectors, one a position, is a Float64Array, row by row.

/** The share of the learning rate that a step (from 0) takes. @type {Record<string, (step: number, steps: number) => number>} */
const SCHEDULES = {
  linear: (step, steps) => 1 - step / steps,
  cosine: (step, steps) => 0.5 * (1 + Math.cos((Math.PI * step) / steps)),
  constant: () => 1,
};

/** @typedef {Record<string, any>} Config GPTConfig's fields, and where a model has an alphabet, vocab_size, bos and opening */
/** @typedef {{ w: Float64Array, g: Float64Array }} Parameter a matrix and its gradient, row by row */

/**
 * [name, rows, columns] of every matrix, in parameter order, which is that of the random draws.
 * @param {Config} config
 */
function layoutOf({ n_layer, n_embd, block_size, vocab_size }) {
  /** @type {[string, number, number][]} */
  const layout = [
    ["wte", vocab_size, n_embd],
    ["wpe", block_size, n_embd],
    ["lm_head", vocab_size, n_embd],
  ];
  for (let i = 0; i < n_layer; i++) {
    for (const name of ["attn_wq", "attn_wk", "attn_wv", "attn_wo"]) layout.push([`layer${i}.${name}`, n_embd, n_embd]);
    layout.push([`layer${i}.mlp_fc1`, 4 * n_embd, n_embd], [`layer${i}.mlp_fc2`, n_embd, 4 * n_embd]);
  }
  return layout;
}

/** Standard deviation of the initial weights of a matrix. @param {string} name @param {Config} config */
function initialStd(name, { init_std, zero_init_out, scale_init, n_embd }) {
  if (zero_init_out && /\.(attn_wo|mlp_fc2)$/.test(name)) return 0;
  return scale_init ? init_std * (16 / n_embd) ** 0.5 : init_std;
}

/** The learning rate of a step (from 0). training: TrainConfig's fields. @param {number} step @param {Record<string, any>} training */
function learningRate(step, { learning_rate, min_learning_rate, schedule, num_steps, warmup_steps }) {
  const rate = min_learning_rate + (learning_rate - min_learning_rate) * SCHEDULES[schedule](step, num_steps);
  return step < warmup_steps ? rate * ((step + 1) / warmup_steps) : rate;
}

/** A model and the state of its training. */
class Learner {
  /**
   * docs: strings, one a document, which are shuffled and whose characters become the alphabet; config: GPTConfig's fields;
   * training: TrainConfig's, which may be changed between steps. From the same seed, Python's draws.
   * @param {string[]} docs
   * @param {Record<string, any>} config
   * @param {Record<string, any>} training
   * @param {number} seed
   */
  constructor(docs, config, training, seed) {
    const rng = new Random(seed);
    const points = docs.map((doc) => Array.from(doc, (char) => /** @type {number} */ (char.codePointAt(0))));
    rng.shuffle(points);
    /** Code points, in the order of their ids. */
    this.characters = [...new Set(points.flat())].sort((a, b) => a - b);
    const bos = config.bos_first ? 0 : this.characters.length;
    /** @type {Config} */
    this.config = { ...config, vocab_size: this.characters.length + 1, bos, opening: bos };
    this.training = training;
    const ids = new Map(this.characters.map((point, i) => [point, i + (config.bos_first ? 1 : 0)]));
    /** Their tokens. @type {number[][]} */
    this.documents = points.map((doc) => [bos, ...doc.map((point) => /** @type {number} */ (ids.get(point))), bos]);
    this.layout = layoutOf(this.config);
    const count = this.layout.reduce((sum, [, rows, columns]) => sum + rows * columns, 0);
    this.weights = new Float64Array(count);
    this.gradient = new Float64Array(count);
    this.m = new Float64Array(count); // Adam's moments
    this.v = new Float64Array(count);
    this.steps = 0;
    let at = 0;
    /** Views of the weights and the gradient. @type {Record<string, Parameter>} */
    this.params = {};
    for (const [name, rows, columns] of this.layout) {
      const std = initialStd(name, config);
      const end = at + rows * columns;
      this.params[name] = { w: this.weights.subarray(at, end), g: this.gradient.subarray(at, end) };
      while (at < end) this.weights[at++] = rng.gauss(0, std);
    }
    this.layers = Array.from({ length: config.n_layer }, (_, i) => new Layer(this.config, this.params, `layer${i}.`));
    const { n_embd, block_size } = config;
    this.embedded = new Float64Array(block_size * n_embd);
    this.scales = new Float64Array(block_size);
    this.stream = new Float64Array(block_size * n_embd); // what the first layer reads
    this.slope = new Float64Array(block_size * n_embd); // d loss / d stream
    this.logits = new Float64Array(block_size * this.config.vocab_size);
  }

  /** One step: {loss, norm}, norm being the length of the gradient before it is clipped. */
  step() {
    const { training, documents, gradient } = this;
    const { batch_size, clip_norm } = training;
    gradient.fill(0);
    let loss = 0;
    for (let i = 0; i < batch_size; i++) {
      loss += this.read(documents[(this.steps * batch_size + i) % documents.length], 1 / batch_size);
    }
    let squares = 0;
    for (let i = 0; i < gradient.length; i++) squares += gradient[i] * gradient[i];
    const norm = Math.sqrt(squares);
    if (clip_norm !== null && norm > clip_norm) for (let i = 0; i < gradient.length; i++) gradient[i] *= clip_norm / norm;
    this.update(learningRate(this.steps, training));
    return { loss: loss / batch_size, norm };
  }

  /** Adam (Kingma and Ba, 2015), with weight decay apart from the gradient. @param {number} rate */
  update(rate) {
    const { weights, gradient, m, v } = this;
    const { beta1, beta2, eps, weight_decay } = this.training;
    this.steps++;
    const first = rate / (1 - beta1 ** this.steps);
    const second = 1 / (1 - beta2 ** this.steps);
    const keep = rate * weight_decay;
    for (let i = 0; i < weights.length; i++) {
      const g = gradient[i];
      const mean = (m[i] = beta1 * m[i] + (1 - beta1) * g);
      const square = (v[i] = beta2 * v[i] + (1 - beta2) * (g * g));
      weights[i] -= keep * weights[i] + (first * mean) / (Math.sqrt(second * square) + eps);
    }
  }

  /** The loss of a document of tokens, cut at block_size; adds its gradient, times `share`. @param {number[]} tokens @param {number} share */
  read(tokens, share) {
    const { params, embedded, scales, stream, slope, logits, layers } = this;
    const { n_embd, block_size, vocab_size } = this.config;
    const count = Math.min(block_size, tokens.length - 1);
    for (let t = 0, at = 0; t < count; t++) {
      const from = tokens[t] * n_embd;
      for (let j = 0; j < n_embd; j++, at++) embedded[at] = params.wte.w[from + j] + params.wpe.w[at];
    }
    normalize(stream, scales, embedded, count, n_embd);
    let x = stream;
    for (const layer of layers) x = layer.forward(x, count);
    multiply(logits, params.lm_head.w, x, count, vocab_size, n_embd);

    let loss = 0;
    for (let t = 0; t < count; t++) loss += surprise(logits, t * vocab_size, vocab_size, tokens[t + 1], share / count);
    slope.fill(0);
    backThrough(slope, params.lm_head, logits, x, count, vocab_size, n_embd);
    for (let i = layers.length - 1; i >= 0; i--) layers[i].backward(slope, i ? layers[i - 1].out : stream, count);
    normalizeBack(slope, slope, scales, embedded, count, n_embd, 0);
    for (let t = 0, at = 0; t < count; t++) {
      const to = tokens[t] * n_embd;
      for (let j = 0; j < n_embd; j++, at++) {
        params.wte.g[to + j] += slope[at];
        params.wpe.g[at] += slope[at];
      }
    }
    return loss / count;
  }
}

/** A transformer block: its matrices, and what it computed last. */
class Layer {
  /** @param {Config} config @param {Record<string, Parameter>} params of the model @param {string} prefix of their names */
  constructor({ n_embd, n_head, block_size, activation }, params, prefix) {
    const vectors = (width = n_embd) => new Float64Array(block_size * width);
    this.n_embd = n_embd;
    this.n_head = n_head;
    this.block_size = block_size;
    this.activation = ACTIVATIONS[activation];
    this.slope = SLOPES[activation];
    this.attn_wq = params[prefix + "attn_wq"];
    this.attn_wk = params[prefix + "attn_wk"];
    this.attn_wv = params[prefix + "attn_wv"];
    this.attn_wo = params[prefix + "attn_wo"];
    this.mlp_fc1 = params[prefix + "mlp_fc1"];
    this.mlp_fc2 = params[prefix + "mlp_fc2"];
    this.normed = vectors();
    this.q = vectors();
    this.k = vectors();
    this.v = vectors();
    this.mixed = vectors();
    this.attended = vectors();
    this.mlp_normed = vectors();
    this.out = vectors();
    this.d_normed = vectors();
    this.dq = vectors();
    this.dk = vectors();
    this.dv = vectors();
    this.d_mixed = vectors();
    this.hidden = vectors(4 * n_embd);
    this.active = vectors(4 * n_embd);
    this.d_hidden = vectors(4 * n_embd);
    this.scales = vectors(1);
    this.mlp_scales = vectors(1);
    this.d_weights = vectors(1);
    this.weights = vectors(n_head * block_size); // of attention: (position, head, position looked at)
  }

  /** x: the stream, (count, n_embd) -> the stream after the layer. @param {Float64Array} x @param {number} count */
  forward(x, count) {
    const { n_embd: n, normed, q, k, v, mixed, attended, mlp_normed, hidden, active, out } = this;
    normalize(normed, this.scales, x, count, n);
    multiply(q, this.attn_wq.w, normed, count, n, n);
    multiply(k, this.attn_wk.w, normed, count, n, n);
    multiply(v, this.attn_wv.w, normed, count, n, n);
    this.attend(count);
    multiply(attended, this.attn_wo.w, mixed, count, n, n);
    for (let i = 0; i < count * n; i++) attended[i] += x[i];
    normalize(mlp_normed, this.mlp_scales, attended, count, n);
    multiply(hidden, this.mlp_fc1.w, mlp_normed, count, 4 * n, n);
    for (let i = 0; i < count * 4 * n; i++) active[i] = this.activation(hidden[i]);
    multiply(out, this.mlp_fc2.w, active, count, n, 4 * n);
    for (let i = 0; i < count * n; i++) out[i] += attended[i];
    return out;
  }

  /**
   * slope: the gradient of the stream after the layer, which becomes that of x, the stream before it.
   * @param {Float64Array} slope @param {Float64Array} x @param {number} count
   */
  backward(slope, x, count) {
    const { n_embd: n, normed, mixed, attended, mlp_normed, hidden, active, d_normed, d_hidden, d_mixed } = this;
    d_hidden.fill(0);
    backThrough(d_hidden, this.mlp_fc2, slope, active, count, n, 4 * n);
    for (let i = 0; i < count * 4 * n; i++) d_hidden[i] *= this.slope(hidden[i]);
    d_normed.fill(0);
    backThrough(d_normed, this.mlp_fc1, d_hidden, mlp_normed, count, 4 * n, n);
    normalizeBack(slope, d_normed, this.mlp_scales, attended, count, n, 1);
    d_mixed.fill(0);
    backThrough(d_mixed, this.attn_wo, slope, mixed, count, n, n);
    this.attendBack(count);
    d_normed.fill(0);
    backThrough(d_normed, this.attn_wq, this.dq, normed, count, n, n);
    backThrough(d_normed, this.attn_wk, this.dk, normed, count, n, n);
    backThrough(d_normed, this.attn_wv, this.dv, normed, count, n, n);
    normalizeBack(slope, d_normed, this.scales, x, count, n, 1);
  }

  /** Each head mixes the values seen so far, weighted by how well their keys match the query. @param {number} count */
  attend(count) {
    const { n_embd: n, n_head, block_size, q, k, v, weights, mixed } = this;
    const width = n / n_head;
    const scale = 1 / width ** 0.5;
    mixed.fill(0);
    for (let t = 0; t < count; t++) {
      for (let head = 0; head < n_head; head++) {
        const at = (t * n_head + head) * block_size;
        const start = head * width;
        let largest = -Infinity;
        for (let s = 0; s <= t; s++) {
          let sum = 0;
          for (let j = start; j < start + width; j++) sum += q[t * n + j] * k[s * n + j];
          weights[at + s] = sum * scale;
          if (weights[at + s] > largest) largest = weights[at + s];
        }
        let total = 0;
        for (let s = 0; s <= t; s++) total += weights[at + s] = Math.exp(weights[at + s] - largest);
        for (let s = 0; s <= t; s++) {
          const weight = (weights[at + s] /= total);
          for (let j = start; j < start + width; j++) mixed[t * n + j] += weight * v[s * n + j];
        }
      }
    }
  }

  /** From d_mixed to dq, dk and dv. @param {number} count */
  attendBack(count) {
    const { n_embd: n, n_head, block_size, q, k, v, weights, d_mixed, d_weights, dq, dk, dv } = this;
    const width = n / n_head;
    const scale = 1 / width ** 0.5;
    for (const slopes of [dq, dk, dv]) slopes.fill(0);
    for (let t = 0; t < count; t++) {
      for (let head = 0; head < n_head; head++) {
        const at = (t * n_head + head) * block_size;
        const start = head * width;
        let mean = 0;
        for (let s = 0; s <= t; s++) {
          let sum = 0;
          for (let j = start; j < start + width; j++) {
            sum += d_mixed[t * n + j] * v[s * n + j];
            dv[s * n + j] += weights[at + s] * d_mixed[t * n + j];
          }
          d_weights[s] = sum;
          mean += weights[at + s] * sum;
        }
        for (let s = 0; s <= t; s++) {
          const d_score = weights[at + s] * (d_weights[s] - mean) * scale;
          for (let j = start; j < start + width; j++) {
            dq[t * n + j] += d_score * k[s * n + j];
            dk[s * n + j] += d_score * q[t * n + j];
          }
        }
      }
    }
  }
}

// ---- What the chain rule makes of the operations: ...Back adds to its first argument ---------------------------------

/**
 * From the gradient dy of y = W x: adds to dx, and to the gradient of W.
 * @param {Float64Array} dx (count, n_in)
 * @param {Parameter} matrix
 * @param {Float64Array} dy (count, n_out)
 * @param {Float64Array} x (count, n_in)
 * @param {number} count
 * @param {number} n_out
 * @param {number} n_in
 */
function backThrough(dx, { w, g }, dy, x, count, n_out, n_in) {
  multiplyBack(dx, w, dy, count, n_out, n_in);
  addOuter(g, dy, x, count, n_out, n_in);
}

/**
 * dx = keep * dx + what comes through the scaling; dx and dy may be one.
 * @param {Float64Array} dx (count, n) @param {Float64Array} dy (count, n) @param {Float64Array} scales (count)
 * @param {Float64Array} x (count, n) @param {number} count @param {number} n @param {number} keep
 */
function normalizeBack(dx, dy, scales, x, count, n, keep) {
  for (let t = 0; t < count; t++) {
    const scale = scales[t];
    let along = 0;
    for (let i = t * n; i < (t + 1) * n; i++) along += dy[i] * x[i];
    const pull = (along * scale ** 3) / n;
    for (let i = t * n; i < (t + 1) * n; i++) dx[i] = keep * dx[i] + (dy[i] * scale - pull * x[i]);
  }
}

/**
 * -log of the probability of the token that came. The n logits from `at` on become their gradient, times `share`.
 * @param {Float64Array} logits @param {number} at @param {number} n @param {number} target @param {number} share
 */
function surprise(logits, at, n, target, share) {
  let largest = -Infinity;
  for (let i = at; i < at + n; i++) if (logits[i] > largest) largest = logits[i];
  let total = 0;
  for (let i = at; i < at + n; i++) total += logits[i] = Math.exp(logits[i] - largest);
  const loss = -Math.log(logits[at + target] / total);
  for (let i = at; i < at + n; i++) logits[i] = (logits[i] / total) * share;
  logits[at + target] -= share;
  return loss;
}
