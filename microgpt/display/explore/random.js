// Random numbers as Python's random.Random(seed) draws them: the Mersenne Twister MT19937, seeded by an int.

const WORDS = 624; // of the state
const MIDDLE = 397;

class Random {
  /** seed: an integer; as in Python, its sign does not count. @param {number | bigint} seed */
  constructor(seed) {
    this.state = new Uint32Array(WORDS);
    this.next = WORDS;
    this.spare = null; // the second number of the pair that gauss() made
    let left = BigInt(seed);
    if (left < 0n) left = -left;
    const key = [];
    do key.push(Number(left & 0xffffffffn));
    while ((left >>= 32n));
    this.mix(key);
  }

  /** MT19937's init_by_array. @param {number[]} key 32-bit words, the lowest first */
  mix(key) {
    const { state } = this;
    state[0] = 19650218;
    for (let i = 1; i < WORDS; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    let at = 1;
    const stir = (/** @type {number} */ factor, /** @type {number} */ plus) => {
      const before = state[at - 1];
      state[at] = (state[at] ^ Math.imul(before ^ (before >>> 30), factor)) + plus;
      if (++at < WORDS) return;
      state[0] = state[WORDS - 1];
      at = 1;
    };
    for (let i = 0; i < Math.max(WORDS, key.length); i++) stir(1664525, key[i % key.length] + (i % key.length));
    for (let i = 1; i < WORDS; i++) stir(1566083941, -at);
    state[0] = 0x80000000;
  }

  /** A whole number of 32 bits. */
  word() {
    const { state } = this;
    if (this.next === WORDS) {
      for (let i = 0; i < WORDS; i++) {
        const mixed = (state[i] & 0x80000000) | (state[(i + 1) % WORDS] & 0x7fffffff);
        state[i] = state[(i + MIDDLE) % WORDS] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
      }
      this.next = 0;
    }
    let word = state[this.next++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  /** A number from 0 up to 1, with 53 bits. */
  random() {
    const high = this.word() >>> 5;
    return (high * 0x4000000 + (this.word() >>> 6)) / 2 ** 53;
  }

  /** A number from a Gaussian. */
  gauss(mean = 0, std = 1) {
    let z = this.spare;
    this.spare = null;
    if (z === null) {
      const angle = this.random() * 2 * Math.PI;
      const radius = Math.sqrt(-2 * Math.log(1 - this.random()));
      z = Math.cos(angle) * radius;
      this.spare = Math.sin(angle) * radius;
    }
    return mean + z * std;
  }

  /** A whole number from 0 up to n, which is below 2**32. @param {number} n */
  below(n) {
    const bits = 32 - Math.clz32(n);
    for (;;) {
      const word = this.word() >>> (32 - bits);
      if (word < n) return word;
    }
  }

  /** Shuffle an array in place. @param {any[]} list */
  shuffle(list) {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [list[i], list[j]] = [list[j], list[i]];
    }
  }
}
