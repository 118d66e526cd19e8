// Training: the smoothed loss curve, the range of most single steps, the held-out loss and the loss of random guesses.

class TrainingView {
  /** @param {Page[]} pages */
  constructor(pages) {
    const runs = pages.flatMap(({ letter, config, data: { losses } }) =>
      losses ? [{ letter, guessing: Math.log(config.vocab_size), ...losses }] : [],
    );
    byId("no-losses").hidden = runs.length > 0;
    byId("learned").hidden = !runs.length;
    if (!runs.length) return;
    byId("held-out-key").hidden = !runs.some(({ held_out }) => held_out.length);
    byId("runs").hidden = pages.length === 1;
    byId("runs").replaceChildren(...pages.map(({ letter, data }) => key(letter, data)));
    this.curve = new LossCurve(byId("losses"), byId("loss"), runs);
  }

  /** Mark a step. @param {number} step */
  mark(step) {
    this.curve?.mark(step);
  }
}

/** Which line is that of a model. @param {string} letter @param {PageData} data */
const key = (letter, { name, losses }) =>
  element(
    "span",
    { className: "key" },
    element("i", { className: `swatch line run ${hue(letter)}` }),
    `${letter} ${name}`.trim(),
    losses ? "" : ", without losses",
  );

/**
 * See curve() of __init__.py.
 * @typedef {{ steps: number[], smoothed: number[], low: number[], high: number[], held_out: [number, number | null][] }} Losses
 */
/** Those of a run. letter: the model's beside another; guessing: the loss of that. @typedef {Losses & { letter: string, guessing: number }} RunLosses */
/**
 * Where a curve is drawn: its edges, the losses and the last step that it shows, and the places of steps and losses.
 * @typedef {{ left: number, right: number, top: number, bottom: number, low: number, high: number, last: number, x: (step: number) => number, y: (loss: number) => number }} Plot
 */

class LossCurve {
  /** readout: the element that describes the chosen step. @param {HTMLCanvasElement} canvas @param {HTMLElement} readout @param {RunLosses[]} runs */
  constructor(canvas, readout, runs) {
    this.readout = readout;
    this.runs = runs;
    this.steps = stepsOf(runs);
    this.chosen = this.steps.length - 1;
    this.drawing = new Drawing(canvas, (pen, width, height) => this.draw(pen, width, height));
    this.drawing.onPoint((x) => this.point(x));
    this.drawing.onKey((key) => this.key(key));
    this.describe();
  }

  /** Show other losses; the last step stays chosen. @param {RunLosses[]} runs */
  update(runs) {
    const isLast = this.chosen === this.steps.length - 1;
    this.runs = runs;
    this.steps = stepsOf(runs);
    this.choose(isLast ? this.steps.length - 1 : Math.min(this.chosen, this.steps.length - 1));
  }

