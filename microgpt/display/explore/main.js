// A model on the page: its sections, and their reactions to what is set on the desk.

const MANY_LAYERS = 6;

/**
 * What Python tells of a model, see _data() of __init__.py.
 * @typedef {object} PageData
 * @property {string} name
 * @property {string} version of microgpt
 * @property {Config} config
 * @property {[name: string, rows: number, columns: number][]} layout
 * @property {number} num_params
 * @property {number[]} characters their code points
 * @property {[name: string, value: Setting, description: string][]} configuration
 * @property {Losses | null} losses
 * @property {string[] | null} documents that it was trained on
 * @property {Record<string, any>} training the fields of TrainConfig
 * @property {FilmData | null} film
 */
/** A model, and its weights before, see Reel. @typedef {{ data: PageData, weights: Float64Array, snapshots: Element[] }} Given */

/**
 * What a model makes of a text. logits: of the next token; scores: the probability of each known character.
 * @typedef {Typed & { traces: Trace[], logits: Vector, scores: number[] }} Reading
 */

/**
 * Shows readings in a section of the page, what takes longer than a slice in slices. inMotion: whether another one follows at once; rests:
 * whether it waits for the last of them.
 * @typedef {{ show: (reading: Reading, inMotion?: boolean) => Promise<void> | void, section: Element, rests?: boolean }} View
 */

class Page {
  /**
   * letter: what it is called beside another, else empty; suffix: of the ids of its elements.
   * @param {Desk} desk
   * @param {Given} model
   * @param {string} letter
   * @param {string} suffix
   */
  constructor(desk, { data, weights, snapshots }, letter, suffix) {
    this.desk = desk;
    this.data = data;
    this.letter = letter;
    this.suffix = suffix;
    /** Resolves when the page shows what it shows first. @type {Promise<void> | undefined} */
    this.ready = undefined;
    this.config = data.config;
    this.alphabet = new Alphabet(data.characters, this.config.bos, this.config.opening);
    this.model = new Model(this.config, data.layout, weights);
    this.context = new Context(this.model);
    this.reel = new Reel(data.film, snapshots, weights);
    this.run = 0;
    /** How often the weights have changed. */
    this.weighed = 0;
    /** @type {View[]} */
    this.views = [];
    /** Whether some views have not shown all of the reading. */
    this.isLate = false;
  }

  /** One of its elements. @param {string} name */
  part(name) {
    return byId(name + this.suffix);
  }

  get temperature() {
    return this.desk.temperature;
  }

  get film() {
    return this.desk.film;
  }

  get address() {
    return this.desk.address;
  }

  /** @type {SamplesView} */
  samples;
  /** @type {ManyView} */
  many;
  /** @type {AttentionView} */
  attention;
  /** @type {NextView} */
  next;
  /** @type {Reading | undefined} */
  reading;

  /** shared: views that show one model at a time. @param {View[]} shared */
  start(shared) {
    this.samples = new SamplesView(this);
    this.many = new ManyView(this);
    this.attention = new AttentionView(this);
    this.next = new NextView(this);
    this.views = [this.next, this.attention, new EmbeddingsView(this), ...shared];
    if (!this.letter) this.arrange();
  }

  /** Where the heads of many layers make the first column long, fill the second with what is below both otherwise. */
  arrange() {
    if (this.config.n_layer <= MANY_LAYERS) return;
    const sections = [...document.querySelectorAll(".origin > section")]; // how it learned, and the configuration
    const [, second] = document.querySelectorAll(".group");
    second.append(sections[0]);
  }

  /** What the model reads of the text in the field. */
  read() {
    return this.alphabet.read(byId("text").value, this.config.block_size);
  }

  /**
   * Run the model on the text and show the results. inMotion: whether another one follows at once, so that views which take long, or
   * are far from the window, wait for the last.
   */
  async update(inMotion = false) {
    const run = ++this.run;
    const typed = this.read();
    this.address.note();
    this.desk.explain();
    this.samples.compare();
    if (!(await follow(this.context, typed.tokens, () => run === this.run))) return;
    const traces = [...this.context.traces]; // a copy: the context may already be reading another text when they are shown
    // character number block_size is scored too, though the model does not read it
    const scored = typed.ids.slice(0, this.config.block_size);
    const scores = scored.map((id, i) => probabilities(traces[i].logits)[id]);
    const reading = { ...typed, traces, logits: traces[traces.length - 1].logits, scores };
    this.reading = reading;
    this.isLate = inMotion;
    const pace = pacer();
    for (const view of this.views) {
      if (inMotion && (view.rests || !isNear(view.section))) continue;
      view.show(reading, inMotion);
      await pace();
      if (run !== this.run) return;
    }
  }

