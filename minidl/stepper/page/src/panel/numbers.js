// Numbers in words: as NumPy prints them.
//
// `short` has 4 significant digits (5 from 10,000 on), positional from 0.0001 to 99,999, else with an exponent; `full` is
// what str() says of the NumPy number: the fewest digits that no other number of its dtype has.

const BITS = { float16: 11, float32: 24 }; // of the significand; float64 is JavaScript's own

/** 0.1234, 12.35, 1.234e-05, 784., nan, -inf; integers and booleans whole. */
export function short(x, dtype = "float64") {
  const plain = whole(x, dtype);
  if (plain !== null) return plain;
  if (x === 0) return Object.is(x, -0) ? "-0." : "0.";
  const a = Math.abs(x);
  const places = digitsOf(a, dtype, a >= 1e4 ? 5 : 4);
  const positional = a >= 1e-4 && a < 1e5;
  return (x < 0 ? "-" : "") + (positional ? written(places) : scientific(places, "."));
}

/** `short` inside a sentence, where "784." would end it: 784, 1e-07. */
export function brief(x, dtype) {
  return short(x, dtype).replace(/\.($|e)/, "$1");
}

/** 12,345 */
export function count(n) {
  return n.toLocaleString("en-US");
}

/** 0.12345679, 784.0, 1.5e-05: what NumPy's str() says of the number. */
export function full(x, dtype = "float64") {
  const plain = whole(x, dtype);
  if (plain !== null) return plain;
  if (x === 0) return Object.is(x, -0) ? "-0.0" : "0.0";
  const a = Math.abs(x);
  const places = digitsOf(a, dtype, Infinity);
  let text = a >= 1e-4 && a < 1e16 ? written(places) : scientific(places, "");
  if (text.endsWith(".")) text += "0";
  return (x < 0 ? "-" : "") + text;
}

/** What needs no digits chosen: whole numbers, booleans, and what is not finite; null for the rest. */
function whole(x, dtype) {
  if (dtype === "bool") return x ? "True" : "False";
  if (!dtype.startsWith("float")) return String(x);
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  return null;
}

/** {digits, exponent} of a > 0: the fewest that tell it from its neighbours of its dtype, at most `most`. */
function digitsOf(a, dtype, most) {
  let places = parts(a.toExponential());
  if (dtype in BITS || places.digits.length > most) {
    for (let n = 1; n <= Math.min(most, 17); n++) {
      places = cutTo(a, n);
      if (rounded(valueOf(places), dtype) === a) break;
    }
  }
  return { ...places, digits: places.digits.replace(/0+$/, "") };
}

/** a with n digits; a half goes to the even digit, as in NumPy (JavaScript rounds it up). */
function cutTo(a, n) {
  const exact = parts(a.toExponential(60));
  const half = exact.digits[n] === "5" && /^0*$/.test(exact.digits.slice(n + 1));
  if (half && Number(exact.digits[n - 1]) % 2 === 0) return { ...exact, digits: exact.digits.slice(0, n) };
  return parts(a.toExponential(n - 1));
}

function parts(text) {
  const [mantissa, exponent] = text.split("e");
  return { digits: mantissa.replace(".", ""), exponent: Number(exponent) };
}

function valueOf({ digits, exponent }) {
  return Number(`${digits[0]}.${digits.slice(1)}e${exponent}`);
}

function rounded(a, dtype) {
  if (!(dtype in BITS)) return a;
  if (dtype === "float32") return Math.fround(a);
  const exponent = Math.max(Math.floor(Math.log2(a)), -14); // below 2^-14 float16 has fewer bits
  const unit = 2 ** (exponent - BITS.float16 + 1);
  const n = a / unit;
  const low = Math.floor(n);
  const up = n - low > 0.5 || (n - low === 0.5 && low % 2 === 1);
  return (low + up) * unit;
}

function written({ digits, exponent }) {
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${digits}`;
  const before = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${before}.${digits.slice(exponent + 1)}`;
}

function scientific({ digits, exponent }, point) {
  const after = digits.length > 1 ? `.${digits.slice(1)}` : point;
  return `${digits[0]}${after}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** "[0, 3]"; of a number without axes "". */
export function placeText(place) {
  return place.length ? `[${place.join(", ")}]` : "";
}

/** "(3, 4)", "(3,)", "()": as Python says a shape. */
export function shapeText(shape) {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

/** "3 x 4"; of no axes "one number". */
export function sidesText(shape) {
  return shape.length ? shape.map(count).join(" \u00d7 ") : "one number";
}

/** Texts of one column, filled up on the right so that the points stand under each other (with an exponent: as is). */
export function aligned(texts) {
  if (texts.some((text) => /e|n|True|False/.test(text))) return texts;
  const after = texts.map((text) => (text.includes(".") ? text.length - text.indexOf(".") - 1 : 0));
  const most = Math.max(...after);
  return texts.map((text, i) => text + " ".repeat(most - after[i]));
}
