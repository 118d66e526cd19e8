// The MLP's units: how strongly each is excited at each position of the text, and which characters excite the chosen one.

const MOST_EXCITING = 5; // characters that are named at a position
const ROW = 20; // the height of a row, in CSS pixels
const TALLEST = 480; // of the picture, where the text is long
const LABELS = 30; // the width before the cells

class UnitsView {
  layer = 0;
  unit = 0;
  position = 0;
  isChosen = false; // by the user
  section = sectionOf(byId("units"));
  /** @type {Reading} */
  reading;
  /** What is enlarged in the picture. @type {HTMLCanvasElement} */
  pixels = element("canvas");

  /** It shows one of these models, the first to begin with. @param {Page[]} pages */
  constructor(pages) {
    [this.page] = pages;
    chooseModel("units-model", pages, (page) => {
      this.page = page;
      this.begin();
      if (page.reading) this.show(page.reading);
    });
    this.drawing = new Drawing(byId("units"), (pen, width) => this.draw(pen, width));
    this.drawing.onKey((key) => this.key(key));
    this.drawing.canvas.addEventListener("click", (event) => this.point(event.offsetX, event.offsetY));
    byId("units-layer").addEventListener("change", () => this.choose(Number(byId("units-layer").value), 0));
    byId("units-unit").addEventListener("input", () => {
      if (byId("units-unit").checkValidity()) this.choose(this.layer, Number(byId("units-unit").value));
    });
    this.begin();
  }

  /** Begin with a model: with its first layer, and no unit chosen yet. */
  begin() {
    const { n_layer, n_embd } = this.page.config;
    Object.assign(this, { layer: 0, unit: 0, position: 0, isChosen: false, reading: undefined });
    byId("units-layer").replaceChildren(...Array.from({ length: n_layer }, (_, i) => element("option", {}, String(i))));
    byId("units-layer").parentElement.hidden = n_layer === 1;
    byId("units-unit").max = 4 * n_embd - 1;
  }

  /** Show a reading, see Page.update. Until the user chooses a unit, it is the one that the last character excites most. @param {Reading} reading */
  show(reading, inMotion = false) {
    if (reading !== this.page.reading) return; // it is the other model's
    const isSame = String(this.reading?.tokens) === String(reading.tokens);
    this.reading = reading;
    const last = reading.tokens.length - 1;
    if (!isSame) this.position = last;
    if (!this.isChosen && !inMotion) this.unit = largestAt(this.active(last));
    if (inMotion) return this.drawing.redraw();
    this.fit();
    return this.describe();
  }

  /** The units of the layer at a position, after the activation. (4 * n_embd) @param {number} position @returns {Vector} */
  active(position) {
    return this.reading.traces[position].layers[this.layer].active;
  }

  /** @param {number} layer @param {number} unit @param {number} position */
  choose(layer, unit, position = this.position) {
    Object.assign(this, { layer, unit, position, isChosen: true });
    this.describe();
  }

  // ---- The picture: a row for each position, a column for each unit --------------------------------------------------

  /** @param {number} width */
  layout(width) {
    const [rows, columns] = [this.reading.tokens.length, 4 * this.page.config.n_embd];
    const row = Math.min(ROW, TALLEST / rows);
    return { rows, columns, row, column: (width - LABELS) / columns };
  }

  /** Make the canvas as high as its rows require. */
  fit() {
    const { rows, row } = this.layout(0);
    this.drawing.canvas.style.height = `${Math.ceil(rows * row) + 2}px`;
  }

  /** @param {Pen} pen @param {number} width */
  draw(pen, width) {
    if (!this.reading) return;
    const { rows, columns, row, column } = this.layout(width);
    pen.fillStyle = pen.colour("panel");
    pen.fillRect(LABELS, 1, width - LABELS, rows * row);
    pen.imageSmoothingEnabled = false;
    paintNumbers(this.pixels, this.reading.tokens.map((_, position) => this.active(position)));
    pen.drawImage(this.pixels, LABELS, 1, width - LABELS, rows * row);
    pen.lineWidth = 1;
    pen.strokeStyle = pen.colour("edge");
    pen.strokeRect(LABELS + this.unit * column, 1, column, rows * row);
    pen.lineWidth = 2;
    pen.strokeStyle = pen.colour("ink");
    pen.strokeRect(LABELS + this.unit * column, 1 + this.position * row, column, row);
    const every = Math.ceil(13 / row);
    for (let position = 0; position < rows; position += every) {
      const text = this.symbol(position);
      pen.fillStyle = pen.colour(position === this.position ? "accent" : "ink");
      pen.size(text.length > 2 ? 8 : 14, position === this.position ? 700 : 400);
      pen.fillText(text, LABELS / 2, 1 + (position + every / 2) * row);
    }
  }

