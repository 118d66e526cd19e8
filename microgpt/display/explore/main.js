// The page: what its sections share, and its reactions to typing.

const MANY_LAYERS = 6;

class Page {
  constructor(data, weights, snapshots) {
    this.data = data;
    this.config = data.config;
    this.alphabet = new Alphabet(data.characters, this.config.bos, this.config.opening);
    this.model = new Model(this.config, data.layout, weights);
    this.context = new Context(this.model);
    this.temperature = Number(byId("temperature").value);
    this.run = 0;
    this.views = [];
    this.snapshots = snapshots; // see Film
  }

  start() {
    const { name, num_params } = this.data;
    const { n_layer, n_head, vocab_size } = this.config;
    const count = (n, noun) => `${grouped(n)} ${noun}${n === 1 ? "" : "s"}`;
    document.title = name ? `${name} · microgpt` : "microgpt";
    byId("name").textContent = name;
    byId("size").textContent = [
      count(num_params, "parameter"),
      count(n_layer, "layer"),
      count(n_head, "head"),
      count(vocab_size - 1, "character"),
    ].join(" · ");
    showConfiguration(this);
    this.samples = new SamplesView(this);
    this.many = new ManyView(this);
    this.attention = new AttentionView(this);
    this.views = [new NextView(this), this.attention, new EmbeddingsView(this), new FlowView(this)];
    this.training = new TrainingView(this);
    this.address = new Address(this);
    this.film = new Film(this, this.snapshots);
    this.arrange();
    this.listen();
    const isAsked = this.address.restore();
    this.address.isQuiet = !isAsked;
    this.heat();
    if (!isAsked) return this.update().then(() => void open(this));
    return this.update().then(() => this.samples.write({ aloud: false }));
  }

  /** Where the heads of many layers make the first column long, fill the second with what is below both otherwise. */
  arrange() {
    if (this.config.n_layer <= MANY_LAYERS) return;
    const sections = [...document.querySelectorAll(".origin > section")]; // how it learned, and the configuration
    const [, second] = document.querySelectorAll(".group");
    second.append(sections[0]);
  }

  /** Alphabet.read of the text in the field. */
  read() {
    return this.alphabet.read(byId("text").value, this.config.block_size);
  }

  /**
   * Run the model on the text and show the results. this.reading: that of read(), with `logits`, those of the next
   * token, `scores`, the probability of each known character, and `traces`, the model's Trace of each position.
   * inMotion: whether another one follows at once, so that views which take long may wait for the last.
   */
  async update(inMotion = false) {
    const run = ++this.run;
    const reading = this.read();
    this.address.note();
    this.explain(reading);
    this.samples.compare();
    if (!(await follow(this.context, reading.tokens, () => run === this.run))) return;
    reading.traces = [...this.context.traces]; // a copy: the context may already be reading another text when they are shown
    reading.logits = reading.traces.at(-1).logits;
    // character number block_size is scored too, though the model does not read it
    const scored = reading.ids.slice(0, this.config.block_size);
    reading.scores = scored.map((id, i) => probabilities(reading.traces[i].logits)[id]);
    this.reading = reading;
    const pace = pacer();
    for (const view of this.views) {
      view.show(reading, inMotion);
      await pace();
      if (run !== this.run) return;
    }
  }

  /** Compute with these weights from now on, (num_params). inMotion: see update. */
  use(weights, inMotion = false) {
    this.model.weights.set(weights);
    this.context.rewind(0);
    this.samples.forget();
    for (const view of this.views) view.reweigh?.();
    return this.update(inMotion);
  }

  /** Tell the user what part of the text the model cannot read, and how long the text may be. */
  explain({ unknown, ids }) {
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
    if (sentences.length) {
      const read = this.alphabet.running(ids.slice(0, room)).join("");
      sentences.push(`What you see is for ${read ? isolate(read) : "an empty text"}.`);
    }
    byId("message").textContent = sentences.join(" ");
    byId("message").hidden = !sentences.length;
    byId("room").textContent = `${ids.length} of ${room}`;
  }

  /** Put a text into the field and show the results. */
  set(text) {
    byId("text").value = text;
    this.update();
    if (byId("text").value === text) return;
    byId("message").hidden = false;
    byId("message").textContent =
      "A text field cannot hold this text as it is; what is shown is for what the field made of it.";
  }

  append(text) {
    this.set(byId("text").value + text);
  }

  heat() {
    this.temperature = Number(byId("temperature").value);
    const degree = this.temperature === 0 ? "0, always the likeliest" : this.temperature.toFixed(2);
    byId("degree").textContent = degree;
    byId("temperature").setAttribute("aria-valuetext", degree);
    this.samples.compare();
    this.address.note();
    if (this.reading) this.views[0].showBars();
  }

  listen() {
    const text = byId("text");
    const writesLines = this.alphabet.ids.has(0x0a);
    byId("shortcut").textContent = writesLines ? "Ctrl+Enter in the field" : "or Enter in the field";
    text.addEventListener("input", (event) => event.isComposing || this.update());
    text.addEventListener("compositionend", () => this.update());
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || (writesLines && !event.ctrlKey)) return;
      event.preventDefault();
      this.samples.write();
    });
    byId("temperature").addEventListener("input", () => this.heat());
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
  }

  /** Stop what goes on, before another model's page takes its place. */
  close() {
    this.run++;
    this.samples.run++;
    this.many.end();
    this.film.stop();
    this.address.close();
  }
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || /CANVAS|TEXTAREA|INPUT/.test(event.target.tagName)) return;
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

// ---- The data that Python inserted into the page -------------------------------------------------------------------

/** Base64 of little-endian doubles -> Float64Array. */
function decode(base64) {
  const binary = atob(base64);
  const view = new DataView(new ArrayBuffer(binary.length));
  for (let i = 0; i < binary.length; i++) view.setUint8(i, binary.charCodeAt(i));
  const numbers = new Float64Array(binary.length / 8);
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat64(8 * i, true);
  return numbers;
}

const data = JSON.parse(byId("data").textContent);
let page = new Page(data, decode(byId("weights").textContent), byId("snapshots").textContent);
const parts = () => [...document.querySelectorAll("#controls, main > :not(#train)")];
const fresh = parts().map((part) => part.cloneNode(true));
page.ready = page.start();

/** Show another model: all but the trainer begins anew, in elements to which nothing listens yet. */
function showModel(data, weights) {
  page.close();
  parts().forEach((part, i) => part.replaceWith(fresh[i].cloneNode(true)));
  page = new Page(data, weights, "");
  page.ready = page.start();
  byId("text").scrollIntoView({ block: "center" });
}

const trainer = new Trainer(data, showModel);
