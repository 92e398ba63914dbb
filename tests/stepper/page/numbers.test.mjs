// Numbers are printed as NumPy prints them; answers to a question are judged.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { number } from "../../../minidl/stepper/page/src/model.js";
import { aligned, brief, full, placeText, shapeText, short } from "../../../minidl/stepper/page/src/panel/numbers.js";
import { judged } from "../../../minidl/stepper/page/src/panel/quiz.js";
import { pixels, place, ticks } from "../../../minidl/stepper/page/src/panel/scale.js";

const written = JSON.parse(readFileSync(process.env.MINIDL_PAGE, "utf8"));

test("4 significant digits and all of them, as NumPy has them", () => {
  for (const [dtype, said, digits, all] of written.numbers) {
    const x = said === "-0" ? -0 : number(said);
    assert.equal(short(x, dtype), digits);
    assert.equal(full(x, dtype), all);
  }
});

test("in a sentence a number does not end with a point", () => {
  assert.equal(brief(784), "784");
  assert.equal(brief(1e-7), "1e-07");
  assert.equal(brief(0.25), "0.25");
});

test("points stand under each other", () => {
  assert.deepEqual(aligned(["1.", "0.25", "-3.5"]), ["1.  ", "0.25", "-3.5 "]);
  assert.deepEqual(aligned(["1.", "1.e-05"]), ["1.", "1.e-05"]);
});

test("places and shapes as Python writes them", () => {
  assert.equal(placeText([0, 3]), "[0, 3]");
  assert.equal(placeText([]), "");
  assert.deepEqual([[], [3], [3, 4]].map(shapeText), ["()", "(3,)", "(3, 4)"]);
});

test("the scale is symmetric, and zero has no colour", () => {
  assert.equal(place(0, 2, false), 0);
  assert.equal(place(-1, 2, false), -0.5);
  assert.equal(place(-1, 2, true), -place(1, 2, true));
  assert.equal(place(0.02, 2, true), 0.5);
  const [zero, low, high] = [0, 1, 2].map((i) => Array.from(pixels([0, -2, 2], 2, false).slice(4 * i, 4 * i + 4)));
  assert.equal(zero[3], 0);
  assert.deepEqual([low[3], high[3]], [255, 255]);
  assert.notDeepEqual(low, high);
  assert.deepEqual(ticks(2, false), [[0, -2], [0.5, 0], [1, 2]]);
  assert.equal(ticks(2, true).length, 5);
});

test("an answer is right within a hundredth; a usual mistake is named", () => {
  const question = { answer: -0.5, wrong: [{ number: 0.5, says: "the sign" }] };
  assert.ok(judged(question, "-0.501").right);
  assert.ok(judged(question, "\u22121/2").right);
  assert.equal(judged(question, "0.5").words, "The sign.");
  assert.match(judged(question, "-0.05").words, /power of ten/);
  assert.ok(!judged(question, "3").right);
  assert.match(judged(question, "much").words, /Expected a number/);
  assert.match(judged(question, "").words, /Expected a number/);
  assert.ok(judged({ answer: NaN }, "nan").right);
  assert.ok(judged({ answer: 0 }, "0").right);
});
