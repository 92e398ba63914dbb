// One array: as numbers if what is shown has at most 64, else as a heat map; its statistics; the number pointed at.

import { el } from "./dom.js";
import { grid } from "./grid.js";
import { brief, count, full, placeText, shapeText, sidesText } from "./numbers.js";
import { held, nearest } from "./pointing.js";
import { heatMap } from "./heatmap.js";
import { numberTable } from "./table.js";

/**
 * A figure of an array.
 *
 * `about`: {title, name (of the value, for screen readers), v (its number), pointing, log, most (the scale's end; by
 * default the largest finite number), focus (a name), first (the place to begin with), statistics}.
 */
export function arrayView(kept, about) {
  const { title, v, pointing } = about;
  const body = el("div", { class: "panel-array-body" });
  const readout = el("p", { class: "panel-readout" });
  const figure = el("figure", { class: "panel-array" }, el("figcaption", {}, title), body);
  if (kept.size === 0) {
    body.append(el("p", { class: "panel-note" }, `empty: shape ${shapeText(kept.shape)}`));
    return figure;
  }
  const end = about.most ?? Math.max(Math.abs(kept.low), Math.abs(kept.high));
  const most = Number.isFinite(end) ? end : 0; // no number at all is finite
  let leading = null;
  let drawn = null;
  const draw = (place) => {
    const now = place.slice(0, -2).join();
    if (leading !== now) {
      const shown = grid(kept, place);
      const make = shown.values.length <= 64 && shown.columns <= 16 ? numberTable : heatMap;
      drawn = make(kept, shown, { ...about, most, readout });
      body.replaceChildren(drawn.element);
      leading = now;
    }
    drawn.mark(place);
    const there = held(kept, place);
    readout.textContent = `${placeText(there)} = ${full(kept.at(there), kept.dtype)}`.trim();
  };
  draw(pointing.at(v, kept.shape, about.first));
  pointing.listen(v, draw);
  figure.append(readout);
  if (about.statistics !== false) figure.append(statistics(kept));
  return figure;
}

/** range, mean, norm and counts, of all of the array; and what is shown of it, if that is a part. */
export function statistics(kept) {
  const { low, high, mean, norm, zeros, nan, infinite, size } = kept;
  if (kept.dtype === "bool") return el("p", { class: "panel-statistics" }, `${count(size - zeros)} of ${count(size)} are True`, sampleOf(kept));
  const said = size > 1 ? [`range ${brief(low)} to ${brief(high)}`, `mean ${brief(mean)}`, `norm ${brief(norm)}`] : [];
  if (zeros && size > 1) said.push(zeros === size ? "all zero" : `${count(zeros)} of ${count(size)} are zero`);
  const wrong = [nan && `${count(nan)} NaN`, infinite && `${count(infinite)} infinite`].filter(Boolean);
  if (size > 1 && !wrong.length && kept.dtype.startsWith("float")) said.push(zeros ? "no NaN or infinity" : "no zero, NaN or infinity");
  const line = el("p", { class: "panel-statistics" }, said.join(", "));
  if (wrong.length) line.append(said.length ? ", " : "", el("strong", { class: "panel-warning" }, wrong.join(", ")));
  line.append(...sampleOf(kept));
  return line;
}

function sampleOf(kept) {
  if (!kept.sampled) return [];
  return [" ", el("span", { class: "panel-sample" }, `sample: ${sidesText(kept.sides)} of ${sidesText(kept.shape)}`)];
}

/** What is not there yet: hatched, never 0. `state` says in a word why. */
export function notYet(title, shape, words) {
  return el("figure", { class: "panel-array" }, el("figcaption", {}, title),
    el("div", { class: "panel-hatched", role: "img", "aria-label": `${title}: ${words}` }, el("span", {}, words)),
    shape.length ? el("p", { class: "panel-statistics" }, `shape ${shapeText(shape)}`) : null);
}

/** Inputs for the indices of all axes but the last two; null if there are no such axes. */
export function leadingIndices(kept, { v, name, pointing, focus, first }) {
  const axes = kept.shape.length - 2;
  if (axes < 1 || kept.size === 0) return null;
  const box = el("div", { class: "panel-leading", role: "group", "aria-label": `Which part of ${name} is shown` });
  const inputs = [];
  for (let axis = 0; axis < axes; axis++) {
    const last = kept.index[axis] ? kept.index[axis].at(-1) : kept.shape[axis] - 1;
    const input = el("input", { type: "number", min: 0, max: last, step: 1, "data-focus": `${focus} axis ${axis}`,
      onchange: () => {
        const place = [...pointing.at(v, kept.shape, first)];
        const asked = Math.min(last, Math.max(0, Math.trunc(Number(input.value)) || 0));
        place[axis] = kept.index[axis] ? kept.index[axis][nearest(kept.index[axis], asked)] : asked;
        pointing.point(v, place);
      },
      onkeydown: (event) => event.stopPropagation(), // the arrows change the number, not the moment
    });
    inputs.push(input);
    const part = last ? `0 to ${last} kept` : "only 0 kept";
    const of = kept.index[axis] ? `${part}, of ${kept.shape[axis]}` : `of ${kept.shape[axis]}`;
    box.append(el("label", {}, `axis ${axis}: `, input, el("span", { class: "panel-note" }, ` ${of}`)));
  }
  const say = (place) => {
    const there = held(kept, place);
    inputs.forEach((input, axis) => {
      input.value = there[axis];
    });
  };
  say(pointing.at(v, kept.shape, first));
  pointing.listen(v, say);
  return box;
}
