// The next character: the text typed, and a bar for each character that may follow.

const OVERFLOW = "This model’s numbers overflow here: there are no probabilities.";

/** An item of the list, and its parts that change. @typedef {{ item: HTMLElement, button: HTMLElement, fill: HTMLElement, mark: HTMLElement, number: HTMLElement }} Row */

class NextView {
  /** The tokens shown but the first, and of which code points they are. @type {{ points: string | undefined, tokens: HTMLElement[] }} */
  read = { points: undefined, tokens: [] };

  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    /** @type {HTMLElement} */
    this.list = this.page.part("bars");
    this.section = sectionOf(this.list);
    /** By id. @type {Map<number, Row>} */
    this.rows = new Map();
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
    this.columns = 1;
    new ResizeObserver(() => this.fit()).observe(this.list);
  }

  /** @type {Reading} */
  reading;

  /** Show a reading, see Page.update. @param {Reading} reading */
  show(reading, inMotion = false) {
    this.reading = reading;
    this.showTokens();
    this.showBars(inMotion);
  }

  /** The characters read, each with the probability it had. With other weights only the numbers change. */
  showTokens() {
    const { points, scores } = this.reading;
    const { alphabet } = this.page;
    if (this.read.points !== String(points)) this.makeTokens();
    let known = 0; // how many of the characters so far
    this.read.tokens.forEach((token, i) => {
      const p = alphabet.ids.has(points[i]) ? scores[known++] : undefined;
      if (p === undefined) return;
      token.style.setProperty("--p", String(p));
      token.title = `${codePoint(points[i])}: the model gave it ${percent(p)}`;
      write(/** @type {Element} */ (token.lastElementChild), percent(p));
    });
  }

  makeTokens() {
    const { points, scores, direction } = this.reading;
    const { alphabet } = this.page;
    const { opening } = alphabet;
    let known = 0;
    /** @type {HTMLElement[]} */
    const tokens = points.map((point) => {
      const isRead = alphabet.ids.has(point) && known++ < scores.length;
      if (isRead) return element("span", { className: "token" }, glyph(symbol(point), point), element("small"));
      return element("span", { className: "token unread", title: `${codePoint(point)}: not read` }, glyph(symbol(point), point));
    });
    const sign = glyph(alphabet.symbol(opening), alphabet.points[opening]);
    const before = element("small", {}, opening === alphabet.bos ? "BOS" : "before");
    this.page.part("read").dir = direction;
    this.page.part("read").replaceChildren(element("span", { className: "token" }, sign, before), ...tokens);
    this.read = { points: String(points), tokens };
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
    write(this.page.part("full"), percent(full));
    rows.forEach(({ fill, mark, number, button }, i) => {
      const id = shown[i];
      fill.style.width = share(tempered[id], full);
      mark.style.width = share(own[id], full);
      write(number, percent(tempered[id]));
      number.classList.toggle("faint", tempered[id] < 0.0005);
      if (inMotion) return; // the name that is read aloud waits until it rests
      button.setAttribute(
        "aria-label",
        `${alphabet.name(id, true)}: ${percent(tempered[id])}, at temperature 1 ${percent(own[id])}`,
      );
    });
    this.place(rows.map(({ item }) => item), inMotion);
    this.showRest(ranked, tempered);
    this.summarise(ranked, tempered);
  }

  /**
   * Put the list items into this order, moving only those out of place; the focused item keeps the focus. While the weights change
   * from frame to frame they are only shown in this order, which takes the browser less time; they get into it when that ends.
   * @param {HTMLElement[]} items
   * @param {boolean} inMotion
   */
  place(items, inMotion) {
    const focused = this.list.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
    /** @type {Set<Element>} */
    const wanted = new Set(items);
    for (const item of [...this.list.children]) if (!wanted.has(item)) item.remove();
    items.forEach((item, i) => {
      item.style.order = inMotion ? String(i) : "";
      const there = this.list.children[i];
      if (inMotion ? !item.isConnected : there !== item) this.list.insertBefore(item, there ?? null);
    });
    this.fill();
    const stop = focused?.isConnected ? focused : this.list.querySelector("button");
    tabStop(this.list, stop);
    if (focused) /** @type {HTMLElement | null} */ (stop)?.focus();
  }

  /** Fill column after column. A grid does so where it knows the numbers of both, and takes less time than columns of text do. */
  fit() {
    const { columnWidth, columnGap } = getComputedStyle(this.list);
    const [least, gap] = [parseFloat(columnWidth), parseFloat(columnGap)];
    this.columns = Math.max(1, Math.floor((this.list.clientWidth + gap) / (least + gap)));
    this.list.style.setProperty("--columns", String(this.columns));
    this.fill();
  }

  fill() {
    this.list.style.setProperty("--rows", String(Math.ceil(this.list.children.length / this.columns)));
  }

  /** @param {number} id @returns {Row} */
  row(id) {
    const row = this.rows.get(id) ?? this.newRow(id);
    this.rows.set(id, row);
    return row;
  }

  /** @param {number} id */
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

  /** @param {number[]} ranked ids, the likeliest first @param {Vector} tempered probabilities */
  showRest(ranked, tempered) {
    const hidden = ranked.slice(this.most);
    const sum = hidden.reduce((total, id) => total + tempered[id], 0);
    this.page.part("more").hidden = !hidden.length;
    write(this.page.part("rest"), `and ${grouped(hidden.length)} more, together ${percent(sum)}`);
  }

  /** @param {number[]} ranked @param {Vector} tempered as for showRest */
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
