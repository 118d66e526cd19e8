// How each number of a forward pass comes about: the scalar operations of model.js, in their order.

/**
 * A number within a sum. at: where it is from, a tensor's id, a position and an index; none for a parameter, which training set.
 * @typedef {{ name: string, value: number, at?: { id: string, position: number, index: number } }} Factor
 */
/**
 * An operation: the factors of each term and the sum after it, or words that say what is done; and the result.
 * @typedef {{ text: string, terms?: { factors: Factor[], sum: number }[], value: number }} Step
 */
/**
 * A tensor at a position. of(i): the steps to its number i, of which the last results in it.
 * @typedef {{ id: string, title: string, values: Vector, columns: number, of: (i: number) => Step[] }} Tensor
 */

/** The tensors at a position, in the order in which they are computed. @type {(model: Model, traces: Trace[], position: number) => Tensor[]} */
function tensorsOf({ config, params }, traces, position) {
  const { n_embd, n_head, n_layer, activation } = config;
  const trace = traces[position];
  const width = n_embd / n_head;
  /** @type {Tensor[]} */
  const found = [];
  /** @type {(id: string, title: string, values: Vector, columns: number, of: (i: number) => Step[]) => number} */
  const tensor = (id, title, values, columns, of) => found.push({ id, title, values, columns, of });
  /** @type {(id: string, values: Vector, index: number, at?: number) => Factor} */
  const cell = (id, values, index, at = position) => ({
    name: `${id}[${index}]`,
    value: values[index],
    at: { id, position: at, index },
  });
  /** @type {(name: string, r: number, c: number) => Factor} */
  const weight = (name, r, c) => ({
    name: `${name}[${r}, ${c}]`,
    value: params[name][r * (params[name].length / params[name].rows) + c],
  });
  /** @type {(name: string, id: string, x: Vector) => (i: number) => Step[]} */
  const product = (name, id, x) => (i) => [
    sumOf(`row ${i} of ${name} times ${id}`, Array.from(x, (_, j) => [weight(name, i, j), cell(id, x, j)])),
  ];
  /** @type {(a: string, as: Vector, b: string, bs: Vector) => (i: number) => Step[]} */
  const sum = (a, as, b, bs) => (i) => [sumOf(`${a} + ${b}`, [[cell(a, as, i)], [cell(b, bs, i)]])];
  /** @type {(id: string, x: Vector) => (i: number) => Step[]} */
  const norm = (id, x) => (i) => {
    const squares = sumOf("the sum of squares", Array.from(x, (_, j) => [cell(id, x, j), cell(id, x, j)]));
    const mean = squares.value * (1 / x.length);
    const scale = (mean + 1e-5) ** -0.5;
    return [
      squares,
      { text: `times 1 / ${x.length}, plus 0.00001`, value: mean + 1e-5 },
      { text: "to the power of -0.5: the scale", value: scale },
      sumOf("the number times the scale", [[cell(id, x, i), { name: "scale", value: scale }]]),
    ];
  };
  /** @type {(name: string, r: number) => (i: number) => Step[]} */
  const lookup = (name, r) => (i) => [sumOf(`number ${i} of row ${r} of ${name}, which training set`, [[weight(name, r, i)]])];

  tensor("token", "Embedding of the character", trace.token_embedding, n_embd, lookup("wte", trace.token));
  tensor("position", "Embedding of the position", trace.position_embedding, n_embd, lookup("wpe", position));
  tensor("embedded", "Their sum", trace.embedded, n_embd, sum("token", trace.token_embedding, "position", trace.position_embedding));
  tensor("start", "Norm: the stream begins", trace.start, n_embd, norm("embedded", trace.embedded));
  for (let l = 0, [id, x] = /** @type {[string, Vector]} */ (["start", trace.start]); l < n_layer; l++) {
    const layer = trace.layers[l];
    const [own, before] = [`layer${l}.`, id];
    const stream = x;
    tensor(`${own}normed`, `Layer ${l}: norm`, layer.normed, n_embd, norm(before, stream));
    for (const [name, title] of [["q", "query"], ["k", "key"], ["v", "value"]]) {
      const values = layer[/** @type {"q" | "k" | "v"} */ (name)];
      tensor(own + name, `Layer ${l}: ${title}`, values, width, product(`${own}attn_w${name}`, `${own}normed`, layer.normed));
    }
    const count = position + 1;
    const past = traces.slice(0, count).map(({ layers }) => layers[l]);
    tensor(`${own}scores`, `Layer ${l}: scores of each head`, layer.scores, count, (i) => {
      const [head, t] = [Math.floor(i / count), i % count];
      const terms = Array.from({ length: width }, (_, j) => [
        cell(`${own}q`, layer.q, head * width + j),
        cell(`${own}k`, past[t].k, head * width + j, t),
      ]);
      const dot = sumOf(`the query of head ${head} times the key of position ${t}`, terms);
      return [dot, { text: `times 1 / √${width}`, value: dot.value * scoreScale(width) }];
    });
    tensor(`${own}weights`, `Layer ${l}: attention of each head`, layer.weights, count, (i) => {
      const head = Math.floor(i / count);
      return softmaxOf(layer.scores.subarray(head * count, (head + 1) * count), i % count, (t) =>
        cell(`${own}scores`, layer.scores, head * count + t),
      );
    });
    tensor(`${own}mixed`, `Layer ${l}: values, mixed`, layer.mixed, width, (j) => {
      const head = Math.floor(j / width);
      const terms = past.map(({ v }, t) => [
        cell(`${own}weights`, layer.weights, head * count + t),
        cell(`${own}v`, v, j, t),
      ]);
      return [sumOf(`the attention of head ${head} times the value of each position`, terms)];
    });
    tensor(`${own}found`, `Layer ${l}: what attention found`, layer.found, n_embd, product(`${own}attn_wo`, `${own}mixed`, layer.mixed));
    tensor(`${own}attended`, `Layer ${l}: stream + found`, layer.attended, n_embd, sum(`${own}found`, layer.found, before, stream));
    tensor(`${own}mlp_normed`, `Layer ${l}: norm`, layer.mlp_normed, n_embd, norm(`${own}attended`, layer.attended));
    tensor(`${own}hidden`, `Layer ${l}: MLP, units`, layer.hidden, n_embd, product(`${own}mlp_fc1`, `${own}mlp_normed`, layer.mlp_normed));
    tensor(`${own}active`, `Layer ${l}: units after ${activation}`, layer.active, n_embd, (i) => {
      const unit = sumOf("the unit", [[cell(`${own}hidden`, layer.hidden, i)]]);
      return [unit, ...activationOf(activation, unit.value)];
    });
    tensor(`${own}thought`, `Layer ${l}: what the MLP thought`, layer.thought, n_embd, product(`${own}mlp_fc2`, `${own}active`, layer.active));
    [id, x] = [`${own}out`, layer.out];
    tensor(id, `Layer ${l}: stream + thought`, x, n_embd, sum(`${own}thought`, layer.thought, `${own}attended`, layer.attended));
  }
  const { out } = trace.layers[n_layer - 1];
  tensor("logits", "Logits: a score for each token", trace.logits, n_embd, product("lm_head", `layer${n_layer - 1}.out`, out));
  tensor("probabilities", "Probabilities at temperature 1", probabilities(trace.logits), n_embd, (i) =>
    softmaxOf(trace.logits, i, (j) => cell("logits", trace.logits, j)),
  );
  return found;
}

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
  let sum = 0;
  const terms = Array.from(logits, (_, j) => ({ factors: [{ ...cell(j), name: `exp(${cell(j).name} − largest)`, value: share(j) }], sum: (sum += share(j)) }));
  return [
    { text: "the largest", value: largest },
    { text: "the sum of exp(each − largest)", terms, value: sum },
    { text: "1 / the sum", value: 1 / sum },
    { text: `exp(number ${i} − largest) times that`, value: share(i) * (1 / sum) },
  ];
}

/** @type {(name: string, x: number) => Step[]} */
function activationOf(name, x) {
  const result = { text: `${name} of it`, value: ACTIVATIONS[name](x) };
  const r = Math.max(0, x);
  if (name === "relu2") return [{ text: "the larger of 0 and it", value: r }, { ...result, text: "its square" }];
  if (name === "relu") return [{ ...result, text: "the larger of 0 and it" }];
  const z = name === "gelu" ? (x + 0.044715 * (x * x * x)) * 1.5957691216057308 : x;
  const inner = name === "gelu" ? [{ text: "z = (x + 0.044715 x³) × 1.5957691216057308", value: z }] : [];
  return [...inner, { text: `sigmoid = 1 / (1 + exp(−${inner.length ? "z" : "x"}))`, value: sigmoid(z) }, { ...result, text: "x times the sigmoid" }];
}
