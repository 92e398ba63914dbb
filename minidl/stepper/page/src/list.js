// The list of events: there at once, and the way through the tape for those who cannot see the graph.

import { el, put } from "./dom.js";
import { layer, many, told } from "./words.js";
import { runsOf } from "./slider.js";

export class ListView {
  /** onJump(i): an event was chosen. */
  constructor(tape, { onJump }) {
    this.tape = tape;
    this.onJump = onJump;
    this.current = -1;
    this.rows = [];
    this.search = el("input", {
      type: "search", class: "find", placeholder: "find: op, layer, value", "aria-label": "Find an event", spellcheck: "false",
      oninput: () => this.filter(),
      onkeydown: (event) => this.searching(event),
    });
    this.found = el("span", { class: "found", role: "status" });
    this.list = el("ol", { class: "events", onclick: (event) => this.clicked(event) });
    for (const { phase, first, last } of runsOf(tape.events.map((e) => e.phase))) {
      const head = el("li", { class: `phase-head ${phase}` }, el("span", {}, phase), ` ${many(last - first + 1, "event")}`);
      head.events = [first, last];
      this.list.append(head);
      for (let i = first; i <= last; i++) this.list.append(this.row(i));
    }
    this.heads = [...this.list.querySelectorAll(".phase-head")];
    this.root = el("div", { class: "list-view" }, el("div", { class: "find-row" }, this.search, this.found), this.list);
  }

  row(i) {
    const event = this.tape.events[i];
    const { verb, what, shape } = told(this.tape, event);
    const button = el(
      "button", { type: "button", class: `event ${event.phase}`, "data-i": i, tabindex: i === 0 ? "0" : "-1" },
      el("span", { class: "number" }, String(i)),
      el("span", { class: "verb" }, verb),
      el("span", { class: "what" }, what, " ", el("span", { class: "shape" }, shape)),
    );
    const row = el("li", {}, button);
    this.rows.push(row);
    return row;
  }

  /** Show moment i: the row is marked, and scrolled to inside the list only. */
  show(i) {
    if (i === this.current) return;
    const row = this.rows[i];
    const { clientHeight, scrollTop } = this.list; // read before anything is written: one layout less
    const top = row && clientHeight ? row.offsetTop - this.list.offsetTop : null;
    this.mark(this.current, false);
    this.current = i;
    this.mark(i, true);
    if (top !== null && (top < scrollTop + 40 || top > scrollTop + clientHeight - 60)) this.list.scrollTop = top - clientHeight / 2;
  }

  mark(i, current) {
    const button = this.rows[i]?.firstChild;
    if (!button) return;
    if (current) put(button, "aria-current", "step");
    else button.removeAttribute("aria-current");
    put(button, "tabindex", current ? "0" : "-1");
  }

  clicked(event) {
    const button = event.target.closest("button.event");
    if (button) this.onJump(Number(button.dataset.i));
  }

  // ---- finding

  /** Show the rows in which all words of the search stand. */
  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.texts ??= this.tape.events.map((e) => {
      const { verb, what, shape } = told(this.tape, e);
      const names = [...this.tape.given(e), e.output].filter((v) => v !== null).map((v) => this.tape.values[v].key);
      return `${e.phase} ${verb} ${what} ${shape} ${layer(this.tape, e)} ${names.join(" ")}`.toLowerCase();
    });
    this.hits = [];
    this.rows.forEach((row, i) => {
      const hit = words.every((word) => this.texts[i].includes(word));
      row.hidden = !hit;
      if (hit) this.hits.push(i);
    });
    for (const head of this.heads) head.hidden = !this.hits.some((i) => i >= head.events[0] && i <= head.events[1]);
    this.found.textContent = words.length ? `${this.hits.length} found` : "";
  }

  searching(event) {
    if (event.key === "Enter" && this.hits?.length) {
      const next = event.shiftKey ? this.hits.findLast((i) => i < this.current) : this.hits.find((i) => i > this.current);
      this.onJump(next ?? this.hits.at(event.shiftKey ? -1 : 0));
    } else if (event.key === "Escape") {
      this.search.value = "";
      this.filter();
      this.search.blur();
      this.rows[this.current]?.firstChild.focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  }

  find() {
    this.search.focus();
    this.search.select();
  }
}
