// The MLP's activations, by the names that GPTConfig.activation takes; operation for operation those of the reference.
// Python reads the names from the table ACTIVATIONS, one a line, and writes no page for a model whose activation is not in it.

/** 1 / (1 + e**-x), computed from e**-|x|, which cannot overflow. @param {number} x */
function sigmoid(x) {
  const e = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/** @type {Record<string, (x: number) => number>} */
// mutant: page-activations
const ACTIVATIONS = {
  relu: (x) => Math.max(0, x),
  relu2: (x) => Math.max(0, x) * Math.max(0, x),
  gelu: (x) => x * sigmoid((x + 0.044715 * (x * x * x)) * 1.5957691216057308),
  silu: (x) => x * sigmoid(x),
};

/** The derivatives of ACTIVATIONS. @type {Record<string, (x: number) => number>} */
const SLOPES = {
  relu: (x) => (x > 0 ? 1 : 0),
  relu2: (x) => 2 * Math.max(0, x),
  gelu: (x) => {
    const share = sigmoid((x + 0.044715 * (x * x * x)) * 1.5957691216057308);
    return share + x * share * (1 - share) * (1 + 0.134145 * (x * x)) * 1.5957691216057308;
  },
  silu: (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
};
