// The right-hand panel: all that is known of one value at one moment, and what the event does.
//
// renderPanel(root, tape, moment, selected, options) fills `root` anew and gives the focus back to where it was.
//   moment: the event that has just happened; -1 before all. selected: the number of a value; null: the event's output.
//   options.onSelect(v), options.onJump(i): a value was chosen; an event is to be gone to.
//   options.log, options.onLog(on): the logarithmic scale, and that the panel's own switch was used.
//   options.quiz: gradients of the backward event stay hidden until a question about them is answered.
//   options.other: {content, gradient}: another tape's arrays of the same value, to show what differs.
// What a reader has pointed at, opened or answered is remembered with `root`.

import { received, sent } from "./addends.js";
import { arrayView, leadingIndices, notYet } from "./array.js";
import { changes, rates } from "./changes.js";
import { badges } from "./checks.js";
import { difference } from "./difference.js";
import { code, el, link } from "./dom.js";
import { formulas } from "./formula.js";
import { brief, shapeText } from "./numbers.js";
import { Pointing } from "./pointing.js";
import { isOpen, questionFor, quizForm } from "./quiz.js";
import { sources } from "./source.js";
import { labelOf } from "../words.js";

const remembered = new WeakMap();
const KINDS = { parameter: "parameter", leaf: "leaf", input: "input", constant: "constant", result: "result of an op" };

export function renderPanel(root, tape, moment, selected, options = {}) {
  if (!remembered.has(root)) remembered.set(root, { pointing: new Pointing(), open: new Map(), quiz: new Map(), log: false, asked: false });
  const memory = remembered.get(root);
  if (memory.tape !== tape) Object.assign(memory, { tape, pointing: new Pointing(), quiz: new Map() });
  if (Boolean(options.log) !== memory.asked) memory.log = memory.asked = Boolean(options.log); // only a change from outside
  memory.pointing.clear();
  const again = () => renderPanel(root, tape, moment, selected, options);
  const event = tape.events[moment] ?? null;
  const v = selected ?? event?.output ?? null;
  const question = options.quiz && event ? questionFor(tape, event, v, memory) : null;
  const hidden = Boolean(question) && isOpen(memory, question);
  const shown = v === null ? null : (tape.content(v, moment) ?? tape.gradient(v, moment).total);
  if (shown) memory.pointing.show(v, shown);
  const view = {
    moment, log: memory.log, pointing: memory.pointing, open: memory.open, first: firstPlace(tape, event, v, moment),
    onSelect: options.onSelect ?? (() => {}), onJump: options.onJump ?? (() => {}),
  };
  const focus = document.activeElement && root.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  root.classList.add("panel");
  root.replaceChildren(...[
    event ? heading(tape, event, view) : el("p", { class: "panel-note" }, "Nothing has happened yet."),
    event ? rates(event) : null,
    v === null ? null : valuePart(tape, event, v, view, { options, memory, again, hidden }),
    event ? changes(tape, event, view) : null,
    question ? quizForm(tape, event, question, memory, again) : null,
    v === null || hides(event, v, hidden) ? null : received(tape, v, tape.gradientNumber(v, moment), view),
    event ? formulas(tape, event, memory.pointing, hidden) : null,
    event ? sent(tape, event, view, hidden) : null,
    event ? sources(tape, event) : null,
  ].filter(Boolean));
  if (focus) [...root.querySelectorAll("[data-focus]")].find((there) => there.dataset.focus === focus)?.focus({ preventScroll: true });
}

/** Where to begin pointing: at the place whose numbers the formula was worked out for. */
function firstPlace(tape, event, v, moment) {
  if (!event?.worked || v === null) return null;
  const k = event.addends.findIndex((addend) => addend.value === v);
  const texts = event.phase === "backward" ? event.worked.gradients?.[k] : event.output === v ? event.worked.forward : null;
  const place = texts?.[0]?.place;
  if (!place || place.length !== tape.values[v].shape.length) return null;
  return (tape.content(v, moment) ?? tape.gradient(v, moment).total)?.at(place) == null ? null : place; // not in the sample
}

/** Whether a question hides the gradient of v: the backward event sends to it. */
function hides(event, v, hidden) {
  return hidden && event.addends.some((addend) => addend.value === v);
}

// ---- the event

