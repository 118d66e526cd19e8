// A pen that writes SVG: it has what the page's drawings use of a canvas's context, so that they draw either.

// what save() keeps, of a canvas's context and of this pen
const PEN_STATE = [
  "fillStyle", "strokeStyle", "lineWidth", "lineJoin", "globalAlpha", "font", "letterSpacing", "textAlign", "textBaseline", "direction",
  "imageSmoothingEnabled", "dashes", "matrix", "clipped",
];

/** @typedef {Record<string, number | string | undefined>} Attributes those that are undefined are not written */

class SvgPen {
  fillStyle = "#000";
  strokeStyle = "#000";
  lineWidth = 1;
  lineJoin = "miter";
  globalAlpha = 1;
  font = "400 10px sans-serif";
  letterSpacing = "0px";
  textAlign = "start";
  textBaseline = "alphabetic";
  direction = "ltr";
  imageSmoothingEnabled = true;
  /** @type {number[]} */
  dashes = [];
  matrix = [1, 0, 0, 1, 0, 0];
  clipped = ""; // the id of what clips

  /** @param {number} width @param {number} height in CSS pixels */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    /** @type {string[]} elements */
    this.parts = [];
    this.clips = 0;
    this.ruler = contextOf(element("canvas")); // measures texts
    /** @type {any[]} */
    this.saved = [];
    this.path = "";
  }

  /** The picture, as a document of its own. */
  toString() {
    const size = `width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${this.parts.join("\n")}\n</svg>\n`;
  }

  save() {
    this.saved.push(Object.fromEntries(PEN_STATE.map((name) => [name, /** @type {any} */ (this)[name]])));
  }

  restore() {
    Object.assign(this, this.saved.pop());
  }

  /** @param {number} a @param {number} b @param {number} c @param {number} d @param {number} e @param {number} f as of a canvas */
  transform(a, b, c, d, e, f) {
    const [A, B, C, D, E, F] = this.matrix;
    this.matrix = [A * a + C * b, B * a + D * b, A * c + C * d, B * c + D * d, A * e + C * f + E, B * e + D * f + F];
  }

  /** @param {number} x @param {number} y */
  translate(x, y) {
    this.transform(1, 0, 0, 1, x, y);
  }

  /** @param {number[]} dashes */
  setLineDash(dashes) {
    this.dashes = dashes;
  }

  /** @param {string} text */
  measureText(text) {
    const { font, letterSpacing, textAlign, textBaseline, direction } = this;
    Object.assign(this.ruler, { font, letterSpacing, textAlign, textBaseline, direction });
    return this.ruler.measureText(text);
  }

  // ---- Paths ---------------------------------------------------------------------------------------------------------

  beginPath() {
    this.path = "";
  }

  /** A place, moved as the pen is, so that equal pictures are equal texts wherever on the page they are. What mirrors is an attribute. @param {number} x @param {number} y */
  at(x, y) {
    const [, , , , dx, dy] = this.moved ? [] : this.matrix;
    return [short2(x + (dx ?? 0)), short2(y + (dy ?? 0))];
  }

  /** The `transform` of elements, where places alone do not say it. */
  get moved() {
    return this.matrix.slice(0, 4).join() === "1,0,0,1" ? undefined : `matrix(${this.matrix.map(short2).join(" ")})`;
  }

  /** @param {number} x @param {number} y */
  moveTo(x, y) {
    this.path += `M${this.at(x, y).join(" ")}`;
  }

  /** @param {number} x @param {number} y */
  lineTo(x, y) {
    this.path += `${this.path ? "L" : "M"}${this.at(x, y).join(" ")}`;
  }

  /** A whole circle. @param {number} x @param {number} y @param {number} radius */
  arc(x, y, radius) {
    const half = `a${short2(radius)} ${short2(radius)} 0 1 0`;
    this.moveTo(x - radius, y);
    this.path += `${half} ${short2(2 * radius)} 0${half} ${short2(-2 * radius)} 0Z`;
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  rect(x, y, width, height) {
    this.moveTo(x, y);
    this.path += `h${short2(width)}v${short2(height)}h${short2(-width)}Z`;
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height @param {number} radius */
  roundRect(x, y, width, height, radius) {
    const r = Math.min(radius, width / 2, height / 2);
    const corner = (/** @type {number} */ dx, /** @type {number} */ dy) => `a${short2(r)} ${short2(r)} 0 0 1 ${short2(dx * r)} ${short2(dy * r)}`;
    this.moveTo(x + r, y);
    this.path +=
      `h${short2(width - 2 * r)}${corner(1, 1)}v${short2(height - 2 * r)}${corner(-1, 1)}` +
      `h${short2(2 * r - width)}${corner(-1, -1)}v${short2(2 * r - height)}${corner(1, -1)}Z`;
  }

  fill() {
    this.put("path", { d: this.path, ...this.paint("fill", this.fillStyle) });
  }

  stroke() {
    this.put("path", { d: this.path, fill: "none", ...this.line() });
  }

  /** Only what is within the path is seen from now on, until restore(). The pen mirrors nothing then. */
  clip() {
    const id = `clip${++this.clips}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path}"/></clipPath>`);
    this.clipped = id;
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  fillRect(x, y, width, height) {
    const [left, top] = this.at(x, y);
    this.put("rect", { x: left, y: top, width, height, ...this.paint("fill", this.fillStyle) });
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  strokeRect(x, y, width, height) {
    this.beginPath();
    if (width && height) this.rect(x, y, width, height);
    else {
      this.moveTo(x, y);
      this.lineTo(x + width, y + height);
    }
    this.stroke();
  }

  // ---- Texts and images ------------------------------------------------------------------------------------------------

  /** @param {string} text @param {number} x @param {number} y */
  fillText(text, x, y) {
    this.text(text, x, y, this.paint("fill", this.fillStyle));
  }

  /** @param {string} text @param {number} x @param {number} y */
  strokeText(text, x, y) {
    this.text(text, x, y, { fill: "none", ...this.line() });
  }

  /** At its baseline and its left end, which every program that shows SVG understands. @param {string} text @param {number} x @param {number} y @param {Attributes} paint */
  text(text, x, y, paint) {
    const { textAlign, textBaseline } = this;
    const placed = this.measureText(text);
    Object.assign(this, { textAlign: "left", textBaseline: "alphabetic" });
    const plain = this.measureText(text);
    Object.assign(this, { textAlign, textBaseline });
    const [, style, weight, size, family] = /^(italic )?(\S+) ([\d.]+)px (.*)$/.exec(this.font) ?? [];
    const across = plain.actualBoundingBoxLeft - placed.actualBoundingBoxLeft;
    const [left, base] = this.at(x + across, y + plain.actualBoundingBoxAscent - placed.actualBoundingBoxAscent);
    const font = { "font-family": family, "font-size": size, "font-weight": weight, "font-style": style?.trim() };
    const spacing = this.letterSpacing === "0px" ? undefined : this.letterSpacing;
    const direction = this.direction === "rtl" ? { direction: "rtl", "text-anchor": "end" } : {};
    this.put("text", { x: left, y: base, ...font, "letter-spacing": spacing, ...direction, ...paint, "xml:space": "preserve" }, text);
  }

  /** @param {HTMLCanvasElement} canvas @param {number} x @param {number} y @param {number} width @param {number} height */
  drawImage(canvas, x, y, width, height) {
    const [left, top] = this.at(x, y);
    const rendering = this.imageSmoothingEnabled ? undefined : "image-rendering:pixelated";
    this.put("image", { x: left, y: top, width, height, preserveAspectRatio: "none", style: rendering, href: canvas.toDataURL(), opacity: seen(this.globalAlpha) });
  }

  // ---- Elements --------------------------------------------------------------------------------------------------------

  /** The attributes of a colour. @param {"fill" | "stroke"} kind @param {string} colour @returns {Attributes} */
  paint(kind, colour) {
    const [rgb, alpha] = channels(colour);
    return { [kind]: rgb, [`${kind}-opacity`]: seen(alpha * this.globalAlpha) };
  }

  /** The attributes of a line. @returns {Attributes} */
  line() {
    const dashes = this.dashes.length ? this.dashes.join(" ") : undefined;
    const join = this.lineJoin === "miter" ? undefined : this.lineJoin;
    return { ...this.paint("stroke", this.strokeStyle), "stroke-width": this.lineWidth, "stroke-dasharray": dashes, "stroke-linejoin": join };
  }

  /** @param {string} tag @param {Attributes} attributes @param {string} [text] */
  put(tag, attributes, text) {
    const written = Object.entries({ ...attributes, transform: this.moved })
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}="${escaped(typeof value === "number" ? short2(value) : String(value))}"`)
      .join("");
    const made = text === undefined ? `<${tag}${written}/>` : `<${tag}${written}>${escaped(text)}</${tag}>`;
    this.parts.push(this.clipped ? `<g clip-path="url(#${this.clipped})">${made}</g>` : made);
  }
}

/** To a hundredth of a pixel. @type {(number: number) => string} */
const short2 = (number) => String(Number(number.toFixed(2)));

/** An opacity; undefined for 1, which need not be written. @param {number} alpha */
const seen = (alpha) => (alpha === 1 ? undefined : Number(alpha.toFixed(4)));

/** A colour as CSS computes it -> [its rgb(), its alpha]. @param {string} colour @returns {[string, number]} */
function channels(colour) {
  const numbers = colour.match(/-?[\d.]+(e-?\d+)?/g)?.map(Number) ?? [];
  if (colour.startsWith("color(srgb")) numbers.splice(0, 3, ...numbers.slice(0, 3).map((share) => Math.round(255 * share)));
  if (!/^(rgba?|color)\(/.test(colour)) return [colour, 1];
  const [r, g, b, alpha = 1] = numbers;
  return [`rgb(${r},${g},${b})`, alpha];
}

/** Text as XML, without the characters that XML cannot have. @param {string} text */
const escaped = (text) =>
  String(text)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
