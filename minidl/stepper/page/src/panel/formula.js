// The op's formula, and the formula with its actual numbers at the place pointed at.

import { code, el, section } from "./dom.js";
import { placeText } from "./numbers.js";

const MATHML = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set(("math mrow mi mn mo mtext mspace mfrac msqrt mroot mstyle merror mpadded mphantom msub msup msubsup " +
  "munder mover munderover mmultiscripts mprescripts mtable mtr mtd menclose").split(" "));
const ATTRIBUTES = new Set(("mathvariant display displaystyle scriptlevel stretchy symmetric largeop movablelimits accent " +
  "accentunder form fence separator lspace rspace width height depth linethickness columnalign rowalign columnspacing " +
  "rowspacing minsize maxsize alttext notation").split(" "));
const parsed = new Map();

/** The <math> element that a text holds; only elements and attributes of MathML are taken over. Null if it holds none. */
export function mathOf(text) {
  if (!parsed.has(text)) {
    const found = new DOMParser().parseFromString(text, "text/html").querySelector("math");
    parsed.set(text, found && taken(found));
  }
  return parsed.get(text)?.cloneNode(true) ?? null;
}

function taken(node) {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.data);
  if (node.nodeType !== Node.ELEMENT_NODE || !ELEMENTS.has(node.localName)) return null;
  const made = document.createElementNS(MATHML, node.localName);
  for (const { name, value } of node.attributes) if (ATTRIBUTES.has(name)) made.setAttribute(name, value);
  made.append(...[...node.childNodes].map(taken).filter(Boolean));
  return made;
}

/** A formula in a box that scrolls, and can be reached by keyboard, if it is wider than the panel. */
export function mathBox(text) {
  const math = text && mathOf(text);
  if (!math) return null;
  const box = el("div", { class: "panel-math" }, math);
  requestAnimationFrame(() => {
    if (box.scrollWidth <= box.clientWidth) return;
    for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", "Formula"]]) box.setAttribute(name, value);
  });
  return box;
}

/** The formulas of an event: of its forward, or one for each addend that its backward sends. */
export function formulas(tape, event, pointing, hidden) {
  const { formula, worked } = event;
  if (!formula && !worked) return null;
  const parts = [];
  if (event.phase === "backward") {
    event.addends.forEach((addend, k) => {
      const key = tape.values[addend.value].key;
      parts.push(el("div", { class: "panel-formula" },
        el("p", {}, "What is sent to ", code(key), ` (input ${addend.input}):`),
        mathBox(formula?.gradients?.[k]),
        hidden ? null : numbers(worked?.gradients?.[k], addend.value, tape, pointing)));
    });
  } else if (formula?.forward || worked?.forward?.length) {
    parts.push(el("div", { class: "panel-formula" },
      mathBox(formula?.forward),
      numbers(worked?.forward, event.output, tape, pointing)));
  }
  const where = (formula?.where ?? []).map(mathBox);
  if (parts.length && where.length) parts.push(el("div", { class: "panel-formula" }, el("p", {}, "where"), where));
  if (parts.length && formula?.words) parts.push(el("p", { class: "panel-note" }, formula.words));
  return section("Formula", "formula", parts);
}

/** The worked text of the place pointed at in value v, or of the first place there is a text for. */
function numbers(texts, v, tape, pointing) {
  if (!texts?.length || v === null) return null;
  const where = el("span", { class: "panel-note" });
  const what = code("");
  const { shape, key } = tape.values[v];
  const byPlace = new Map(texts.map((worked) => [worked.place.join(), worked]));
  const say = (place) => {
    const worked = byPlace.get(place.join()) ?? texts[0];
    where.textContent = worked.place.length ? `at ${key}${placeText(worked.place)}: ` : "";
    what.textContent = worked.text;
  };
  say(pointing.at(v, shape, texts[0].place));
  pointing.listen(v, say);
  return el("p", { class: "panel-worked" }, where, what);
}
