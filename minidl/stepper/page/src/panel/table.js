// An array as a table of numbers.

import { el } from "./dom.js";
import { moveByKey } from "./grid.js";
import { aligned, full, placeText, short } from "./numbers.js";

/** {element, mark(place)}. */
export function numberTable(kept, shown, { name, title, v, pointing, focus, readout, first, differs }) {
  const { rows, columns, values } = shown;
  const texts = [];
  for (let column = 0; column < columns; column++) {
    texts.push(aligned(Array.from({ length: rows }, (_, row) => {
      const i = row * columns + column;
      return i < values.length ? short(values[i], kept.dtype) : "";
    })));
  }
  const cells = [];
  const body = el("tbody");
  for (let row = 0; row < rows; row++) {
    const line = el("tr");
    if (kept.shape.length > 1 || shown.wrapped) line.append(el("th", { scope: "row" }, String(shown.rowName(row))));
    for (let column = 0; column < columns; column++) {
      const i = row * columns + column;
      if (i >= values.length) continue;
      const place = shown.placeOf(row, column);
      const cell = el("td", {
        title: `${placeText(place)} ${full(values[i], kept.dtype)}`.trim(),
        class: [Number.isFinite(values[i]) ? "" : "panel-warning", differs?.(place) ? "panel-differs" : ""].join(" ").trim() || null,
      }, texts[column][row]);
      cell.addEventListener("click", () => pointing.point(v, place));
      cells.push(cell);
      line.append(cell);
    }
    body.append(line);
  }
  const heads = kept.shape.length
    ? el("thead", {}, el("tr", {},
      kept.shape.length > 1 || shown.wrapped ? el("td") : null,
      Array.from({ length: columns }, (_, column) => el("th", { scope: "col" }, String(shown.columnName(column))))))
    : null;
  const table = el("table", { class: "panel-numbers" }, el("caption", { class: "panel-hidden" }, `${title} of ${name}`), heads, body);
  const box = el("div", {
    class: "panel-scroll", tabindex: 0, role: "group", "data-focus": focus,
    "aria-label": `${title} of ${name}. Arrow keys move to another number.`,
    onkeydown: (event) => moveByKey(event, shown, pointing.at(v, kept.shape, first), (place) => pointing.point(v, place)),
    onfocus: () => readout.setAttribute("aria-live", "polite"),
    onblur: () => readout.removeAttribute("aria-live"),
  }, table);
  let marked = null;
  const mark = (place) => {
    const [row, column] = shown.cellOf(place);
    marked?.classList.remove("panel-pointed");
    marked = cells[row * columns + column] ?? null;
    if (kept.size > 1) marked?.classList.add("panel-pointed");
  };
  return { element: box, mark };
}
