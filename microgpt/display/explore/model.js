// The model: what gpt() of microgpt/reference.py computes, operation for operation, in float64.

/** @typedef {Float64Array} Vector */
/** @typedef {Float64Array & { rows: number }} Matrix row by row */

/**
 * What a layer computed for one position, in order. Vectors are (n_embd) but for `scores` and `weights`, (n_head, position + 1),
 * and for `hidden` and `active`, (4 * n_embd).
 * @typedef {object} LayerTrace
 * @property {Vector} normed what attention reads: the residual stream, scaled
 * @property {Vector} q
 * @property {Vector} k
 * @property {Vector} v
 * @property {Vector} scores how well the query matches the key of each position so far
 * @property {Vector} weights their softmax, head by head
 * @property {Vector} mixed the values so far, mixed by the weights
 * @property {Vector} found what attention adds to the stream
 * @property {Vector} attended the stream after attention
 * @property {Vector} mlp_normed what the MLP reads
 * @property {Vector} hidden
 * @property {Vector} active hidden after the activation
 * @property {Vector} thought what the MLP adds to the stream
 * @property {Vector} out the stream after the layer
 */

/**
 * Every number that the model computed for one position.
 * @typedef {object} Trace
 * @property {number} token
 * @property {number} position
 * @property {Vector} token_embedding
 * @property {Vector} position_embedding
 * @property {Vector} embedded their sum
 * @property {Vector} start the residual stream before the first layer
 * @property {LayerTrace[]} layers
 * @property {Vector} logits of the token after this position, (vocab_size)
 */

class Model {
  /**
   * config: GPTConfig's fields, vocab_size, bos and opening, the token that is read before a text. layout: [name, rows, columns]
   * of each matrix, in parameter order. weights: all matrices one after another.
   * @param {Record<string, any>} config
   * @param {[string, number, number][]} layout
   * @param {Float64Array} weights
   */
  constructor(config, layout, weights) {
    this.config = config;
    this.weights = weights;
    this.activation = ACTIVATIONS[config.activation];
    this.slope = SLOPES[config.activation];
    /** @type {Record<string, Matrix>} */
    this.params = {};
    let start = 0;
    for (const [name, rows, columns] of layout) {
      this.params[name] = Object.assign(weights.subarray(start, (start += rows * columns)), { rows });
    }
  }

  /**
   * Read one more token. before: the traces of all positions so far, whose keys and values attention looks at.
   * @param {number} token
   * @param {Trace[]} before
   * @returns {Trace}
   */
  forward(token, before) {
    const { params, config } = this;
    const position = before.length;
    const token_embedding = rowOf(params.wte, token, config.n_embd);
    const position_embedding = rowOf(params.wpe, position, config.n_embd);
    const embedded = add(token_embedding, position_embedding);
    const start = rmsnorm(embedded);
    /** @type {LayerTrace[]} */
    const layers = [];
    for (let /** @type {Vector} */ x = start, i = 0; i < config.n_layer; i++) {
      const of = (/** @type {string} */ name) => params[`layer${i}.${name}`];
      const normed = rmsnorm(x);
      const q = linear(normed, of("attn_wq"));
      const k = linear(normed, of("attn_wk"));
      const v = linear(normed, of("attn_wv"));
      const past = before.map(({ layers }) => layers[i]);
      const { scores, weights, mixed } = attention(q, [...past.map(({ k }) => k), k], [...past.map(({ v }) => v), v], config.n_head);
      const found = linear(mixed, of("attn_wo"));
      const attended = add(found, x);
      const mlp_normed = rmsnorm(attended);
      const hidden = linear(mlp_normed, of("mlp_fc1"));
      const active = hidden.map(this.activation);
      const thought = linear(active, of("mlp_fc2"));
      const out = (x = add(thought, attended));
      layers.push({ normed, q, k, v, scores, weights, mixed, found, attended, mlp_normed, hidden, active, thought, out });
    }
    const logits = linear(layers[layers.length - 1].out, params.lm_head);
    return { token, position, token_embedding, position_embedding, embedded, start, layers, logits };
  }
}

/** Row i of a matrix, (width). @type {(matrix: Float64Array, i: number, width: number) => Vector} */
const rowOf = (matrix, i, width) => matrix.subarray(i * width, (i + 1) * width);

/** @type {(a: Vector, b: Vector) => Vector} */
const add = (a, b) => a.map((ai, i) => ai + b[i]);

/**
 * Matrix times vector: (n_in) -> (n_out).
 * @param {Vector} x
 * @param {Float64Array} w (n_out, n_in)
 */
function linear(x, w) {
  const out = new Float64Array(w.length / x.length);
  for (let i = 0, at = 0; i < out.length; i++) {
    let sum = 0;
    for (let j = 0; j < x.length; j++) sum += w[at++] * x[j];
    out[i] = sum;
  }
  return out;
}

/** Logits to probabilities, in place: (n), returned. @param {Vector} logits */
function softmax(logits) {
  let largest = -Infinity;
  let total = 0;
  for (const logit of logits) if (logit > largest) largest = logit;
  for (let i = 0; i < logits.length; i++) total += logits[i] = Math.exp(logits[i] - largest);
  const scale = 1 / total;
  for (let i = 0; i < logits.length; i++) logits[i] *= scale;
  return logits;
}

/** What a vector is multiplied by to have root mean square 1. @param {Vector} x */
function rmsscale(x) {
  let squares = 0;
  for (const xi of x) squares += xi * xi;
  return (squares * (1 / x.length) + 1e-5) ** -0.5;
}

