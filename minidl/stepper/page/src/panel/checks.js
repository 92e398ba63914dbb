// Numbers of a gradient that were held to finite differences.

import { el } from "./dom.js";
import { brief, placeText } from "./numbers.js";

const MOST = 6; // that are listed; those that differ come first

/** Badges that say whether the checks of value v agree, and what was found at the place pointed at. */
export function badges(tape, v, view, hidden) {
  const { total, complete } = tape.gradient(v, view.moment);
  if (!complete || hidden) return null;
  const checks = tape.checks.filter((check) => check.value === v && isOf(check, total));
  if (!checks.length) return null;
  const wrong = checks.filter((check) => !check.ok);
  const listed = (wrong.length ? wrong : checks.length === 1 ? checks : []).slice(0, MOST);
  const { shape } = tape.values[v];
  const here = el("p", { class: "panel-note" });
  const say = (place) => {
    const check = checks.find(({ index }) => index.join() === place.join());
    here.textContent = check ? `${placeText(place)} ${words(check)}`.trim() : "";
  };
  say(view.pointing.at(v, shape, view.first));
  view.pointing.listen(v, say);
  return el("div", { class: "panel-checks" }, summary(checks.length, wrong.length), listed.map((check, nth) => el("button", {
    type: "button", class: check.ok ? "panel-link" : "panel-link panel-warning", "data-focus": `check ${nth}`,
    onclick: () => {
      view.pointing.point(v, check.index);
      say(check.index); // the sample may not hold the place
    },
  }, `${check.ok ? "agrees" : "differs"} at ${placeText(check.index) || "this number"}`)), here);
}

/** Whether a check is of this gradient, and not of another backward's. */
function isOf(check, gradient) {
  const x = gradient.at(check.index);
  return x === null || Object.is(x, check.backward) || Math.abs(x - check.backward) <= 1e-6 * Math.abs(x);
}

function summary(all, wrong) {
  const said = wrong
    ? `${wrong} of ${all} checked ${all === 1 ? "number" : "numbers"} ${wrong === 1 ? "DIFFERS" : "DIFFER"} from finite differences`
    : `${all} ${all === 1 ? "number agrees" : "numbers agree"} with finite differences`;
  return el("p", { class: `panel-check ${wrong ? "panel-check-wrong" : "panel-check-ok"}` },
    el("span", { "aria-hidden": "true" }, wrong ? "\u2717 " : "\u2713 "), said);
}

function words(check) {
  return check.words ?? `backward ${brief(check.backward)}, finite difference ${brief(check.numeric)} ` +
    `(step ${brief(check.eps)}), error ${brief(check.error)}: ${check.ok ? "they agree" : "they do not agree"}`;
}
