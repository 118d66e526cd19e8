// Characters and token ids. A character is a code point, as in Python; JavaScript's own strings are UTF-16.

const NAMED = new Map([
  [0x20, "␣"],
  [0xa0, "⍽"],
  [0x0a, "↵"],
  [0x0d, "␍"],
  [0x09, "⇥"],
]);

class Alphabet {
  /** points: the characters' code points, in order of their ids; bos: the id of the token that begins and ends all. */
  constructor(points, bos) {
    this.bos = bos;
    this.points = [...points];
    this.points.splice(bos, 0, null);
    this.ids = new Map(this.points.map((point, id) => [point, id]));
  }

  /** The text of a token; BOS has none. */
  text(id) {
    return id === this.bos ? "" : String.fromCodePoint(this.points[id]);
  }

  /** How a token is shown: one visible symbol. As the next token, BOS is the end. */
  symbol(id, isNext = false) {
    if (id === this.bos) return isNext ? "⊣" : "⊢";
    return symbol(this.points[id]);
  }

  /** How a token is called in a sentence. */
  name(id, isNext = false) {
    if (id === this.bos) return isNext ? "end" : "beginning";
    return this.symbol(id);
  }

  /** The characters in a sentence, at most so many. */
  list(most) {
    const characters = this.points.filter((point) => point !== null);
    const shown = characters.slice(0, most).map((point) => isolate(symbol(point)));
    const more = characters.length > most ? ` and ${grouped(characters.length - most)} more` : "";
    return shown.join(" ") + more;
  }

  /**
   * What of a text the model can read: {points, ids, unknown, tokens}. ids: of all characters, undefined where unknown;
   * tokens: BOS and the characters up to the first unknown one, at most block_size in all.
   */
  read(text, block_size) {
    const points = Array.from(text, (char) => char.codePointAt(0));
    const ids = points.map((point) => this.ids.get(point));
    const end = ids.includes(undefined) ? ids.indexOf(undefined) : ids.length;
    const unknown = [...new Set(points.filter((_, i) => ids[i] === undefined))];
    return { points, ids, unknown, tokens: [this.bos, ...ids.slice(0, Math.min(end, block_size - 1))] };
  }
}

/** A visible stand-in for a character: marks get a circle to sit on, what cannot be seen a sign or its number. */
function symbol(point) {
  const char = String.fromCodePoint(point);
  if (NAMED.has(point)) return NAMED.get(point);
  if (/\p{M}/u.test(char)) return `◌${char}`;
  if (/[\p{C}\p{Z}]/u.test(char)) return codePoint(point).slice(2);
  return char;
}

/** Text in a direction of its own, that of its first letter: it does not turn its surroundings round. */
const isolate = (text) => `\u2068${text}\u2069`;

/** U+0061 */
function codePoint(point) {
  return `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
}
