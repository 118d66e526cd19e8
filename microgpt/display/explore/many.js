// A hundred thousand texts: which come often, and how many are new, that is, none of the documents of the training.

const MANY = 100_000;

class ManyView {
  /** @type {Worker | undefined} */
  worker;
  /** Of what is written, in words and elements. @type {(Node | string)[]} */
  circumstances = [];

  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.part("many-write").addEventListener("click", () => (this.worker ? this.end() : this.begin()));
    arrowKeys(this.part("many"));
    this.label();
  }

  /** @param {string} name */
  part(name) {
    return this.page.part(name);
  }

  begin() {
    const { page } = this;
    const { alphabet, config, temperature, reel } = page;
    const { documents, layout } = page.data;
    const prompt = page.read().tokens;
    const moment = reel.isOwn ? [] : [` in step ${grouped(reel.steps[reel.at])}`];
    this.circumstances = ["after ", page.samples.named(prompt), ` at temperature ${temperature.toFixed(2)}`, ...moment];
    this.worker = startWorker();
    this.worker.onmessage = ({ data: { counted } }) => this.show(counted);
    this.worker.onerror = (error) => {
      this.end();
      this.part("many-told").textContent = `Writing failed: ${error.message}`;
    };
    const count = { config, layout, weights: page.model.weights, points: alphabet.points, documents, prompt, temperature };
    this.worker.postMessage({ count: { ...count, total: MANY, seed: Math.floor(Math.random() * 2 ** 32) } });
    this.label();
  }

  /** Stop writing; what is shown stays. */
  end() {
    this.worker?.terminate();
    this.worker = undefined;
    this.label();
  }

  label() {
    this.part("many-write").textContent = this.worker ? "Stop" : `Write ${grouped(MANY)}`;
  }

  /** @param {Counted} counted */
  show({ written, characters, time, different, known, found, frequent }) {
    const { documents } = this.page.data;
    const share = known === null || !documents ? "" : `; ${percent(known / written)} are in the training data, and ${percent(found / documents.length)} of that came up`;
    const speed = `${((1000 * characters) / time / 1e6).toPrecision(2)} million characters a second`;
    this.part("many-told").replaceChildren(`${grouped(written)} `, ...this.circumstances, `: ${grouped(different)} different${share}; ${speed}.`);
    this.part("many-keys").hidden = known === null;
    const most = frequent[0][1];
    this.part("many").replaceChildren(...frequent.map((one) => element("li", {}, this.row(...one, most))));
    tabStop(this.part("many"));
    if (written < MANY) return;
    this.end();
    speak(this.part("many-told").textContent);
  }

  /** @param {string} text @param {number} times @param {boolean} isKnown @param {number} most */
  row(text, times, isKnown, most) {
    const { alphabet, data } = this.page;
    const shown = alphabet.running(alphabet.read(text, Infinity).ids).join("");
    const bar = element("i", { className: isKnown || !data.documents ? "" : "new", style: { width: share(times, most) } });
    const kind = !data.documents ? "" : isKnown ? ", in the training data" : ", new";
    const button = element(
      "button",
      { type: "button", className: "many", "aria-label": `${shown || "empty text"}: ${grouped(times)} times${kind}` },
      element("bdi", {}, shown || "⊣"),
      element("span", { className: "track" }, bar),
      element("span", { className: "percent" }, grouped(times)),
    );
    button.addEventListener("click", () => this.page.set(text));
    return button;
  }
}

/** A new Web Worker, see worker.js. */
function startWorker() {
  const source = URL.createObjectURL(new Blob([byId("worker").textContent], { type: "text/javascript" }));
  const worker = new Worker(source);
  URL.revokeObjectURL(source);
  return worker;
}
