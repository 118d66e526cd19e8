// Characters and token ids. A character is a code point, as in Python; JavaScript's own strings are UTF-16.

const NAMED = new Map([
  [0x20, "␣"],
  [0xa0, "⍽"],
  [0x0a, "↵"],
  [0x0d, "␍"],
  [0x09, "⇥"],
]);

const IGNORABLE = /\p{Default_Ignorable_Code_Point}/u; // variation selectors, joiners, fillers
const REGIONAL = /\p{Regional_Indicator}/u; // two of them are a flag
const ACCENT = /[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]/u;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** @typedef {number | null} CodePoint of a token; BOS has none */

class Alphabet {
  /**
   * points: the characters' code points, in the order of their ids; bos: the id of the token that delimits texts; opening: of
   * the one that is read before a text, which is bos but for a model of one long text.
   * @param {number[]} points
   * @param {number} bos
   * @param {number} opening
   */
  constructor(points, bos, opening) {
    this.bos = bos;
    this.opening = opening;
    /** Of each token. @type {CodePoint[]} */
    this.points = [...points];
    this.points.splice(bos, 0, null);
    this.ids = new Map(this.points.map((point, id) => [point, id]));
  }

  /** The text of a token, empty for BOS. @param {number} id */
  text(id) {
    const point = this.points[id];
    return point === null ? "" : String.fromCodePoint(point);
  }

  /** A token as one visible symbol. BOS as the next token (isNext) is the end of the text. @param {number} id */
  symbol(id, isNext = false) {
    const point = this.points[id];
    if (point === null) return isNext ? "⊣" : "⊢";
    return symbol(point);
  }

  /** What a sentence calls a token. @param {number} id */
  name(id, isNext = false) {
    if (id === this.bos) return isNext ? "end" : "beginning";
    return this.symbol(id);
  }

  /** The characters as part of a sentence, at most `most` of them. @param {number} most */
  list(most) {
    const characters = this.points.filter((point) => point !== null);
    const shown = characters.slice(0, most).map((point) => isolate(symbol(point)));
    const more = characters.length > most ? ` and ${grouped(characters.length - most)} more` : "";
    return shown.join(" ") + more;
  }

  /**
   * What the model reads of a text, which is the text without the characters it does not know.
   * @typedef {object} Typed
   * @property {number[]} points all code points
   * @property {number[]} unknown those that the model does not know, each once
   * @property {number[]} ids of the known ones
   * @property {number[]} tokens the opening and the ids, at most block_size tokens in all
   * @property {number[]} targets the tokens that come after them, as in training: at last the end, but of a model of one long text
   * @property {"ltr" | "rtl"} direction of the text
   *
   * @param {string} text
   * @param {number} block_size
   * @returns {Typed}
   */
  read(text, block_size) {
    const points = Array.from(text, (char) => /** @type {number} */ (char.codePointAt(0)));
    const unknown = [...new Set(points.filter((point) => !this.ids.has(point)))];
    const ids = points.flatMap((point) => this.ids.get(point) ?? []);
    const tokens = [this.opening, ...ids.slice(0, block_size - 1)];
    const targets = [...ids, ...(this.opening === this.bos ? [this.bos] : [])].slice(0, block_size);
    return { points, unknown, ids, tokens, targets, direction: direction(text) };
  }

  /** The symbols of ids that are one text: characters stand for themselves where they can be seen in it. @param {number[]} ids */
  running(ids) {
    const isFlag = (/** @type {number} */ i) => REGIONAL.test(this.text(ids[i] ?? this.bos));
    let pair = -1; // where the last pair of regional indicators, which is one flag, ends
    return ids.map((id, i) => {
      if (i > pair && isFlag(i) && isFlag(i + 1)) pair = i + 1;
      const char = this.text(id);
      const isSeen = /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(char) && !IGNORABLE.test(char) && !REGIONAL.test(char);
      return isSeen || (isFlag(i) && i <= pair) ? char : this.symbol(id);
    });
  }
}

/**
 * A visible symbol for a character. What says nothing alone is its code point: invisible characters, half a flag, and the
 * accents of no script in particular. The vowel signs and marks of a script are its letters: they stand on a circle.
 * @param {number} point
 */
function symbol(point) {
  const char = String.fromCodePoint(point);
  const named = NAMED.get(point);
  if (named) return named;
  if ([/[\p{C}\p{Z}]/u, IGNORABLE, REGIONAL, ACCENT].some((kind) => kind.test(char))) return codePoint(point).slice(2);
  return /\p{M}/u.test(char) ? `◌${char}` : char;
}

/** A character in a sentence: its symbol and its code point, or the code point alone. @param {number} point */
function mention(point) {
  const [shown, code] = [symbol(point), codePoint(point)];
  return shown === code.slice(2) ? code : `${isolate(shown)} (${code})`;
}

/** "rtl" if the first letter of a text is written from right to left, else "ltr". @param {string} text */
function direction(text) {
  return RIGHT_TO_LEFT.test(text.match(/\p{L}/u)?.[0] ?? "") ? "rtl" : "ltr";
}

/** Text isolated from the direction of the text around it (Unicode's FSI and PDI). @param {string} text */
const isolate = (text) => `\u2068${text}\u2069`;

/** U+0061 @param {number} point */
function codePoint(point) {
  return `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
}
