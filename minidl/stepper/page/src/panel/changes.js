// What an accumulation and an update change: before, what was added or used, after.

import { arrayView, leadingIndices, notYet } from "./array.js";
import { code, el, section } from "./dom.js";
import { brief, placeText, short } from "./numbers.js";

const WORDS = { lr: "learning rate", multiplier: "layer's multiplier", rate: "effective rate", weight_decay: "weight decay", gradient_norm: "gradient's norm" };

export function changes(tape, event, view) {
  if (event.phase === "accumulate") {
    return shown(tape, event, view, "Added to .grad", [
      [".grad before", event.before, "there was none"], ["added", event.gradient], [".grad after", event.after],
    ]);
  }
  if (event.phase === "update") {
    return shown(tape, event, view, `${event.op}: the weight moves`, [
      ["weight before", event.before], ["gradient used", event.gradient, "there was none"], ["weight after", event.after],
    ]);
  }
  return null;
}

function shown(tape, event, view, title, parts) {
  const v = event.output;
  const { key, shape } = tape.values[v];
  const arrays = parts.map(([, n]) => tape.array(n));
  const about = { name: key, v, pointing: view.pointing, log: view.log, first: view.first };
  const some = arrays.find(Boolean);
  // before and after have one scale, so that what moved is seen
  const ends = [arrays[0], arrays[2]].filter(Boolean).flatMap((a) => [Math.abs(a.low), Math.abs(a.high)]);
  const views = parts.map(([label, , none], i) => (arrays[i]
    ? arrayView(arrays[i], { ...about, title: label, focus: label, most: i === 1 ? undefined : Math.max(...ends) })
    : notYet(label, shape, none ?? "not kept")));
  return section(title, "changes", event.worked?.forward?.length ? null : equation(event, arrays, key, view),
    some ? leadingIndices(some, { ...about, focus: "changes leading" }) : null,
    el("div", { class: "panel-pair" }, views));
}

/** What an update was made with: the learning rate, the layer's multiplier, their product, ... */
export function rates(event) {
  const order = [...Object.keys(WORDS), ...Object.keys(event.numbers)];
  const entries = Object.entries(event.phase === "update" ? event.numbers : {})
    .sort(([one], [other]) => order.indexOf(one) - order.indexOf(other));
  if (!entries.length) return null;
  return section("Rates", "rates", el("dl", { class: "panel-settings" }, entries.map(([name, x]) => el("div", {},
    el("dt", {}, WORDS[name] ?? name), el("dd", {}, brief(x))))));
}

/** "at [0, 1]: 0.1 + 0.2 = 0.3", or what the weight moved by. */
function equation(event, [before, added, after], key, view) {
  if (!after) return null;
  const line = el("p", { class: "panel-worked" });
  const say = (place) => {
    const at = (kept) => (kept ? kept.at(place) : null);
    const [b, g, a] = [before, added, after].map(at);
    const where = el("span", { class: "panel-note" }, place.length ? `at ${key}${placeText(place)}: ` : "");
    const n = (x) => short(x, after.dtype);
    if (after.size === 0) line.replaceChildren();
    else if (a === null) line.replaceChildren(where, "not in the sample");
    else if (event.phase === "accumulate") line.replaceChildren(where, code(b === null ? `.grad = ${n(a)}` : `${n(b)} + ${n(g)} = ${n(a)}`));
    else line.replaceChildren(where, code(`${n(b)} \u2192 ${n(a)}`), `, moved by ${brief(a - b, after.dtype)}${g === null ? "" : `, gradient ${n(g)}`}`);
  };
  say(view.pointing.at(event.output, after.shape, view.first));
  view.pointing.listen(event.output, say);
  return line;
}