  /** Let all views show all of the reading. */
  async settle() {
    if (!this.isLate) return;
    this.isLate = false;
    await Promise.all(this.views.map((view) => view.show(/** @type {Reading} */ (this.reading))));
  }

  /** Compute with these weights from now on. inMotion: see update. @param {ArrayLike<number>} weights (num_params) */
  use(weights, inMotion = false) {
    this.model.weights.set(weights);
    this.context.rewind(0);
    this.samples.forget();
    this.weighed++;
    return this.update(inMotion);
  }

  /** What part of a text the model cannot read, as sentences; "" where it reads all. @param {Typed} typed */
  refusal({ unknown, ids }) {
    const { block_size } = this.config;
    const room = block_size - 1;
    const sentences = [];
    if (unknown.length) {
      const names = unknown.slice(0, 5).map(mention);
      const more = unknown.length > 5 ? ` and ${unknown.length - 5} others` : "";
      sentences.push(`The model does not know ${names.join(", ")}${more}; it knows ${this.alphabet.list(60)}.`);
    }
    if (ids.length > room) {
      const first = this.config.documents === "text" ? "what stands before" : "the beginning";
      const why = `block_size ${block_size}, one of them for ${first}`;
      sentences.push(
        `The model reads at most ${grouped(room)} characters (${why}); ` +
          `the text has ${grouped(ids.length)}${unknown.length ? " that it knows" : ""}.`,
      );
    }
    if (!sentences.length) return "";
    const read = this.alphabet.running(ids.slice(0, room)).join("");
    return [...sentences, `What you see is for ${read ? isolate(read) : "an empty text"}.`].join(" ");
  }

  /** How many characters it reads of a text, and of how many. @param {Typed} typed */
  room({ ids }) {
    return `${ids.length} of ${this.config.block_size - 1}`;
  }

  /** @param {string} text */
  set(text) {
    this.desk.set(text);
  }

  /** @param {string} text */
  append(text) {
    this.desk.append(text);
  }

  /** Follow the temperature. */
  heat() {
    this.samples.compare();
    if (this.reading) this.next.showBars();
  }

  /** Stop what goes on, before another model takes its place. */
  close() {
    this.run++;
    this.samples.run++;
    this.many.end();
  }
}

document.addEventListener("keydown", (event) => {
  const { tagName } = /** @type {Element} */ (event.target);
  if (event.key !== "/" || event.ctrlKey || event.metaKey || /CANVAS|TEXTAREA|INPUT/.test(tagName)) return;
  event.preventDefault();
  byId("text").focus();
});

// ---- Light and dark: as the system is set, until the user chooses --------------------------------------------------

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : systemDark.matches;
}

function showTheme() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
  repaint();
}

byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
systemDark.addEventListener("change", showTheme);
showTheme();

addEventListener("beforeprint", () => {
  atOnce(() => desk.settle());
  paintNow();
});

// ---- The data that Python inserted into the page -------------------------------------------------------------------

const models = SUFFIXES.filter((suffix) => byId(`data${suffix}`)).map((suffix) => ({
  data: JSON.parse(byId(`data${suffix}`).textContent),
  weights: doubles(byId(`weights${suffix}`)),
  snapshots: [...byId(`snapshots${suffix}`).children],
}));
const parts = () => [...document.querySelectorAll("#controls, main > :not(#train)")];
const fresh = parts().map((part) => part.cloneNode(true));
/** @type {Desk} */
let desk;
/** Of the first model. @type {Page} */
let page;
showModels(models);

/** @param {Given[]} models */
function showModels(models) {
  desk = new Desk(models);
  [page] = desk.pages;
  page.ready = desk.start();
}

/** Show another model: all but the trainer begins anew, in elements to which nothing listens yet. @param {PageData} data @param {Float64Array} weights */
function showModel(data, weights) {
  desk.close();
  parts().forEach((part, i) => part.replaceWith(fresh[i].cloneNode(true)));
  showModels([{ data, weights, snapshots: [] }]);
  byId("text").scrollIntoView({ block: "center" });
}

const trainer = new Trainer(models[0].data, showModel);
