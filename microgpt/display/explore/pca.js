// Principal components: the directions in which the rows of a matrix vary most.

/**
 * {points: [x, y] of each row, shares: the shares of the variance along x and y, directions: those of x and y}. rows: (count, width).
 * The largest entry of each direction is positive, so that the same matrix gives the same picture.
 * @param {Float64Array} rows
 * @param {number} count
 * @param {number} width
 */
function principalComponents(rows, count, width) {
  const centred = centre(rows, count, width);
  const covariance = new Float64Array(width * width);
  for (let r = 0; r < count; r++) {
    for (let i = 0; i < width; i++) {
      const value = centred[r * width + i];
      for (let j = 0; j < width; j++) covariance[i * width + j] += value * centred[r * width + j];
    }
  }
  let total = 0;
  for (let i = 0; i < width; i++) total += covariance[i * width + i];
  /** @type {number[]} */
  const shares = [];
  /** @type {Float64Array[]} */
  const directions = [];
  for (let component = 0; component < 2; component++) {
    const { direction, variance } = dominant(covariance, width);
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) covariance[i * width + j] -= variance * direction[i] * direction[j];
    }
    directions.push(direction);
    shares.push(total > 0 ? variance / total : 0);
  }
  return { points: project(rows, count, width, directions), shares, directions };
}

/**
 * [x, y] of each row along two directions, from the rows' mean.
 * @param {Float64Array} rows (count, width)
 * @param {number} count
 * @param {number} width
 * @param {Float64Array[]} directions
 * @returns {[x: number, y: number][]}
 */
function project(rows, count, width, directions) {
  const centred = centre(rows, count, width);
  const [along, across] = directions;
  return Array.from({ length: count }, (_, r) => {
    const row = rowOf(centred, r, width);
    return [dot(row, along), dot(row, across)];
  });
}

/** The rows minus their mean. @param {Float64Array} rows @param {number} count @param {number} width */
function centre(rows, count, width) {
  const mean = new Float64Array(width);
  rows.forEach((value, i) => (mean[i % width] += value / count));
  return rows.map((value, i) => value - mean[i % width]);
}

/** The eigenvector of the largest eigenvalue of a positive semidefinite matrix, by power iteration. @param {Float64Array} matrix @param {number} width */
function dominant(matrix, width) {
  let direction = Float64Array.from({ length: width }, (_, i) => 1 + 0.1 * Math.sin(i)); // along no axis
  let variance = 0;
  for (let i = 0, change = 1; i < 2000 && change > 1e-26; i++) {
    const next = linear(direction, matrix);
    variance = Math.sqrt(dot(next, next));
    if (variance < 1e-150) return { direction: new Float64Array(width), variance: 0 };
    change = 0;
    for (let j = 0; j < width; j++) {
      next[j] /= variance;
      change += (next[j] - direction[j]) ** 2;
    }
    direction = next;
  }
  const largest = direction.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
  return { direction: largest < 0 ? direction.map((d) => -d) : direction, variance };
}

/** @param {Float64Array} a @param {Float64Array} b */
function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/**
 * The `most` rows nearest to the row `from` by Euclidean distance, as [row, distance], nearest first.
 * @param {Float64Array} rows @param {number} count @param {number} width @param {number} from @param {number} most
 */
function nearest(rows, count, width, from, most) {
  /** @type {[number, number][]} */
  const distances = [];
  for (let r = 0; r < count; r++) {
    let squares = 0;
    for (let j = 0; j < width; j++) squares += (rows[r * width + j] - rows[from * width + j]) ** 2;
    if (r !== from) distances.push([r, Math.sqrt(squares)]);
  }
  return distances.sort((a, b) => a[1] - b[1]).slice(0, most);
}
