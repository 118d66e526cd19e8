// How a number comes about, in the forward pass and in its gradients: the terms that it is the sum of. Each operation of model.js says by
// which scalar operations it makes a number of its result, and what it adds, by the chain rule, to the gradient of a number that it reads.

/**
 * Where a number is. id: of a tensor, or of a row of a matrix, which is the same at any position.
 * @typedef {{ side: "forward" | "gradients", id: string, position: number, index: number }} Place
 */
/**
 * A number in a product. place: where it is; none for a weight, a constant and the result of a step above.
 * @typedef {{ name: string, value: number, place?: Place }} Factor
 */
/**
 * An operation: the factors of each term and the sum after it, or words that say what is done; and the result.
 * @typedef {{ text: string, terms?: { factors: Factor[], sum: number }[], value: number }} Step
 */
/**
 * Numbers that belong together, or their gradients. of(i): the steps to number i, of which the last results in it; isOfTokens: whether
 * each number is that of a token; rows: of a matrix; token: whose row it is.
 * @typedef {object} Tensor
 * @property {string} id
 * @property {string} title
 * @property {Vector} values
 * @property {number} columns
 * @property {(i: number) => Step[]} of
 * @property {boolean} [isOfTokens]
 * @property {() => Tensor[]} [rows]
 * @property {number} [token]
 */
/**
 * What computes a tensor from others. back(id, i): the steps to what it adds to the gradient of number i of a tensor that it reads;
 * weigh(r, c): the steps to the gradient of a weight of its matrix.
 * @typedef {object} Operation
 * @property {string[]} reads
 * @property {(i: number) => Step[]} of
 * @property {(id: string, i: number) => Step[]} back
 * @property {string} [matrix]
 * @property {(r: number, c: number) => Step[]} [weigh]
 */
/**
 * A text that was read, and what the model made of it. targets: the tokens that come next.
 * @typedef {{ model: Model, traces: Trace[], targets: number[], gradients?: Gradients | null }} Pass
 */

/** The tensors at a position, in the order in which they are computed. @type {(pass: Pass, position: number) => Tensor[]} */
const tensorsOf = (pass, position) => nodesOf(pass, position);

/** Their gradients, likewise, which need pass.gradients. @type {(pass: Pass, position: number) => Tensor[]} */
function gradientsAt(pass, position) {
  const nodes = nodesOf(pass, position).reverse();
  const { traces } = /** @type {Gradients} */ (pass.gradients);
  return nodes.map(({ id, title, columns, isOfTokens }) => {
    const readers = nodes.filter(({ reads }) => reads.includes(id));
    /** @type {(i: number) => Step[]} */
    const of = (i) => {
      const share = `1 / ${traces.length}`;
      if (!readers.length) return [{ text: `the loss of the text is the mean over its positions: ${share}`, value: 1 / traces.length }];
      const paths = readers.map(({ back }) => back(id, i));
      if (paths.length === 1) return paths[0];
      const parts = paths.map((steps, path) => [{ name: `through ${readers[path].id}`, value: resultOf(steps) }]);
      return [...paths.flat(), sumOf("all that is computed from it together", parts)];
    };
    return { id, title, values: vectorOf(traces[position], id), columns, of, isOfTokens };
  });
}

/** The gradients of the matrices, which need pass.gradients and belong to no position. @type {(pass: Pass) => Tensor[]} */
function gradientsOfMatrices(pass) {
  const { params } = /** @type {Gradients} */ (pass.gradients);
  return nodesOf(pass, 0).reverse().flatMap(({ title, matrix, weigh }) => {
    if (!matrix || !weigh) return [];
    const values = params[matrix];
    const columns = values.length / values.rows;
    const isOfTokens = matrix === "wte" || matrix === "lm_head";
    const rows = () =>
      Array.from({ length: values.rows }, (_, r) => ({
        id: `${matrix}.${r}`,
        title: `${matrix}, row ${r}`,
        values: rowOf(values, r, columns),
        columns,
        of: (/** @type {number} */ c) => weigh(r, c),
        ...(isOfTokens && { token: r }),
      }));
    return { id: matrix, title: `${matrix} (${title})`, values, columns, of: (i) => weigh(Math.floor(i / columns), i % columns), rows };
  });
}

