// Elements of a gradient that were checked by finite differences.

import { el } from "./dom.js";
import { brief, placeText } from "./numbers.js";

/** A badge for each check of value v; pressing it points at the place. */
export function badges(tape, v, view, hidden) {
  const checks = tape.checks.filter((check) => check.value === v);
  if (!checks.length || hidden || !tape.gradient(v, view.moment).total) return null;
  return el("ul", { class: "panel-checks" }, checks.map((check, nth) => {
    const words = `${check.ok ? "checked" : "DIFFERS"} ${placeText(check.index)}: backward ${brief(check.backward)}, ` +
      `finite difference ${brief(check.numeric)} (step ${brief(check.eps)}), error ${brief(check.error)}`;
    return el("li", {}, el("button", {
      type: "button", class: `panel-check ${check.ok ? "panel-check-ok" : "panel-check-wrong"}`, "data-focus": `check ${nth}`,
      onclick: () => view.pointing.point(v, check.index),
    }, el("span", { "aria-hidden": "true" }, check.ok ? "\u2713 " : "\u2717 "), words));
  }));
}
