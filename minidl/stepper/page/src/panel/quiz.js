// One question before a backward event is shown: what will it send to one place of one input?
//
// The questions come with the tape ("quiz" of its JSON, made by minidl/stepper/quiz.py): {kind, event, addend, value, place,
// ask, answer, tolerance, wrong: [{number, says, tolerance}], hint, reveal}. Where there is none for an event, one is made
// here of what the tape holds.

import { code, el, section } from "./dom.js";
import { mathBox } from "./formula.js";
import { brief, full, placeText } from "./numbers.js";

const CLOSE = 0.01; // a number is right within 1 %: it was worked out from 4 digits

/**
 * The question about a backward event, about what it sends to value v if it sends something there; null if it sends
 * nothing. It stays the same while the event is looked at.
 */
export function questionFor(tape, event, v, memory) {
  if (event.phase !== "backward" || !event.addends.length) return null;
  if (!memory.quiz.has(event.number)) {
    const asked = tape.quiz.filter((question) => question.kind === "addend" && question.event === event.number);
    memory.quiz.set(event.number, { question: asked.find((question) => question.value === v) ?? asked[0] ?? made(tape, event) });
  }
  return memory.quiz.get(event.number).question;
}

function made(tape, event) {
  const addend = event.addends.at(-1); // the second factor, the weight: the more telling one
  const grad = tape.array(addend.grad);
  if (grad.size === 0) return null;
  const place = largest(grad);
  return { event: event.number, value: addend.value, addend: event.addends.length - 1, place, answer: grad.at(place), wrong: usual(tape, event, addend, place) };
}

/** Where the number of the largest size stands that the sample holds; what is not finite has none. */
function largest(kept) {
  const size = (x) => (Number.isFinite(x) ? Math.abs(x) : -1);
  let best = 0;
  kept.values.forEach((x, i) => {
    if (size(x) > size(kept.values[best])) best = i;
  });
  const place = [];
  for (let axis = kept.sides.length - 1; axis >= 0; axis--) {
    place.unshift(best % kept.sides[axis]);
    best = Math.floor(best / kept.sides[axis]);
  }
  return kept.truePlace(place);
}

/** What is often answered instead. */
function usual(tape, event, addend, place) {
  const grad = tape.array(addend.grad).at(place);
  const at = (kept) => (kept && kept.shape.length === place.length && place.every((i, axis) => i < kept.shape[axis]) ? kept.at(place) : null);
  const { key } = tape.values[addend.value];
  return [
    [-grad, "The size is right, the sign is not."],
    [at(tape.array(addend.total)), "That is the sum with what had reached it before; asked is what this op adds."],
    [at(tape.array(event.gradient)), "That is the gradient that came in: it still has to be multiplied by the op's own derivative."],
    [at(tape.content(addend.value, event.number)), `That is the value of ${key} itself, not its gradient.`],
  ].filter(([x]) => x !== null).map(([x, says]) => ({ number: x, says }));
}

/** Whether the question about an event still hides what it asks for. */
export function isOpen(memory, question) {
  return !memory.quiz.get(question.event)?.done;
}

/** {right, words}: what is said to an answer. */
export function judged(question, text) {
  const given = parsed(text);
  if (given === null) return { right: false, words: "Expected a number, as 0.25 or -1e-3." };
  const near = (x, tolerance) => (Number.isFinite(x) ? Math.abs(given - x) <= (tolerance ?? CLOSE * Math.abs(x)) : Object.is(given, x));
  if (near(question.answer, question.tolerance)) return { right: true, words: "Right." };
  const known = (question.wrong ?? []).find((wrong) => near(wrong.number, wrong.tolerance));
  return { right: false, words: known ? sentence(known.says) : isPower(given / question.answer)
    ? "The digits are right, the power of ten is not." : "Not yet. Look at the hint, or reveal it." };
}

function isPower(ratio) {
  const power = Math.log10(Math.abs(ratio));
  return Math.abs(power) > 0.9 && Math.abs(power - Math.round(power)) < 0.005;
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

function parsed(text) {
  const plain = text.trim().replace("\u2212", "-").replace(",", ".");
  if (/^[-+]?(nan|inf|infinity)$/i.test(plain)) return /nan/i.test(plain) ? NaN : plain.startsWith("-") ? -Infinity : Infinity;
  const fraction = plain.split("/");
  const x = fraction.length === 2 ? Number(fraction[0]) / Number(fraction[1]) : Number(plain);
  return plain === "" || Number.isNaN(x) ? null : x;
}

/** The form, or after it was answered what is right. `again` draws the panel anew. */
export function quizForm(tape, event, question, memory, again) {
  const state = memory.quiz.get(event.number);
  const { key, dtype } = tape.values[question.value];
  const what = question.ask ?? `What does ${event.op} send to ${key}${placeText(question.place)}?`;
  if (state.done) {
    return section("Question", "quiz", el("p", {}, what),
      el("p", { class: "panel-verdict", role: "status" }, state.right ? "Right: " : "It is ", code(full(question.answer, dtype)), "."),
      question.reveal ? el("p", {}, code(question.reveal)) : null,
      el("button", { type: "button", "data-focus": "quiz", onclick: () => {
        memory.quiz.delete(event.number);
        again();
      } }, "Ask again"));
  }
  const answer = el("input", { type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false", "data-focus": "quiz", onkeydown: (e) => e.stopPropagation() });
  answer.value = state.text ?? "";
  answer.addEventListener("input", () => {
    state.text = answer.value;
  });
  const verdict = el("p", { class: "panel-verdict", role: "status" }, state.words ?? "");
  const hint = el("div", { class: "panel-hint", hidden: !state.hint }, ...hinted(tape, event, question));
  const finish = (right) => {
    Object.assign(state, { done: true, right });
    again();
  };
  const form = el("form", { onsubmit: (e) => {
    e.preventDefault();
    const { right, words } = judged(question, answer.value);
    state.words = words;
    verdict.textContent = words;
    if (right) finish(true);
  } },
  el("label", {}, what, " ", answer),
  el("div", { class: "panel-buttons" },
    el("button", { type: "submit" }, "Check"),
    el("button", { type: "button", "data-focus": "hint", onclick: () => {
      state.hint = true;
      hint.hidden = false;
    } }, "Hint"),
    el("button", { type: "button", onclick: () => finish(false) }, "Reveal")));
  return section("Question", "quiz", form, verdict, hint);
}

function hinted(tape, event, question) {
  const formula = event.formula?.gradients?.[question.addend ?? 0];
  const gradient = tape.array(event.gradient);
  const came = gradient?.size === 1 ? ` It is ${brief(gradient.values[0], gradient.dtype)} here.` : "";
  return [
    el("p", {}, question.hint ?? `The incoming gradient times the derivative of ${event.op} by this input; summed wherever the input was used more than once.${came}`),
    mathBox(formula),
  ].filter(Boolean);
}
