// Train here: a model that learns in a Web Worker while the page shows its loss, its gradients and what it writes.

const TRAINER_SAMPLES = 8;
const SHOWN_EVERY = 300; // milliseconds between two looks at what it has learned; drawing it takes time from the training
const MOST_PARAMS = 2_000_000; // each costs 40 bytes, and a copy with each report
const MOST_LINES = 300; // of the names in their field, whose layout would take seconds where there are tens of thousands
const OF_A_MODEL = ["stop", "show", "download"]; // the buttons that need one
const SHORT_LIST =
  "emma olivia ava isabella sophia charlotte mia amelia harper evelyn abigail emily elizabeth mila ella avery sofia camila aria " +
  "scarlett victoria madison luna grace chloe penelope layla riley zoey nora lily eleanor hannah lillian addison aubrey ellie stella " +
  "natalie zoe leah hazel violet aurora savannah audrey brooklyn bella claire skylar lucy paisley everly anna caroline nova genesis " +
  "emilia kennedy samantha maya willow kinsley naomi aaliyah elena sarah ariana allison gabriella alice madelyn cora ruby eva serenity " +
  "liam noah william james oliver benjamin elijah lucas mason logan alexander ethan jacob michael daniel henry jackson sebastian aiden " +
  "matthew samuel david joseph carter owen wyatt john jack luke jayden dylan grayson levi isaac gabriel julian mateo anthony jaxon";

/** What the worker has made. @typedef {Pick<PageData, "config" | "layout" | "characters" | "num_params"> & { weights: Float64Array }} Begun */
/** What it tells after each turn, see worker.js. @typedef {{ steps: number, losses: number[], norms: number[], time: number, running: boolean, weights: Float64Array }} TurnReport */

class Trainer {
  /** Of each step so far. @type {number[]} */
  losses = [];
  /** Of the gradient, likewise. @type {number[]} */
  lengths = [];
  /** What it is trained on. @type {string[]} */
  docs = [];
  time = 0; // in milliseconds, of the training
  /** Lines that follow those in the field. @type {string[]} */
  rest = [];

  /** @type {Worker | undefined} */
  worker;
  isRunning = false;
  /** @type {Begun} */
  begun;
  /** @type {Float64Array} */
  weights;
  /** @type {Alphabet} */
  alphabet;
  /** @type {LossCurve | undefined} */
  curve;
  shown = 0; // when it was last looked at
  /** Of the text that is being written. @type {Context | undefined} */
  context;

  /**
   * data: that of the page, whose options are the first ones here; show: makes a model that of the page.
   * @param {PageData} data
   * @param {(data: PageData, weights: Float64Array) => void} show
   */
  constructor(data, show) {
    this.data = data;
    this.show = show;
    const { config, training } = data;
    for (const name of ["n_layer", "n_embd", "n_head", "block_size"]) byId(`train-${name}`).value = config[name];
    byId("train-num_steps").value = training.num_steps;
    byId("train-activation").append(...Object.keys(ACTIVATIONS).map((name) => element("option", {}, name)));
    byId("train-activation").value = config.activation;
    byId("train-rate").value = Math.log10(training.learning_rate || 1e-5);
    byId("train-other").textContent =
      config.documents === "lines" ? "" : `It trains on lines only, not on documents of the kind “${config.documents}” that this model has. `;
    byId("train-list").addEventListener("click", () => this.take(SHORT_LIST.replaceAll(" ", "\n")));
    byId("train-docs").addEventListener("paste", (/** @type {ClipboardEvent} */ event) => this.insert(event, event.clipboardData));
    byId("train-docs").addEventListener("drop", (/** @type {DragEvent} */ event) => this.insert(event, event.dataTransfer));
    byId("train-docs").addEventListener("input", () => this.keep(byId("train-docs").value ? this.rest : []));
    byId("train-rate").addEventListener("input", () => this.setRate());
    byId("train-start").addEventListener("click", () => this.start());
    byId("train-stop").addEventListener("click", () => this.stopOrContinue());
    byId("train-show").addEventListener("click", () => this.show(this.pageData(), this.weights));
    byId("train-download").addEventListener("click", () => this.download());
    byId("train").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
    this.norms = new Drawing(byId("train-norms"), (pen, width, height) => this.drawNorms(pen, width, height));
    offerPicture(byId("train-results"), byId("train-told"));
    this.setRate();
  }

  get rate() {
    return Number((10 ** Number(byId("train-rate").value)).toPrecision(3));
  }

  /** The fields of TrainConfig that may change while it trains. */
  changes() {
    const { training } = this.data;
    const { rate } = this;
    return {
      learning_rate: rate,
      min_learning_rate: Math.min(training.min_learning_rate, rate),
      num_steps: Number(byId("train-num_steps").value),
    };
  }

