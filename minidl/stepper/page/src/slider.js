// The slider: every event is a tick, coloured by its phase; the phases are named above it, so colour is not needed.

import { el, svg, put } from "./dom.js";
import { PHASES } from "./words.js";

/**
 * @param phases the phase of each position. differs: whether the two tapes differ there, if there are two.
 * @returns {{root, show(i, text)}}
 */
export function slider(phases, differs, onMove) {
  const n = phases.length;
  const runs = runsOf(phases);
  const ticks = svg("svg", { class: "ticks", viewBox: `0 0 ${n} 10`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const { phase, first, last } of runs) {
    ticks.append(svg("rect", { class: `run ${phase}`, x: first, y: 0, width: last - first + 1, height: 10 }));
  }
  for (const phase of PHASES) {
    const path = phases.map((p, i) => (p === phase ? `M${i + 0.5},1v8` : "")).join("");
    if (path) ticks.append(svg("path", { class: `tick ${phase}`, d: path, "vector-effect": "non-scaling-stroke" }));
  }
  if (differs?.some(Boolean)) {
    const path = differs.map((d, i) => (d ? `M${i},9.2h1` : "")).join("");
    ticks.append(svg("path", { class: "differs", d: path, "vector-effect": "non-scaling-stroke" }));
  }
  const cursor = svg("rect", { class: "cursor", x: 0, y: 0, width: Math.max(1, n / 400), height: 10 });
  ticks.append(cursor);
  const names = el("div", { class: "runs", "aria-hidden": "true" });
  for (const { phase, first, last } of runs) {
    const name = el("span", { class: `run-name ${phase}`, title: `${phase}: ${last - first + 1}` }, el("span", {}, phase));
    name.style.flexGrow = String(last - first + 1);
    names.append(name);
  }
  const input = el("input", {
    type: "range", min: 0, max: Math.max(0, n - 1), step: 1, value: 0, class: "range", "aria-label": "Moment",
    oninput: () => onMove(Number(input.value)),
  });
  const root = el("div", { class: "slider" }, names, el("div", { class: "track" }, ticks, input));
  return {
    root,
    input,
    show(i, text) {
      if (Number(input.value) !== i) input.value = String(i);
      put(input, "aria-valuetext", text);
      put(cursor, "x", String(Math.min(i, n - Math.max(1, n / 400))));
    },
  };
}

/** The runs of one phase: [{phase, first, last}]. */
export function runsOf(phases) {
  const runs = [];
  phases.forEach((phase, i) => {
    if (runs.length && runs.at(-1).phase === phase) runs.at(-1).last = i;
    else runs.push({ phase, first: i, last: i });
  });
  return runs;
}

/** Where the next (way = 1) or this or the previous (way = -1) phase begins. */
export function phaseFrom(phases, i, way) {
  const starts = runsOf(phases).map((run) => run.first);
  if (way > 0) return starts.find((first) => first > i) ?? phases.length - 1;
  return starts.findLast((first) => first < i) ?? 0;
}
