// How a number comes about: every tensor of the forward pass, every number in it, and the sum that made the number.

const MOST_TERMS = 128; // of a sum that are shown at once

class FlowView {
  /** It shows one of these models, the first to begin with. @param {Page[]} pages */
  constructor(pages) {
    [this.page] = pages;
    chooseModel("flow-model", pages, (page) => {
      this.page = page;
      if (page.reading) this.show(page.reading);
    });
    /** The places gone through, the last one shown: a tensor, or a number in it. @type {{ id: string, position: number, index?: number }[]} */
    this.trail = [];
    /** @type {Trace[]} */
    this.traces = [];
    this.body = byId("flow-body");
    drawings.add({ canvas: byId("flow"), redraw: () => this.traces.length && this.render() }); // in the page's new colours
    byId("flow-position").addEventListener("change", () => {
      this.trail = [];
      this.render();
    });
    byId("flow").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const left = event.key === "Escape" ? this.trail.pop() : undefined;
      if (!left) return;
      event.preventDefault();
      this.render();
      const selector = this.trail.length ? `[data-index="${left.index}"]` : `[data-id="${left.id}"]`;
      (this.body.querySelector(selector) ?? this.body.querySelector("button"))?.focus();
    });
  }

  /** @param {Reading} reading @param {boolean} inMotion */
  show(reading, inMotion = false) {
    if (inMotion || reading !== this.page.reading) return; // or it is the other model's
    this.traces = reading.traces;
    this.trail = [];
    const { alphabet } = this.page;
    byId("flow-position").replaceChildren(
      ...reading.tokens.map((id, i) => element("option", { value: i }, `${i}: ${alphabet.symbol(id)}`)),
    );
    byId("flow-position").value = reading.tokens.length - 1;
    this.render();
  }

  /** @param {number} position */
  tensors(position) {
    return tensorsOf(this.page.model, this.traces, position);
  }

  /** Open a tensor, or a number in it. @param {{ id: string, position: number, index?: number }} place */
  go(place) {
    this.trail.push(place);
    this.render();
    this.body.querySelector("button")?.focus();
  }

  render() {
    const position = Number(byId("flow-position").value);
    const place = this.trail.at(-1);
    const tensors = this.tensors(place?.position ?? position);
    const tensor = tensors.find(({ id }) => id === place?.id);
    this.showTrail();
    if (!tensor || !place) this.showTensors(tensors, position);
    else if (place.index === undefined) this.showCells(tensor, place.position);
    else this.showSum(tensor, /** @type {any} */ (place));
  }

  showTrail() {
    const names = ["All", ...this.trail.map(({ id, position, index }) => `${id} at ${position}${index === undefined ? "" : ` [${index}]`}`)];
    byId("flow-trail").replaceChildren(
      ...names.map((name, i) => {
        const step = element("button", { type: "button" }, name);
        if (i === names.length - 1) step.setAttribute("aria-current", "step");
        step.addEventListener("click", () => {
          this.trail.length = i;
          this.render();
        });
        return element("li", {}, step);
      }),
    );
  }

  /** @param {Tensor[]} tensors @param {number} position */
  showTensors(tensors, position) {
    const rows = tensors.map((tensor) => {
      const { id, title, values } = tensor;
      const shape = `${grouped(values.length)} number${values.length === 1 ? "" : "s"}`;
      const button = element("button", { type: "button", className: "flow-tensor", "data-id": id }, title, element("span", { className: "quiet" }, shape), strip(values));
      if (/^start$|\.out$/.test(id)) button.append(element("span", { className: "quiet" }, `lens: ${this.lens(values)}`));
      button.addEventListener("click", () => this.go({ id, position }));
      return button;
    });
    this.body.replaceChildren(element("div", { className: "flow-tensors" }, ...rows));
    this.keys(1);
  }

  /** The logit lens: what the head makes of the stream here. @param {Vector} stream */
  lens(stream) {
    const shares = softmax(linear(stream, this.page.model.params.lm_head));
    const ids = Array.from(shares.keys()).sort((a, b) => shares[b] - shares[a]);
    return ids.slice(0, 3).map((id) => `${this.page.alphabet.name(id, true)} ${percent(shares[id])}`).join(", ");
  }

  /** @param {Tensor} tensor @param {number} position */
  showCells({ id, title, values, columns }, position) {
    const largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
    const cells = Array.from(values, (value, index) => {
      const button = element("button", { type: "button", title: `[${index}] ${value}`, "aria-label": `${index}: ${value}`, "data-index": index, ...tint(value, largest) }, short(value));
      button.addEventListener("click", () => this.go({ id, position, index }));
      return button;
    });
    const across = Math.min(columns, 16);
    const grid = element("div", { className: "flow-cells", style: { "--across": across } }, ...cells);
    this.body.replaceChildren(element("p", {}, `${title}, at position ${position}.`), grid);
    this.keys(across);
  }

  /** @param {Tensor} tensor @param {{ id: string, position: number, index: number }} place */
  showSum(tensor, { position, index }) {
    const parts = tensor.of(index).map(({ text, terms = [], value }) => {
      const row = (/** @type {{ factors: Factor[], sum: number }} */ { factors, sum }) => this.term(factors, sum);
      const list = element("ol", { className: "flow-terms" }, ...terms.slice(0, MOST_TERMS).map(row));
      const item = element("li", {}, `${text} = `, element("strong", {}, String(value)), list);
      if (terms.length > MOST_TERMS) {
        const more = element("button", { type: "button" }, `Show ${grouped(terms.length - MOST_TERMS)} further terms`);
        more.addEventListener("click", () => {
          more.remove();
          list.append(...terms.slice(MOST_TERMS).map(row));
          tabStop(list.closest(".flow-steps"));
        });
        item.append(more);
      }
      return item;
    });
    const heading = element("p", {}, `${tensor.title}, number ${index} at position ${position}: `, element("strong", {}, String(tensor.values[index])));
    this.body.replaceChildren(heading, element("ol", { className: "flow-steps" }, ...parts));
    this.keys(1);
    speak(heading.textContent);
  }

  /** @param {Factor[]} factors @param {number} sum of the terms up to this one */
  term(factors, sum) {
    const parts = factors.flatMap(({ name, value, at }, i) => {
      const text = `${name} ${short(value)}`;
      const button = at && element("button", { type: "button", title: String(value) }, text);
      if (button) button.addEventListener("click", () => this.go(at));
      return [i ? " × " : "", button ?? element("span", { title: String(value) }, text)];
    });
    return element("li", {}, element("span", {}, ...parts), element("span", { className: "quiet", title: String(sum) }, `sum so far ${short(sum)}`));
  }

  /** Let arrow keys move among the buttons shown. @param {number} across buttons a line */
  keys(across) {
    const inner = this.body.lastElementChild;
    arrowKeys(inner, across);
    tabStop(inner);
  }
}

/** @type {(value: number) => string} */
const short = (value) => (value === 0 ? "0" : Math.abs(value) < 0.001 || Math.abs(value) >= 1000 ? value.toExponential(1) : value.toFixed(3));

/** The style of a number: its sign as a colour, its size, compared with the largest, as the opacity. @type {(value: number, largest: number) => any} */
const tint = (value, largest) => ({
  className: value < 0 ? "negative" : "positive",
  style: { "--p": Number.isFinite(value) ? Math.abs(value) / largest : 0 },
});

/** A vector as a row of colours: an image of one pixel a number, which the browser enlarges. @param {Vector} values */
function strip(values) {
  const canvas = element("canvas", { className: "flow-strip", width: values.length, height: 1, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  const largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
  values.forEach((value, i) => {
    pen.globalAlpha = tint(value, largest).style["--p"];
    pen.fillStyle = colour(value < 0 ? "second" : "accent");
    pen.fillRect(i, 0, 1, 1);
  });
  return canvas;
}
