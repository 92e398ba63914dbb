// Pieces of a panel. Texts are set as text and never read as HTML: a tape is made of a user's names and lines.

import { el } from "../dom.js";

export { el };

/** A section with its heading, which names it; null if nothing is in it. */
export function section(title, name, ...children) {
  const inside = children.flat().filter((child) => child !== null && child !== undefined);
  if (!inside.length) return null;
  return el("section", { class: `panel-section panel-${name}` }, el("h3", {}, title), inside);
}

/** A button that looks like a link; `name` tells it from others when the focus is given back after a step. */
export function link(text, name, does) {
  return el("button", { type: "button", class: "panel-link", "data-focus": name, onclick: does }, text);
}

/** A piece of code or a name. */
export function code(text) {
  return el("code", {}, text);
}
