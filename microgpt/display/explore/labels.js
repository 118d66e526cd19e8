// Labels of points: none covers another label, another point or a line that leads from a label to its point.

const GAP = 2; // between labels, in CSS pixels
const DISTANCES = [3, 8, 15, 24]; // of a label from its point; beyond the first, a line leads to it
const DIRECTIONS = Array.from({ length: 16 }, (_, i) => [Math.cos((i * Math.PI) / 8), Math.sin((i * Math.PI) / 8)]);

/** @typedef {{ left: number, right: number, above: number, below: number }} Ink what a text covers: how far it reaches from its place */
/** @typedef {Rectangle & { x: number, y: number, from: Point | null }} Label where its text is drawn, and where a line leads to it */

class Labels {
  /**
   * points: by id, which labels must leave free; width, height: of the drawing they must stay within.
   * @param {Map<number, Point>} points
   * @param {number} width
   * @param {number} height
   */
  constructor(points, width, height) {
    this.points = points;
    this.width = width;
    this.height = height;
    /** By id. @type {Map<number, Label>} */
    this.boxes = new Map();
    /** Along the lines. @type {Point[]} */
    this.lines = [];
  }

  /** @param {number} id */
  point(id) {
    return /** @type {Point} */ (this.points.get(id));
  }

  /** Point a label on its point. Returns whether there was room. @param {number} id @param {Ink} ink */
  centre(id, ink) {
    return this.take(id, box(this.point(id), ink), []);
  }

  /** Point a label as near to its point as there is room. Returns whether there was any. @param {number} id @param {Ink} ink */
  beside(id, ink) {
    const [x, y] = this.point(id);
    const [half, halfHeight] = [(ink.left + ink.right) / 2, (ink.above + ink.below) / 2];
    for (const distance of DISTANCES) {
      for (const [dx, dy] of DIRECTIONS) {
        /** @type {Point} */
        const middle = [x + dx * (distance + half), y + dy * (distance + halfHeight)];
        const at = box(middle, ink);
        at.from = distance === DISTANCES[0] ? null : [clamp(x, at.left, at.right), clamp(y, at.top, at.bottom)];
        if (this.take(id, at, at.from ? along([x, y], at.from) : [])) return true;
      }
    }
    return false;
  }

  /** @param {number} id @param {Label} at @param {Point[]} line */
  take(id, at, line) {
    const inside = at.left >= 1 && at.top >= 1 && at.right <= this.width - 1 && at.bottom <= this.height - 1;
    if (!inside || this.covers(at) || line.some(([x, y]) => this.covers({ left: x, right: x, top: y, bottom: y })))
      return false;
    for (const [other, [x, y]] of this.points) if (other !== id && contains(at, x, y)) return false;
    this.boxes.set(id, at);
    this.lines.push(...line);
    return true;
  }

  /** Whether a box would cover a label or a line. @param {Rectangle} at */
  covers(at) {
    for (const other of this.boxes.values()) if (overlap(at, other)) return true;
    return this.lines.some(([x, y]) => contains(at, x, y));
  }
}

/** What a text covers when it is drawn at a place: how far it reaches from there, and a margin. The pen has its font. @param {Pen} pen @param {string} text @returns {Ink} */
function inkOf(pen, text, margin = 0) {
  const ink = pen.measureText(text);
  return {
    left: ink.actualBoundingBoxLeft + margin,
    right: ink.actualBoundingBoxRight + margin,
    above: ink.actualBoundingBoxAscent + margin,
    below: ink.actualBoundingBoxDescent + margin,
  };
}

/** A label whose ink is centred on a place. @param {Point} place @param {Ink} ink @returns {Label} */
function box([x, y], { left, right, above, below }) {
  const [half, halfHeight] = [(left + right) / 2, (above + below) / 2];
  return {
    left: x - half,
    right: x + half,
    top: y - halfHeight,
    bottom: y + halfHeight,
    x: x + (left - right) / 2,
    y: y + (above - below) / 2,
    from: null,
  };
}

/** @type {(value: number, low: number, high: number) => number} */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** @type {(a: Rectangle, b: Rectangle) => boolean} */
const overlap = (a, b) =>
  a.left < b.right + GAP && b.left < a.right + GAP && a.top < b.bottom + GAP && b.top < a.bottom + GAP;

/** @type {(box: Rectangle, x: number, y: number) => boolean} */
const contains = ({ left, right, top, bottom }, x, y) =>
  x > left - GAP && x < right + GAP && y > top - GAP && y < bottom + GAP;

/** Places on the line between two, a few pixels apart. @param {Point} from @param {Point} to @returns {Point[]} */
function along([x, y], [toX, toY]) {
  const steps = Math.ceil(Math.hypot(toX - x, toY - y) / 3);
  return Array.from({ length: steps }, (_, i) => [x + ((toX - x) * i) / steps, y + ((toY - y) * i) / steps]);
}
