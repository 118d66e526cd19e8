// The desk: what is set for every model that the page shows, one or two beside each other. The text, the temperature, the step of the
// training, and what all of them have in common below.

const LETTERS = ["A", "B"];
const SUFFIXES = ["", "-b"]; // of the ids of a model's elements

class Desk {
  /** @type {TrainingView} */
  training;
  /** @type {Address} */
  address;
  /** @type {Film} */
  film;
  /** @type {FlowView} */
  flow;

  /** @param {Given[]} models */
  constructor(models) {
    this.isPair = models.length > 1;
    document.querySelector("main")?.classList.toggle("pair", this.isPair);
    if (this.isPair) double(SUFFIXES[1]);
    const pictures = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("main section[data-picture]"));
    for (const section of pictures) offerPicture(section, headingOf(section), () => this.settle());
    for (const section of document.querySelectorAll("main section")) watch(SECTIONS, section);
    this.temperature = Number(byId("temperature").value);
    /** @type {Page[]} */
    this.pages = models.map((model, i) => new Page(this, model, this.isPair ? LETTERS[i] : "", SUFFIXES[i]));
  }

  async start() {
    const { pages } = this;
    this.title();
    await turn(); // what there is so far can be seen
    showConfiguration(pages);
    this.training = new TrainingView(pages);
    this.flow = new FlowView(pages);
    const shared = [this.flow, new UnitsView(pages)];
    await turn();
    this.address = new Address(this);
    this.film = new Film(this);
    for (const page of pages) {
      page.start(shared);
      await turn();
    }
    this.listen();
    const isAsked = this.address.restore();
    this.address.isQuiet = !isAsked;
    this.heat();
    await this.update();
    if (isAsked) await this.write({ aloud: false });
    else void open(this);
  }

  /** Say which models these are, and how large. */
  title() {
    const marked = (/** @type {(page: Page) => string} */ text) => this.pages.map((page) => `${page.letter} ${text(page)}`.trim());
    const names = marked(({ data }) => data.name);
    document.title = names.some(Boolean) ? `${names.join(" · ")} · microgpt` : "microgpt";
    byId("name").textContent = names.join(" · ");
    byId("size").replaceChildren(...marked(sizeOf).map((size) => element("span", {}, size)));
  }

  /** Show what the models make of the text, see Page.update. */
  async update(inMotion = false) {
    await Promise.all(this.pages.map((page) => page.update(inMotion)));
  }

  /** Show all that waits while the weights change, because it is to be kept. */
  async settle() {
    if (this.film.isMoving) this.training.mark(this.film.step);
    await Promise.all(this.pages.map((page) => page.settle()));
  }

  /** Write samples, see SamplesView.write. @param {{ aloud?: boolean, again?: boolean }} how */
  async write(how = {}) {
    await Promise.all(this.pages.map((page) => page.samples.write(how)));
  }

  /** Tell the user what part of the text a model cannot read, and how long the text may be. */
  explain() {
    const told = this.pages.map((page) => [page.letter, page.refusal(page.read())]).filter(([, refusal]) => refusal);
    write(byId("message"), told.map(([letter, refusal]) => (letter ? `${letter}: ${refusal}` : refusal)).join(" "));
    byId("message").hidden = !told.length;
    write(byId("room"), this.pages.map((page) => `${page.letter} ${page.room(page.read())}`.trim()).join(" · "));
  }

  /** Say to screen readers what the models expect. */
  speak() {
    const likeliest = this.pages.map((page) => `${page.letter} ${page.part("likeliest").textContent}`.trim());
    speak(`${byId("message").textContent} ${likeliest.join(" ")}`);
  }

  /** Put a text into the field and show the results. @param {string} text */
  set(text) {
    byId("text").value = text;
    this.update();
    if (byId("text").value === text) return;
    byId("message").hidden = false;
    byId("message").textContent =
      "A text field cannot hold this text as it is; what is shown is for what the field made of it.";
  }

  /** @param {string} text */
  append(text) {
    this.set(byId("text").value + text);
  }

  heat() {
    this.temperature = Number(byId("temperature").value);
    const degree = this.temperature === 0 ? "0, always the likeliest" : this.temperature.toFixed(2);
    byId("degree").textContent = degree;
    byId("temperature").setAttribute("aria-valuetext", degree);
    this.address.note();
    for (const page of this.pages) page.heat();
  }

  listen() {
    const text = byId("text");
    const writesLines = this.pages.some(({ alphabet }) => alphabet.ids.has(0x0a));
    for (const page of this.pages) page.part("shortcut").textContent = writesLines ? "Ctrl+Enter in the field" : "or Enter in the field";
    text.addEventListener("input", (/** @type {InputEvent} */ event) => event.isComposing || this.update());
    text.addEventListener("compositionend", () => this.update());
    text.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || event.isComposing || (writesLines && !event.ctrlKey)) return;
      event.preventDefault();
      this.write();
    });
    byId("temperature").addEventListener("input", () => this.heat());
    byId("controls").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  }

  /** Stop what goes on, before other models take their place. */
  close() {
    this.film.stop();
    this.address.close();
    for (const page of this.pages) page.close();
  }
}

/** @param {Page} page */
function sizeOf({ data, config }) {
  const count = (/** @type {number} */ n, /** @type {string} */ noun) => `${grouped(n)} ${noun}${n === 1 ? "" : "s"}`;
  return [
    count(data.num_params, "parameter"),
    count(config.n_layer, "layer"),
    count(config.n_head, "head"),
    count(config.vocab_size - 1, "character"),
  ].join(" · ");
}

/** Put a copy of each section that shows one model after it; the copies' ids have the suffix. @param {string} suffix */
function double(suffix) {
  for (const section of document.querySelectorAll(".group:not(.origin) > section")) {
    const copy = /** @type {Element} */ (section.cloneNode(true));
    for (const part of [copy, ...copy.querySelectorAll("*")]) {
      for (const name of ["id", "name", "aria-labelledby", "aria-describedby"]) {
        const ids = part.getAttribute(name)?.split(" ");
        if (ids) part.setAttribute(name, ids.map((id) => id + suffix).join(" "));
      }
    }
    section.after(copy);
    for (const [i, one] of [section, copy].entries()) headingOf(one).append(" ", badge(LETTERS[i]));
  }
}

/** The section that an element is in. @param {Element} part */
const sectionOf = (part) => /** @type {Element} */ (part.closest("section"));

/** @param {Element} section */
const headingOf = (section) => /** @type {HTMLElement} */ (section.querySelector("h2"));

/** Let a fieldset of radio buttons choose one of two models; without a second it stays hidden. @param {string} name @param {Page[]} pages @param {(page: Page) => void} act */
function chooseModel(name, pages, act) {
  byId(name).hidden = pages.length === 1;
  for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (document.getElementsByName(name))) {
    radio.addEventListener("change", () => act(pages[LETTERS.indexOf(radio.value)]));
  }
}

/** The letter of a model, in its colour. @param {string} letter */
const badge = (letter) => element("span", { className: `badge ${hue(letter)}` }, letter);

/** The colour of a model's line in a picture: its name in page.css. @param {string} letter */
const hue = (letter) => (letter === LETTERS[1] ? "second" : "accent");
