// How a number comes about: every tensor of the forward pass or its gradient, every number in it, and the sum that made the number.

const MOST_TERMS = 128; // of a sum that are shown at once
const MOST_BOXES = 300; // of tensors, likewise
const MOST_SURPRISES = 20; // of the positions that the loss is the mean of, which are named
const MOST_ACROSS = 16; // numbers
const CELL_WIDTH = 66; // of a number, in CSS pixels
const NUDGE = 0.001; // of a number, whose effect on the loss is told

/** A tensor or, with an index, a number in it. @typedef {Omit<Place, "index"> & { index?: number }} Stop */

class FlowView {
  /** @type {Pass | null} */
  pass = null;
  side = /** @type {Place["side"]} */ ("forward"); // where nothing is open
  position = 0; // likewise
  /** The places gone through, the last one shown. @type {Stop[]} */
  trail = [];
  tokens = ""; // those of the text shown
  /** What the page's address asks for, until a text is there. @type {URLSearchParams | null} */
  asked = null;
  run = 0;
  section = byId("flow");
  rests = true;

  /** It shows one of these models, the first to begin with. @param {Page[]} pages */
  constructor(pages) {
    this.pages = pages;
    [this.page] = pages;
    chooseModel("flow-model", pages, (page) => {
      this.page = page;
      this.show(page.reading);
      page.address?.note();
    });
    this.body = /** @type {HTMLElement} */ (byId("flow-body"));
    drawings.add({ canvas: byId("flow"), redraw: () => this.pass && this.render() }); // in the page's new colours
    byId("flow-position").addEventListener("change", () => {
      this.position = Number(byId("flow-position").value);
      this.go([]);
    });
    for (const radio of this.sides()) {
      radio.addEventListener("change", () => {
        this.side = /** @type {Place["side"]} */ (radio.value);
        this.go(this.trail.slice(-1).map((stop) => ({ ...stop, side: this.side })));
      });
    }
    byId("flow").addEventListener("keydown", async (/** @type {KeyboardEvent} */ event) => {
      const left = this.open;
      if (event.key !== "Escape" || !left) return;
      event.preventDefault();
      await this.go(this.trail.slice(0, -1));
      this.focus(left.index === undefined ? { id: left.id } : { index: String(left.index) });
    });
  }

  sides() {
    return /** @type {NodeListOf<HTMLInputElement>} */ (document.getElementsByName("flow-side"));
  }

  /** What is open. @returns {Stop | undefined} */
  get open() {
    return this.trail[this.trail.length - 1];
  }

  /**
   * Show a reading, see Page.update. What is open stays open while the text is the same.
   * @param {Reading | undefined} reading
   */
  show(reading) {
    if (!reading || reading !== this.page.reading) return; // it is the other model's
    const { model, alphabet } = this.page;
    const { tokens, targets } = reading;
    if (String(tokens) !== this.tokens || model !== this.pass?.model) {
      this.tokens = String(tokens);
      this.trail = [];
      this.position = tokens.length - 1;
      byId("flow-position").replaceChildren(...tokens.map((id, i) => element("option", { value: i }, `${i}: ${alphabet.symbol(id)}`)));
    }
    this.pass = { model, traces: /** @type {Trace[]} */ (reading.traces), targets };
    if (this.asked) this.answer(this.asked);
    return this.render();
  }

  // ---- The page's address --------------------------------------------------------------------------------------------

  /** What it says of this: nothing of what is shown first. @returns {Record<string, string | number>} */
  noted() {
    const { side, id, position, index } = this.open ?? { side: this.side, position: this.position };
    const isLast = position + 1 === this.page.reading?.tokens.length;
    return {
      ...(this.page !== this.pages[0] && { "flow-model": this.page.letter }),
      ...(side === "gradients" && { flow: side }),
      ...((id !== undefined || !isLast) && { position }),
      ...(id !== undefined && { tensor: id }),
      ...(index !== undefined && { number: index }),
    };
  }

