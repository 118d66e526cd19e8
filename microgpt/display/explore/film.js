// The film: a slider through the training. Each stop is a snapshot of the weights, with which the page then computes; the last is the
// model itself. Between two stops nothing is made up. Two models stop where either has a snapshot, each with its last one until there.

const FRAME_TIME = 160; // milliseconds a stop is shown for while the film plays
const REST = 200; // milliseconds without a move after which what takes longer follows too

/** @typedef {{ steps: number[], losses: (number | null)[] }} FilmData the model's own step is the last; losses: nats a token */

/** The snapshots of one model. */
class Reel {
  /**
   * @param {FilmData | null} data
   * @param {Element[]} snapshots which have the weights of each stop but the last, as singles
   * @param {Float64Array} weights the model's own
   */
  constructor(data, snapshots, weights) {
    const { steps, losses } = data ?? { steps: [], losses: [] };
    this.steps = steps;
    this.losses = losses;
    this.at = this.last = Math.max(0, steps.length - 1);
    this.snapshots = snapshots;
    /** The weights of each stop that was shown. @type {Float32Array[]} */
    this.decoded = [];
    this.own = this.last ? weights.slice() : weights; // the page computes with the array it was given
  }

  /** Go to the last stop until this step. @param {number} step @returns {boolean} whether it is another one than before */
  go(step) {
    const before = this.at;
    if (this.last) this.at = lastUntil(this.steps, step);
    return this.at !== before;
  }

  get isOwn() {
    return this.at === this.last;
  }

  /** The loss at a stop, where it is known. @returns {number | null} */
  get loss() {
    return this.losses[this.at] ?? null;
  }

  /** The weights where it is; decoded once. @returns {Float32Array | Float64Array} (num_params) */
  weights() {
    if (this.isOwn) return this.own;
    return (this.decoded[this.at] ??= singles(this.snapshots[this.at]));
  }
}

