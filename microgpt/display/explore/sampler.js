// Many texts at once. Texts that begin alike cost one computation until they part: they form a tree, whose nodes are beginnings, each with
// the number of texts that have it. The tree is walked depth first, a chunk of nodes of one length at a time.

const CHUNK = 128; // nodes computed together
const MOST_WAITING = 1 << 14; // children of a chunk, where the alphabet is large
const MOST_KEPT = 1 << 20; // numbers of the table of what the first layer begins with

/** @typedef {(tokens: Int32Array, length: number, count: number) => void} Found */

class Sampler {
  /**
   * config, layout, weights: as those of a Model. random: draws as Python's random.choices does.
   * @param {Record<string, any>} config
   * @param {[string, number, number][]} layout
   * @param {Float64Array} weights
   * @param {Random} random
   */
  constructor(config, layout, weights, random) {
    const { n_layer, n_embd: n, n_head, block_size, vocab_size } = config;
    this.config = config;
    this.random = random;
    this.activation = ACTIVATIONS[config.activation];
    /** @type {Record<string, Float64Array>} */
    this.params = {};
    let end = 0;
    for (const [name, rows, columns] of layout) this.params[name] = weights.subarray(end, (end += rows * columns));

    this.chunk = Math.max(1, Math.min(CHUNK, Math.floor(MOST_WAITING / vocab_size)));
    // nodes that wait at each length, the last ones first; those of the chunk that is computed have the places 0, 1, ...
    this.room = this.chunk * vocab_size;
    const nodes = () => new Int32Array(block_size * this.room);
    this.tokens = nodes();
    this.parents = nodes(); // the parent's place in its chunk
    this.counts = nodes(); // of texts
    this.waiting = new Int32Array(block_size); // how many, the chunk included
    this.first = new Int32Array(block_size); // of the chunk

    const vectors = (width = n) => new Float64Array(this.chunk * width);
    const levels = () => Array.from({ length: n_layer }, () => new Float64Array(block_size * this.chunk * n));
    this.keys = levels();
    this.values = levels();
    this.scales = vectors(1);
    for (const name of ["stream", "normed", "q", "mixed", "attended"]) this[name] = vectors();
    this.hidden = vectors(4 * n);
    this.logits = vectors(vocab_size);
    this.path = new Int32Array(block_size); // where the keys and values of the beginning are, position by position
    this.scores = new Float64Array(block_size);
    this.text = new Int32Array(block_size);
    this.sums = new Float64Array(vocab_size);
    this.tally = new Int32Array(vocab_size);

    // what the first layer begins with depends on a token and its position alone: stream, q, k, v
    this.positions = Math.max(1, Math.min(block_size, Math.floor(MOST_KEPT / (4 * n * vocab_size))));
    this.table = new Float64Array(this.positions * vocab_size * 4 * n);
    this.isFor = new Int32Array(this.positions * vocab_size).fill(-1); // the position
  }

  /**
   * Write `count` texts that go on from a prompt: tokens, the opening first. found(tokens, length, count) is called for each that differs:
   * its first `length` tokens, without the opening; all are overwritten after the call.
   * @param {number} count
   * @param {number[]} prompt
   * @param {number} temperature
   * @param {Found} found
   */
  write(count, prompt, temperature, found) {
    const { waiting, first } = this;
    let length = 0; // of the beginning, which is a node's position
    waiting.fill(0);
    for (const token of prompt) {
      if (length) this.compute(length - 1);
      this.put(length++, token, 0, count);
    }
    const last = --length;
    while (length >= last) {
      if (waiting[length] === 0) {
        if (--length >= last) waiting[length] = first[length]; // the chunk's texts are all written
        continue;
      }
      this.compute(length);
      this.branch(length, temperature, found);
      if (length + 1 < this.config.block_size && waiting[length + 1]) length++;
      else waiting[length] = first[length];
    }
  }

  /** Add a node. @param {number} length @param {number} token @param {number} parent @param {number} count */
  put(length, token, parent, count) {
    const at = length * this.room + this.waiting[length]++;
    this.tokens[at] = token;
    this.parents[at] = parent;
    this.counts[at] = count;
  }

