// Elements of the page. Text may contain anything, so it is always inserted as text, never as HTML.

const byId = (id) => document.getElementById(id);

/** A new element with these properties or attributes, CSS properties (`style`) and children (elements or strings). */
function element(tag, { style = {}, ...properties } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries(style)) made.style.setProperty(name, value);
  made.append(...children);
  return made;
}

/** A character within text: its symbol, with its code point as a tooltip. point: null for BOS. */
function glyph(text, point) {
  const kind = point === null ? " bos" : isCode(text) ? " code" : "";
  return element("span", { className: `glyph${kind}`, title: point === null ? "BOS" : codePoint(point) }, text);
}

/** Whether a symbol is a code point, see symbol() of alphabet.js. */
const isCode = (shown) => /^[0-9A-F]{4,6}$/.test(shown);

function percent(p) {
  if (Number.isNaN(p)) return "–";
  if (p > 0 && p < 0.0005) return "<0.1%";
  return `${(100 * p).toFixed(1)}%`;
}

const grouped = (number) => number.toLocaleString("en");

/** Let the browser save a file. @param {string} name @param {BlobPart} content @param {string} type */
function saveFile(name, content, type) {
  const href = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // it is read after the click
}

/** Announce a text to screen readers, once no other has followed for half a second. */
function speak(text) {
  clearTimeout(speak.timer);
  speak.timer = setTimeout(() => (byId("spoken").textContent = text), 500);
}

/** Let arrow keys move the focus among the buttons of a container, which is a single tab stop. across: buttons a line. */
function arrowKeys(container, across = 1) {
  container.addEventListener("keydown", (event) => {
    const buttons = [...container.querySelectorAll("button")];
    const at = buttons.indexOf(event.target.closest("button"));
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

/** Set the tab stop of a container whose buttons have changed. */
function tabStop(container, chosen = container.querySelector("button")) {
  for (const button of container.querySelectorAll("button")) button.tabIndex = button === chosen ? 0 : -1;
}
