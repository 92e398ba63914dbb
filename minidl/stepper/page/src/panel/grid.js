// An array as rows and columns: the last two axes at chosen leading indices; a vector broken into rows.

import { nearest } from "./pointing.js";

/** {values, rows, columns, wrapped, placeOf(row, column), cellOf(place), rowName(row), columnName(column)}. */
export function grid(kept, place) {
  const axes = kept.shape.length;
  if (axes < 2) return vector(kept);
  const [rows, columns] = kept.sides.slice(-2);
  let first = 0;
  for (let axis = 0; axis < axes - 2; axis++) first = first * kept.sides[axis] + nearest(kept.index[axis], place[axis]);
  const values = kept.values.subarray(first * rows * columns, (first + 1) * rows * columns);
  const [ofRow, ofColumn] = kept.index.slice(-2);
  const rowName = (row) => (ofRow ? ofRow[row] : row);
  const columnName = (column) => (ofColumn ? ofColumn[column] : column);
  const leading = place.slice(0, -2);
  return {
    values, rows, columns, wrapped: false, rowName, columnName,
    placeOf: (row, column) => [...leading, rowName(row), columnName(column)],
    cellOf: (at) => [nearest(ofRow, at.at(-2)), nearest(ofColumn, at.at(-1))],
  };
}

/** A number, or a vector: up to 8 in one row, up to 64 in rows of 8, then of 32 or 64. */
function vector(kept) {
  const n = kept.values.length;
  const columns = n <= 16 ? n : n <= 64 ? 8 : n <= 1024 ? 32 : 64;
  const kept0 = kept.index[0] ?? null;
  const name = (i) => (kept0 ? kept0[i] : i);
  return {
    values: kept.values, rows: Math.ceil(n / columns), columns, wrapped: n > columns,
    rowName: (row) => name(row * columns),
    columnName: (column) => (n > columns ? `+${column}` : name(column)),
    placeOf: (row, column) => (kept.shape.length ? [name(Math.min(n - 1, row * columns + column))] : []),
    cellOf: (place) => {
      const i = kept.shape.length ? nearest(kept0, place[0]) : 0;
      return [Math.floor(i / columns), i % columns];
    },
  };
}

/** Arrow keys, Home and End move the place that is pointed at; true if the key was one of them. */
export function moveByKey(event, shown, place, point) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };
  const by = step[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return false;
  const [row, column] = shown.cellOf(place);
  const inside = (i, n) => Math.max(0, Math.min(n - 1, i));
  point(shown.placeOf(inside(row + by[0], shown.rows), inside(column + by[1], shown.columns)));
  event.preventDefault();
  event.stopPropagation(); // here the arrows move the place, not the moment
  return true;
}