  /** Compute the logits of the last nodes of this length, which are the chunk from now on. @param {number} length */
  compute(length) {
    const { config, params, stream, normed, scales, q, mixed, attended, hidden, logits, activation } = this;
    const { n_layer, n_embd: n, vocab_size } = config;
    const first = (this.first[length] = Math.max(0, this.waiting[length] - this.chunk));
    const count = this.waiting[length] - first;
    const row = length * this.chunk * n; // of the chunk's keys and values
    for (let i = 0; i < n_layer; i++) {
      const keys = this.keys[i].subarray(row, row + count * n);
      const values = this.values[i].subarray(row, row + count * n);
      if (i === 0) {
        for (let node = 0; node < count; node++) {
          const at = this.begin(this.tokens[length * this.room + first + node], length);
          for (let j = 0; j < n; j++) {
            stream[node * n + j] = this.table[at + j];
            q[node * n + j] = this.table[at + n + j];
            keys[node * n + j] = this.table[at + 2 * n + j];
            values[node * n + j] = this.table[at + 3 * n + j];
          }
        }
      } else {
        normalize(normed, scales, stream, count, n);
        multiply(q, params[`layer${i}.attn_wq`], normed, count, n, n);
        multiply(keys, params[`layer${i}.attn_wk`], normed, count, n, n);
        multiply(values, params[`layer${i}.attn_wv`], normed, count, n, n);
      }
      this.attend(length, count, this.keys[i], this.values[i]);
      multiply(attended, params[`layer${i}.attn_wo`], mixed, count, n, n);
      for (let j = 0; j < count * n; j++) attended[j] += stream[j];
      normalize(normed, scales, attended, count, n);
      multiply(hidden, params[`layer${i}.mlp_fc1`], normed, count, 4 * n, n);
      for (let j = 0; j < count * 4 * n; j++) hidden[j] = activation(hidden[j]);
      multiply(stream, params[`layer${i}.mlp_fc2`], hidden, count, n, 4 * n);
      for (let j = 0; j < count * n; j++) stream[j] += attended[j];
    }
    multiply(logits, params.lm_head, stream, count, vocab_size, n);
  }

  /** Where in the table the first layer's beginning is. @param {number} token @param {number} position */
  begin(token, position) {
    const { params, table } = this;
    const { n_embd: n, vocab_size } = this.config;
    const place = (position % this.positions) * vocab_size + token;
    const at = place * 4 * n;
    if (this.isFor[place] === position) return at;
    this.isFor[place] = position;
    const [stream, q, k, v] = [0, 1, 2, 3].map((i) => table.subarray(at + i * n, at + (i + 1) * n));
    for (let j = 0; j < n; j++) stream[j] = params.wte[token * n + j] + params.wpe[position * n + j];
    normalize(stream, this.scales, stream, 1, n);
    normalize(this.normed, this.scales, stream, 1, n);
    multiply(q, params["layer0.attn_wq"], this.normed, 1, n, n);
    multiply(k, params["layer0.attn_wk"], this.normed, 1, n, n);
    multiply(v, params["layer0.attn_wv"], this.normed, 1, n, n);
    return at;
  }

  /**
   * From q, and the keys and values along each node's path, to mixed.
   * @param {number} length @param {number} count @param {Float64Array} keys @param {Float64Array} values
   */
  attend(length, count, keys, values) {
    const { path } = this;
    const { n_embd: n, n_head } = this.config;
    const width = n / n_head;
    for (let node = 0; node < count; node++) {
      for (let at = length, place = node; at >= 0; at--) {
        path[at] = (at * this.chunk + place) * n;
        place = this.parents[at * this.room + this.first[at] + place];
      }
      for (let head = 0; head < n_head; head++) this.mix(node * n + head * width, head * width, width, length, keys, values);
    }
  }

