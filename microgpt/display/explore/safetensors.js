// A model as a file that microgpt.load reads: the bytes that GPT.save writes, see microgpt/storage/tensorfile.py and checkpoint.py.

/**
 * config: of the page, GPTConfig's fields and three of the alphabet's; characters: code points; version: of microgpt.
 * @param {{ config: Record<string, any>, layout: [string, number, number][], characters: number[], version: string }} model
 * @param {Float64Array} weights in parameter order, finite
 * @returns {Uint8Array<ArrayBuffer>}
 */
function safetensors({ config, layout, characters, version }, weights) {
  const { vocab_size, bos, opening, ...options } = config;
  const fields = Object.entries(options).map(([name, value]) => `${ascii(name)}: ${ascii(value)}`);
  const metadata = {
    characters: ascii(characters.map((point) => String.fromCodePoint(point)).join("")),
    config: `{${fields.join(", ")}}`,
    format: "microgpt-1",
    microgpt: version,
  };
  const starts = new Map();
  let count = 0;
  for (const [name, rows, columns] of layout) {
    starts.set(name, count);
    count += rows * columns;
  }
  const tensors = [...layout].sort(([a], [b]) => (a < b ? -1 : 1));
  const entries = [`"__metadata__":${ascii(metadata)}`];
  let end = 0;
  for (const [name, rows, columns] of tensors) {
    const data_offsets = [end, (end += 8 * rows * columns)];
    entries.push(`${ascii(name)}:${ascii({ dtype: "F64", shape: [rows, columns], data_offsets })}`);
  }
  const head = new TextEncoder().encode(`{${entries.join(",")}}`);
  const length = 8 * Math.ceil(head.length / 8);
  const bytes = new Uint8Array(8 + length + end).fill(0x20, 8, 8 + length); // spaces
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(length), true);
  bytes.set(head, 8);
  let at = 8 + length;
  for (const [name, rows, columns] of tensors) {
    const from = starts.get(name);
    for (let i = from; i < from + rows * columns; i++, at += 8) view.setFloat64(at, weights[i], true);
  }
  return bytes;
}

/** A value as JSON without other characters than ASCII, as Python writes it. @type {(value: any) => string} */
const ascii = (value) =>
  JSON.stringify(value).replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