/** What computes each tensor at a position, in order. @type {(pass: Pass, position: number) => (Tensor & Operation)[]} */
function nodesOf({ model: { config, params }, traces, targets, gradients }, position) {
  const { n_embd, n_head, n_layer, activation } = config;
  const width = n_embd / n_head;
  const count = position + 1;
  const came = targets[position];
  const shares = probabilities(traces[position].logits);
  const own = { ...traces[position], probabilities: shares, loss: Float64Array.of(-Math.log(shares[came])) };
  const later = targets.map((_, t) => t).slice(position); // the positions that look at this one

  // ---- Numbers -------------------------------------------------------------------------------------------------------
  /** @type {(id: string, at?: number) => Vector} */
  const vector = (id, at = position) => vectorOf(at === position ? own : traces[at], id);
  /** @type {(id: string, index: number, at: number) => string} */
  const named = (id, index, at) => `${id}[${index}]${at === position ? "" : ` at ${at}`}`;
  /** @type {(id: string, index: number, at?: number) => Factor} */
  const cell = (id, index, at = position) => ({
    name: named(id, index, at),
    value: vector(id, at)[index],
    place: { side: "forward", id, position: at, index },
  });
  /** @type {(id: string, index: number, at?: number) => Factor} */
  const slope = (id, index, at = position) => ({
    name: `∂${named(id, index, at)}`,
    value: vectorOf(/** @type {Gradients} */ (gradients).traces[at], id)[index],
    place: { side: "gradients", id, position: at, index },
  });
  /** @type {(name: string, r: number, c: number) => Factor} */
  const weight = (name, r, c) => ({
    name: `${name}[${r}, ${c}]`,
    value: params[name][r * (params[name].length / params[name].rows) + c],
  });
  const root = { name: `1/√${width}`, value: scoreScale(width) };

  // ---- Operations: y is the tensor that they compute -----------------------------------------------------------------
  /** A row of a matrix. row(at): which, at a position. @type {(y: string, matrix: string, row: (at: number) => number) => Operation} */
  const lookup = (y, matrix, row) => ({
    reads: [],
    of: (i) => [sumOf(`number ${i} of row ${row(position)} of ${matrix}, which training set`, [[weight(matrix, row(position), i)]])],
    back: () => [],
    matrix,
    weigh: (r, c) => {
      const users = targets.map((_, t) => t).filter((t) => row(t) === r);
      return [sumOf(users.length ? "wherever the row is read" : "nothing here reads the row", users.map((t) => [slope(y, c, t)]))];
    },
  });
  /** @type {(y: string, a: string, b: string) => Operation} */
  const sum = (y, a, b) => ({
    reads: [a, b],
    of: (i) => [sumOf(`${a} + ${b}`, [[cell(a, i)], [cell(b, i)]])],
    back: (_, i) => [sumOf(`${y} is a sum, which hands its gradient on as it is`, [[slope(y, i)]])],
  });
  /** @type {(y: string, x: string) => Operation} */
  const norm = (y, x) => {
    const values = vector(x);
    const indices = [...values.keys()];
    const scale = { name: "scale", value: rmsscale(values) };
    return {
      reads: [x],
      of: (i) => {
        const squares = sumOf("the sum of squares", indices.map((j) => [cell(x, j), cell(x, j)]));
        const mean = squares.value * (1 / values.length);
        return [
          squares,
          { text: `times 1 / ${values.length}, plus 0.00001`, value: mean + 1e-5 },
          { text: "to the power of -0.5: the scale", value: (mean + 1e-5) ** -0.5 },
          sumOf("the number times the scale", [[cell(x, i), scale]]),
        ];
      },
      back: (_, i) => {
        const d_scale = sumOf("the gradient of the scale, which is in every number", indices.map((j) => [slope(y, j), cell(x, j)]));
        const d_squares = d_scale.value * scaleSlope(values);
        return [
          { text: "the scale, as the forward pass computed it", value: scale.value },
          d_scale,
          { text: `times -0.5 × scale³ / ${values.length}: the gradient of the sum of squares`, value: d_squares },
          sumOf(`through ${y}: the number is scaled, and its square is in the scale`, [
            [slope(y, i), scale],
            [{ name: "∂squares", value: d_squares }, { name: "2", value: 2 }, cell(x, i)],
          ]),
        ];
      },
    };
  };
  /** @type {(y: string, matrix: string, x: string) => Operation} */
  const product = (y, matrix, x) => ({
    reads: [x],
    of: (i) => [sumOf(`row ${i} of ${matrix} times ${x}`, Array.from(vector(x), (_, j) => [weight(matrix, i, j), cell(x, j)]))],
    back: (_, j) => [
      sumOf(`through ${y}: column ${j} of ${matrix} times ∂${y}`, Array.from(vector(y), (_, i) => [weight(matrix, i, j), slope(y, i)])),
    ],
    matrix,
    weigh: (r, c) => [
      sumOf(`∂${y}[${r}] times ${x}[${c}], at every position`, targets.map((_, t) => [slope(y, r, t), cell(x, c, t)])),
    ],
  });
  /** A group of numbers, `of` in each, becomes shares. @type {(y: string, x: string, size: number) => Operation} */
  const shared = (y, x, size) => {
    const group = (/** @type {number} */ i) => Array.from({ length: size }, (_, t) => i - (i % size) + t);
    return {
      reads: [x],
      of: (i) => softmaxOf(vector(x).subarray(i - (i % size), i - (i % size) + size), i % size, (t) => cell(x, group(i)[t])),
      back: (_, i) => {
        const mean = sumOf("the mean gradient of all shares, weighted by the shares", group(i).map((t) => [cell(y, t), slope(y, t)]));
        const rest = sumOf("by how much that of its own share is above it", [[slope(y, i)], [{ name: "-mean", value: -mean.value }]]);
        const factors = [cell(y, i), { name: "above the mean", value: rest.value }];
        const inAll = y === "probabilities" ? `, in all (its probability${i === came ? " − 1" : ""}) / ${targets.length}` : "";
        return [mean, rest, sumOf(`through ${y}: its share times that${inAll}`, [factors])];
      },
    };
  };
  /** @type {(y: string, q: string, k: string) => Operation} */
  const scores = (y, q, k) => ({
    reads: [q, k],
    of: (i) => {
      const [head, t] = [Math.floor(i / count), i % count];
      const terms = Array.from({ length: width }, (_, j) => [cell(q, head * width + j), cell(k, head * width + j, t)]);
      const product = sumOf(`the query of head ${head} times the key of position ${t}`, terms);
      return [product, { text: `times ${root.name}`, value: product.value * root.value }];
    },
    back: (id, j) => {
      const head = Math.floor(j / width);
      if (id === k) {
        const terms = later.map((t) => [slope(y, head * (t + 1) + position, t), root, cell(q, j, t)]);
        return [sumOf(`through ${y} here and later: times the query there`, terms)];
      }
      const terms = Array.from({ length: count }, (_, t) => [slope(y, head * count + t), root, cell(k, j, t)]);
      return [sumOf(`through ${y}: times the keys`, terms)];
    },
  });
  /** @type {(y: string, weights: string, v: string) => Operation} */
  const mixture = (y, weights, v) => ({
    reads: [weights, v],
    of: (j) => {
      const head = Math.floor(j / width);
      const terms = Array.from({ length: count }, (_, t) => [cell(weights, head * count + t), cell(v, j, t)]);
      return [sumOf(`the attention of head ${head} times the value of each position`, terms)];
    },
    back: (id, i) => {
      if (id === v) {
        const head = Math.floor(i / width);
        const terms = later.map((t) => [cell(weights, head * (t + 1) + position, t), slope(y, i, t)]);
        return [sumOf(`through ${y} here and later: times the attention there`, terms)];
      }
      const [head, t] = [Math.floor(i / count), i % count];
      const terms = Array.from({ length: width }, (_, j) => [slope(y, head * width + j), cell(v, head * width + j, t)]);
      return [sumOf(`through ${y}: times the value of position ${t}`, terms)];
    },
  });
  /** @type {(y: string, x: string) => Operation} */
  const activated = (y, x) => {
    const unit = (/** @type {number} */ i) => sumOf("the unit", [[cell(x, i)]]);
    return {
      reads: [x],
      of: (i) => [unit(i), ...activationOf(activation, unit(i).value)],
      back: (_, i) => {
        const steps = [unit(i), ...slopeOf(activation, unit(i).value)];
        return [...steps, sumOf(`through ${y}: times the slope`, [[slope(y, i), { name: "slope", value: resultOf(steps) }]])];
      },
    };
  };
  /** @type {(x: string) => Operation} */
  const surprise = (x) => ({
    reads: [x],
    of: () => [sumOf("the probability of what comes next", [[cell(x, came)]]), { text: "minus its logarithm", value: own.loss[0] }],
    back: (_, i) => {
      if (i !== came) return [{ text: "the loss only looks at the probability of what comes next", value: 0 }];
      const factor = { name: "-1 / probability", value: -1 / shares[came] };
      return [sumOf("through the loss: the slope of minus the logarithm", [[slope("loss", 0), factor]])];
    },
  });

  // ---- The model -----------------------------------------------------------------------------------------------------
  /** @type {(Tensor & Operation)[]} */
  const nodes = [];
  /** @type {(id: string, title: string, columns: number, operation: Operation, isOfTokens?: boolean) => void} */
  const node = (id, title, columns, operation, isOfTokens = false) => {
    nodes.push({ id, title, columns, values: vector(id), isOfTokens, ...operation });
  };
  node("token_embedding", "Embedding of the character", n_embd, lookup("token_embedding", "wte", (t) => traces[t].token));
  node("position_embedding", "Embedding of the position", n_embd, lookup("position_embedding", "wpe", (t) => t));
  node("embedded", "Their sum", n_embd, sum("embedded", "token_embedding", "position_embedding"));
  node("start", "Norm: the stream begins", n_embd, norm("start", "embedded"));
  let stream = "start";
  for (let l = 0; l < n_layer; l++) {
    const of = (/** @type {string} */ name) => `layer${l}.${name}`;
    /** @type {(name: string, title: string, columns: number, operation: Operation) => void} */
    const inner = (name, title, columns, operation) => node(of(name), `Layer ${l}: ${title}`, columns, operation);
    inner("normed", "norm", n_embd, norm(of("normed"), stream));
    inner("q", "query", width, product(of("q"), of("attn_wq"), of("normed")));
    inner("k", "key", width, product(of("k"), of("attn_wk"), of("normed")));
    inner("v", "value", width, product(of("v"), of("attn_wv"), of("normed")));
    inner("scores", "scores of each head", count, scores(of("scores"), of("q"), of("k")));
    inner("weights", "attention of each head", count, shared(of("weights"), of("scores"), count));
    inner("mixed", "values, mixed", width, mixture(of("mixed"), of("weights"), of("v")));
    inner("found", "what attention found", n_embd, product(of("found"), of("attn_wo"), of("mixed")));
    inner("attended", "stream + found", n_embd, sum(of("attended"), of("found"), stream));
    inner("mlp_normed", "norm", n_embd, norm(of("mlp_normed"), of("attended")));
    inner("hidden", "MLP, units", n_embd, product(of("hidden"), of("mlp_fc1"), of("mlp_normed")));
    inner("active", `units after ${activation}`, n_embd, activated(of("active"), of("hidden")));
    inner("thought", "what the MLP thought", n_embd, product(of("thought"), of("mlp_fc2"), of("active")));
    inner("out", "stream + thought", n_embd, sum(of("out"), of("thought"), of("attended")));
    stream = of("out");
  }
  node("logits", "Logits: a score for each token", n_embd, product("logits", "lm_head", stream), true);
  node("probabilities", "Probabilities at temperature 1", n_embd, shared("probabilities", "logits", shares.length), true);
  if (came !== undefined) node("loss", "Loss: the surprise at what comes next", 1, surprise("probabilities"));
  return nodes;
}

