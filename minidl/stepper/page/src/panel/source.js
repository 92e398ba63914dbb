// The user's lines: the one that called the op, and for a backward the one that called backward().

import { el, section } from "./dom.js";

const AROUND = 12; // lines before and after; the box scrolls

export function sources(tape, event) {
  const own = tape.sourceOf(event);
  const caller = tape.callerOf(event);
  const same = own && caller && own.file === caller.file && own.line === caller.line;
  const called = event.phase === "update" ? "called step()" : "called backward()";
  const made = event.phase === "backward" && event.node !== null ? "called the op" : "runs now";
  return section("Source", "source",
    own ? listing(own, same && event.phase !== "forward" ? called : made, "own") : null,
    caller && !same ? listing(caller, called, "caller") : null);
}

function listing({ file, line, function: inside, first, lines }, why, name) {
  const from = Math.max(first, line - AROUND);
  const to = Math.min(first + lines.length - 1, line + AROUND);
  const where = `${file}:${line}${inside && inside !== "<module>" ? ` in ${inside}` : ""}`;
  const box = el("div", { class: "panel-code", tabindex: 0, role: "group", "aria-label": `${where}, the line that ${why}`, "data-focus": `source ${name}` });
  let lit = null;
  for (let number = from; number <= to; number++) {
    const current = number === line;
    const row = el("div", { class: current ? "panel-line panel-line-lit" : "panel-line", "aria-current": current ? "true" : null },
      el("span", { class: "panel-line-number" }, String(number)), el("code", {}, lines[number - first] || " "));
    if (current) lit = row;
    box.append(row);
  }
  if (lit) requestAnimationFrame(() => {
    box.scrollTop = lit.offsetTop - box.clientHeight / 2 + lit.offsetHeight / 2;
  });
  return el("div", { class: "panel-listing" }, el("p", { class: "panel-where" }, el("strong", {}, where), ` ${why}`), lit ? box : null);
}
