// What the tape's JSON says of an array without decoding its numbers.

import { number } from "./model.js";

/** The norm of array n. */
export function normOf(tape, n) {
  return number(tape._arrays[n].norm);
}

/** Whether array n holds the same numbers as array m of another tape, as far as both were kept. */
export function equal(tape, n, other, m) {
  const [one, two] = [tape._arrays[n], other._arrays[m]];
  const alike = (name) => JSON.stringify(one[name]) === JSON.stringify(two[name]);
  return one.data === two.data && ["shape", "dtype", "low", "high", "mean", "norm"].every(alike);
}
