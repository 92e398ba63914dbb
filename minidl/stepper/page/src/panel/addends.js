// How a gradient comes together: each addend, who sent it, and the running sum.

import { arrayView, leadingIndices } from "./array.js";
import { code, el, link, section } from "./dom.js";
import { brief, full, placeText, shapeText } from "./numbers.js";

const EDGE = 12; // of very many addends the first and the last are shown: hundreds of rows would slow a step down

/** The addends that have reached value v, with the running sum. */
export function received(tape, v, known, view) {
  if (!known.addends.length) return null;
  const { key, shape } = tape.values[v];
  const { pointing } = view;
  const all = known.addends.map(([number, addend], nth) => ({ number, addend, nth }));
  const shown = all.length > 2 * EDGE + 1 ? [...all.slice(0, EDGE), null, ...all.slice(-EDGE)] : all;
  const rows = shown.map((one) => {
    if (one === null) return el("tr", {}, el("td", { colspan: 4 }, `\u2026 ${all.length - 2 * EDGE} more \u2026`));
    const { number, addend, nth } = one;
    const grad = tape.array(addend.grad);
    const total = tape.array(addend.total) ?? grad;
    const from = tape.events[number];
    const own = el("td", { class: "panel-number" });
    const sum = el("td", { class: "panel-number" });
    const say = (place) => {
      own.textContent = said(grad, place);
      sum.textContent = said(total, place);
    };
    say(pointing.at(v, shape, view.first));
    pointing.listen(v, say);
    return el("tr", { class: number === view.moment ? "panel-now" : null },
      el("th", { scope: "row" }, link(`${from.op}, event ${number}`, `addend ${nth}`, () => view.onJump(number)),
        ` by its input ${addend.input}`),
      el("td", {}, shapes(addend, shape)), own, sum);
  });
  const where = el("span");
  const heading = (place) => {
    where.textContent = place.length && !shape.includes(0) ? `, at ${placeText(place)}` : "";
  };
  heading(pointing.at(v, shape, view.first));
  pointing.listen(v, heading);
  const table = el("table", { class: "panel-addends" },
    el("caption", {}, ...equation(key, known), where),
    el("thead", {}, el("tr", {}, ["came from", "shape", "addend", "sum so far"].map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows));
  const wholes = all.length > 1 ? shown.filter(Boolean).map(({ number, addend, nth }) => folded(
    tape, addend, `addend ${nth + 1}, from ${tape.events[number].op} (event ${number})`, `received ${nth}`, view,
  )) : null;
  return section(known.addends.length > 1 ? "Sum of its gradient" : "Where its gradient came from", "received",
    el("div", { class: "panel-scroll", tabindex: 0, role: "group", "aria-label": `Addends of the gradient of ${key}`, "data-focus": "addends" }, table), wholes);
}

function equation(key, known) {
  const n = known.addends.length;
  const state = known.complete ? "complete" : "so far";
  return ["dL/d", code(key), `: ${n > 1 ? `${n} addends` : "one addend"}, ${state}`];
}

/** What a backward event sends to its inputs. */
export function sent(tape, event, view, hidden) {
  if (event.phase !== "backward" || !event.addends.length) return null;
  const parts = event.addends.map((addend, k) => {
    const value = tape.values[addend.value];
    const head = el("p", {}, "to ", link(value.key, `sent ${k}`, () => view.onSelect(addend.value)), ` (input ${addend.input}) `, shapes(addend, value.shape));
    return el("div", { class: "panel-sent" }, head, hidden
      ? el("p", { class: "panel-hatched" }, el("span", {}, "hidden until you have answered"))
      : folded(tape, addend, `addend of dL/d${value.key}`, `sent array ${k}`, view, addendIsSmall(tape, addend)));
  });
  return section("Sends to its inputs", "sent", parts);
}

function addendIsSmall(tape, addend) {
  return tape.array(addend.grad).size <= 64;
}

/** An addend's array, and the sum with it, behind a disclosure. It is drawn when it is opened. */
function folded(tape, addend, title, focus, view, open = false) {
  const grad = tape.array(addend.grad);
  const { key } = tape.values[addend.value];
  const summary = el("summary", { "data-focus": focus }, title, el("span", { class: "panel-note" },
    grad.size === 1 ? ` ${brief(grad.values[0], grad.dtype)}` : ` norm ${brief(grad.norm)}`));
  const box = el("details", { class: "panel-folded" }, summary);
  const fill = () => {
    if (!box.open || box.childElementCount > 1) return;
    const about = { name: key, v: addend.value, pointing: view.pointing, log: view.log, focus: `${focus} numbers` };
    const total = addend.total === null ? null : tape.array(addend.total);
    const most = total ? Math.max(...[grad, total].flatMap((a) => [Math.abs(a.low), Math.abs(a.high)])) : undefined;
    const leading = leadingIndices(grad, { ...about, focus: `${focus} leading` });
    if (leading) box.append(leading);
    box.append(el("div", { class: "panel-pair" },
      arrayView(grad, { ...about, most, title: "addend" }),
      total ? arrayView(total, { ...about, most, title: "sum with it", focus: `${focus} sum` }) : null));
  };
  box.addEventListener("toggle", () => {
    view.open.set(focus, box.open);
    fill();
  });
  box.open = view.open.get(focus) ?? open;
  fill();
  return box;
}

/** "(3, 4) -> (4,): summed over what had been broadcast", and a change of dtype. */
function shapes(addend, shape) {
  const before = addend.shape_before;
  const words = [];
  if (before && before.join() !== shape.join()) words.push(`${shapeText(before)} summed to ${shapeText(shape)}`);
  else words.push(shapeText(shape));
  if (addend.dtype_before) words.push(`from ${addend.dtype_before}`);
  return el("span", { class: before ? "panel-unbroadcast" : "panel-note" }, words.join(", "));
}

function said(kept, place) {
  if (kept.size === 0) return "empty";
  const x = kept.at(place);
  return x === null ? "not in the sample" : full(x, kept.dtype);
}
