// Embeddings: the rows of wte in two principal components, and each token's nearest neighbours in all dimensions.

const NEIGHBOURS = 5;
const MOST_LABELS = 600;

class EmbeddingsView {
  constructor(page) {
    this.page = page;
    this.chosen = 0;
    this.typed = new Set();
    const { vocab_size, n_embd } = page.config;
    const { points, shares } = principalComponents(page.model.params.wte, vocab_size, n_embd);
    this.points = points;
    if (n_embd > 2) byId("shares").textContent = ` (${percent(shares[0] + shares[1])} of all their variance)`;
    this.drawing = new Drawing(byId("embeddings"), (pen, width, height) => this.draw(pen, width, height));
    this.drawing.onPoint((x, y) => this.point(x, y));
    this.drawing.onKey((key) => this.key(key));
    this.choose(0);
  }

  show(reading) {
    this.typed = new Set(reading.tokens);
    if (reading.tokens.length > 1) this.choose(reading.tokens.at(-1), false);
    this.drawing.redraw();
  }

  choose(id, aloud = true) {
    const { alphabet, model, config } = this.page;
    this.chosen = id;
    this.nearest = nearest(model.params.wte, config.vocab_size, config.n_embd, id, NEIGHBOURS);
    const name = (token) => glyph(alphabet.symbol(token), alphabet.points[token]);
    byId("neighbours").replaceChildren(
      name(id),
      id === alphabet.bos ? " (BOS)" : "",
      this.nearest.length ? " is nearest to " : " is alone",
      ...this.nearest.flatMap(([other, distance], i) => [i ? ", " : "", name(other), ` ${distance.toPrecision(3)}`]),
      ".",
    );
    this.drawing.redraw();
    if (aloud && document.activeElement === this.drawing.canvas) speak(byId("neighbours").textContent);
  }

  /** [x, y] of each point, in CSS pixels: centred in a canvas of this size, at one scale for both directions. */
  places(width, height) {
    const [xs, ys] = [this.points.map(([x]) => x), this.points.map(([, y]) => y)];
    const ends = (values) =>
      values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
    const [[left, right], [bottom, top]] = [ends(xs), ends(ys)];
    const margin = 24;
    const scale = Math.min((width - 2 * margin) / (right - left || 1), (height - 2 * margin) / (top - bottom || 1));
    return this.points.map(([x, y]) => [
      width / 2 + (x - (left + right) / 2) * scale,
      height / 2 - (y - (bottom + top) / 2) * scale,
    ]);
  }

  draw(pen, width, height) {
    const places = this.places(width, height);
    const near = this.nearest.map(([id]) => id);
    const marked = new Set([...near, ...this.typed]);
    this.drawOthers(pen, places, marked);
    pen.strokeStyle = pen.colour("second");
    for (const id of near) {
      pen.beginPath();
      pen.moveTo(...places[this.chosen]);
      pen.lineTo(...places[id]);
      pen.stroke();
    }
    for (const id of marked) this.mark(pen, id, places[id], this.typed.has(id) ? "accent" : "ink");
    pen.beginPath();
    pen.arc(...places[this.chosen], 15, 0, 2 * Math.PI);
    pen.fillStyle = pen.colour("paper");
    pen.strokeStyle = pen.colour("second");
    pen.lineWidth = 2;
    pen.fill();
    pen.stroke();
    this.mark(pen, this.chosen, places[this.chosen], "second");
  }

  /** Draw the tokens that are not marked: their symbols, or dots if there are too many to read. */
  drawOthers(pen, places, marked) {
    const { alphabet } = this.page;
    const size = places.length <= 100 ? 16 : 12;
    pen.fillStyle = pen.colour(places.length > MOST_LABELS ? "edge" : "ink");
    places.forEach(([x, y], id) => {
      if (marked.has(id) || id === this.chosen) return;
      if (places.length > MOST_LABELS) return pen.fillRect(x - 1, y - 1, 2, 2);
      const text = alphabet.symbol(id);
      pen.size(text.length > 2 ? 0.7 * size : size);
      pen.fillText(text, x, y);
    });
  }

  /** Draw a token in bold, with an outline that keeps it legible over others. */
  mark(pen, id, place, name) {
    const text = this.page.alphabet.symbol(id);
    pen.size(text.length > 2 ? 12 : 18, 700);
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeStyle = pen.colour("paper");
    pen.fillStyle = pen.colour(name);
    pen.strokeText(text, ...place);
    pen.fillText(text, ...place);
  }

  point(x, y) {
    const { clientWidth, clientHeight } = this.drawing.canvas;
    const distances = this.places(clientWidth, clientHeight).map(([px, py]) => (px - x) ** 2 + (py - y) ** 2);
    const id = distances.indexOf(distances.reduce((a, b) => Math.min(a, b)));
    if (id !== this.chosen) this.choose(id);
  }

  key(key) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const count = this.points.length;
    const typed = [...key].length === 1 ? this.page.alphabet.ids.get(key.codePointAt(0)) : undefined;
    if (!(key in steps) && typed === undefined) return false;
    this.choose(typed ?? (this.chosen + steps[key] + count) % count);
    return true;
  }
}
