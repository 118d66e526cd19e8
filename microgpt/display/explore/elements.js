// Elements of the page. Text may contain anything, so it is always inserted as text, never as HTML.

/** The element of this id, of whatever kind. @type {(id: string) => any} */
const byId = (id) => document.getElementById(id);

/**
 * A new element with these properties or attributes, CSS properties (`style`) and children (elements or strings).
 * @param {string} tag
 * @param {Record<string, any>} properties
 * @param {...(Node | string)} children
 * @returns {any}
 */
function element(tag, { style = {}, ...properties } = {}, ...children) {
  const made = /** @type {any} */ (document.createElement(tag)); // whose properties depend on the tag
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries(style)) made.style.setProperty(name, value);
  made.append(...children);
  return made;
}

/** Let an element say a text. A new text costs the browser less in the old text's node. @param {Element} shown @param {string} text */
function write(shown, text) {
  if (shown.textContent === text) return;
  if (shown.firstChild instanceof Text) shown.firstChild.data = text;
  else shown.textContent = text;
}

/** A character within text: its symbol, with its code point as a tooltip. @param {string} text @param {CodePoint} point @returns {HTMLElement} */
function glyph(text, point) {
  const kind = point === null ? " bos" : isCode(text) ? " code" : "";
  return element("span", { className: `glyph${kind}`, title: point === null ? "BOS" : codePoint(point) }, text);
}

/** Whether a symbol is a code point, see symbol() of alphabet.js. @param {string} shown */
const isCode = (shown) => /^[0-9A-F]{4,6}$/.test(shown);

/** A probability as the page writes it. @param {number} p */
function percent(p) {
  if (Number.isNaN(p)) return "–";
  if (p > 0 && p < 0.0005) return "<0.1%";
  return `${(100 * p).toFixed(1)}%`;
}

/** A part of a whole as a width. A transform would cost the browser a layer, and more digits a new layout. @type {(part: number, whole: number) => string} */
const share = (part, whole) => `${((100 * part) / whole || 0).toFixed(2)}%`;

/** A whole number as the page writes it. The browser's own toLocaleString takes 50 ms when it is first used. @param {number} number */
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");

/** Let the browser save a file. @param {string} name @param {BlobPart} content @param {string} type */
function saveFile(name, content, type) {
  const href = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // it is read after the click
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let speaking;

/** Announce a text to screen readers, once no other has followed for half a second. @param {string} text */
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (byId("spoken").textContent = text), 500);
}

/** Let arrow keys move the focus among the buttons of a container, which is a single tab stop. @param {HTMLElement} container @param {number} across buttons a line */
function arrowKeys(container, across = 1) {
  container.addEventListener("keydown", (event) => {
    const buttons = [...container.querySelectorAll("button")];
    const at = buttons.findIndex((button) => button.contains(/** @type {Node} */ (event.target)));
    /** @type {Record<string, number>} */
    const steps = {
      ArrowDown: at + across,
      ArrowRight: at + 1,
      ArrowUp: at - across,
      ArrowLeft: at - 1,
      Home: 0,
      End: buttons.length - 1,
    };
    const next = buttons[steps[event.key]];
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    next?.focus();
  });
  container.addEventListener("focusin", (event) => {
    for (const button of container.querySelectorAll("button")) button.tabIndex = button === event.target ? 0 : -1;
  });
}

/** Set the tab stop of a container whose buttons have changed. @param {Element} container @param {Element | null} chosen */
function tabStop(container, chosen = container.querySelector("button")) {
  for (const button of container.querySelectorAll("button")) {
    const index = button === chosen ? 0 : -1;
    if (button.getAttribute("tabindex") !== String(index)) button.tabIndex = index;
  }
}
