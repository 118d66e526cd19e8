// Canvases in the page's colours and at the screen's resolution, redrawn when either changes.

const FONT = getComputedStyle(document.documentElement).fontFamily;
const drawings = new Set(); // of {canvas, redraw}
const palette = new Map(); // name -> colour, see colour()

class Drawing {
  /** draw(pen, width, height): draws on a cleared canvas, in CSS pixels; pen.colour(name) gives the page's colours. */
  constructor(canvas, draw) {
    this.canvas = canvas;
    this.draw = draw;
    drawings.add(this);
    Drawing.observer.observe(canvas);
    this.redraw();
  }

  static observer = new ResizeObserver((entries) => {
    for (const drawing of drawings) if (entries.some(({ target }) => target === drawing.canvas)) drawing.redraw();
  });

  /** Draw in the next frame, once, however often this is called until then. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => this.paint());
  }

  /** Draw now. */
  paint() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const ratio = window.devicePixelRatio || 1;
    if (!width || !height) return;
    const pen = canvas.getContext("2d");
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width === columns && canvas.height === rows) pen.reset();
    else Object.assign(canvas, { width: columns, height: rows }); // which costs a new bitmap
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawWith(pen);
  }

  /** Draw with a pen that is at the upper left corner: a canvas's context, or a SvgPen. */
  drawWith(pen) {
    pen.direction = "ltr";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.letterSpacing = "0px";
    pen.colour = colour;
    pen.size = (size, weight = 400) => (pen.font = `${weight} ${size}px ${FONT}`);
    this.draw(pen, this.canvas.clientWidth, this.canvas.clientHeight);
  }

  /** Call act(x, y), in CSS pixels, when a pointer moves over the canvas or presses it. */
  onPoint(act) {
    for (const type of ["pointermove", "pointerdown"]) {
      this.canvas.addEventListener(type, (event) => act(event.offsetX, event.offsetY));
    }
  }

  /** Call act(key) for each key pressed; it returns whether it handled the key. */
  onKey(act) {
    this.canvas.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && act(event.key)) event.preventDefault();
    });
  }
}

/** The current colour of the page's custom property `--name`. */
function colour(name) {
  if (!palette.has(name)) {
    const probe = document.body.appendChild(element("span", { hidden: true }));
    probe.style.color = `var(--${name})`;
    palette.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return palette.get(name);
}

/** Redraw everything in the page's new colours, but for what belonged to a model no longer shown. */
function repaint() {
  palette.clear();
  for (const drawing of drawings) {
    if (drawing.canvas.isConnected) drawing.redraw();
    else drawings.delete(drawing);
  }
}

/** Draw a thin line between two places. */
function line(pen, from, to) {
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

/** Draw a filled circle. */
function disc(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}