  /** [low, high]: the range of losses shown. */
  range() {
    const numbers = this.runs.flatMap(({ guessing, low, high, smoothed, held_out }) => [
      guessing,
      ...low,
      ...high,
      ...smoothed,
      ...held_out.map(([, loss]) => loss),
    ]);
    const finite = numbers.filter((loss) => loss !== null).filter(Number.isFinite);
    const [low, high] = [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
    return [low - 0.04 * (high - low), high + 0.06 * (high - low)];
  }

  /** @param {number} width @param {number} height @returns {Plot} */
  layout(width, height) {
    const [left, right, top, bottom] = [38, width - 8, 8, height - 26];
    const [low, high] = this.range();
    const last = Math.max(this.steps[this.steps.length - 1], 2);
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

  /** @param {Pen} pen @param {number} width @param {number} height */
  draw(pen, width, height) {
    const plot = this.layout(width, height);
    this.drawAxes(pen, plot);
    pen.save();
    pen.beginPath();
    pen.rect(plot.left, plot.top, plot.right - plot.left, plot.bottom - plot.top);
    pen.clip();
    for (const run of this.runs) this.drawBand(pen, plot, run);
    for (const loss of new Set(this.runs.map(({ guessing }) => guessing))) {
      this.line(pen, "quiet", 1.5, [[1, loss], [plot.last, loss]], plot, [5, 4]);
    }
    for (const run of this.runs) {
      this.line(pen, hue(run.letter), 2, run.steps.map((step, i) => [step, run.smoothed[i]]), plot);
    }
    pen.restore();
    for (const run of this.runs) this.drawHeldOut(pen, plot, run);
    pen.strokeStyle = pen.colour("edge");
    pen.lineWidth = 1;
    pen.strokeRect(plot.x(this.steps[this.chosen]), plot.top, 0, plot.bottom - plot.top);
    for (const run of this.runs) {
      const at = lastUntil(run.steps, this.steps[this.chosen]);
      pen.fillStyle = pen.colour(hue(run.letter));
      disc(pen, plot.x(run.steps[at]), plot.y(run.smoothed[at]), 4);
    }
  }

  /** Between which losses most steps are. @param {Pen} pen @param {Plot} plot @param {RunLosses} run */
  drawBand(pen, plot, { letter, steps, low, high }) {
    pen.fillStyle = pen.colour(hue(letter));
    pen.globalAlpha = 0.2;
    pen.beginPath();
    steps.forEach((step, i) => pen.lineTo(plot.x(step), plot.y(high[i])));
    for (let i = steps.length - 1; i >= 0; i--) pen.lineTo(plot.x(steps[i]), plot.y(low[i]));
    pen.fill();
    pen.globalAlpha = 1;
  }

  /** The held-out losses: of one model in the second colour, of two in that of each. @param {Pen} pen @param {Plot} plot @param {RunLosses} run */
  drawHeldOut(pen, plot, { letter, held_out }) {
    const dots = /** @type {[number, number][]} */ (held_out.filter(([, loss]) => loss !== null));
    const name = letter ? hue(letter) : "second";
    this.line(pen, name, letter ? 1 : 1.5, dots, plot, letter ? [2, 3] : []);
    pen.fillStyle = pen.colour(name);
    for (const [step, loss] of dots)
      disc(pen, plot.x(step), plot.y(loss), Math.max(1.5, Math.min(3.5, 200 / dots.length)));
  }

  /** @param {Pen} pen @param {Plot} plot */
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

  /**
   * @param {Pen} pen @param {string} name of its colour @param {number} width @param {[step: number, loss: number][]} points @param {Plot} plot
   * @param {number[]} dashes
   */
  line(pen, name, width, points, plot, dashes = []) {
    pen.strokeStyle = pen.colour(name);
    pen.lineWidth = width;
    pen.setLineDash(dashes);
    pen.beginPath();
    for (const [step, loss] of points) pen.lineTo(plot.x(step), plot.y(loss));
    pen.stroke();
    pen.setLineDash([]);
  }

  /** @param {number} x */
  point(x) {
    const { left, right, last } = this.layout(this.drawing.canvas.clientWidth, this.drawing.canvas.clientHeight);
    const step = 1 + ((last - 1) * (x - left)) / (right - left);
    this.choose(
      this.steps.reduce((best, s, i) => (Math.abs(s - step) < Math.abs(this.steps[best] - step) ? i : best), 0),
    );
  }

  /** @param {string} key */
  key(key) {
    const far = Math.ceil(this.steps.length / 20);
    /** @type {Record<string, number>} */
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
    this.choose(lastUntil(this.steps, step));
  }

  /** @param {number} index of a step */
  choose(index) {
    this.chosen = index;
    this.describe();
    this.drawing.redraw();
  }

  describe() {
    const step = this.steps[this.chosen];
    const losses = this.runs.map((run) => `${run.letter ? `. ${run.letter}` : ""}: loss ${lossAt(run, step)}`);
    const guesses = new Set(this.runs.map(({ guessing }) => guessing.toFixed(4)));
    this.readout.textContent =
      `Step ${grouped(step)}${losses.join("")}. ` + `Guessing at random has ln(vocab_size) = ${[...guesses].join(" and ")}.`;
  }
}

/** The loss of a run until a step, in words. @param {RunLosses} run @param {number} step */
function lossAt({ steps, smoothed, held_out }, step) {
  const at = lastUntil(steps, step);
  const [evaluated, loss] = held_out.findLast(([at, loss]) => at <= step && loss !== null) ?? [];
  const held = loss == null ? "" : `; held out ${loss.toFixed(4)} after step ${grouped(/** @type {number} */ (evaluated))}`;
  const own = steps[at] < step && at === steps.length - 1 ? ` in its last step, ${grouped(steps[at])}` : "";
  return `${smoothed[at].toFixed(4)}${own}${held}`;
}

/** The steps of any of the runs. @param {RunLosses[]} runs */
const stepsOf = (runs) => union(runs.map(({ steps }) => steps));

/** About `count` evenly spaced round numbers between low and high. @param {number} low @param {number} high @param {number} count */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((n) => n * power >= raw) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}
