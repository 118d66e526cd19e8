// Pictures: what a part of the page shows, saved as SVG or PNG. The same code draws both, with a pen for each: drawings as they are drawn
// on the page, elements by their boxes and their texts, in the colours they have now.

const FRAME_WIDTH = 16; // around a picture, in CSS pixels
const PNG_SCALE = 2; // pixels a CSS pixel
const LONGEST_SIDE = 16_000; // of a PNG, in pixels: browsers draw no canvas that is much longer
const SHADES = 20; // of a scale

/**
 * Let the user save what an element shows. Buttons are put after its heading; settle: makes it show all of what it is to show.
 * @param {HTMLElement} shown
 * @param {HTMLElement} heading
 * @param {() => Promise<void>} [settle]
 */
function offerPicture(shown, heading, settle = async () => {}) {
  const title = () => heading.textContent.trim();
  const button = (/** @type {string} */ kind, /** @type {() => any} */ save) => {
    const made = element("button", { type: "button", "aria-label": `Save as ${kind}: ${title()}`, title: `Save this picture as ${kind}` }, kind);
    made.addEventListener("click", async () => {
      await settle();
      save();
    });
    return made;
  };
  const name = () => `${document.title} ${title()}`.toLowerCase().match(/[\p{L}\p{N}]+/gu)?.join("-");
  const buttons = element(
    "div",
    { className: "save" },
    button("SVG", () => saveFile(`${name()}.svg`, svgOf(shown), "image/svg+xml")),
    button("PNG", async () => saveFile(`${name()}.png`, await pngOf(shown), "image/png")),
  );
  arrowKeys(buttons);
  tabStop(buttons);
  const row = element("div", { className: "heading" });
  heading.replaceWith(row);
  row.append(heading, buttons);
}

/** @param {HTMLElement} shown @returns {string} */
function svgOf(shown) {
  return drawn(shown, (width, height) => new SvgPen(width, height)).toString();
}

/** @param {HTMLElement} shown @returns {Promise<Blob>} */
function pngOf(shown) {
  const { canvas } = drawn(shown, (width, height) => {
    const scale = Math.min(PNG_SCALE, LONGEST_SIDE / Math.max(width, height));
    const pen = element("canvas", { width: Math.round(scale * width), height: Math.round(scale * height) }).getContext("2d");
    pen.scale(scale, scale);
    return pen;
  });
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/**
 * A pen that has drawn an element, without what serves to operate the page: see `.saving` in page.css.
 * @param {HTMLElement} shown
 * @param {(width: number, height: number) => any} newPen in CSS pixels
 */
function drawn(shown, newPen) {
  shown.classList.add("saving");
  try {
    const { left, top, width, height } = shown.getBoundingClientRect();
    const [across, down] = [width, height].map((length) => Math.ceil(length) + 2 * FRAME_WIDTH);
    const pen = newPen(across, down);
    pen.fillStyle = colour("paper");
    pen.fillRect(0, 0, across, down);
    pen.translate(FRAME_WIDTH - left, FRAME_WIDTH - top);
    drawElement(pen, shown);
    return pen;
  } finally {
    shown.classList.remove("saving");
  }
}

/** Draw an element and all in it, where it is in the window. @param {any} pen @param {Element} shown */
function drawElement(pen, shown) {
  if (!shown.checkVisibility() || shown.matches(".hidden")) return;
  const style = getComputedStyle(shown);
  pen.globalAlpha = Number(style.opacity);
  drawBox(pen, shown.getBoundingClientRect(), style);
  if (shown.matches(".scale")) drawScale(pen, shown.getBoundingClientRect());
  pen.globalAlpha = 1;
  if (shown instanceof HTMLCanvasElement) return drawCanvas(pen, shown);
  for (const child of shown.childNodes) {
    if (child instanceof Element) drawElement(pen, child);
    else if (child instanceof Text) drawText(pen, child, style);
  }
}

/** The background and the borders. @param {any} pen @param {DOMRect} box @param {CSSStyleDeclaration} style */
function drawBox(pen, { left, top, width, height }, style) {
  const radius = parseFloat(style.borderTopLeftRadius) || 0;
  if (channels(style.backgroundColor)[1] && width && height) {
    pen.fillStyle = style.backgroundColor;
    pen.beginPath();
    pen.roundRect(left, top, width, height, style.borderTopLeftRadius.endsWith("%") ? Math.min(width, height) / 2 : radius);
    pen.fill();
  }
  const sides = ["top", "right", "bottom", "left"].map((side) => {
    const [kind, size, colour] = ["style", "width", "color"].map((name) => style.getPropertyValue(`border-${side}-${name}`));
    return { size: kind === "none" ? 0 : parseFloat(size), colour, dashes: kind === "dashed" ? [3, 2] : [] };
  });
  const [one] = sides;
  pen.setLineDash(one.dashes);
  if (sides.every(({ size, colour }) => size === one.size && colour === one.colour)) {
    if (!one.size || !channels(one.colour)[1]) return;
    pen.strokeStyle = one.colour;
    pen.lineWidth = one.size;
    pen.beginPath();
    pen.roundRect(left + one.size / 2, top + one.size / 2, width - one.size, height - one.size, Math.max(0, radius - one.size / 2));
    pen.stroke();
  } else {
    const places = [[left, top, width, 0], [left + width, top, 0, height], [left, top + height, width, 0], [left, top, 0, height]];
    sides.forEach(({ size, colour, dashes }, i) => {
      if (!size || !channels(colour)[1]) return;
      const [x, y, right, down] = places[i];
      const inwards = i === 1 || i === 2 ? -size / 2 : size / 2;
      pen.setLineDash(dashes);
      pen.strokeStyle = colour;
      const [dx, dy] = right ? [0, inwards] : [inwards, 0];
      pen.lineWidth = size;
      pen.beginPath();
      pen.moveTo(x + dx, y + dy);
      pen.lineTo(x + dx + right, y + dy + down);
      pen.stroke();
    });
  }
  pen.setLineDash([]);
}

/** The shades from 0 to 100 %. @param {any} pen @param {DOMRect} box */
function drawScale(pen, { left, top, width, height }) {
  pen.fillStyle = colour("shade");
  for (let i = 0; i < SHADES; i++) {
    pen.globalAlpha = (i + 0.5) / SHADES;
    pen.fillRect(left + (i * width) / SHADES, top, width / SHADES, height);
  }
}

/** @param {any} pen @param {HTMLCanvasElement} canvas */
function drawCanvas(pen, canvas) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const drawing = [...drawings].filter((one) => one instanceof Drawing).find((one) => one.canvas === canvas);
  pen.save();
  pen.translate(left + canvas.clientLeft, top + canvas.clientTop);
  if (drawing) drawing.drawWith(pen);
  else {
    pen.imageSmoothingEnabled = false;
    pen.drawImage(canvas, 0, 0, width, height);
  }
  pen.restore();
}