function heading(tape, event, view) {
  const path = tape.layerPath(event).map((call) => `${call.path}${call.nth > 1 ? ` (call ${call.nth})` : ""}`);
  const name = event.op === "seed" ? "backward begins" : event.phase === "backward" ? `${event.op} backward` : event.op;
  const chosen = (v, nth, what) => link(labelOf(tape.values[v]), `${what} ${nth}`, () => view.onSelect(v));
  const inputs = tape.given(event).flatMap((v, nth) => [nth ? ", " : "", chosen(v, nth, "input")]);
  const forward = event.phase === "backward" && event.node !== null && event.node !== event.number
    ? ["; computed in ", link(`event ${event.node}`, "forward event", () => view.onJump(event.node))] : [];
  const output = event.output === null ? [] : [chosen(event.output, 0, "output")];
  const flow = {
    backward: ["gradient of ", ...output, ...(inputs.length ? [" \u2192 ", ...inputs] : []), ...forward],
    accumulate: ["the gradient is added to ", ...output, code(".grad")],
    update: ["of ", ...output],
  }[event.phase] ?? [...inputs, inputs.length ? " \u2192 " : "", ...output];
  return el("header", { class: "panel-event" },
    el("h2", {}, el("span", { class: `panel-phase panel-phase-${event.phase}` }, event.phase), " ", name),
    el("p", {}, flow),
    event.options ? el("p", {}, code(event.options)) : null,
    path.length ? el("p", { class: "panel-note" }, `in layer ${path.at(-1)}`, path.length > 1 ? ` (${path.slice(0, -1).join(" \u203a ")})` : "") : null,
    event.grad_enabled ? null : el("p", { class: "panel-note" }, "no history is recorded here (no_grad)"),
    Object.entries(event.phase === "backward" ? event.numbers : {}).map(([key, x]) => el("p", { class: "panel-note" }, `${key} ${brief(x)}`)),
    event.note ? el("p", {}, event.note) : null);
}

// ---- the value and its gradient

function valuePart(tape, event, v, view, { options, memory, again, hidden }) {
  const value = tape.values[v];
  const content = tape.content(v, view.moment);
  const known = tape.gradient(v, view.moment);
  const about = { name: value.key, v, pointing: view.pointing, log: view.log, first: view.first };
  const other = options.other ?? {};
  const figures = [
    content ? compared("value", content, other.content, about) : notYet("value", value.shape, "not computed yet"),
    gradientFigures(tape, event, v, known, about, { other: other.gradient, hidden, moment: view.moment }),
  ].flat();
  const some = content ?? known.total;
  const log = el("input", { type: "checkbox", "data-focus": "log", onchange: () => {
    memory.log = log.checked;
    options.onLog?.(log.checked);
    again();
  } });
  log.checked = view.log;
  return el("section", { class: "panel-section panel-value" },
    el("h3", {}, code(value.key)),
    el("p", { class: "panel-note" }, [KINDS[value.kind], shapeText(value.shape), value.dtype, value.device === "numpy" ? null : value.device,
      value.requires_grad ? "requires_grad" : null].filter(Boolean).join(", ")),
    badges(tape, v, view, hides(event, v, hidden)),
    some ? leadingIndices(some, { ...about, focus: "leading" }) : null,
    el("div", { class: "panel-pair" }, figures),
    figures.some((figure) => figure.querySelector("canvas")) ? el("label", { class: "panel-log" }, log, " logarithmic colours") : null);
}

/** The array, and beside it what it differs by from the other tape's. */
function compared(title, kept, other, about) {
  const apart = difference(kept, other);
  const most = other ? Math.max(...[kept, other].flatMap((a) => [Math.abs(a.low), Math.abs(a.high)])) : undefined;
  const figure = (differs) => arrayView(kept, { ...about, title, most, focus: title, differs });
  if (apart === null) return [figure()];
  if (typeof apart === "string") return [figure(), el("p", { class: "panel-note" }, apart)];
  if (apart.zeros === apart.values.length) return [figure(), el("p", { class: "panel-note" }, `${title}: equal to the other's`)];
  return [figure((place) => apart.at(place) !== 0),
    arrayView(apart, { ...about, title: `${title}: this \u2212 other`, focus: `${title} difference` })];
}

function gradientFigures(tape, event, v, known, about, { other, hidden, moment }) {
  const value = tape.values[v];
  const title = `gradient dL/d${value.key}`;
  if (!value.requires_grad) return [el("p", { class: "panel-note panel-none" }, "no gradient: it does not require one")];
  if (hides(event, v, hidden)) return [notYet(title, value.shape, "hidden until you have answered")];
  if (known.total) return compared(known.complete ? title : `${title}, so far`, known.total, other, about);
  const words = tape.receives(v, moment) ? "not computed yet"
    : tape.receives(v, -1) ? "none in this backward; an earlier one made it" : "none comes on this tape";
  return [notYet(title, value.shape, words)];
}