  /** Show what it asks for as soon as there is a text. @param {URLSearchParams} found */
  restore(found) {
    if (!["flow", "flow-model", "position", "tensor"].some((name) => found.has(name))) return;
    this.asked = found;
    this.page = this.pages.find(({ letter }) => letter === found.get("flow-model")) ?? this.pages[0];
    for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (document.getElementsByName("flow-model"))) {
      radio.checked = radio.value === (this.page.letter || LETTERS[0]);
    }
  }

  /** Go where it asks to. @param {URLSearchParams} found */
  answer(found) {
    this.asked = null;
    const whole = (/** @type {string} */ name) => (/^\d+$/.test(found.get(name) ?? "") ? Number(found.get(name)) : undefined);
    this.side = found.get("flow") === "gradients" ? "gradients" : "forward";
    this.position = Math.min(whole("position") ?? Infinity, byId("flow-position").length - 1);
    const [id, index] = [found.get("tensor"), whole("number")];
    const stop = id && { side: this.side, id, position: this.position };
    this.trail = stop ? [stop, ...(index === undefined ? [] : [{ ...stop, index }])] : [];
  }

  // ---- Going about ---------------------------------------------------------------------------------------------------

  /** @param {Stop[]} trail */
  async go(trail) {
    if (this.page.isLate) this.show(this.page.reading); // the numbers that are opened are those of one reading
    this.trail = trail;
    await this.render();
    this.page.address?.note();
  }

  /** Open a tensor, or a number in it. @param {Stop} stop */
  async enter(stop) {
    await this.go([...this.trail, stop]);
    this.focus();
  }

  /** Move the focus to the button of a tensor or of a number, else to the first one, else to where we are. @param {DOMStringMap} wanted */
  focus({ id, index } = {}) {
    const selector = index === undefined ? `[data-id="${id}"]` : `[data-index="${index}"]`;
    const button = this.body.querySelector(selector) ?? this.body.querySelector("button");
    /** @type {HTMLElement} */ (button ?? byId("flow-trail").querySelector("[aria-current]")).focus();
  }

  /** Show what is open. Gradients are computed once they are to be shown. */
  async render() {
    const run = ++this.run;
    const { page } = this;
    const { weighed } = page;
    const pass = /** @type {Pass} */ (this.pass);
    const side = this.open?.side ?? this.side;
    if (side === "gradients" && !pass.gradients && pass.targets.length) {
      this.body.setAttribute("aria-busy", "true");
      pass.gradients = await gradientsOf(pass.model, pass.traces, pass.targets, () => run === this.run && weighed === page.weighed);
      if (!pass.gradients) return;
    }
    const ends = side === "forward" ? pass.traces.length : pass.targets.length;
    this.position = Math.max(0, Math.min(this.position, ends - 1));
    this.showChoices(side, ends);
    let { open } = this;
    let tensor = open && this.find(open);
    if (open && (!tensor || (open.index ?? 0) >= tensor.values.length)) [open, tensor, this.trail] = [undefined, undefined, []];
    this.showTrail();
    const work = !ends ? this.nothing()
      : !open || !tensor ? this.tensorBoxes(side)
      : tensor.rows ? this.boxes(open, [`${this.describe(tensor, open)}. Its rows:`, tensor.rows()])
      : open.index === undefined ? this.cells(tensor, open)
      : this.sum(tensor, /** @type {Place} */ (open));
    await inSlices(work, () => run === this.run, ({ shown, across = 1 }) => {
      const focused = this.body.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset : null;
      this.body.setAttribute("aria-busy", "false");
      this.body.replaceChildren(...shown);
      const inner = /** @type {HTMLElement} */ (this.body.lastElementChild);
      arrowKeys(inner, across);
      tabStop(inner);
      if (focused) this.focus(focused);
    });
  }

  /** The tensors of a place's side at its position. @param {Omit<Stop, "id">} place */
  tensors({ side, position }) {
    const pass = /** @type {Pass} */ (this.pass);
    if (side === "forward") return tensorsOf(pass, position);
    return pass.gradients && position < pass.targets.length ? [...gradientsAt(pass, position), ...gradientsOfMatrices(pass)] : [];
  }

  /** @param {Stop} stop @returns {Tensor | undefined} */
  find(stop) {
    const tensors = this.tensors(stop);
    return tensors.find(({ id }) => id === stop.id) ?? tensors.flatMap(({ rows }) => rows?.() ?? []).find(({ id }) => id === stop.id);
  }

  // ---- What is seen --------------------------------------------------------------------------------------------------

  /** The switch, the positions that can be chosen, and what it is about. @param {Place["side"]} side @param {number} ends positions */
  showChoices(side, ends) {
    for (const radio of this.sides()) radio.checked = radio.value === side;
    const select = byId("flow-position");
    for (const [i, option] of [...select.options].entries()) option.disabled = i >= ends;
    select.value = String(this.position);
    byId("flow-forward").hidden = side !== "forward";
    byId("flow-gradients").hidden = side !== "gradients";
    const gradients = side === "gradients" && this.pass?.gradients;
    byId("flow-loss").hidden = !gradients;
    if (gradients) this.showLoss(gradients);
  }

  /** The loss of the text, and whose mean it is. @param {Gradients} gradients */
  showLoss({ loss, losses }) {
    const { alphabet } = this.page;
    const { targets } = /** @type {Pass} */ (this.pass);
    const named = losses.slice(0, MOST_SURPRISES).flatMap((surprise, t) => {
      const id = targets[t];
      return [t ? ", " : "", glyph(alphabet.name(id, true), alphabet.points[id]), ` ${surprise.toFixed(2)}`];
    });
    const more = losses.length > MOST_SURPRISES ? `, and ${grouped(losses.length - MOST_SURPRISES)} more` : "";
    const mean = losses.length > 1 ? `, the mean of ${grouped(losses.length)} surprises: ` : ", one surprise: ";
    const isWhole = targets[targets.length - 1] === alphabet.bos;
    const last = isWhole ? ". The last of them is the surprise at the mark that ends the text." : ".";
    byId("flow-loss").replaceChildren("The loss of this text is ", element("strong", {}, loss.toFixed(4)), mean, ...named, more, last);
  }

  showTrail() {
    const names = ["All", ...this.trail.map((stop) => this.nameOf(stop))];
    byId("flow-trail").replaceChildren(
      ...names.map((name, i) => {
        const step = element("button", { type: "button" }, name);
        if (i === names.length - 1) step.setAttribute("aria-current", "step");
        step.addEventListener("click", async () => {
          await this.go(this.trail.slice(0, i));
          this.focus();
        });
        return element("li", {}, step);
      }),
    );
  }

  // What is open is made in slices, element by element, and shown as a whole. across: buttons a line.
  /** @typedef {Generator<void, { shown: HTMLElement[], across?: number }>} Making */

  /** @returns {Making} */
  *nothing() {
    return { shown: [element("p", {}, "Nothing comes next yet, so there is no loss: type a character.")] };
  }

  /** @param {Place["side"]} side @returns {Making} */
  *tensorBoxes(side) {
    const place = { side, position: this.position };
    const tensors = this.tensors(place);
    const matrices = tensors.filter(({ rows }) => rows);
    const heading = "The weights, which training changes. Each is used at every position, so its gradient is a sum over all of them:";
    return yield* this.boxes(place, ["", tensors.filter(({ rows }) => !rows)], [matrices.length ? heading : "", matrices]);
  }

  /** @param {Omit<Stop, "id">} place @param {...[string, Tensor[]]} groups with a heading each @returns {Making} */
  *boxes({ side, position }, ...groups) {
    const inner = element("div", { className: "flow-groups" });
    for (const [heading, tensors] of groups) {
      if (heading) inner.append(element("p", {}, heading));
      const boxes = element("div", { className: "flow-tensors" });
      inner.append(...(yield* this.fill(boxes, tensors, MOST_BOXES, (tensor) => this.box(tensor, side, position))));
    }
    return { shown: [inner] };
  }

  /** A tensor, closed. @param {Tensor} tensor @param {Place["side"]} side @param {number} position */
  box({ id, title, values, columns, rows, token }, side, position) {
    const lines = rows ? values.length / columns : 1;
    const count = `${grouped(values.length / lines)} number${values.length === 1 ? "" : "s"}`;
    const label = token === undefined ? title : `${title}: ${this.page.alphabet.name(token, id.startsWith("lm_head"))}`;
    const quiet = (/** @type {string} */ text) => element("span", { className: "quiet" }, text);
    const shown = [label, quiet(rows ? `${grouped(lines)} × ${count}` : count), strip(values, lines)];
    const button = element("button", { type: "button", className: "flow-tensor", "data-id": id }, ...shown);
    if (side === "forward" && /^start$|\.out$/.test(id)) button.append(quiet(`lens: ${this.lens(values)}`));
    button.addEventListener("click", () => this.enter({ side, id, position }));
    return button;
  }

  /** The logit lens: what the head makes of the stream here. @param {Vector} stream */
  lens(stream) {
    const shares = softmax(linear(stream, this.page.model.params.lm_head));
    const ids = Array.from(shares.keys()).sort((a, b) => shares[b] - shares[a]);
    return ids.slice(0, 3).map((id) => `${this.page.alphabet.name(id, true)} ${percent(shares[id])}`).join(", ");
  }

  /** @param {Tensor} tensor @param {Stop} stop @returns {Making} */
  *cells(tensor, stop) {
    const { values, columns, isOfTokens } = tensor;
    const largest = largestOf(values);
    const across = this.across(columns);
    const grid = element("div", { className: "flow-cells", style: { "--across": across } });
    for (const [index, value] of values.entries()) {
      const name = isOfTokens ? this.page.alphabet.name(index, true) : "";
      const label = { title: `[${index}] ${value}`, "aria-label": `${index}${name && `, ${name}`}: ${value}` };
      const button = element("button", { type: "button", "data-index": index, ...label, ...tint(value, largest) }, short(value));
      if (name) button.prepend(element("b", {}, `${name} `));
      button.addEventListener("click", () => this.enter({ ...stop, index }));
      grid.append(button);
      yield;
    }
    return { shown: [element("p", {}, `${this.describe(tensor, stop)}.`), grid], across };
  }

  /** How many numbers stand beside each other: what there is room for, and if possible a part of the columns. @param {number} columns */
  across(columns) {
    const room = Math.max(1, Math.floor(this.body.clientWidth / CELL_WIDTH));
    const most = Math.min(columns, MOST_ACROSS, room);
    for (let count = most; count > most / 2; count--) if (columns % count === 0) return count;
    return most;
  }

  /** What is open, in words. @param {Tensor} tensor @param {Stop} stop */
  describe({ title, id }, { side, position, index }) {
    const what = side === "gradients" ? `The gradient of ${title}` : title;
    const where = this.isOfWeights(id) ? "summed over all positions" : `at position ${position}`;
    return `${what}${index === undefined ? "" : `, number ${index}`}, ${where}`;
  }

  /** Whether it is a matrix or a row of one, which is the same at each position. @param {string} id */
  isOfWeights(id) {
    return id.replace(/\.\d+$/, "") in this.page.model.params;
  }

  /** A place on the trail. @param {Stop} stop */
  nameOf({ side, id, position, index }) {
    const where = this.isOfWeights(id) ? "" : ` at ${position}`;
    return `${side === "gradients" ? "∂" : ""}${id}${where}${index === undefined ? "" : ` [${index}]`}`;
  }

  /** @param {Tensor} tensor @param {Place} place @returns {Making} */
  *sum(tensor, place) {
    const steps = element("ol", { className: "flow-steps" });
    for (const { text, terms = [], value } of tensor.of(place.index)) {
      const list = element("ol", { className: "flow-terms" });
      const shown = yield* this.fill(list, terms, MOST_TERMS, ({ factors, sum }) => this.term(factors, sum));
      steps.append(element("li", {}, `${text} = `, element("strong", {}, String(value)), ...shown));
    }
    const value = tensor.values[place.index];
    const heading = element("p", {}, `${this.describe(tensor, place)}: `, element("strong", {}, String(value)));
    const meaning = place.side === "gradients" ? [element("p", { className: "quiet" }, effect(value))] : [];
    speak([heading, ...meaning].map(({ textContent }) => textContent).join(". "));
    return { shown: [heading, ...meaning, steps] };
  }

  /** @param {Factor[]} factors @param {number} sum of the terms up to this one */
  term(factors, sum) {
    const parts = factors.flatMap(({ name, value, place }, i) => {
      const factor = name === String(value) ? [name] : [`${name} `, element("b", {}, short(value))];
      const shown = element(place ? "button" : "span", { title: String(value) }, ...factor);
      if (place) Object.assign(shown, { type: "button" }).addEventListener("click", () => this.enter(place));
      return [i ? " × " : "", shown];
    });
    const total = element("span", { className: "quiet", title: String(sum) }, `sum so far ${short(sum)}`);
    return element("li", {}, element("span", {}, ...parts), total);
  }

  /**
   * Put what is made of things into a list. Returns the list and, where there are more than `most`, a button that adds the others.
   * @template T
   * @param {HTMLElement} list
   * @param {T[]} things
   * @param {number} most
   * @param {(thing: T) => HTMLElement} make
   * @returns {Generator<void, HTMLElement[]>}
   */
  *fill(list, things, most, make) {
    for (const thing of things.slice(0, most)) {
      list.append(make(thing));
      yield;
    }
    if (things.length <= most) return [list];
    const more = element("button", { type: "button" }, `Show ${grouped(things.length - most)} more`);
    more.addEventListener("click", () => {
      more.remove();
      list.append(...things.slice(most).map(make));
      tabStop(/** @type {HTMLElement} */ (this.body.lastElementChild));
    });
    return [list, more];
  }
}

/** What a gradient means. @param {number} value */
function effect(value) {
  if (value === 0) return "If this number were a little larger, the loss would be the same.";
  const change = Math.abs(value * NUDGE);
  return `If this number were larger by ${NUDGE}, the loss would be ${value > 0 ? "larger" : "smaller"} by about ${change.toPrecision(2)}.`;
}

/** @param {number} value */
function short(value) {
  if (value === 0) return "0";
  return Math.abs(value) < 0.001 || Math.abs(value) >= 1000 ? value.toExponential(1) : value.toFixed(3);
}

/** The style of a number: its sign as a colour, its share of the largest as the opacity. @param {number} value @param {number} largest */
const tint = (value, largest) => ({
  className: value < 0 ? "negative" : "positive",
  style: { "--p": Number.isFinite(value) ? Math.abs(value) / largest : 0 },
});

/** Rows of numbers as pixels. @param {Vector} values @param {number} rows */
function strip(values, rows) {
  const canvas = element("canvas", { className: rows > 1 ? "flow-strip flow-matrix" : "flow-strip", "aria-hidden": "true" });
  paintNumbers(canvas, Array.from({ length: rows }, (_, i) => rowOf(values, i, values.length / rows)));
  return canvas;
}