/** @param {any} pen @param {Text} node @param {CSSStyleDeclaration} style of the element it is in */
function drawText(pen, node, style) {
  Object.assign(pen, { fillStyle: style.color, textAlign: "left", textBaseline: "alphabetic", direction: style.direction });
  pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  pen.letterSpacing = style.letterSpacing === "normal" ? "0px" : style.letterSpacing;
  for (const { text, left, right, top } of linesOf(node)) {
    const { fontBoundingBoxAscent } = pen.measureText(text);
    const y = top + fontBoundingBoxAscent;
    pen.fillText(text, left, y);
    if (!style.textDecorationLine.includes("line-through")) continue;
    pen.fillRect(left, y - 0.3 * parseFloat(style.fontSize), right - left, 1);
  }
}

/** The lines into which the browser has broken a text, and where they are. @param {Text} node */
function linesOf(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  const boxes = range.getClientRects();
  if (boxes.length === 1 && !/^\s|\s\s|[\n\t]/.test(node.data)) return [{ ...boxes[0].toJSON(), text: node.data }];
  /** @type {{ text: string, left: number, right: number, top: number }[]} */
  const lines = [];
  for (let i = 0; i < node.length; i++) {
    range.setStart(node, i);
    range.setEnd(node, i + 1);
    const [box] = range.getClientRects();
    if (!box || !box.width) {
      const last = lines.at(-1);
      if (box && last && /\S/.test(node.data[i]) && Math.abs(last.top - box.top) < 1) last.text += node.data[i]; // it joins the one before
      continue;
    }
    const char = node.data[i].replace(/\s/, " ");
    const last = lines.at(-1);
    if (last && Math.abs(last.top - box.top) < 1) {
      last.text += char;
      last.left = Math.min(last.left, box.left);
      last.right = Math.max(last.right, box.right);
    } else lines.push({ text: char, left: box.left, right: box.right, top: box.top });
  }
  return lines.filter(({ text }) => text.trim());
}
