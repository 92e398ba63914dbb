// An array as a map of colours: one pixel a number, drawn larger by the browser.

import { el } from "./dom.js";
import { moveByKey } from "./grid.js";
import { brief, shapeText, sidesText } from "./numbers.js";
import { pixels, ticks } from "./scale.js";

const WIDE = 232; // CSS pixels a map may take
const HIGH = 232;

/** {element, mark(place)}. */
export function heatMap(kept, shown, { name, title, v, pointing, log, most, focus, readout, first }) {
  const { rows, columns, values } = shown;
  const canvas = el("canvas", { width: columns, height: rows, role: "img", "aria-label": described(kept, title, name) });
  const padded = new Float64Array(rows * columns); // a vector's last row may be short
  padded.set(values);
  canvas.getContext("2d").putImageData(new ImageData(pixels(padded, most, log), columns, rows), 0, 0);
  const side = Math.min(16, WIDE / columns, HIGH / rows); // square, unless that would be a hair's breadth
  canvas.style.width = `${Math.max(side * columns, Math.min(48, 16 * columns))}px`;
  canvas.style.height = `${Math.max(side * rows, Math.min(48, 16 * rows))}px`;
  const marker = el("div", { class: "panel-marker" });
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const cell = (part, n) => Math.max(0, Math.min(n - 1, Math.floor(part * n)));
    return shown.placeOf(cell((event.clientY - box.top) / box.height, rows), cell((event.clientX - box.left) / box.width, columns));
  };
  const pointer = (event) => pointing.point(v, at(event));
  const box = el("div", {
    class: "panel-map", tabindex: 0, role: "group", "data-focus": focus,
    "aria-label": `${title} of ${name}. Arrow keys move to another number.`,
    onpointermove: pointer, onpointerdown: pointer,
    onkeydown: (event) => moveByKey(event, shown, pointing.at(v, kept.shape, first), (place) => pointing.point(v, place)),
    onfocus: () => readout.setAttribute("aria-live", "polite"),
    onblur: () => readout.removeAttribute("aria-live"),
  }, canvas, marker);
  const mark = (place) => {
    const [row, column] = shown.cellOf(place);
    marker.style.left = `${(100 * column) / columns}%`;
    marker.style.top = `${(100 * row) / rows}%`;
    marker.style.width = `${100 / columns}%`;
    marker.style.height = `${100 / rows}%`;
  };
  const note = shown.wrapped ? el("p", { class: "panel-note" }, `a vector, in rows of ${columns}`) : null;
  return { element: el("div", { class: "panel-mapped" }, box, note, most === 0 && !(kept.nan + kept.infinite) ? null : legend(most, log, kept.nan + kept.infinite)), mark };
}

function described(kept, title, name) {
  const wrong = kept.nan || kept.infinite ? `, ${kept.nan} NaN, ${kept.infinite} infinite` : "";
  const part = kept.sampled ? ` A sample: ${sidesText(kept.sides)}.` : "";
  return `Heat map: ${title} of ${name}, shape ${shapeText(kept.shape)}, from ${brief(kept.low)} to ${brief(kept.high)}${wrong}.${part}`;
}

/** The scale with its numbers. */
function legend(most, log, notFinite) {
  const numbers = ticks(most, log).map(([where, x]) => {
    const between = x !== 0 && Math.abs(x) < most;
    const tick = el("span", { class: between ? "panel-legend-between" : null }, brief(x));
    tick.style.left = `${100 * where}%`;
    return tick;
  });
  return el("div", { class: "panel-legend" },
    el("div", { class: "panel-legend-bar" }),
    el("div", { class: log ? "panel-legend-numbers panel-legend-log" : "panel-legend-numbers" }, numbers),
    notFinite ? el("p", { class: "panel-note" }, el("span", { class: "panel-swatch" }), " NaN or infinite") : null);
}
