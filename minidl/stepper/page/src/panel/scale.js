// The colours of a heat map: symmetric, and zero is no colour at all.
//
// Blue below, orange above (people who do not see red or green tell them apart), more opaque the larger the number:
// so the neutral middle is the page's own background, light, dark or paper.

export const BELOW = [32, 110, 215];
export const ABOVE = [222, 94, 0];
export const NOT_FINITE = [190, 20, 150];
const DECADES = 4; // of the logarithmic scale: below a 10,000th of the largest number there is no colour

/** A number's place on the scale, from -1 to 1. */
export function place(x, most, log) {
  if (x === 0 || most === 0) return 0;
  const t = Math.min(1, Math.abs(x) / most);
  const grown = log ? Math.max(0, 1 + Math.log10(t) / DECADES) : t;
  return x < 0 ? -grown : grown;
}

/** The pixels (RGBA, one a number) of `values`; `most` is the number at the scale's end. */
export function pixels(values, most, log) {
  const made = new Uint8ClampedArray(values.length * 4);
  for (let i = 0; i < values.length; i++) {
    const x = values[i];
    const t = Number.isFinite(x) ? place(x, most, log) : 1;
    const colour = !Number.isFinite(x) ? NOT_FINITE : t < 0 ? BELOW : ABOVE;
    made.set(colour, 4 * i);
    made[4 * i + 3] = 255 * Math.abs(t);
  }
  return made;
}

/** The numbers that the legend writes, from the scale's one end to the other: [[where (0 to 1), number], ...]. */
export function ticks(most, log) {
  const above = log ? [[1, most], [0.5, most / 10 ** (DECADES / 2)]] : [[1, most]];
  const below = above.map(([t, x]) => [-t, -x]);
  return [...below, [0, 0], ...above.reverse()].map(([t, x]) => [(t + 1) / 2, x]);
}
