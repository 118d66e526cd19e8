// Characters and token ids. A character is a code point, as in Python; JavaScript's own strings are UTF-16.

const NAMED = new Map([
  [0x20, "␣"],
  [0xa0, "⍽"],
  [0x0a, "↵"],
  [0x0d, "␍"],
  [0x09, "⇥"],
]);

class Alphabet {
  /** points: the characters' code points, in the order of their ids; bos: the id of the token that delimits texts. */
  constructor(points, bos) {
    this.bos = bos;
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
   * The part of a text that the model can read: {points, ids, unknown, tokens}. points: all code points; ids: theirs,
   * undefined where unknown; unknown: the unknown code points, each once; tokens: BOS and the ids before the first
   * unknown one, at most block_size tokens in all.
   */
  read(text, block_size) {
    const points = Array.from(text, (char) => char.codePointAt(0));
    const ids = points.map((point) => this.ids.get(point));
    const end = ids.includes(undefined) ? ids.indexOf(undefined) : ids.length;
    const unknown = [...new Set(points.filter((_, i) => ids[i] === undefined))];
    return { points, ids, unknown, tokens: [this.bos, ...ids.slice(0, Math.min(end, block_size - 1))] };
  }
}

/** A visible symbol for a character: combining marks on a circle, invisible characters as a sign or a code point. */
function symbol(point) {
  const char = String.fromCodePoint(point);
  if (NAMED.has(point)) return NAMED.get(point);
  if (/\p{M}/u.test(char)) return `◌${char}`;
  if (/[\p{C}\p{Z}]/u.test(char)) return codePoint(point).slice(2);
  return char;
}

/** Text isolated from the direction of the text around it (Unicode's FSI and PDI). */
const isolate = (text) => `\u2068${text}\u2069`;

/** U+0061 */
function codePoint(point) {
  return `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
}