class Film {
  /** @type {Drawing | undefined} */
  curve;
  /** @type {HTMLInputElement} */
  slider = byId("step");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  playing;
  /** Until it rests. @type {ReturnType<typeof setTimeout> | undefined} */
  rest;

  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    /** The models that have snapshots. */
    this.pages = desk.pages.filter(({ reel }) => reel.last);
    this.steps = union(this.pages.map(({ reel }) => reel.steps));
    this.at = this.last = Math.max(0, this.steps.length - 1);
    byId("film").hidden = this.last === 0;
    if (this.last === 0) return;
    this.slider.max = String(this.last);
    this.curve = new Drawing(byId("film-curve"), (pen, width, height) => this.draw(pen, width, height));
    this.slider.addEventListener("input", () => {
      this.stop();
      this.go(Number(this.slider.value));
    });
    byId("play").addEventListener("click", () => (this.playing ? this.stop() : this.play()));
    this.describe();
  }

  get step() {
    return this.steps[this.at];
  }

  /** Whether what takes longer waits. */
  get isMoving() {
    return this.rest !== undefined;
  }

  /** Show a stop in the next frames, however often this is called until then. @param {number} stop */
  go(stop) {
    this.at = stop;
    const moved = this.pages.filter(({ reel }) => reel.go(this.steps[stop]));
    for (const page of moved) this.due.add(page);
    this.describe();
    this.frame ??= requestAnimationFrame(() => this.follow());
    document.body.classList.add("moving");
    clearTimeout(this.rest);
    this.rest = setTimeout(async () => {
      this.rest = undefined;
      document.body.classList.remove("moving");
      this.desk.training.mark(this.step); // far down the page; the curve above the slider moves at once
      await this.desk.update();
      this.desk.write({ aloud: false, again: true });
    }, REST);
    this.desk.address.note();
  }

  /** The models that have other weights than those computed with last. @type {Set<Page>} */
  due = new Set();

  /** Compute with the weights of a model that is due; with another's in the next frame. */
  follow() {
    const [page] = this.due;
    this.due.delete(page);
    page?.use(page.reel.weights(), true);
    this.frame = this.due.size ? requestAnimationFrame(() => this.follow()) : undefined;
  }

  /** The stop of this step, or the last one before it. @param {number} step */
  find(step) {
    return lastUntil(this.steps, step);
  }

  /** Play from where it is, or from the beginning where it is at its end. */
  play() {
    const next = (/** @type {number} */ stop) => {
      this.go(stop);
      if (stop < this.last) this.playing = setTimeout(next, FRAME_TIME, stop + 1);
      else this.stop();
    };
    this.playing = setTimeout(next, 0, this.at === this.last ? 0 : this.at + 1);
    byId("play").textContent = "Pause";
  }

  stop() {
    clearTimeout(this.playing);
    this.playing = undefined;
    byId("play").textContent = "Play";
  }

  describe() {
    const { step } = this;
    const moment = `step ${grouped(step)} of ${grouped(this.steps[this.last])}`;
    this.slider.value = String(this.at);
    this.slider.setAttribute("aria-valuetext", moment);
    write(byId("moment"), moment);
    write(byId("caption"), this.desk.isPair ? this.captions(step) : caption(step, this.pages[0]));
    this.curve?.redraw();
  }

  /** What a stop means for each of two models, in a sentence each. @param {number} step @returns {string} */
  captions(step) {
    const sentences = this.desk.pages.map(({ letter, reel, config }) => {
      if (!reel.last) return `${letter} has no snapshots and is as it was in the end.`;
      const own = reel.steps[reel.at];
      const where = own === step ? "" : reel.isOwn ? ` (its end, step ${grouped(own)})` : ` (its step ${grouped(own)})`;
      if (own === 0) return `${letter}: random weights.`;
      if (reel.loss === null) return `${letter}: its weights then${where}.`;
      const of = `of ${config.vocab_size}`;
      return `${letter}: loss ${reel.loss.toFixed(2)}${where}, as unsure as among ${Math.exp(reel.loss).toFixed(1)} equally likely characters ${of}.`;
    });
    return sentences.join(" ");
  }

  /**
   * The loss at each stop, above the slider's own places.
   * @param {Pen} pen @param {number} width @param {number} height
   */
  draw(pen, width, height) {
    const known = /** @type {number[]} */ (this.pages.flatMap(({ reel }) => reel.losses).filter((loss) => loss !== null));
    if (!known.length) return;
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const x = (/** @type {number} */ stop) => 8 + ((width - 16) * stop) / this.last;
    const y = (/** @type {number} */ loss) => 6 + (height - 12) * (1 - (loss - low) / (high - low || 1));
    pen.strokeStyle = pen.colour("edge");
    line(pen, [x(this.at), 0], [x(this.at), height]);
    for (const { letter, reel } of this.pages) {
      pen.strokeStyle = pen.fillStyle = pen.colour(hue(letter));
      pen.lineWidth = 2;
      pen.beginPath();
      reel.steps.forEach((step, i) => reel.losses[i] !== null && pen.lineTo(x(this.find(step)), y(reel.losses[i])));
      pen.stroke();
      if (reel.loss !== null) disc(pen, x(this.find(reel.steps[reel.at])), y(reel.loss), 4);
    }
  }
}

/** What a stop means, in a sentence or two. @param {number} step @param {Page} page @returns {string} */
function caption(step, { config, reel: { loss } }) {
  const choices = config.vocab_size;
  if (step === 0) return `Nothing is learned yet: the weights are random, and each of ${choices} tokens is about as likely as any other.`;
  if (loss === null) return "These are the weights the model had then.";
  if (loss >= Math.log(choices)) return `Loss ${loss.toFixed(2)}: still no better than picking one of ${choices} tokens blindly.`;
  return (
    `Loss ${loss.toFixed(2)}: as unsure of the next character as if it chose among ${Math.exp(loss).toFixed(1)} equally likely ones; ` +
    `blindly, there are ${choices}.`
  );
}

/** The numbers that are in any of the lists, in order. @param {number[][]} lists */
const union = (lists) => [...new Set(lists.flat())].sort((a, b) => a - b);

/** The index of the last number up to this one, or the first. @param {number[]} numbers in order @param {number} most */
const lastUntil = (numbers, most) => Math.max(0, numbers.findLastIndex((number) => number <= most));