/** The vector of this id in a Trace, or in the Gradient of one. @type {(trace: any, id: string) => Vector} */
function vectorOf(trace, id) {
  const [name, layer] = id.split(".").reverse();
  return layer ? trace.layers[layer.slice("layer".length)][name] : trace[name];
}

/** @param {Step[]} steps */
const resultOf = (steps) => steps[steps.length - 1].value;

/** The sum of products, term by term. @type {(text: string, terms: Factor[][]) => Step} */
function sumOf(text, terms) {
  let sum = 0;
  const steps = terms.map((factors) => ({ factors, sum: (sum += factors.map(({ value }) => value).reduce((a, b) => a * b)) }));
  return { text, terms: steps, value: sum };
}

/** @type {(logits: Vector, i: number, cell: (i: number) => Factor) => Step[]} */
function softmaxOf(logits, i, cell) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const share = (/** @type {number} */ j) => Math.exp(logits[j] - largest);
  const terms = Array.from(logits, (_, j) => [{ ...cell(j), name: `exp(${cell(j).name} − largest)`, value: share(j) }]);
  const sum = sumOf("the sum of exp(each − largest)", terms);
  return [
    { text: "the largest", value: largest },
    sum,
    { text: "1 / the sum", value: 1 / sum.value },
    { text: `exp(number ${i} − largest) times that`, value: share(i) * (1 / sum.value) },
  ];
}