  /** @param {number} x @param {number} y */
  point(x, y) {
    if (!this.reading) return;
    const { rows, columns, row, column } = this.layout(this.drawing.canvas.clientWidth);
    const within = (/** @type {number} */ at, /** @type {number} */ count) => Math.min(count - 1, Math.max(0, Math.floor(at)));
    this.choose(this.layer, within((x - LABELS) / column, columns), within((y - 1) / row, rows));
  }

  /** @param {string} key */
  key(key) {
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (!(key in moves) || !this.reading) return false;
    const { rows, columns } = this.layout(this.drawing.canvas.clientWidth);
    const [position, unit] = [this.position + moves[key][0], this.unit + moves[key][1]];
    if (position >= 0 && position < rows && unit >= 0 && unit < columns) this.choose(this.layer, unit, position);
    speak(byId("units-told").textContent);
    return true;
  }

  // ---- The chosen unit -----------------------------------------------------------------------------------------------

  /** @param {number} position */
  symbol(position) {
    return this.page.alphabet.symbol(this.reading.tokens[position]);
  }

  /** @param {number} id */
  glyphOf(id) {
    return glyph(this.page.alphabet.symbol(id), this.page.alphabet.points[id]);
  }

  async describe() {
    const { layer, unit, position, reading } = this;
    byId("units-layer").value = String(layer);
    byId("units-unit").value = String(unit);
    this.drawing.redraw();
    const where = this.page.config.n_layer > 1 ? `unit ${unit} of layer ${layer}` : `unit ${unit}`;
    const strongest = Array.from(reading.tokens.keys()).sort((a, b) => this.active(b)[unit] - this.active(a)[unit])[0];
    byId("units-told").replaceChildren(
      "At ",
      this.glyphOf(reading.tokens[position]),
      ` (position ${position}), ${where} is ${exact(this.active(position)[unit])}; most in this text at `,
      this.glyphOf(reading.tokens[strongest]),
      ` (position ${strongest}): ${exact(this.active(strongest)[unit])}.`,
    );
    const wanted = () => reading === this.reading && layer === this.layer && unit === this.unit;
    await inSlices(this.items(), wanted, (items) => byId("units-list").replaceChildren(...items));
  }

  /** What the unit is at each position, one after another. */
  *items() {
    const values = this.reading.tokens.map((_, position) => this.active(position)[this.unit]);
    const largest = largestOf(values);
    const items = [];
    for (const position of values.keys()) {
      items.push(this.item(position, largest));
      yield;
    }
    return items;
  }

  /** What the unit is at a position, and which characters would excite it there. @param {number} position @param {number} largest */
  item(position, largest) {
    const value = this.active(position)[this.unit];
    const bar = element("i", { className: value < 0 ? "negative" : "", style: { width: share(Math.abs(value), largest) } });
    return element(
      "li",
      {},
      element("span", { className: "quiet" }, String(position)),
      this.glyphOf(this.reading.tokens[position]),
      element("span", { className: "track" }, bar),
      element("span", { className: "percent" }, exact(value)),
      element("span", { className: "exciting" }, ...(position ? this.exciting(position) : ["it always begins so"])),
    );
  }

  /** The characters that alone would excite the unit most at a position. @param {number} position */
  exciting(position) {
    const { model, alphabet } = this.page;
    const values = alone(model, this.layer, this.unit, position);
    const found = Array.from(values.keys()).filter((id) => id !== alphabet.bos && values[id] > 0);
    if (!found.length) return ["no character alone"];
    const most = found.sort((a, b) => values[b] - values[a] || a - b).slice(0, MOST_EXCITING);
    return most.flatMap((id) => [element("span", {}, this.glyphOf(id), ` ${exact(values[id])}`), " "]);
  }
}

/**
 * What a unit would be for each token at a position if no attention were added to its embedding. (vocab_size)
 * @param {Model} model @param {number} layer @param {number} unit @param {number} position
 */
function alone({ config, params, activation }, layer, unit, position) {
  const { n_embd, vocab_size } = config;
  const weights = rowOf(params[`layer${layer}.mlp_fc1`], unit, n_embd);
  const place = rowOf(params.wpe, position, n_embd);
  const stream = (/** @type {number} */ id) => rmsnorm(add(rowOf(params.wte, id, n_embd), place));
  return Float64Array.from({ length: vocab_size }, (_, id) => activation(dot(weights, rmsnorm(stream(id)))));
}

/** The index of the largest number. @param {Vector} values */
const largestAt = (values) => values.indexOf(values.reduce((a, b) => Math.max(a, b)));

/** An excitation, to two places. @param {number} value */
const exact = (value) => (value === 0 ? "0" : value.toFixed(2));
