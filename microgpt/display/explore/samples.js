// Samples: texts that the model generates, each character shaded by its probability.

const SAMPLES = 10;

class SamplesView {
  constructor(page) {
    this.page = page;
    this.context = new Context(page.model);
    this.run = 0;
    byId("write").addEventListener("click", () => this.write());
    arrowKeys(byId("samples"));
  }

  /** Write SAMPLES texts; a later call cancels an earlier one. aloud: announce them to screen readers. */
  async write({ aloud = true } = {}) {
    const run = ++this.run;
    const { temperature } = this.page;
    const prompt = this.page.read().tokens;
    const wanted = () => run === this.run;
    const list = byId("samples");
    const { alphabet } = this.page;
    const beginning = prompt.slice(1).map((id) => inline(alphabet, id));
    const from = beginning.length ? ["After ", element("bdi", {}, beginning.join("")), ", at"] : ["At"];
    byId("written").replaceChildren(...from, ` temperature ${temperature.toFixed(2)}:`);
    list.replaceChildren();
    for (let i = 0; i < SAMPLES; i++) {
      const sample = await this.sample(prompt, temperature, wanted);
      if (!sample) return;
      list.append(element("li", {}, this.row(sample, prompt.length - 1)));
      tabStop(list);
    }
    const texts = Array.from(list.querySelectorAll("bdi"), ({ textContent }) => textContent);
    if (aloud) speak(`${SAMPLES} texts: ${texts.join(", ")}`);
  }

  /**
   * Resolves to {ids, scores, ended}, or to null once not wanted(). prompt: tokens, BOS first. ids: the text's tokens,
   * without BOS; scores: their probabilities at temperature 1 and, if the text ended before it reached block_size, that
   * of the end; ended: whether it did.
   */
  async sample(prompt, temperature, wanted) {
    const { context } = this;
    const { block_size, bos } = this.page.config;
    const pace = pacer();
    if (!(await follow(context, prompt, wanted))) return null;
    const scores = prompt.slice(1).map((id, i) => probabilities(context.logits[i])[id]);
    const ids = prompt.slice(1);
    for (;;) {
      const logits = context.logits.at(-1);
      const id = draw(probabilities(logits, temperature));
      scores.push(probabilities(logits)[id]);
      if (id === bos) return { ids, scores, ended: true };
      ids.push(id);
      if (ids.length === block_size) return { ids, scores, ended: false };
      context.extend(id);
      await pace();
      if (!wanted()) return null;
    }
  }

  row({ ids, scores, ended }, given) {
    const { alphabet } = this.page;
    const text = ids.map((id) => alphabet.text(id)).join("");
    const spoken = ids.map((id, i) => `${alphabet.name(id)} ${percent(scores[i])}`);
    if (ended) spoken.push(`end ${percent(scores.at(-1))}`);
    const characters = ids.map((id, i) =>
      element(
        "span",
        {
          title: `${codePoint(alphabet.points[id])}: ${percent(scores[i])}`,
          style: { "--p": scores[i] },
          className: i < given ? "given" : "",
        },
        inline(alphabet, id),
      ),
    );
    const loss = scores.reduce((sum, p) => sum - Math.log(p), 0) / scores.length;
    const last = ended ? scores.at(-1) : 0;
    const end = ended
      ? `the text ends: ${percent(last)}`
      : `cut at block_size, ${this.page.config.block_size} characters`;
    const button = element(
      "button",
      { type: "button", className: "sample", "aria-label": `${text}: ${spoken.join(", ")}` },
      element("bdi", {}, ...characters),
      element("span", { className: "end", title: end, style: { "--p": last } }, ended ? "⊣" : "…"),
      element("span", { className: "quiet", title: "mean loss, in nats a token" }, `loss ${loss.toFixed(2)}`),
    );
    button.addEventListener("click", () => this.page.set(text));
    return button;
  }
}

/** A character within a text: itself if it is visible there, else its symbol. */
function inline(alphabet, id) {
  const char = alphabet.text(id);
  return /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(char) ? char : alphabet.symbol(id);
}
