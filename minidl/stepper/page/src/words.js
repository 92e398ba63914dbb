// How events, shapes and numbers are said.

export const PHASES = ["forward", "loss", "backward", "accumulate", "update"];

/** "(64, 6, 28, 28)", as Python writes a shape. */
export function shapeText(shape) {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

/** How a value is called in a sentence: by its key; a number used again, "2_3", by the number alone. */
export function labelOf(value) {
  return value.kind === "constant" ? value.key.replace(/^(-?[\d.]+(?:e[-+]\d+)?)_\d+$|^(-?inf|nan)\d+$/, "$1$2") : value.key;
}

/** A text of any direction inside another: what stands behind it stays behind it. */
export function isolated(text) {
  return /[^\u0000-\u0590]/.test(text) ? `\u2068${text}\u2069` : text;
}

/** A number in a few letters. */
export function short(x) {
  if (x === null || x === undefined) return "?";
  if (typeof x === "object") x = x["not finite"];
  if (typeof x !== "number") return String(x);
  if (x === 0 || !Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  return size >= 1e-3 && size < 1e5 ? String(Number(x.toPrecision(4))) : x.toExponential(2);
}

/** 12,345 */
export function count(n) {
  return n.toLocaleString("en-US");
}

/** "1 op", "2 ops" */
export function many(n, word) {
  return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}

/** The value that an event is about first of all: what was made, whose gradient came, what was updated. */
export function subject(tape, event) {
  if (event.phase === "backward" && event.addends.length) return event.addends[0].value;
  return event.output;
}

/** What an event did, in three parts: {verb, what, shape}. */
export function told(tape, event) {
  const name = (v) => (v === null || v === undefined ? "" : tape.values[v].key);
  const out = event.output === null ? null : tape.values[event.output];
  const shape = out ? shapeText(out.shape) : "";
  if (event.op === "seed") return { verb: "backward begins", what: `dL/d${name(event.output)} = 1`, shape: "" };
  if (event.phase === "backward") {
    const to = event.addends.map((a) => name(a.value));
    return { verb: `${event.op} backward`, what: to.length ? `to ${to.join(", ")}` : "to nothing", shape };
  }
  if (event.phase === "accumulate") {
    return { verb: event.before ? "add to .grad" : "set .grad", what: name(event.output), shape };
  }
  if (event.phase === "update") return { verb: `${event.op} updates`, what: name(event.output), shape };
  return { verb: event.op, what: `makes ${name(event.output)}`, shape };
}

/** The same in one line, for a screen reader. */
export function sentence(tape, i) {
  const event = tape.events[i];
  const { verb, what, shape } = told(tape, event);
  const path = layer(tape, event);
  const place = path ? `, in layer ${path}` : "";
  return `Event ${i} of ${tape.events.length - 1}, ${event.phase}: ${verb} ${what}${shape ? ` of shape ${shape}` : ""}${place}.`;
}

/** The dotted name of the innermost layer of an event; "" if it has none. */
export function layer(tape, event) {
  return event.call === null || event.call === undefined ? "" : tape.calls[event.call].path;
}