  /**
   * What one head finds on the path, four columns at a time: the `width` numbers of mixed from `to` on.
   * @param {number} to @param {number} start of the head's columns @param {number} width @param {number} length
   * @param {Float64Array} keys @param {Float64Array} values
   */
  mix(to, start, width, length, keys, values) {
    const { path, scores, q, mixed } = this;
    const scale = 1 / width ** 0.5;
    let largest = -Infinity;
    for (let at = 0; at <= length; at++) {
      const k = path[at] + start;
      let sum = 0;
      let j = 0;
      for (; j + 3 < width; j += 4) {
        sum += q[to + j] * keys[k + j] + q[to + j + 1] * keys[k + j + 1] + q[to + j + 2] * keys[k + j + 2] + q[to + j + 3] * keys[k + j + 3];
      }
      for (; j < width; j++) sum += q[to + j] * keys[k + j];
      sum *= scale;
      scores[at] = sum;
      if (sum > largest) largest = sum;
    }
    let total = 0;
    for (let at = 0; at <= length; at++) total += scores[at] = exp(scores[at] - largest);
    let j = 0;
    for (; j + 3 < width; j += 4) {
      let a = 0, b = 0, c = 0, d = 0;
      for (let at = 0; at <= length; at++) {
        const v = path[at] + start + j;
        const share = scores[at];
        a += share * values[v];
        b += share * values[v + 1];
        c += share * values[v + 2];
        d += share * values[v + 3];
      }
      mixed[to + j] = a / total;
      mixed[to + j + 1] = b / total;
      mixed[to + j + 2] = c / total;
      mixed[to + j + 3] = d / total;
    }
    for (; j < width; j++) {
      let sum = 0;
      for (let at = 0; at <= length; at++) sum += scores[at] * values[path[at] + start + j];
      mixed[to + j] = sum / total;
    }
  }

  /** Draw the next token of each text of the chunk. @param {number} length @param {number} temperature @param {Found} found */
  branch(length, temperature, found) {
    const { first, waiting, counts, tally } = this;
    const { vocab_size } = this.config;
    for (let node = 0; node < waiting[length] - first[length]; node++) {
      const total = this.accumulate(node * vocab_size, temperature);
      const count = counts[length * this.room + first[length] + node];
      if (count === 1) {
        this.grow(length, node, this.draw(total), 1, found);
        continue;
      }
      tally.fill(0);
      for (let i = 0; i < count; i++) tally[this.draw(total)]++;
      for (let token = 0; token < vocab_size; token++) if (tally[token]) this.grow(length, node, token, tally[token], found);
    }
  }

  /** The logits from `at` on become sums of weights, token by token; returns the last. @param {number} at @param {number} temperature */
  accumulate(at, temperature) {
    const { logits, sums } = this;
    const { vocab_size, documents, bos } = this.config;
    if (documents === "text") logits[at + bos] = -Infinity; // such a model never ends
    let largest = -Infinity;
    for (let i = at; i < at + vocab_size; i++) if (logits[i] > largest) largest = logits[i];
    if (temperature === 0) {
      const likeliest = logits.indexOf(largest, at) - at;
      for (let i = 0; i < vocab_size; i++) sums[i] = Number(i >= likeliest);
      return 1;
    }
    const scale = 1 / temperature;
    let total = 0;
    for (let i = 0; i < vocab_size; i++) sums[i] = total += exp((logits[at + i] - largest) * scale);
    return total;
  }

  /** A token, as random.choices draws it. @param {number} total */
  draw(total) {
    const { sums } = this;
    const drawn = this.random.random() * total;
    let token = 0;
    while (sums[token] <= drawn && token < sums.length - 1) token++;
    return token;
  }

  /** A node's texts go on with this token, or are written. @param {number} length @param {number} place @param {number} token @param {number} count @param {Found} found */
  grow(length, place, token, count, found) {
    const isEnd = token === this.config.bos;
    if (!isEnd && length + 1 < this.config.block_size) return this.put(length + 1, token, place, count);
    const { text } = this;
    if (!isEnd) text[length] = token;
    for (let at = length; at > 0; at--) {
      const node = at * this.room + this.first[at] + place;
      text[at - 1] = this.tokens[node];
      place = this.parents[node];
    }
    found(text, isEnd ? length : length + 1, count);
  }
}
