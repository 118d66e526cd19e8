// The model: what gpt() of microgpt/reference.py computes, operation for operation, in float64.
// A vector is a Float64Array; so is a matrix, row by row, with a property `rows`: how many it has.

class Model {
  /**
   * config: GPTConfig's fields, vocab_size, bos and opening, the token that is read before a text. layout: [name, rows, columns] of each matrix, in parameter order.
   * weights: Float64Array, all matrices one after another.
   */
  constructor(config, layout, weights) {
    this.config = config;
    this.activation = ACTIVATIONS[config.activation];
    this.params = {};
    let start = 0;
    for (const [name, rows, columns] of layout) {
      this.params[name] = Object.assign(weights.subarray(start, (start += rows * columns)), { rows });
    }
  }
}

/** Matrix times vector. x: (n_in), w: (n_out, n_in) -> out: (n_out) */
function linear(x, w, out) {
  for (let i = 0, at = 0; i < out.length; i++) {
    let sum = 0;
    for (let j = 0; j < x.length; j++) sum += w[at++] * x[j];
    out[i] = sum;
  }
  return out;
}

/** Logits to probabilities, in place. logits: (n), returned. */
function softmax(logits) {
  let largest = -Infinity;
  let total = 0;
  for (const logit of logits) if (logit > largest) largest = logit;
  for (let i = 0; i < logits.length; i++) total += logits[i] = Math.exp(logits[i] - largest);
  const scale = 1 / total;
  for (let i = 0; i < logits.length; i++) logits[i] *= scale;
  return logits;
}

/** x scaled to root mean square 1. (n) -> out: (n) */
function rmsnorm(x, out) {
  let squares = 0;
  for (const xi of x) squares += xi * xi;
  const scale = (squares / x.length + 1e-5) ** -0.5;
  for (let i = 0; i < x.length; i++) out[i] = x[i] * scale;
  return out;
}

/**
 * The tokens read so far and the model's results for them. It caches each layer's keys and values, so that each further
 * token is computed alone. `logits[i]`, (vocab_size), are those of the token after position i; `attention[i]`,
 * (n_layer, n_head, i + 1), are the weights that each head gives to each position up to i.
 */
class Context {
  constructor(model) {
    const { n_layer, n_embd, block_size } = model.config;
    const vector = (n = n_embd) => new Float64Array(n);
    this.model = model;
    this.tokens = [];
    this.logits = [];
    this.attention = [];
    this.keys = Array.from({ length: n_layer }, () => vector(block_size * n_embd));
    this.values = Array.from({ length: n_layer }, () => vector(block_size * n_embd));
    [this.x, this.normed, this.q, this.mixed, this.added] = [vector(), vector(), vector(), vector(), vector()];
    this.hidden = vector(model.params["layer0.mlp_fc1"].rows);
  }

  /** Forget all but the first `length` tokens. */
  rewind(length) {
    this.tokens.length = this.logits.length = this.attention.length = length;
  }

  /** Read one more token, at most block_size in all. Returns the logits of the next token, (vocab_size). */
  extend(token) {
    const { model, x, normed, hidden, added } = this;
    const { n_layer, n_embd, n_head } = model.config;
    const { params, activation } = model;
    const position = this.tokens.length;
    const attention = new Float64Array(n_layer * n_head * (position + 1));
    const cached = [position * n_embd, (position + 1) * n_embd];
    for (let i = 0; i < n_embd; i++) x[i] = params.wte[token * n_embd + i] + params.wpe[position * n_embd + i];
    rmsnorm(x, x);
    for (let layer = 0; layer < n_layer; layer++) {
      rmsnorm(x, normed);
      linear(normed, params[`layer${layer}.attn_wq`], this.q);
      linear(normed, params[`layer${layer}.attn_wk`], this.keys[layer].subarray(...cached));
      linear(normed, params[`layer${layer}.attn_wv`], this.values[layer].subarray(...cached));
      this.attend(layer, position, attention.subarray(layer * n_head * (position + 1)));
      linear(this.mixed, params[`layer${layer}.attn_wo`], added);
      for (let i = 0; i < n_embd; i++) x[i] = added[i] + x[i];

      rmsnorm(x, normed);
      linear(normed, params[`layer${layer}.mlp_fc1`], hidden);
      for (let i = 0; i < hidden.length; i++) hidden[i] = activation(hidden[i]);
      linear(hidden, params[`layer${layer}.mlp_fc2`], added);
      for (let i = 0; i < n_embd; i++) x[i] = added[i] + x[i];
    }
    const logits = linear(x, params.lm_head, new Float64Array(params.lm_head.rows));
    this.tokens.push(token);
    this.logits.push(logits);
    this.attention.push(attention);
    return logits;
  }

  /**
   * Each head averages the values so far into `mixed`, weighted by how well their keys match the query `q`.
   * attention: where the weights go, (n_head, position + 1).
   */
  attend(layer, position, attention) {
    const { n_embd, n_head } = this.model.config;
    const width = n_embd / n_head;
    const [keys, values] = [this.keys[layer], this.values[layer]];
    for (let head = 0; head < n_head; head++) {
      const start = head * width;
      const weights = attention.subarray(head * (position + 1), (head + 1) * (position + 1));
      for (let t = 0; t <= position; t++) {
        let sum = 0;
        for (let j = start; j < start + width; j++) sum += this.q[j] * keys[t * n_embd + j];
        weights[t] = sum / width ** 0.5;
      }
      softmax(weights);
      for (let j = start; j < start + width; j++) {
        let sum = 0;
        for (let t = 0; t <= position; t++) sum += weights[t] * values[t * n_embd + j];
        this.mixed[j] = sum;
      }
    }
  }
}

/** Probabilities of the next token, a new array. At temperature 0, the (first) most likely token has probability 1. */
function probabilities(logits, temperature = 1) {
  if (temperature > 0) return softmax(logits.map((logit) => logit / temperature));
  const greedy = new Float64Array(logits.length);
  greedy[logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))] = 1;
  return greedy;
}

/** As `probabilities`, of the tokens that are written: a model of one long text (GPTConfig.documents) never writes BOS. */
function choices(logits, temperature, { documents, bos }) {
  if (documents !== "text") return probabilities(logits, temperature);
  return probabilities(
    logits.map((logit, id) => (id === bos ? -Infinity : logit)),
    temperature,
  );
}

/** A token drawn at random. weights: the tokens' probabilities. */
function draw(weights) {
  let left = Math.random() * weights.reduce((a, b) => a + b);
  let last = 0;
  for (let token = 0; token < weights.length; token++) {
    if (weights[token] === 0) continue;
    last = token;
    left -= weights[token];
    if (left < 0) break;
  }
  return last;
}

// ---- Work in slices, so that the page never freezes ----------------------------------------------------------------

const SLICE = 12; // milliseconds of work between two turns of the browser

/** A function `pace`: `await pace()` in a loop yields to the browser once SLICE milliseconds have passed. */
function pacer() {
  let next = performance.now() + SLICE;
  return async () => {
    if (performance.now() < next) return;
    await new Promise((resume) => setTimeout(resume));
    next = performance.now() + SLICE;
  };
}

/** Make a Context hold exactly these tokens, keeping the prefix it shares. Resolves to false once not wanted(). */
async function follow(context, tokens, wanted) {
  const pace = pacer();
  let kept = 0;
  while (kept < context.tokens.length && context.tokens[kept] === tokens[kept]) kept++;
  context.rewind(kept);
  for (const token of tokens.slice(kept)) {
    context.extend(token);
    await pace();
    if (!wanted()) return false;
  }
  return true;
}