  setRate() {
    byId("train-degree").textContent = String(this.rate);
    byId("train-rate").setAttribute("aria-valuetext", String(this.rate));
    this.worker?.postMessage({ training: this.changes() });
  }

  /** Train on these names, one a line. @param {string} text */
  take(text) {
    const lines = text.split("\n");
    byId("train-docs").value = lines.slice(0, MOST_LINES).join("\n");
    this.keep(lines.slice(MOST_LINES));
  }

  /** Insert a text of many lines; the browser inserts others. @param {Event} event @param {DataTransfer | null} data */
  insert(event, data) {
    const lines = data?.getData("text/plain").split("\n") ?? [];
    if (lines.length <= MOST_LINES) return;
    event.preventDefault();
    const field = byId("train-docs");
    field.setRangeText(`${lines.slice(0, MOST_LINES).join("\n")}\n`, field.selectionStart, field.selectionEnd, "end");
    this.keep([...lines.slice(MOST_LINES), ...this.rest]);
  }

  /** Keep lines that the field does not show. @param {string[]} lines */
  keep(lines) {
    this.rest = lines;
    byId("train-rest").hidden = !lines.length;
    byId("train-rest").textContent = `${grouped(lines.length)} further lines are kept too, though not shown; empty the field to drop them.`;
  }

  /** The documents, config and seed that the fields ask for; a sentence where they cannot be. */
  wanted() {
    const lines = [...byId("train-docs").value.split("\n"), ...this.rest];
    const docs = lines.map((line) => line.trim()).filter(Boolean);
    if (!docs.length) return "There is nothing to train on; paste a list of names, one a line.";
    const fields = ["n_layer", "n_embd", "n_head", "block_size", "seed", "num_steps"].map((name) => byId(`train-${name}`));
    const wrong = fields.find((field) => !field.checkValidity() || field.value === "");
    if (wrong) return `${wrong.labels[0].textContent.trim()} must be a whole number from ${wrong.min} to ${wrong.max}.`;
    const [n_layer, n_embd, n_head, block_size, seed] = fields.map((field) => Number(field.value));
    if (n_embd % n_head) return `A width of ${n_embd} cannot be divided among ${n_head} heads; choose a multiple of ${n_head}.`;
    const shape = { n_layer, n_embd, n_head, block_size, activation: byId("train-activation").value };
    const config = { ...this.data.config, ...shape, documents: "lines" };
    const vocab_size = new Set(docs.join("")).size + 1;
    const count = n_embd * (2 * vocab_size + block_size) + n_layer * 12 * n_embd * n_embd;
    if (count > MOST_PARAMS)
      return `The model would have ${grouped(count)} parameters; the page trains up to ${grouped(MOST_PARAMS)}, microgpt train more.`;
    return { docs, config, seed };
  }

  /** Begin anew. */
  start() {
    const wanted = this.wanted();
    if (typeof wanted === "string") {
      byId("train-status").textContent = wanted;
      speak(wanted);
      return;
    }
    this.worker?.terminate();
    this.worker = startWorker();
    Object.assign(this, { losses: [], lengths: [], time: 0, shown: 0, isRunning: true, docs: wanted.docs });
    this.worker.onmessage = ({ data: { begun, report } }) => (begun ? this.begin(begun) : this.receive(report));
    this.worker.onerror = (error) => (byId("train-status").textContent = `Training failed: ${error.message}`);
    this.training = { ...this.data.training, ...this.changes() };
    this.worker.postMessage({ begin: [wanted.docs, wanted.config, this.training, wanted.seed], running: true });
    byId("train-status").textContent = "It begins.";
  }

  stopOrContinue() {
    const { num_steps } = this.changes();
    if (!this.isRunning && this.losses.length >= num_steps) {
      byId("train-status").textContent = `All ${grouped(num_steps)} steps are done; raise their number to go on.`;
      return;
    }
    this.isRunning = !this.isRunning;
    this.worker?.postMessage({ training: this.changes(), running: this.isRunning });
    this.label();
  }

  label() {
    byId("train-stop").textContent = this.isRunning ? "Stop" : "Continue";
  }

  /** @param {Begun} begun */
  begin(begun) {
    this.begun = begun;
    this.weights = begun.weights;
    this.alphabet = new Alphabet(begun.characters, begun.config.bos, begun.config.opening);
    byId("train-results").hidden = false;
    for (const name of OF_A_MODEL) byId(`train-${name}`).disabled = false;
    byId("train-samples").replaceChildren();
  }

