// Samples: texts that the model generates, each character shaded by its probability.

const SAMPLES = 10;

/**
 * A text that a model wrote.
 * @typedef {object} Sample
 * @property {number[]} ids its tokens, without the opening
 * @property {number[]} scores their probabilities at temperature 1 and, if the text ended before it reached block_size, that of the end
 * @property {boolean} ended whether it did
 */

class SamplesView {
  /** What the samples were written for. @type {{ prompt: number[], temperature: number } | undefined} */
  settings;

  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.context = new Context(page.model);
    this.run = 0;
    this.page.part("write").addEventListener("click", () => this.write());
    arrowKeys(this.page.part("samples"));
  }

  /** Forget what was computed with other weights, and end what is being written. */
  forget() {
    this.run++;
    this.context = new Context(this.page.model);
  }

  /**
   * Write SAMPLES texts; a later call cancels an earlier one. aloud: announce them to screen readers. again: with the same dice each
   * time, each text in the place of the one before, so that what changes is the model's doing.
   */
  async write({ aloud = true, again = false } = {}) {
    const run = ++this.run;
    const { temperature } = this.page;
    const prompt = this.page.read().tokens;
    const wanted = () => run === this.run;
    const list = this.page.part("samples");
    const texts = [];
    this.settings = { prompt, temperature };
    this.compare();
    if (!again) list.replaceChildren();
    for (let i = 0; i < SAMPLES; i++) {
      const sample = await writeText(this.context, prompt, temperature, wanted, again ? dice(i) : Math.random);
      if (!sample) return;
      const item = element("li", {}, this.row(sample, prompt.length - 1));
      if (list.children[i]) list.children[i].replaceWith(item);
      else list.append(item);
      tabStop(list);
      texts.push(this.page.alphabet.running(sample.ids).join(""));
    }
    if (aloud) speak(`${SAMPLES} texts: ${texts.join(", ")}`);
  }

  /** Say what the samples were written for. They stay when something else is set, since they are there to be chosen. */
  compare() {
    if (!this.settings) return;
    const { prompt, temperature } = this.settings;
    const { tokens } = this.page.read();
    const isOld = temperature !== this.page.temperature || String(prompt) !== String(tokens);
    this.page.part("written").replaceChildren(
      "After ",
      this.named(prompt),
      ` at temperature ${temperature.toFixed(2)}`,
      isOld ? ", which are no longer set:" : ":",
    );
    this.page.part("written").classList.toggle("old", isOld);
    this.page.part("samples").classList.toggle("old", isOld);
  }

  /** What a sentence calls the text of a prompt. @param {number[]} prompt */
  named(prompt) {
    const beginning = this.page.alphabet.running(prompt.slice(1)).map((symbol) => element("span", { className: kind(symbol) }, symbol));
    return beginning.length ? element("bdi", {}, ...beginning) : "an empty text";
  }

  /** @param {Sample} sample @param {number} given how many of its characters are those of the prompt */
  row({ ids, scores, ended }, given) {
    const { alphabet } = this.page;
    const text = ids.map((id) => alphabet.text(id)).join("");
    const spoken = ids.map((id, i) => `${alphabet.name(id)} ${percent(scores[i])}`);
    const last = ended ? scores[scores.length - 1] : 0;
    if (ended) spoken.push(`end ${percent(last)}`);
    const shown = alphabet.running(ids);
    const characters = ids.map((id, i) =>
      element(
        "span",
        {
          title: `${codePoint(/** @type {number} */ (alphabet.points[id]))}: ${percent(scores[i])}`, // none of them is BOS
          style: { "--p": scores[i] },
          className: `${i < given ? "given" : ""} ${kind(shown[i])}`,
        },
        shown[i],
      ),
    );
    const loss = scores.reduce((sum, p) => sum - Math.log(p), 0) / scores.length;
    const end = ended
      ? `the text ends: ${percent(last)}`
      : `cut at block_size, ${this.page.config.block_size} characters`;
    const button = element(
      "button",
      { type: "button", className: "sample", dir: direction(text), "aria-label": `${text}: ${spoken.join(", ")}` },
      element("span", { className: "text" }, ...characters),
      element("span", { className: "end", title: end, style: { "--p": last } }, ended ? "⊣" : "…"),
      element("span", { className: "quiet", title: "mean loss, in nats a token" }, `loss ${loss.toFixed(2)}`),
    );
    button.addEventListener("click", () => this.page.set(text));
    return button;
  }
}

/** The class of a symbol in a text: a code point is set apart from the characters around it. @param {string} shown */
const kind = (shown) => (isCode(shown) ? "code" : "");

/**
 * Resolves to a text, or to null once not wanted().
 * @param {Context} context
 * @param {number[]} prompt tokens, the opening first
 * @param {number} temperature
 * @param {() => boolean} wanted
 * @param {() => number} random see draw
 * @returns {Promise<Sample | null>}
 */
async function writeText(context, prompt, temperature, wanted, random = Math.random) {
  const { config } = context.model;
  const { block_size, bos } = config;
  const pace = pacer();
  if (!(await follow(context, prompt, wanted))) return null;
  const scores = prompt.slice(1).map((id, i) => probabilities(context.traces[i].logits)[id]);
  const ids = prompt.slice(1);
  for (;;) {
    const { logits } = context.traces[context.traces.length - 1];
    const id = draw(choices(logits, temperature, config), random);
    scores.push(probabilities(logits)[id]);
    if (id === bos) return { ids, scores, ended: true };
    ids.push(id);
    if (ids.length === block_size) return { ids, scores, ended: false };
    context.extend(id);
    await pace();
    if (!wanted()) return null;
  }
}
