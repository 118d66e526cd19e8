// Training: the smoothed loss curve, the range of most single steps, the held-out loss and the loss of random guesses.

class TrainingView {
  /** @param {Page} page */
  constructor(page) {
    const { losses } = page.data;
    byId("no-losses").hidden = Boolean(losses);
    byId("learned").hidden = !losses;
    if (!losses) return;
    byId("held-out-key").hidden = !losses.held_out.length;
    this.curve = new LossCurve(byId("losses"), byId("loss"), Math.log(page.config.vocab_size), losses);
  }

  /** Mark a step. @param {number} step */
  mark(step) {
    this.curve?.mark(step);
  }
}

class LossCurve {
  /** On a canvas; readout: the element that describes the chosen step; guessing: its loss; losses: see curve() of __init__.py. */
  constructor(canvas, readout, guessing, losses) {
    Object.assign(this, { readout, guessing }, losses);
    this.chosen = this.steps.length - 1;
    this.drawing = new Drawing(canvas, (pen, width, height) => this.draw(pen, width, height));
    this.drawing.onPoint((x) => this.point(x));
    this.drawing.onKey((key) => this.key(key));
    this.describe();
  }

  /** Show other losses; the last step stays chosen. */
  update(losses) {
    const isLast = this.chosen === this.steps.length - 1;
    Object.assign(this, losses);
    this.choose(isLast ? this.steps.length - 1 : Math.min(this.chosen, this.steps.length - 1));
  }

  /** [low, high]: the range of losses shown. */
  range() {
    const numbers = [
      this.guessing,
      ...this.low,
      ...this.high,
      ...this.smoothed,
      ...this.held_out.map(([, loss]) => loss),
    ];
    const finite = numbers.filter(Number.isFinite);
    const [low, high] = [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
    return [low - 0.04 * (high - low), high + 0.06 * (high - low)];
  }

  layout(width, height) {
    const [left, right, top, bottom] = [38, width - 8, 8, height - 26];
    const [low, high] = this.range();
    const last = Math.max(this.steps.at(-1), 2);
    return {
      left,
      right,
      top,
      bottom,
      low,
      high,
      last,
      x: (step) => left + ((right - left) * (step - 1)) / (last - 1),
      y: (loss) => bottom - ((bottom - top) * (loss - low)) / (high - low),
    };
  }

  draw(pen, width, height) {
    const plot = this.layout(width, height);
    this.drawAxes(pen, plot);
    pen.save();
    pen.beginPath();
    pen.rect(plot.left, plot.top, plot.right - plot.left, plot.bottom - plot.top);
    pen.clip();
    pen.fillStyle = pen.colour("accent");
    pen.globalAlpha = 0.2;
    pen.beginPath();
    this.steps.forEach((step, i) => pen.lineTo(plot.x(step), plot.y(this.high[i])));
    for (let i = this.steps.length - 1; i >= 0; i--) pen.lineTo(plot.x(this.steps[i]), plot.y(this.low[i]));
    pen.fill();
    pen.globalAlpha = 1;
    this.line(
      pen,
      "quiet",
      1.5,
      [
        [1, this.guessing],
        [plot.last, this.guessing],
      ],
      plot,
      [5, 4],
    );
    this.line(
      pen,
      "accent",
      2,
      this.steps.map((step, i) => [step, this.smoothed[i]]),
      plot,
    );
    pen.restore();
    const dots = this.held_out.filter(([, loss]) => loss !== null);
    this.line(pen, "second", 1.5, dots, plot);
    pen.fillStyle = pen.colour("second");
    for (const [step, loss] of dots)
      disc(pen, plot.x(step), plot.y(loss), Math.max(1.5, Math.min(3.5, 200 / dots.length)));
    const [x, y] = [plot.x(this.steps[this.chosen]), plot.y(this.smoothed[this.chosen])];
    pen.strokeStyle = pen.colour("edge");
    pen.lineWidth = 1;
    pen.strokeRect(x, plot.top, 0, plot.bottom - plot.top);
    pen.fillStyle = pen.colour("accent");
    disc(pen, x, y, 4);
  }

  drawAxes(pen, plot) {
    pen.size(12);
    pen.lineWidth = 1;
    for (const loss of ticks(plot.low, plot.high, 5)) {
      pen.strokeStyle = pen.colour("line");
      pen.beginPath();
      pen.moveTo(plot.left, plot.y(loss));
      pen.lineTo(plot.right, plot.y(loss));
      pen.stroke();
      pen.fillStyle = pen.colour("quiet");
      pen.textAlign = "right";
      pen.fillText(String(loss), plot.left - 6, plot.y(loss));
    }
    pen.textAlign = "center";
    for (const step of ticks(1, plot.last, 5)) {
      const label = grouped(step);
      const half = 4 * label.length;
      if (Number.isInteger(step))
        pen.fillText(label, Math.min(plot.x(Math.max(step, 1)), plot.right - half), plot.bottom + 15);
    }
  }

  line(pen, name, width, points, plot, dashes = []) {
    pen.strokeStyle = pen.colour(name);
    pen.lineWidth = width;
    pen.setLineDash(dashes);
    pen.beginPath();
    for (const [step, loss] of points) pen.lineTo(plot.x(step), plot.y(loss));
    pen.stroke();
    pen.setLineDash([]);
  }

  point(x) {
    const { left, right, last } = this.layout(this.drawing.canvas.clientWidth, this.drawing.canvas.clientHeight);
    const step = 1 + ((last - 1) * (x - left)) / (right - left);
    this.choose(
      this.steps.reduce((best, s, i) => (Math.abs(s - step) < Math.abs(this.steps[best] - step) ? i : best), 0),
    );
  }

  key(key) {
    const far = Math.ceil(this.steps.length / 20);
    const to = {
      ArrowLeft: this.chosen - 1,
      ArrowRight: this.chosen + 1,
      PageUp: this.chosen - far,
      PageDown: this.chosen + far,
      Home: 0,
      End: Infinity,
    };
    if (!(key in to)) return false;
    this.choose(Math.min(this.steps.length - 1, Math.max(0, to[key])));
    speak(this.readout.textContent);
    return true;
  }

  /** Mark a step. @param {number} step */
  mark(step) {
    this.choose(Math.max(0, this.steps.findLastIndex((at) => at <= step)));
  }

  choose(index) {
    this.chosen = index;
    this.describe();
    this.drawing.redraw();
  }

  describe() {
    const step = this.steps[this.chosen];
    const evaluated = this.held_out.filter(([at, loss]) => at <= step && loss !== null).at(-1);
    const held = evaluated ? `; held out ${evaluated[1].toFixed(4)} after step ${grouped(evaluated[0])}` : "";
    this.readout.textContent =
      `Step ${grouped(step)}: loss ${this.smoothed[this.chosen].toFixed(4)}${held}. ` +
      `Guessing at random has ln(vocab_size) = ${this.guessing.toFixed(4)}.`;
  }
}

/** About `count` evenly spaced round numbers between low and high. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}