  /** @param {TurnReport} report */
  receive({ steps, losses, norms, time, running, weights }) {
    for (const loss of losses) this.losses.push(loss);
    for (const norm of norms) this.lengths.push(norm);
    this.time += time;
    this.weights = weights;
    if (!running) this.isRunning = false;
    this.label();
    if (!this.losses.length) return;
    if (!(this.losses[this.losses.length - 1] < Infinity)) {
      for (const name of OF_A_MODEL) byId(`train-${name}`).disabled = true;
      byId("train-status").textContent = `It diverged in step ${grouped(steps)}; start anew with a smaller learning rate.`;
      return;
    }
    if (running && performance.now() < this.shown + SHOWN_EVERY) return;
    this.shown = performance.now();
    const run = { letter: "", guessing: Math.log(this.begun.config.vocab_size), ...curveOf(this.losses) };
    if (this.curve) this.curve.update([run]);
    else this.curve = new LossCurve(byId("train-losses"), byId("train-loss"), [run]);
    this.norms.redraw();
    byId("train-status").textContent =
      `${grouped(steps)} steps, ${grouped(Math.round((1000 * this.losses.length) / this.time))} a second; ` +
      `gradient norm ${this.lengths[this.lengths.length - 1].toPrecision(3)}; ${grouped(this.begun.num_params)} parameters.`;
    this.write(weights);
  }

  /** Show what a model of these weights writes; a later call cancels an earlier one. @param {Float64Array} weights */
  async write(weights) {
    const { config, layout } = this.begun;
    const context = new Context(new Model(config, layout, weights));
    this.context = context;
    const wanted = () => this.context === context;
    const items = [];
    for (let i = 0; i < TRAINER_SAMPLES; i++) {
      const sample = await writeText(context, [config.opening], Number(byId("temperature").value), wanted);
      if (!sample) return;
      items.push(element("li", { dir: "auto" }, this.alphabet.running(sample.ids).join("") || "⊣"));
    }
    if (wanted()) byId("train-samples").replaceChildren(...items);
  }

  /** Save the model as it is now, as a file. */
  download() {
    const { weights } = this;
    if (!weights.every(Number.isFinite)) {
      byId("train-status").textContent = "Some weights are no longer numbers; start anew with a smaller learning rate.";
      return;
    }
    const name = `${this.losses.length}-steps.safetensors`;
    saveFile(name, safetensors({ ...this.begun, version: this.data.version }, weights), "application/octet-stream");
    speak(`${name} is saved.`);
  }

  /** The norms of the gradient, on a logarithmic scale. @param {Pen} pen @param {number} width @param {number} height */
  drawNorms(pen, width, height) {
    if (!this.lengths.length) return;
    const { steps, smoothed } = curveOf(this.lengths);
    const logs = smoothed.map((norm) => Math.log10(Math.max(norm, 1e-12)));
    const [low, high] = [Math.min(...logs) - 0.05, Math.max(...logs) + 0.05];
    const x = (/** @type {number} */ step) => 38 + ((width - 46) * (step - 1)) / Math.max(1, steps[steps.length - 1] - 1);
    const y = (/** @type {number} */ log) => height - 8 - ((height - 16) * (log - low)) / (high - low);
    pen.size(12);
    pen.fillStyle = pen.colour("quiet");
    pen.textAlign = "right";
    for (const log of [low, high]) pen.fillText((10 ** log).toPrecision(2), 34, y(log));
    pen.strokeStyle = pen.colour("second");
    pen.lineWidth = 2;
    pen.beginPath();
    steps.forEach((step, i) => pen.lineTo(x(step), y(logs[i])));
    pen.stroke();
  }

  /** The data of a page of the model as it is now, as Python makes it of others. @returns {PageData} */
  pageData() {
    const { config, layout, characters, num_params } = this.begun;
    /** @type {Record<string, Setting>} */
    const values = { ...config, num_params };
    const rows = this.data.configuration.filter(([name]) => name in values);
    return {
      ...this.data,
      film: null,
      documents: this.docs,
      name: "trained here",
      config,
      layout,
      characters,
      num_params,
      configuration: rows.map(([name, , text]) => [name, values[name], text]),
      losses: this.losses.length ? { ...curveOf(this.losses), held_out: [] } : null,
    };
  }
}

/** The points of a curve, as curve() of __init__.py has them: the mean of the last 100 numbers, and between what most of them lie. @param {number[]} numbers @returns {Losses} */
function curveOf(numbers) {
  const count = Math.min(numbers.length, 500);
  const steps = Array.from({ length: count }, (_, i) => Math.floor((numbers.length * (i + 1)) / count));
  const parts = steps.map((end) => Float64Array.from(numbers.slice(Math.max(0, end - 100), end)).sort());
  return {
    steps,
    smoothed: parts.map((part) => part.reduce((a, b) => a + b) / part.length),
    low: parts.map((part) => part[Math.floor(part.length / 10)]),
    high: parts.map((part) => part[part.length - 1 - Math.floor(part.length / 10)]),
    held_out: [],
  };
}
