// The next character: the text typed, and a bar for each character that may follow.

const OVERFLOW = "This model’s numbers overflow here: there are no probabilities.";

class NextView {
  /** page: the Page of main.js. */
  constructor(page) {
    this.page = page;
    this.list = this.page.part("bars");
    this.rows = new Map(); // id -> {item: its <li>, and the parts that change}
    this.most = matchMedia("(max-width: 34rem)").matches ? 12 : 40;
    this.order = "probability";
    const radios = /** @type {NodeListOf<HTMLInputElement>} */ (document.getElementsByName(`order${page.suffix}`));
    for (const radio of radios) {
      radio.addEventListener("change", () => {
        this.order = radio.value;
        this.showBars();
      });
    }
    this.page.part("show-more").addEventListener("click", () => {
      this.most *= 4;
      this.showBars();
    });
    arrowKeys(this.list);
  }

  /** Show a reading, see Page.update. */
  show(reading, inMotion = false) {
    this.reading = reading;
    this.showTokens();
    this.showBars(inMotion);
  }

  showTokens() {
    const { points, scores, direction } = this.reading;
    const { alphabet } = this.page;
    let known = 0; // how many of the characters so far
    const { opening } = alphabet;
    const before = opening === alphabet.bos ? "BOS" : "before";
    const sign = glyph(alphabet.symbol(opening), alphabet.points[opening]);
    const beginning = element("span", { className: "token" }, sign, element("small", {}, before));
    this.page.part("read").dir = direction;
    this.page.part("read").replaceChildren(
      beginning,
      ...points.map((point) => {
        const token = element("span", { className: "token" }, glyph(symbol(point), point));
        const p = alphabet.ids.has(point) ? scores[known++] : undefined;
        if (p !== undefined) {
          token.style.setProperty("--p", p);
          token.append(element("small", {}, percent(p)));
          token.title = `${codePoint(point)}: the model gave it ${percent(p)}`;
        } else {
          token.classList.add("unread");
          token.title = `${codePoint(point)}: not read`;
        }
        return token;
      }),
    );
  }

  showBars(inMotion = false) {
    const { alphabet, config, temperature } = this.page;
    const { logits } = this.reading;
    const own = choices(logits, 1, config);
    const tempered = choices(logits, temperature, config);
    const ends = config.documents !== "text";
    const written = Array.from(own.keys()).filter((id) => ends || id !== alphabet.bos);
    const ranked = written.sort((a, b) => tempered[b] - tempered[a] || own[b] - own[a] || a - b);
    const shown = ranked.slice(0, this.most);
    if (this.order === "id") shown.sort((a, b) => a - b);
    const rows = shown.map((id) => this.row(id));
    // the largest of them fills its track: bars are there to be compared, and the numbers say how much each is
    const full = shown.reduce((largest, id) => Math.max(largest, tempered[id] || 0, own[id] || 0), 0) || 1;
    this.page.part("full").textContent = percent(full);
    rows.forEach(({ fill, mark, number, button }, i) => {
      const id = shown[i];
      fill.style.transform = `scaleX(${(tempered[id] || 0) / full})`;
      mark.style.transform = `scaleX(${(own[id] || 0) / full})`;
      const share = percent(tempered[id]);
      if (number.textContent !== share) number.textContent = share;
      number.classList.toggle("faint", tempered[id] < 0.0005);
      if (inMotion) return; // the name that is read aloud waits until it rests
      button.setAttribute(
        "aria-label",
        `${alphabet.name(id, true)}: ${percent(tempered[id])}, at temperature 1 ${percent(own[id])}`,
      );
    });
    this.place(rows.map(({ item }) => item));
    this.showRest(ranked, tempered);
    this.summarise(ranked, tempered);
  }

  /** Put the list items into this order, moving only those out of place; the focused item keeps the focus. */
  place(items) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    items.forEach((item, i) => {
      const there = this.list.children[i];
      if (there !== item) this.list.insertBefore(item, there ?? null);
    });
    while (this.list.children.length > items.length) this.list.lastChild.remove();
    const stop = focused?.isConnected ? focused : this.list.querySelector("button");
    tabStop(this.list, stop);
    if (focused) stop.focus();
  }

  row(id) {
    if (!this.rows.has(id)) this.rows.set(id, this.newRow(id));
    return this.rows.get(id);
  }

  newRow(id) {
    const { alphabet } = this.page;
    const isEnd = id === alphabet.bos;
    const [fill, mark, number] = [element("i"), element("b"), element("span", { className: "percent" })];
    const label = isEnd
      ? element("span", { className: "glyph bos", title: "the text ends" }, "end")
      : glyph(alphabet.symbol(id), alphabet.points[id]);
    const track = element("span", { className: "track" }, fill, mark);
    const button = element("button", { type: "button", className: "bar" }, label, track, number);
    if (!isEnd) button.addEventListener("click", () => this.page.append(alphabet.text(id)));
    return { item: element("li", {}, button), button, fill, mark, number };
  }

  showRest(ranked, tempered) {
    const hidden = ranked.slice(this.most);
    const sum = hidden.reduce((total, id) => total + tempered[id], 0);
    this.page.part("more").hidden = !hidden.length;
    this.page.part("rest").textContent = `and ${grouped(hidden.length)} more, together ${percent(sum)}`;
  }

  summarise(ranked, tempered) {
    const { alphabet } = this.page;
    const entropy = tempered.reduce((sum, p) => (p === 0 ? sum : sum - p * Math.log(p)), 0);
    const parts = ranked
      .slice(0, 3)
      .flatMap((id, i) => [
        i ? ", " : "Likeliest: ",
        glyph(alphabet.name(id, true), alphabet.points[id]),
        ` ${percent(tempered[id])}`,
      ]);
    const finite = Number.isFinite(entropy);
    const last = finite ? `It hesitates between about ${Math.exp(entropy).toFixed(1)} characters.` : OVERFLOW;
    this.page.part("likeliest").replaceChildren(...parts, ". ", last);
    this.page.desk.speak();
  }
}
