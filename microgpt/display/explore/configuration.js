// The configuration: the options of the model and, if the page has them, those of its training.

const MEANINGS = {
  n_layer: "transformer blocks",
  n_embd: "width of the residual stream",
  n_head: "attention heads in each block",
  block_size: "longest context, in tokens",
  activation: "of the MLP",
  init_std: "standard deviation of the initial weights",
  zero_init_out: "attn_wo and mlp_fc2 began at zero",
  bos_first: "BOS is token 0",
  vocab_size: "characters, and BOS",
  num_params: "parameters",
  steps_done: "steps of the training",
  num_steps: "steps it was to have",
  learning_rate: "at the first step, or after the warm-up",
  beta1: "decay of Adam's mean of the gradients",
  beta2: "decay of Adam's mean of their squares",
  eps: "keeps Adam's division finite",
  batch_size: "documents a step",
  schedule: "of the learning rate",
  warmup_steps: "first steps, over which the learning rate rises",
  clip_norm: "longest gradient",
  weight_decay: "pull of the weights towards 0",
};

function showConfiguration({ data, config, alphabet }) {
  const { bos, ...model } = config;
  const row = (name, value, meaning) => {
    const special = { true: "yes", false: "no", null: "none" };
    const text =
      typeof value === "number" && Number.isInteger(value) ? grouped(value) : (special[value] ?? String(value));
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, element("code", {}, name)),
      element("td", {}, text),
      element("td", {}, meaning),
    );
  };
  const known = { ...model, num_params: data.num_params, ...data.training };
  byId("configuration").tBodies[0].replaceChildren(
    ...Object.entries(known).map(([name, value]) => row(name, value, MEANINGS[name] ?? "")),
    element(
      "tr",
      {},
      element("th", { scope: "row" }, element("code", {}, "characters")),
      element("td", { colSpan: 2, className: "characters" }, alphabet.list(200)),
    ),
  );
}
