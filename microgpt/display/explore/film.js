// The film: a slider through the training. Each stop is a snapshot of the weights, with which the page then computes; the last is the
// model itself. Between two stops nothing is made up.

const FRAME_TIME = 160; // milliseconds a stop is shown for while the film plays
const REST = 200; // milliseconds without a move after which what takes longer follows too

/** @typedef {{ steps: number[], losses: (number | null)[] }} FilmData the model's own step is the last; losses: nats a token */

class Film {
  /**
   * @param {Page} page
   * @param {string} snapshots a line of Base64 for each stop but the last: little-endian float32, all parameters
   */
  constructor(page, snapshots) {
    this.page = page;
    /** @type {FilmData} */
    const { steps, losses } = page.data.film ?? { steps: [], losses: [] };
    this.steps = steps;
    this.losses = losses;
    this.at = this.last = Math.max(0, steps.length - 1);
    byId("film").hidden = this.last === 0;
    if (this.last === 0) return;
    this.lines = snapshots.trim().split("\n");
    this.own = page.model.weights.slice();
    this.guessing = Math.log(page.config.vocab_size);
    this.slider = /** @type {HTMLInputElement} */ (byId("step"));
    this.slider.max = String(this.last);
    this.curve = new Drawing(byId("film-curve"), (pen, width, height) => this.draw(pen, width, height));
    this.slider.addEventListener("input", () => {
      this.stop();
      this.go(Number(this.slider.value));
    });
    byId("play").addEventListener("click", () => (this.playing ? this.stop() : this.play()));
    this.describe();
  }

  /** The weights at a stop. @param {number} stop @returns {Float64Array} (num_params) */
  weights(stop) {
    if (stop === this.last) return this.own;
    const binary = atob(this.lines[stop]);
    const view = new DataView(new ArrayBuffer(binary.length));
    for (let i = 0; i < binary.length; i++) view.setUint8(i, binary.charCodeAt(i));
    const weights = new Float64Array(binary.length / 4);
    for (let i = 0; i < weights.length; i++) weights[i] = view.getFloat32(4 * i, true);
    return weights;
  }

  /** Show a stop in the next frame, however often this is called until then. @param {number} stop */
  go(stop) {
    this.at = stop;
    this.describe();
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.page.use(this.weights(this.at), true);
    });
    document.body.classList.add("moving");
    clearTimeout(this.rest);
    this.rest = setTimeout(async () => {
      document.body.classList.remove("moving");
      this.page.training.mark(this.steps[this.at]); // far down the page; the curve above the slider moves at once
      await this.page.update();
      this.page.samples.write({ aloud: false, again: true });
    }, REST);
    this.page.address.note();
  }

  /** The stop of this step, or the last one before it. @param {number} step */
  find(step) {
    return Math.max(0, this.steps.findLastIndex((at) => at <= step));
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
    const step = this.steps[this.at];
    const moment = `step ${grouped(step)} of ${grouped(this.steps[this.last])}`;
    this.slider.value = String(this.at);
    this.slider.setAttribute("aria-valuetext", moment);
    byId("moment").textContent = moment;
    byId("caption").textContent = this.caption(step, this.losses[this.at]);
    this.curve.redraw();
  }

  /** What a stop means, in a sentence or two. @param {number} step @param {number | null} loss @returns {string} */
  caption(step, loss) {
    const choices = this.page.config.vocab_size;
    if (step === 0) return `Nothing is learned yet: the weights are random, and each of ${choices} tokens is about as likely as any other.`;
    if (loss === null) return "These are the weights the model had then.";
    const as = Math.exp(loss);
    if (loss >= this.guessing) return `Loss ${loss.toFixed(2)}: still no better than picking one of ${choices} tokens blindly.`;
    return (
      `Loss ${loss.toFixed(2)}: as unsure of the next character as if it chose among ${as.toFixed(1)} equally likely ones; ` +
      `blindly, there are ${choices}.`
    );
  }

  /**
   * The loss at each stop, above the slider's own places.
   * @param {any} pen @param {number} width @param {number} height
   */
  draw(pen, width, height) {
    const known = /** @type {number[]} */ (this.losses.filter((loss) => loss !== null));
    if (!known.length) return;
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const x = (/** @type {number} */ stop) => 8 + ((width - 16) * stop) / this.last;
    const y = (/** @type {number} */ loss) => 6 + (height - 12) * (1 - (loss - low) / (high - low || 1));
    pen.strokeStyle = pen.fillStyle = pen.colour("accent");
    pen.lineWidth = 2;
    pen.beginPath();
    this.losses.forEach((loss, stop) => loss !== null && pen.lineTo(x(stop), y(loss)));
    pen.stroke();
    pen.strokeStyle = pen.colour("edge");
    line(pen, [x(this.at), 0], [x(this.at), height]);
    const loss = this.losses[this.at];
    if (loss !== null) disc(pen, x(this.at), y(loss), 4);
  }
}
