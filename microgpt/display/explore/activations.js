// The MLP's activations, by the names that GPTConfig.activation takes; operation for operation those of the reference.
// Python reads the names from this table, one a line, and writes no page for a model whose activation is not in it.

// mutant: page-activations
const ACTIVATIONS = {
  relu: (x) => Math.max(0, x),
  relu2: (x) => Math.max(0, x) * Math.max(0, x),
};
