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

class Alphabet {
  /**
   * points: the characters' code points, in the order of their ids; bos: the id of the token that delimits texts; opening: of
   * the one that is read before a text, which is bos but for a model of one long text.
   */
  constructor(points, bos, opening) {
    this.bos = bos;
    this.opening = opening;
    this.points = [...points];
    this.points.splice(bos, 0, null);
    this.ids = new Map(this.points.map((point, id) => [point, id]));
  }

  /** The text of a token, empty for BOS. */
  text(id) {
    return id === this.bos ? "" : String.fromCodePoint(this.points[id]);
  }

  /** A token as one visible symbol. BOS as the next token (isNext) is the end of the text. */
  symbol(id, isNext = false) {
    if (id === this.bos) return isNext ? "⊣" : "⊢";
    return symbol(this.points[id]);
  }

  /** What a sentence calls a token. */
  name(id, isNext = false) {
    if (id === this.bos) return isNext ? "end" : "beginning";
    return this.symbol(id);
  }

  /** The characters as part of a sentence, at most `most` of them. */
  list(most) {
    const characters = this.points.filter((point) => point !== null);
    const shown = characters.slice(0, most).map((point) => isolate(symbol(point)));
    const more = characters.length > most ? ` and ${grouped(characters.length - most)} more` : "";
    return shown.join(" ") + more;
  }

  /**
   * What the model reads of a text, which is the text without the characters it does not know. The last three are what Page.update
   * finds out.
   * @typedef {object} Reading
   * @property {number[]} points all code points
   * @property {number[]} unknown those that the model does not know, each once
   * @property {number[]} ids of the known ones
   * @property {number[]} tokens the opening and the ids, at most block_size tokens in all
   * @property {number[]} targets the tokens that come after them, as in training: at last the end, but of a model of one long text
   * @property {"ltr" | "rtl"} direction of the text
   * @property {Trace[]} [traces] of each position
   * @property {Vector} [logits] of the next token
   * @property {number[]} [scores] the probability of each known character
   *
   * @param {string} text
   * @param {number} block_size
   * @returns {Reading}
   */
  read(text, block_size) {
    const points = Array.from(text, (char) => char.codePointAt(0));
    const unknown = [...new Set(points.filter((point) => !this.ids.has(point)))];
    const ids = points.filter((point) => this.ids.has(point)).map((point) => this.ids.get(point));
    const tokens = [this.opening, ...ids.slice(0, block_size - 1)];
    const targets = [...ids, ...(this.opening === this.bos ? [this.bos] : [])].slice(0, block_size);
    return { points, unknown, ids, tokens, targets, direction: direction(text) };
  }

  /** The symbols of ids that are one text: characters stand for themselves where they can be seen in it. */
  running(ids) {
    const isFlag = (i) => REGIONAL.test(this.text(ids[i] ?? this.bos));
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
 */
function symbol(point) {
  const char = String.fromCodePoint(point);
  if (NAMED.has(point)) return NAMED.get(point);
  if ([/[\p{C}\p{Z}]/u, IGNORABLE, REGIONAL, ACCENT].some((kind) => kind.test(char))) return codePoint(point).slice(2);
  return /\p{M}/u.test(char) ? `◌${char}` : char;
}

/** A character in a sentence: its symbol and its code point, or the code point alone. */
function mention(point) {
  const [shown, code] = [symbol(point), codePoint(point)];
  return shown === code.slice(2) ? code : `${isolate(shown)} (${code})`;
}

/** "rtl" if the first letter of a text is written from right to left, else "ltr". */
function direction(text) {
  return RIGHT_TO_LEFT.test(text.match(/\p{L}/u)?.[0] ?? "") ? "rtl" : "ltr";
}

/** Text isolated from the direction of the text around it (Unicode's FSI and PDI). */
const isolate = (text) => `\u2068${text}\u2069`;

/** U+0061 */
function codePoint(point) {
  return `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
}