/** x scaled to root mean square 1: (n) -> (n) @param {Vector} x */
function rmsnorm(x) {
  const scale = rmsscale(x);
  return x.map((xi) => xi * scale);
}

/** What attention's scores are multiplied by. @param {number} head_dim */
const scoreScale = (head_dim) => 1 / head_dim ** 0.5;

/**
 * Each head mixes the values so far, weighted by how well their keys match the query.
 * @param {Vector} q
 * @param {Vector[]} keys of each position
 * @param {Vector[]} values of each position
 * @param {number} n_head
 */
function attention(q, keys, values, n_head) {
  const [count, width] = [keys.length, q.length / n_head];
  const scale = scoreScale(width);
  const scores = new Float64Array(n_head * count);
  const mixed = new Float64Array(q.length);
  for (let head = 0, start = 0; head < n_head; head++, start += width) {
    for (let t = 0; t < count; t++) {
      const k = keys[t];
      let sum = 0;
      for (let j = start; j < start + width; j++) sum += q[j] * k[j];
      scores[head * count + t] = sum * scale;
    }
  }
  const weights = scores.slice();
  for (let head = 0, start = 0; head < n_head; head++, start += width) {
    const share = softmax(rowOf(weights, head, count));
    for (let t = 0; t < count; t++) {
      const v = values[t];
      for (let j = start; j < start + width; j++) mixed[j] += share[t] * v[j];
    }
  }
  return { scores, weights, mixed };
}

/** The tokens read so far: the model's traces of them, to which each further token adds one. */
class Context {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    /** @type {Trace[]} */
    this.traces = [];
  }

  get tokens() {
    return this.traces.map(({ token }) => token);
  }

  /** For each position, the logits of the token after it. */
  get logits() {
    return this.traces.map(({ logits }) => logits);
  }

  /** Forget all but the first `length` tokens. @param {number} length */
  rewind(length) {
    this.traces.length = length;
  }

  /** Read one more token, at most block_size in all. Returns the logits of the next token. @param {number} token */
  extend(token) {
    const trace = this.model.forward(token, this.traces);
    this.traces.push(trace);
    return trace.logits;
  }
}

/** Probabilities of the next token, a new array. At temperature 0, the (first) most likely token has probability 1. @param {Vector} logits */
function probabilities(logits, temperature = 1) {
  if (temperature > 0) return softmax(logits.map((logit) => logit / temperature));
  const greedy = new Float64Array(logits.length);
  greedy[logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))] = 1;
  return greedy;
}

/**
 * As `probabilities`, of the tokens that are written: a model of one long text (GPTConfig.documents) never writes BOS.
 * @param {Vector} logits
 * @param {number} temperature
 * @param {Record<string, any>} config
 */
function choices(logits, temperature, { documents, bos }) {
  if (documents !== "text") return probabilities(logits, temperature);
  return probabilities(
    logits.map((logit, id) => (id === bos ? -Infinity : logit)),
    temperature,
  );
}

/** A token drawn at random. weights: the tokens' probabilities; random: gives numbers from 0 to 1. @param {Vector} weights */
function draw(weights, random = Math.random) {
  let left = random() * weights.reduce((a, b) => a + b);
  let last = 0;
  for (let token = 0; token < weights.length; token++) {
    if (weights[token] === 0) continue;
    last = token;
    left -= weights[token];
    if (left < 0) break;
  }
  return last;
}

/**
 * A source of random numbers from 0 to 1, the same for the same seed (mulberry32).
 * @param {number} seed
 * @returns {() => number}
 */
function dice(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// ---- Work in slices, so that the page never freezes ----------------------------------------------------------------

const SLICE = 12; // milliseconds of work between two turns of the browser

/** Resolves once the browser had its turn. */
const turn = () => new Promise((resume) => setTimeout(resume));

/** A function `pace`: `await pace()` in a loop yields to the browser once SLICE milliseconds have passed. */
function pacer() {
  let next = performance.now() + SLICE;
  return async () => {
    if (performance.now() < next) return;
    await turn();
    next = performance.now() + SLICE;
  };
}

/**
 * Run a generator in slices, and act on what it returns: at once, where it takes no longer than a slice; never, once it is not wanted().
 * @template T
 * @param {Generator<void, T>} work
 * @param {() => boolean} wanted
 * @param {(result: T) => void} act
 */
async function inSlices(work, wanted, act) {
  let next = performance.now() + slice;
  for (;;) {
    const { done, value } = work.next();
    if (done) return act(value);
    if (performance.now() < next) continue;
    await turn();
    if (!wanted()) return;
    next = performance.now() + slice;
  }
}

let slice = SLICE;

/** Let inSlices() take one slice, however long, for what is done here, since it has to be there at once. @param {() => void} act */
function atOnce(act) {
  slice = Infinity;
  act();
  slice = SLICE;
}

/**
 * Make a Context hold exactly these tokens, keeping the prefix it shares. Resolves to false once not wanted().
 * @param {Context} context
 * @param {number[]} tokens
 * @param {() => boolean} wanted
 */
async function follow(context, tokens, wanted) {
  const pace = pacer();
  let kept = 0;
  while (kept < context.traces.length && context.traces[kept].token === tokens[kept]) kept++;
  context.rewind(kept);
  for (const token of tokens.slice(kept)) {
    context.extend(token);
    await pace();
    if (!wanted()) return false;
  }
  return true;
}
