// Attention: a small matrix for each head, and a large one for the selected head.

const SMALL_MARGIN = 2;
const FEWEST = 6; // positions that the matrix has room for: the page stays in place while the first ones are typed

/** The button of a head: @typedef {HTMLButtonElement & { drawing: Drawing, place: [layer: number, head: number] }} HeadButton */

class AttentionView {
  /** @type {Reading} */
  reading;
  /** @type {Trace[]} */
  traces = [];

  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.section = sectionOf(page.part("attention"));
    this.layer = this.head = 0;
    /** @type {HTMLCanvasElement} */
    this.pixels = element("canvas"); // see image()
    this.cell = { row: 0, column: 0 }; // the selected cell: position `row` attends to position `column`
    this.drawing = new Drawing(this.page.part("attention"), (pen, width) => this.drawMatrix(pen, width));
    this.drawing.onPoint((x, y) => this.point(x, y));
    this.drawing.onKey((key) => this.key(key));
    this.makeHeads();
  }

  /** @param {Reading} reading */
  show(reading, inMotion = false) {
    const isSame = String(this.reading?.tokens) === String(reading.tokens); // with other weights: the cell stays selected
    this.reading = reading;
    this.traces = reading.traces;
    if (!isSame) {
      const last = reading.tokens.length - 1;
      this.cell = { row: last, column: last };
      this.cell.column = this.strongest()[0];
    }
    if (!inMotion) return this.redraw();
    this.drawing.redraw();
    this.describe();
  }

  /** The weights that a head, the selected one by default, gives to each position up to this one. (position + 1) @param {number} position */
  weights(position, layer = this.layer, head = this.head) {
    return rowOf(this.traces[position].layers[layer].weights, head, position + 1);
  }

  /** The positions up to the selected row, those with the largest weights first. */
  strongest() {
    const weights = this.weights(this.cell.row);
    return Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a] || a - b);
  }

  /** @param {number} position */
  symbol(position) {
    return this.page.alphabet.symbol(this.reading.tokens[position]);
  }

  // ---- The heads ---------------------------------------------------------------------------------------------------

  makeHeads() {
    const { n_layer, n_head } = this.page.config;
    const heads = this.page.part("heads");
    heads.hidden = n_layer * n_head === 1;
    heads.setAttribute("role", "radiogroup");
    heads.setAttribute("aria-label", "Head");
    for (let layer = 0; layer < n_layer; layer++) {
      const buttons = Array.from({ length: n_head }, (_, head) => this.headButton(layer, head));
      const name = n_layer > 1 ? [element("span", {}, `Layer ${layer}`)] : [];
      heads.append(element("div", { className: "layer" }, ...name, element("div", {}, ...buttons)));
    }
    heads.style.setProperty("--layers", n_layer);
    heads.style.setProperty("--heads", n_head);
    arrowKeys(heads, n_layer > 1 ? n_head : 1);
    this.choose(0, 0);
  }

  /** The buttons of all heads, layer by layer. @returns {NodeListOf<HeadButton>} */
  get buttons() {
    return this.page.part("heads").querySelectorAll("button");
  }

  /** @param {number} layer @param {number} head */
  headButton(layer, head) {
    const canvas = element("canvas", { "aria-hidden": "true" });
    const name = this.page.config.n_layer > 1 ? `layer ${layer}, head ${head}` : `head ${head}`;
    const button = element(
      "button",
      { type: "button", className: "head", role: "radio", "aria-label": name },
      canvas,
      element("span", {}, element("span", { className: "word" }, "head "), String(head)),
    );
    button.drawing = new Drawing(canvas, (pen, width) => this.drawHead(pen, width, layer, head));
    button.place = [layer, head];
    button.addEventListener("click", () => this.choose(layer, head));
    button.addEventListener("focus", () => this.choose(layer, head));
    return button;
  }

  /** @param {number} layer @param {number} head */
  choose(layer, head) {
    [this.layer, this.head] = [layer, head];
    for (const button of this.buttons) {
      const chosen = button.place[0] === layer && button.place[1] === head;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    if (!this.reading) return;
    this.page.address.note();
    this.cell.column = this.strongest()[0];
    this.drawing.redraw();
    this.describe();
  }

  redraw() {
    this.fit();
    this.drawing.redraw();
    this.describe();
    for (const { drawing } of this.buttons) drawing.redraw();
  }

  /** @param {Pen} pen @param {number} width @param {number} layer @param {number} head */
  drawHead(pen, width, layer, head) {
    if (!this.reading) return;
    const size = (width - 2 * SMALL_MARGIN) / Math.max(this.reading.tokens.length, 4);
    this.mirror(pen, width, () => this.drawCells(pen, SMALL_MARGIN, size, layer, head));
  }

  // ---- The matrix --------------------------------------------------------------------------------------------------

  /** How many positions the matrix has room for. */
  get room() {
    return Math.max(this.reading.tokens.length, Math.min(this.page.config.block_size, FEWEST));
  }

  /**
   * For a canvas of this width, in CSS pixels: {margin, size, all, x}. margin: before the cells; size: the width of a cell;
   * all: of margin and cells; x: turns a place, counted in the direction of the text, into one on the canvas and back.
   * @param {number} width
   */
  layout(width) {
    const margin = 30;
    const size = Math.min(48, (width - margin - 2) / this.room);
    const all = margin + this.room * size + 2;
    return { margin, size, all, x: (/** @type {number} */ place) => (this.isMirrored ? all - place : place) };
  }

  /** Whether the text is written from right to left: so are the columns then. */
  get isMirrored() {
    return this.reading.direction === "rtl";
  }

  /** Draw within this width in the direction of the text. @param {Pen} pen @param {number} width @param {() => void} draw */
  mirror(pen, width, draw) {
    pen.save();
    if (this.isMirrored) pen.transform(-1, 0, 0, 1, width, 0);
    draw();
    pen.restore();
  }

  /** Make the canvas as high as its cells require. */
  fit() {
    const canvas = this.page.part("attention");
    canvas.style.height = `${Math.ceil(this.layout(canvas.clientWidth).all)}px`;
  }

  /**
   * A head's weights as an image with one pixel per cell, which the browser enlarges. If a row has more than `most`
   * cells, several share a pixel, which shows the largest. Opacity is the square root of the weight, so that small
   * weights are visible too.
   * @param {number} layer @param {number} head @param {number} most
   */
  image(layer, head, most) {
    const count = this.reading.tokens.length;
    const size = Math.min(count, Math.ceil(most));
    const pen = contextOf(Object.assign(this.pixels, { width: size, height: size }));
    const image = pen.createImageData(size, size);
    for (let row = 0; row < count; row++) {
      const weights = this.weights(row, layer, head);
      const start = size * Math.floor((row * size) / count);
      for (let column = 0; column <= row; column++) {
        const alpha = 4 * (start + Math.floor((column * size) / count)) + 3;
        image.data[alpha] = Math.max(image.data[alpha], 255 * Math.sqrt(weights[column]));
      }
    }
    pen.putImageData(image, 0, 0);
    pen.globalCompositeOperation = "source-in"; // keeps the opacity, replaces the colour
    pen.fillStyle = colour("accent");
    pen.fillRect(0, 0, size, size);
    return this.pixels;
  }

  /** @param {Pen} pen @param {number} margin @param {number} size @param {number} layer @param {number} head */
  drawCells(pen, margin, size, layer, head) {
    const count = this.reading.tokens.length;
    pen.fillStyle = pen.colour("panel");
    for (let row = 0; row < count; row++) pen.fillRect(margin, margin + row * size, (row + 1) * size, size);
    pen.imageSmoothingEnabled = size < 1;
    pen.drawImage(this.image(layer, head, 2 * count * size), margin, margin, count * size, count * size);
    if (size < 9) return;
    pen.fillStyle = pen.colour("paper"); // lines between the cells
    for (let line = 1; line <= count; line++) {
      pen.fillRect(margin, margin + line * size - 0.5, count * size, 1);
      pen.fillRect(margin + line * size - 0.5, margin, 1, count * size);
    }
  }

  /** Outline the cells of the positions to come. @param {Pen} pen @param {number} margin @param {number} size */
  drawRoom(pen, margin, size) {
    pen.lineWidth = 1;
    pen.strokeStyle = pen.colour("line");
    for (let row = this.reading.tokens.length; row < this.room; row++) {
      for (let column = 0; column <= row; column++) {
        pen.strokeRect(margin + column * size + 0.5, margin + row * size + 0.5, size - 2, size - 2);
      }
    }
  }

  /** @param {Pen} pen @param {number} width */
  drawMatrix(pen, width) {
    if (!this.reading) return;
    this.fit(); // the width may have changed
    const { margin, size, all, x } = this.layout(width);
    const { row, column } = this.cell;
    const count = this.reading.tokens.length;
    this.mirror(pen, all, () => {
      this.drawRoom(pen, margin, size);
      this.drawCells(pen, margin, size, this.layer, this.head);
      pen.lineWidth = 2;
      pen.strokeStyle = pen.colour("second");
      pen.strokeRect(margin + column * size - 0.5, margin + row * size - 0.5, size, size);
    });
    pen.direction = this.reading.direction; // in which the sign of the beginning looks the other way
    const every = Math.ceil(12 / size); // without room for all labels, only every so many
    /** @type {(position: number, chosen: boolean, left: number, y: number) => void} */
    const label = (position, chosen, left, y) => {
      if (position % every && !chosen) return;
      if (!chosen && every > 1 && Math.min(Math.abs(position - row), Math.abs(position - column)) < every) return;
      const text = this.symbol(position);
      pen.fillStyle = pen.colour(chosen ? "accent" : "ink");
      pen.size(text.length > 2 ? 8 : Math.min(16, Math.max(11, size * 0.7)), chosen ? 700 : 400);
      pen.fillText(text, x(left), y);
    };
    for (let position = 0; position < count; position++) {
      const middle = margin + (position + 0.5) * size;
      label(position, position === row, margin / 2, middle);
      label(position, position === column, middle, margin / 2);
    }
  }

  /** @param {number} left @param {number} y */
  point(left, y) {
    if (!this.reading) return;
    const { margin, size, x } = this.layout(this.page.part("attention").clientWidth);
    const inside = (/** @type {number} */ at) => Math.min(this.reading.tokens.length - 1, Math.max(0, Math.floor((at - margin) / size)));
    this.go(inside(y), inside(x(left)));
  }

  /** @param {string} key */
  key(key) {
    const { row, column } = this.cell;
    if (!this.reading) return false;
    const right = this.isMirrored ? -1 : 1;
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -right], ArrowRight: [0, right] };
    if (!(key in moves)) return false;
    this.go(row + moves[key][0], column + moves[key][1]);
    return true;
  }

  /** @param {number} row @param {number} column */
  go(row, column) {
    row = Math.min(this.reading.tokens.length - 1, Math.max(0, row));
    column = Math.min(row, Math.max(0, column));
    if (row === this.cell.row && column === this.cell.column) return;
    this.cell = { row, column };
    this.drawing.redraw();
    this.describe();
    speak(this.page.part("looks").textContent);
  }

  describe() {
    const { row, column } = this.cell;
    const weights = this.weights(row);
    const { alphabet } = this.page;
    const at = (/** @type {number} */ position) => glyph(this.symbol(position), alphabet.points[this.reading.tokens[position]]);
    const most = this.strongest()
      .slice(0, 4)
      .flatMap((position, i) => [i ? ", " : "", at(position), ` ${percent(weights[position])}`]);
    const where = this.page.config.n_layer > 1 ? `layer ${this.layer}, head ${this.head}` : `head ${this.head}`;
    this.page.part("looks").replaceChildren(
      "At ",
      at(row),
      ` (position ${row}), ${where} looks at `,
      at(column),
      ` (position ${column}): `,
      element("strong", {}, percent(weights[column])),
      ". Most at ",
      ...most,
      ".",
    );
    this.page.part("attention").setAttribute("aria-label", `Attention of ${where}; arrow keys choose a row and what it looks at`);
  }
}
