// Embeddings: the rows of wte in two principal components, and each token's nearest neighbours in all dimensions.

const NEIGHBOURS = 5;
const MOST_LABELS = 400;
const FRAME = 6; // between the ink of the chosen token and the outside of its frame, in CSS pixels

class EmbeddingsView {
  /** Of the tokens that are not marked, by id: see labelOthers. @type {Map<number, Label>} */
  unmarked = new Map();
  /** Of all tokens. @type {Map<number, Label>} */
  labels = new Map();
  /** Of the chosen token, with their distances. @type {[id: number, distance: number][]} */
  nearest = [];
  /** @type {string | undefined} */
  size; // of the picture for which the first of these were made

  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.section = sectionOf(page.part("embeddings"));
    this.chosen = 0;
    this.weighed = page.weighed;
    /** @type {Set<number>} */
    this.typed = new Set();
    const { vocab_size, n_embd } = page.config;
    const { points, shares, directions } = principalComponents(page.model.params.wte, vocab_size, n_embd);
    /** Of each token, in the directions of the model's own weights. @type {Point[]} */
    this.points = points;
    this.own = points;
    this.directions = directions;
    if (n_embd > 2) this.page.part("shares").textContent = ` (${percent(shares[0] + shares[1])} of all their variance)`;
    this.drawing = new Drawing(this.page.part("embeddings"), (pen, width, height) => this.draw(pen, width, height));
    this.drawing.onPoint((x, y) => this.point(x, y));
    this.drawing.onKey((key) => this.key(key));
    this.choose(0);
  }

  /** @param {Reading} reading */
  show(reading) {
    if (this.weighed !== this.page.weighed) this.reweigh();
    this.typed = new Set(reading.tokens);
    if (reading.tokens.length > 1) this.choose(reading.tokens[reading.tokens.length - 1], false);
    this.drawing.redraw();
  }

  /** Project the embeddings that there are now onto the same two directions, at the same scale. */
  reweigh() {
    const { vocab_size, n_embd } = this.page.config;
    this.points = project(this.page.model.params.wte, vocab_size, n_embd, this.directions);
    this.weighed = this.page.weighed;
    this.size = undefined;
    this.page.part("shares").hidden = !this.page.reel.isOwn; // they are the model's own
    this.choose(this.chosen, false);
  }

  /** @param {number} id */
  choose(id, aloud = true) {
    const { alphabet, model, config } = this.page;
    this.chosen = id;
    this.nearest = nearest(model.params.wte, config.vocab_size, config.n_embd, id, NEIGHBOURS);
    const name = (/** @type {number} */ token) => glyph(alphabet.symbol(token), alphabet.points[token]);
    this.page.part("neighbours").replaceChildren(
      name(id),
      id === alphabet.bos ? " (BOS)" : "",
      this.nearest.length ? " is nearest to " : " is alone",
      ...this.nearest.flatMap(([other, distance], i) => [i ? ", " : "", name(other), ` ${distance.toPrecision(3)}`]),
      ".",
    );
    this.drawing.redraw();
    if (aloud && document.activeElement === this.drawing.canvas) speak(this.page.part("neighbours").textContent);
  }

  /** Of each point: centred in a canvas of this size, at one scale for both directions. @param {number} width @param {number} height @returns {Point[]} */
  places(width, height) {
    const [xs, ys] = [this.own.map(([x]) => x), this.own.map(([, y]) => y)];
    const ends = (/** @type {number[]} */ values) =>
      values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
    const [[left, right], [bottom, top]] = [ends(xs), ends(ys)];
    const margin = 24;
    const scale = Math.min((width - 2 * margin) / (right - left || 1), (height - 2 * margin) / (top - bottom || 1));
    return this.points.map(([x, y]) => [
      width / 2 + (x - (left + right) / 2) * scale,
      height / 2 - (y - (bottom + top) / 2) * scale,
    ]);
  }

  /** @param {Pen} pen @param {number} width @param {number} height */
  draw(pen, width, height) {
    const places = this.places(width, height);
    const near = this.nearest.map(([id]) => id);
    const marked = this.labelMarked(pen, places, [this.chosen, ...near, ...this.typed], width, height);
    this.labels = this.labelOthers(pen, places, marked, width, height);
    pen.strokeStyle = pen.colour("second");
    for (const id of near) line(pen, places[this.chosen], places[id]);
    pen.fillStyle = pen.strokeStyle = pen.colour("edge");
    places.forEach(([x, y], id) => {
      const at = this.labels.get(id);
      if (at?.from) line(pen, [x, y], at.from);
      if (!at || !contains(at, x, y)) disc(pen, x, y, places.length > 100 ? 1 : 2);
    });
    for (const [id, at] of this.labels) {
      this.font(pen, id, marked.has(id));
      pen.lineWidth = 2 * GAP;
      pen.lineJoin = "round";
      pen.strokeStyle = pen.colour("paper"); // an outline, over lines and points
      pen.strokeText(this.symbol(id), at.x, at.y);
      pen.fillStyle = pen.colour(id === this.chosen ? "second" : this.typed.has(id) ? "accent" : "ink");
      pen.fillText(this.symbol(id), at.x, at.y);
    }
    const chosen = this.labels.get(this.chosen);
    if (chosen) this.frame(pen, chosen);
  }

  /** Draw a frame just within a box. @param {Pen} pen @param {Rectangle} box */
  frame(pen, { left, right, top, bottom }) {
    pen.lineWidth = 2;
    pen.strokeStyle = pen.colour("second");
    pen.beginPath();
    pen.roundRect(left + 1, top + 1, right - left - 2, bottom - top - 2, 6);
    pen.stroke();
  }

  /** @param {number} id */
  symbol(id) {
    return this.page.alphabet.symbol(id);
  }

  /** Set the pen to the font of a token. @param {Pen} pen @param {number} id @param {boolean} isMarked */
  font(pen, id, isMarked) {
    const size = isMarked ? 18 : this.points.length <= 100 ? 16 : 12;
    pen.size(this.symbol(id).length > 2 ? 0.7 * size : size, isMarked ? 700 : 400);
  }

  /** @param {Pen} pen @param {number} id @param {boolean} isMarked */
  ink(pen, id, isMarked) {
    this.font(pen, id, isMarked);
    return inkOf(pen, this.symbol(id), isMarked && id === this.chosen ? FRAME : 0);
  }

  /**
   * Those of the tokens that are marked, by id.
   * @param {Pen} pen @param {Point[]} places @param {number[]} ids the most important first @param {number} width @param {number} height
   */
  labelMarked(pen, places, ids, width, height) {
    const labels = new Labels(new Map(ids.map((id) => [id, places[id]])), width, height);
    for (const id of labels.points.keys()) {
      const ink = this.ink(pen, id, true);
      if (!labels.centre(id, ink)) labels.beside(id, ink);
    }
    return labels.boxes;
  }

  /**
   * Those of all tokens, by id. The labels of tokens that are not marked stay in place whatever is marked, and give way
   * to marked ones; where there are too many tokens, or too close, they are points without a label.
   * @param {Pen} pen @param {Point[]} places @param {Map<number, Label>} marked @param {number} width @param {number} height
   */
  labelOthers(pen, places, marked, width, height) {
    const size = `${width} ${height}`;
    if (this.size !== size) this.unmarked = this.labelAll(pen, places, width, height);
    this.size = size;
    const free = [...this.unmarked].filter(([id, at]) => {
      const isCovered = [...marked.values()].some((other) => overlap(at, other));
      return !marked.has(id) && !isCovered;
    });
    return new Map([...free, ...marked]);
  }

  /** @param {Pen} pen @param {Point[]} places @param {number} width @param {number} height @returns {Map<number, Label>} */
  labelAll(pen, places, width, height) {
    if (places.length > MOST_LABELS) return new Map();
    const labels = new Labels(new Map(places.entries()), width, height);
    const inks = places.map((_, id) => this.ink(pen, id, false));
    const crowded = inks.flatMap((ink, id) => (labels.centre(id, ink) ? [] : [id]));
    for (const id of crowded) labels.beside(id, inks[id]);
    return labels.boxes;
  }

  /** @param {number} x @param {number} y */
  point(x, y) {
    const { clientWidth, clientHeight } = this.drawing.canvas;
    const label = [...this.labels].find(([, at]) => contains(at, x, y));
    const distances = this.places(clientWidth, clientHeight).map(([px, py]) => (px - x) ** 2 + (py - y) ** 2);
    const id = label?.[0] ?? distances.indexOf(distances.reduce((a, b) => Math.min(a, b)));
    if (id !== this.chosen) this.choose(id);
  }

  /** @param {string} key */
  key(key) {
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const count = this.points.length;
    const typed = [...key].length === 1 ? this.page.alphabet.ids.get(/** @type {number} */ (key.codePointAt(0))) : undefined;
    if (!(key in steps) && typed === undefined) return false;
    this.choose(typed ?? (this.chosen + steps[key] + count) % count);
    return true;
  }
}
