// Two tapes in lockstep: which event of one belongs to which of the other, and where they part.

import { equal } from "./told.js";

const MOST = 2000; // unlike events in a row, of each tape, that are aligned in the best way

/** What two events must have in common to be shown side by side. An update is one by whatever optimizer. */
function keyOf(tape, event) {
  const layers = event.call === null ? "" : tape.calls[event.call].path;
  const about = event.phase === "accumulate" || event.phase === "update" ? tape.values[event.output]?.key : event.op;
  return `${event.phase}|${about}|${layers}|${event.step}`;
}

/**
 * Pairs of events of both tapes, in order: [{a, b, unlike, differs}]; a or b is null where the other tape has nothing like
 * it; unlike: they are not the same op, but stand at the same place; differs: the numbers that they made are not the same.
 */
export function align(one, other) {
  const keys = [one, other].map((tape) => tape.events.map((event) => keyOf(tape, event)));
  const [a, b] = keys;
  let first = 0;
  while (first < a.length && first < b.length && a[first] === b[first]) first++;
  let last = 0;
  while (last < Math.min(a.length, b.length) - first && a.at(-1 - last) === b.at(-1 - last)) last++;
  const rows = [];
  const pair = (i, j) => rows.push({
    a: i, b: j, unlike: i === null || j === null || a[i] !== b[j], differs: i === null || j === null || !same(one, i, other, j),
  });
  for (let k = 0; k < first; k++) pair(k, k);
  const [endA, endB] = [a.length - last, b.length - last];
  for (const [i, j] of joined(between(a, b, first, endA, endB), one, other)) pair(i, j);
  for (let k = 0; k < last; k++) pair(endA + k, endB + k);
  return rows;
}

/**
 * Where as many events of one tape as of the other have nothing like them between the same neighbours, and are of the same
 * phases and shapes, they are pairs: an op of the user's in place of one of minidl's.
 */
function joined(pairs, one, other) {
  const found = [];
  let [left, right] = [[], []];
  const flush = () => {
    const together = left.length === right.length && left.every((i, k) => placeOf(one, i) === placeOf(other, right[k]));
    if (together) left.forEach((i, k) => found.push([i, right[k]]));
    else found.push(...left.map((i) => [i, null]), ...right.map((j) => [null, j]));
    [left, right] = [[], []];
  };
  for (const [i, j] of pairs) {
    if (i === null) right.push(j);
    else if (j === null) left.push(i);
    else {
      flush();
      found.push([i, j]);
    }
  }
  flush();
  return found;
}

/** What events of different ops have in common that stand for each other. */
function placeOf(tape, i) {
  const { phase, output, step } = tape.events[i];
  return `${phase}|${step}|${output === null ? "" : tape.values[output].shape}`;
}

/** The longest common subsequence of what lies between. */
function between(a, b, first, endA, endB) {
  const [n, m] = [endA - first, endB - first];
  const pairs = [];
  if (n > MOST || m > MOST) { // too many for a table: one after the other
    for (let i = 0; i < Math.max(n, m); i++) {
      const [x, y] = [i < n ? first + i : null, i < m ? first + i : null];
      if (x !== null && y !== null && a[x] === b[y]) pairs.push([x, y]);
      else {
        if (x !== null) pairs.push([x, null]);
        if (y !== null) pairs.push([null, y]);
      }
    }
    return pairs;
  }
  const width = m + 1;
  const length = new Uint16Array((n + 1) * width); // of the common subsequence of what remains
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      length[i * width + j] = a[first + i] === b[first + j]
        ? length[(i + 1) * width + j + 1] + 1
        : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
    }
  }
  let [i, j] = [0, 0];
  while (i < n || j < m) {
    if (i < n && j < m && a[first + i] === b[first + j]) pairs.push([first + i++, first + j++]);
    else if (j >= m || (i < n && length[(i + 1) * width + j] >= length[i * width + j + 1])) pairs.push([first + i++, null]);
    else pairs.push([null, first + j++]);
  }
  return pairs;
}

/** Whether two events made the same numbers. */
function same(one, i, other, j) {
  const [x, y] = [made(one, i), made(other, j)];
  return x.length === y.length && x.every((array, k) => equal(one, array, other, y[k]));
}

/** The numbers of the arrays that an event made. */
function made(tape, i) {
  const event = tape.events[i];
  if (event.phase === "forward" || event.phase === "loss") return [tape.contentNumber(event.output, i)];
  const arrays = event.addends.map((addend) => addend.grad);
  return [event.gradient, event.after, ...arrays].filter((n) => n !== null);
}

/** Where the tapes part: {ops: row|null, numbers: row|null}. */
export function parting(rows) {
  const at = (found) => (found < 0 ? null : found);
  return {
    ops: at(rows.findIndex((row) => row.unlike)),
    numbers: at(rows.findIndex((row) => row.differs && row.a !== null && row.b !== null)),
  };
}
