// The page's address: its fragment says what is shown, so that a link or a reload shows it again.

const NOTE_DELAY = 300; // milliseconds without a change after which it is noted; browsers allow few changes a second

class Address {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    this.isQuiet = false; // while nobody has done anything yet
    this.onChange = () => {
      this.restore();
      desk.heat();
      desk.update();
    };
    addEventListener("hashchange", this.onChange);
  }

  /** Another page takes its place. */
  close() {
    removeEventListener("hashchange", this.onChange);
    clearTimeout(this.timer);
  }

  /** Set what the fragment says. @returns {boolean} whether it says anything */
  restore() {
    const { pages, film, flow } = this.desk;
    const found = new URLSearchParams(location.hash.slice(1));
    const number = (/** @type {string} */ name) => (found.has(name) ? Number(found.get(name)) : NaN);
    if (found.has("text")) byId("text").value = found.get("text");
    if (number("temperature") >= 0) byId("temperature").value = String(number("temperature"));
    for (const { suffix, config, attention } of pages) {
      const [layer, head] = [number(`layer${suffix}`), number(`head${suffix}`)];
      const { n_layer, n_head } = config;
      if (layer >= 0 && layer < n_layer && head >= 0 && head < n_head && Number.isInteger(layer + head)) attention.choose(layer, head);
    }
    flow.restore(found);
    if (number("step") >= 0 && film.last) film.go(film.find(number("step")));
    return [...found.keys()].length > 0;
  }

  /** Note what is shown, once no other change has followed for a while. */
  note() {
    if (this.isQuiet || location.protocol === "about:") return; // a frame in a notebook has no address of its own
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { film, flow, pages } = this.desk;
      /** @type {Record<string, any>} */
      const shown = { text: byId("text").value, temperature: byId("temperature").value };
      for (const { suffix, attention } of pages) {
        if (!attention.layer && !attention.head) continue;
        Object.assign(shown, { [`layer${suffix}`]: attention.layer, [`head${suffix}`]: attention.head });
      }
      Object.assign(shown, flow.noted());
      if (film.at < film.last) shown.step = film.steps[film.at];
      history.replaceState(null, "", `#${new URLSearchParams(shown)}`);
    }, NOTE_DELAY);
  }
}
