// What two tapes' arrays differ by.

import { Kept } from "../model.js";

/** this - other as an array; null if there is none to compare with, a text if they cannot be compared. */
export function difference(kept, other) {
  if (!kept || !other) return null;
  if (kept.shape.join() !== other.shape.join()) return `the other's shape is (${other.shape.join(", ")})`;
  if (JSON.stringify(kept.index) !== JSON.stringify(other.index)) return "the other tape kept another sample";
  // rounded as NumPy's difference is; what is NaN or infinite alike on both sides is no difference
  const round = kept.dtype === "float32" || kept.dtype === "float16" ? Math.fround : (x) => x;
  const values = Float64Array.from(kept.values, (x, i) => (Object.is(x, other.values[i]) ? 0 : round(x - other.values[i])));
  const finite = values.filter(Number.isFinite);
  const sum = finite.reduce((a, x) => a + x, 0);
  return Object.assign(Object.create(Kept.prototype), kept, {
    dtype: { float16: "float32", bool: "int64" }[kept.dtype] ?? kept.dtype, values,
    low: finite.length ? finite.reduce((a, x) => Math.min(a, x)) : NaN,
    high: finite.length ? finite.reduce((a, x) => Math.max(a, x)) : NaN,
    mean: sum / finite.length,
    norm: Math.sqrt(values.reduce((a, x) => a + x * x, 0)),
    zeros: values.filter((x) => x === 0).length,
    nan: values.filter(Number.isNaN).length,
    infinite: values.filter((x) => x === Infinity || x === -Infinity).length,
  });
}
