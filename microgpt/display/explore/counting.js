// What a model writes, counted: many texts in rounds that take about as long each, so that it can be told how far it is.

const ROUND = 1000; // milliseconds; texts of one round share what they can, see sampler.js
const MOST_FREQUENT = 20; // texts that are told

class Count {
  /**
   * points: the code point of each token; documents: of the training, where they are known; other arguments as of Sampler.write.
   * @param {Sampler} sampler
   * @param {number[]} points
   * @param {string[] | null} documents
   * @param {{ total: number, prompt: number[], temperature: number }} wanted
   */
  constructor(sampler, points, documents, { total, prompt, temperature }) {
    Object.assign(this, { sampler, points, total, prompt, temperature });
    this.documents = documents && new Set(documents);
    /** @type {Map<string, number>} how often each text was written */
    this.texts = new Map();
    this.size = 100; // of the next round
    this.written = this.known = this.characters = this.time = 0;
  }

  /** Write a round, and return what is known since the first: see Counted. */
  round() {
    const { texts, documents, points } = this;
    const start = performance.now();
    const count = Math.min(this.size, this.total - this.written);
    this.sampler.write(count, this.prompt, this.temperature, (tokens, length, times) => {
      let text = "";
      for (let i = 0; i < length; i++) text += String.fromCodePoint(points[tokens[i]]);
      texts.set(text, (texts.get(text) ?? 0) + times);
      this.characters += times * (length - this.prompt.length + 1);
      if (documents?.has(text)) this.known += times;
    });
    const took = performance.now() - start;
    this.size = Math.ceil(this.size * Math.min(16, ROUND / took));
    this.written += count;
    this.time += took;
    return this.report();
  }

  /**
   * @typedef {object} Counted
   * @property {number} written texts
   * @property {number} characters of them, without the prompt
   * @property {number} time in milliseconds
   * @property {number} different texts
   * @property {number | null} known how many of the written ones are documents of the training
   * @property {number} found how many of its documents were written
   * @property {[string, number, boolean][]} frequent the most frequent texts, how often they came, and whether they are such documents
   * @returns {Counted}
   */
  report() {
    const { written, characters, time, texts, documents } = this;
    const frequent = [];
    let found = 0;
    let least = 0; // what a text has to have more of
    for (const [text, times] of texts) {
      const isKnown = documents?.has(text) ?? false;
      found += Number(isKnown);
      if (times <= least) continue;
      frequent.push([text, times, isKnown]);
      if (frequent.length < 2 * MOST_FREQUENT) continue;
      frequent.sort((a, b) => b[1] - a[1]).length = MOST_FREQUENT;
      least = frequent[MOST_FREQUENT - 1][1];
    }
    frequent.sort((a, b) => b[1] - a[1]).splice(MOST_FREQUENT);
    return { written, characters, time, different: texts.size, known: documents && this.known, found, frequent };
  }
}
