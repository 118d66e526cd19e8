// Numbers as pixels: an image of one pixel a number, which the browser enlarges. The sign is the colour, the share of the largest the
// opacity.

/** Make a canvas an image of rows of numbers, which are all as long. @param {HTMLCanvasElement} canvas @param {Vector[]} rows */
function paintNumbers(canvas, rows) {
  const size = { width: rows[0].length, height: rows.length };
  const pen = contextOf(Object.assign(canvas, size));
  const image = pen.createImageData(size.width, size.height);
  const { data } = image;
  const scale = 255 / largestOf(...rows);
  const [plus, minus] = ["accent", "second"].map((name) => channels(colour(name))[0].match(/\d+/g)?.map(Number) ?? []);
  let at = 0;
  for (const row of rows) {
    for (const value of row) {
      const tone = value < 0 ? minus : plus;
      data[at++] = tone[0];
      data[at++] = tone[1];
      data[at++] = tone[2];
      data[at++] = Math.abs(value) * scale;
    }
  }
  pen.putImageData(image, 0, 0);
}

/** The largest absolute value in some vectors, or 1 where there is none. @param {...(Vector | number[])} vectors */
function largestOf(...vectors) {
  let largest = 0;
  for (const values of vectors) for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest || 1;
}
