// Canvases in the page's colours and at the screen's resolution, redrawn when either changes, as soon as they are near the window.

const FONT = getComputedStyle(document.documentElement).fontFamily;

/** What is redrawn in new colours: drawings, and what is made of elements. @type {Set<Drawing | { canvas: HTMLElement, redraw: () => void }>} */
const drawings = new Set();
/** Those to paint as soon as they are near. @type {Set<Drawing>} */
const due = new Set();
/** The next frame, if anything is painted in it. @type {number | undefined} */
let painting;
/** The page's colours by name, see colour(). @type {Map<string, string>} */
const palette = new Map();

/** @typedef {[x: number, y: number]} Point in CSS pixels */
/** @typedef {{ left: number, right: number, top: number, bottom: number }} Rectangle in CSS pixels */
/**
 * A canvas's context, or a SvgPen, which has all that drawings use of one. colour(name): the page's custom property; size(pixels, weight):
 * sets the font.
 * @typedef {CanvasRenderingContext2D & { colour: (name: string) => string, size: (pixels: number, weight?: number) => void }} Pen
 */

class Drawing {
  /**
   * draw(pen, width, height): draws on a cleared canvas, in CSS pixels.
   * @param {HTMLCanvasElement} canvas
   * @param {(pen: Pen, width: number, height: number) => void} draw
   */
  constructor(canvas, draw) {
    this.canvas = canvas;
    this.draw = draw;
    drawings.add(this);
    Drawing.resizes.observe(canvas);
    watch(CANVASES, canvas);
    this.redraw();
  }

  static resizes = new ResizeObserver((entries) => {
    const canvases = new Set(entries.map(({ target }) => target));
    for (const drawing of drawings) if (canvases.has(drawing.canvas)) drawing.redraw();
  });

  get isNear() {
    return isNear(this.canvas);
  }

  /** Draw in one of the next frames, once, however often this is called until then. */
  redraw() {
    due.add(this);
    paintSoon();
  }

  /** Draw now. */
  paint() {
    due.delete(this);
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const ratio = window.devicePixelRatio || 1;
    if (!width || !height) return;
    const pen = contextOf(canvas);
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width === columns && canvas.height === rows) pen.reset();
    else Object.assign(canvas, { width: columns, height: rows }); // which costs a new bitmap
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawWith(pen);
  }

  /** Draw with a pen that is at the upper left corner: a canvas's context, or a SvgPen. @param {any} pen which becomes a Pen */
  drawWith(pen) {
    pen.direction = "ltr";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.letterSpacing = "0px";
    pen.colour = colour;
    pen.size = (/** @type {number} */ pixels, weight = 400) => (pen.font = `${weight} ${pixels}px ${FONT}`);
    this.draw(pen, this.canvas.clientWidth, this.canvas.clientHeight);
  }

  /** Call act(x, y), in CSS pixels, when a pointer moves over the canvas or presses it. @param {(x: number, y: number) => void} act */
  onPoint(act) {
    for (const type of /** @type {const} */ (["pointermove", "pointerdown"])) {
      this.canvas.addEventListener(type, (event) => act(event.offsetX, event.offsetY));
    }
  }

  /** Call act(key) for each key pressed; it returns whether it handled the key. @param {(key: string) => boolean} act */
  onKey(act) {
    this.canvas.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && act(event.key)) event.preventDefault();
    });
  }
}

/** Paint in the next frame what is due and near; what takes longer than a slice goes on in the frame after it. */
function paintSoon() {
  if (painting !== undefined || ![...due].some(({ isNear }) => isNear)) return;
  painting = requestAnimationFrame(() => {
    painting = undefined;
    const end = performance.now() + SLICE;
    for (const drawing of due) if (drawing.isNear && performance.now() < end) drawing.paint();
    paintSoon();
  });
}

/** Paint all that is due, near or not. */
function paintNow() {
  for (const drawing of due) drawing.paint();
}

/** The current colour of the page's custom property `--name`. @param {string} name @returns {string} */
function colour(name) {
  let found = palette.get(name);
  if (found === undefined) {
    const probe = document.body.appendChild(element("span", { hidden: true }));
    probe.style.color = `var(--${name})`;
    found = getComputedStyle(probe).color;
    palette.set(name, found);
    probe.remove();
  }
  return found;
}

/** Redraw everything in the page's new colours, but for what belonged to a model no longer shown. */
function repaint() {
  palette.clear();
  for (const drawing of drawings) {
    if (drawing.canvas.isConnected) drawing.redraw();
    else drawings.delete(drawing) && due.delete(/** @type {Drawing} */ (drawing));
  }
}

/** What draws on a canvas. @param {HTMLCanvasElement} canvas */
const contextOf = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

/** Draw a thin line between two places. @param {Pen} pen @param {Point} from @param {Point} to */
function line(pen, from, to) {
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

/** Draw a filled circle. @param {Pen} pen @param {number} x @param {number} y @param {number} radius */
function disc(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}
