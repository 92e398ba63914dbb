// The page's model of a tape answers as minidl/stepper/contents.py does. `MINIDL_PAGE` names a JSON that Python wrote:
// {tapes: [{tape, answers}], numbers: [...]}; see test_model.py.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { align, parting } from "../../../minidl/stepper/page/src/compare.js";
import { number, Tape } from "../../../minidl/stepper/page/src/model.js";
import { difference } from "../../../minidl/stepper/page/src/panel/difference.js";
import { grid } from "../../../minidl/stepper/page/src/panel/grid.js";
import { Pointing, nearest } from "../../../minidl/stepper/page/src/panel/pointing.js";

const written = JSON.parse(readFileSync(process.env.MINIDL_PAGE, "utf8"));

/** What an array holds, as Python wrote it down: [shape, dtype, sum of its kept numbers, norm]. */
function said(kept) {
  return kept && [kept.shape, kept.dtype, Array.from(kept.values).reduce((a, x) => a + x, 0), kept.norm];
}

function same(found, expected) {
  if (expected === null) return assert.equal(found, null);
  const [shape, dtype, ...numbers] = expected;
  assert.deepEqual([found[0], found[1]], [shape, dtype]);
  numbers.map(number).forEach((x, k) => {
    const y = found[2 + k];
    assert.ok(Object.is(x, y) || Math.abs(x - y) <= 1e-9 * Math.max(1, Math.abs(x)), `${y} where Python has ${x}`);
  });
}

for (const { tape: json, answers } of written.tapes) {
  const tape = new Tape(json);

  test(`${tape.title}: what every value held, and its gradient, at every moment`, () => {
    assert.equal(answers.length, tape.events.length);
    answers.forEach((values, i) => values.forEach(({ content, total, addends, complete }, v) => {
      same(said(tape.content(v, i)), content);
      const known = tape.gradient(v, i);
      same(said(known.total), total);
      assert.deepEqual(known.addends.map(([event]) => event), addends);
      assert.equal(known.complete, complete);
    }));
  });

  test(`${tape.title}: before anything happened only what no op made is there`, () => {
    for (const value of tape.values) {
      assert.equal(tape.content(value.number, -1) === null, value.event !== null);
      assert.equal(tape.gradient(value.number, -1).total, null);
    }
  });

  test(`${tape.title}: keys, lines and layers`, () => {
    for (const value of tape.values) assert.equal(tape.find(value.key), value.number);
    assert.equal(tape.find("no such value"), -1);
    for (const event of tape.events) {
      const source = tape.sourceOf(event);
      if (source) assert.equal(source.text, source.lines[source.line - source.first]);
      const path = tape.layerPath(event);
      assert.equal(path.at(-1)?.number ?? null, event.call);
      if (path.length) assert.equal(path[0].parent, null);
    }
  });
}

test("a sample knows the true indices, and what it does not hold", () => {
  const kept = new Tape(written.sampled.tape).array(0);
  assert.ok(kept.sampled);
  for (const [place, x] of written.sampled.places) assert.equal(kept.at(place), x);
  assert.deepEqual(kept.truePlace(kept.sides.map((n) => n - 1)), kept.shape.map((n) => n - 1));
  assert.throws(() => kept.at([kept.shape[0], 0]), RangeError);
  const shown = grid(kept, [0, 0]);
  const last = shown.placeOf(shown.rows - 1, shown.columns - 1);
  assert.deepEqual(last, kept.shape.map((n) => n - 1));
  assert.deepEqual(shown.cellOf(last), [shown.rows - 1, shown.columns - 1]);
});

test("a vector is broken into rows, and every place is found again", () => {
  const kept = { shape: [50], sides: [50], index: [null], values: Float32Array.from({ length: 50 }, (_, i) => i) };
  const shown = grid(kept, [0]);
  assert.deepEqual([shown.rows, shown.columns, shown.wrapped], [7, 8, true]);
  for (let i = 0; i < 50; i++) assert.deepEqual(shown.placeOf(...shown.cellOf([i])), [i]);
});

test("the nearest index that a sample holds", () => {
  assert.equal(nearest(null, 7), 7);
  assert.equal(nearest([0, 10, 20], 14), 1);
  assert.equal(nearest([0, 10, 20], 99), 2);
});

test("another version is refused in words", () => {
  assert.throws(() => new Tape({ format: "minidl tape", version: 99 }), /version 1; got minidl tape 99/);
});

test("a difference is rounded as its dtype, and is 0 where both are NaN", () => {
  const kept = (...values) => ({ shape: [3], index: [null], dtype: "float32", values: Float32Array.from(values) });
  const apart = difference(kept(0.1, NaN, 3), kept(0.2, NaN, 1));
  assert.deepEqual(Array.from(apart.values), [Math.fround(Math.fround(0.1) - Math.fround(0.2)), 0, 2]);
  assert.deepEqual([apart.zeros, apart.nan], [1, 0]);
  assert.match(difference(kept(1, 2, 3), { shape: [4], index: [null], values: [] }), /shape is \(4\)/);
  assert.equal(difference(kept(1, 2, 3), null), null);
});

/** A tape of events [phase, op, shape of what is made], which hold no numbers. */
function plain(...events) {
  const values = events.map(([, , shape], event) => ({ key: `v${event}`, kind: "result", shape, event, contents: [[event, 0]] }));
  const made = events.map(([phase, op], i) => ({
    phase, op, call: null, step: 0, inputs: [], output: i, node: i, gradient: null, after: null, addends: [], numbers: {},
  }));
  return new Tape({ format: "minidl tape", version: 1, title: "", events: made, values, calls: [], lines: [], files: [], arrays: [{}] });
}

test("another op at the same place stands beside its like, and there the ops part", () => {
  const all = (op, shape = [3]) => plain(["forward", "Mul", [3]], ["forward", op, shape], ["loss", "Sum", []],
    ["backward", "Sum", []], ["backward", op, shape], ["backward", "Mul", [3]]);
  const rows = align(all("Square"), all("MySquare"));
  assert.deepEqual(rows.map(({ a, b }) => [a, b]), [0, 1, 2, 3, 4, 5].map((i) => [i, i]));
  assert.deepEqual(rows.map((row) => row.unlike), [false, true, false, false, true, false]);
  assert.equal(parting(rows).ops, 1);
  assert.equal(align(all("Square"), all("Narrow", [2])).length, 8); // of another shape: not its like
  assert.deepEqual(parting(align(all("Square"), all("Square"))), { ops: null, numbers: null });
});

test("an op that one tape has more does not shift the others", () => {
  const one = plain(["forward", "Mul", [3]], ["loss", "Sum", []]);
  const other = plain(["forward", "Mul", [3]], ["forward", "Tanh", [3]], ["loss", "Sum", []]);
  assert.deepEqual(align(one, other).map(({ a, b }) => [a, b]), [[0, 0], [null, 1], [1, 2]]);
});

test("the place pointed at lies in the sample that is shown", () => {
  const { tape } = written.sampled;
  const kept = new Tape(tape).array(0);
  const pointing = new Pointing();
  pointing.show(0, kept);
  pointing.point(0, [1, 1]);
  const there = pointing.at(0, kept.shape);
  assert.notEqual(kept.at(there), null);
  assert.notEqual(kept.at(pointing.at(1, kept.shape, [0, 0])), null);
});