/** @type {(name: string, x: number) => Step[]} */
function activationOf(name, x) {
  const result = { text: `${name} of it`, value: ACTIVATIONS[name](x) };
  if (name === "relu2") return [{ text: "the larger of 0 and it", value: Math.max(0, x) }, { ...result, text: "its square" }];
  if (name === "relu") return [{ ...result, text: "the larger of 0 and it" }];
  return [...gateOf(name, x), { ...result, text: "x times the sigmoid" }];
}

/** The steps to the slope of an activation. @type {(name: string, x: number) => Step[]} */
function slopeOf(name, x) {
  const value = SLOPES[name](x);
  if (name === "relu2") return [{ text: "the larger of 0 and it", value: Math.max(0, x) }, { text: "twice that, the slope of its square", value }];
  if (name === "relu") return [{ text: "the slope: 1 where the unit is above 0, else 0", value }];
  const slope = "the slope: sigmoid + x × sigmoid × (1 − sigmoid)";
  if (name === "silu") return [...gateOf(name, x), { text: slope, value }];
  const inner = { text: "the slope of z: (1 + 0.134145 x²) × 1.5957691216057308", value: (1 + 0.134145 * (x * x)) * 1.5957691216057308 };
  return [...gateOf(name, x), inner, { text: `${slope} × the slope of z`, value }];
}

/** The steps to the sigmoid by which gelu and silu multiply x. @type {(name: string, x: number) => Step[]} */
function gateOf(name, x) {
  const z = name === "gelu" ? (x + 0.044715 * (x * x * x)) * 1.5957691216057308 : x;
  const inner = name === "gelu" ? [{ text: "z = (x + 0.044715 x³) × 1.5957691216057308", value: z }] : [];
  return [...inner, { text: `sigmoid = 1 / (1 + exp(−${inner.length ? "z" : "x"}))`, value: sigmoid(z) }];
}
