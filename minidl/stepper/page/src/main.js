// The page: reads the tapes that stand in it, and moves through them.

import { align, parting } from "./compare.js";
import { el, put } from "./dom.js";
import { icon } from "./icons.js";
import { KEYS, listen } from "./keys.js";
import { Address, fromAddress } from "./links.js";
import { Tape } from "./model.js";
import { Pane } from "./pane.js";
import { phaseFrom, slider } from "./slider.js";
import { otherTheme, startTheme } from "./theme.js";
import { count, many, sentence } from "./words.js";

const BEAT = 700; // ms from one event to the next while playing

/** The tapes in the page. Formulas stand in a list of their own, since many events share one. */
async function tapesIn() {
  const scripts = [...document.querySelectorAll("script[type='application/json']")];
  const texts = await Promise.all(scripts.map((script) => (script.dataset.packed ? unpacked(script.textContent) : script.textContent)));
  return texts.map((text) => {
    const json = JSON.parse(text);
    for (const event of json.events) {
      if (typeof event.formula === "number") event.formula = json.formulas[event.formula];
    }
    const tape = new Tape(json);
    tape.sampled = json.sampled ?? null;
    return tape;
  });
}

/** The text that stands in a page as base64 of gzip: a tape of very many events. */
function unpacked(text) {
  const bytes = Uint8Array.from(atob(JSON.parse(text)), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

class Page {
  constructor(tapes) {
    this.tapes = tapes;
    const [one, other] = tapes;
    this.rows = other ? align(one, other) : one.events.map((_, i) => ({ a: i, b: null, differs: false }));
    this.fill();
    this.phases = this.rows.map(({ a, b }) => (a === null ? other.events[b] : one.events[a]).phase);
    this.i = 0;
    this.n = null; // key of the selected value
    this.quiz = false;
    this.log = false;
    this.timer = null;
    const title = (tape, k) => (one.title === other.title ? `${tape.title || "tape"} (${k + 1})` : tape.title || `tape ${k + 1}`);
    this.panes = tapes.map((tape, k) => new Pane(tape, other ? title(tape, k) : "", {
      onSelect: (v) => this.go(this.i, { n: tape.values[v].key, jump: true }),
      onJump: (i) => this.go(this.rowOf(k, i), { n: null, jump: true }),
      onLog: (on) => this.setLog(on),
    }));
    this.live = el("p", { class: "only-read", "aria-live": "polite" });
    this.help = this.makeHelp();
    this.slider = slider(this.phases, other ? this.rows.map((row) => row.differs) : null, (i) => this.go(i));
    const main = el("main", { class: other ? "panes two" : "panes" }, this.panes.map((pane) => pane.root));
    document.querySelector("noscript")?.remove();
    document.body.append(this.header(), main, this.footer(), this.live, this.help);
    this.address = new Address((said) => this.arrive(said));
    this.keys();
    this.arrive(fromAddress());
  }

  /** Where a tape has no event in a row, it stays at the one before. */
  fill() {
    const at = { a: -1, b: -1 };
    for (const row of this.rows) {
      row.at = ["a", "b"].map((side) => (at[side] = row[side] ?? at[side]));
    }
  }

  rowOf(k, i) {
    return this.rows.findIndex((row) => row[k ? "b" : "a"] === i);
  }

  // ---- moving

  arrive({ i, n }) {
    const last = this.rows.length - 1;
    const place = i === null ? 0 : i < 0 ? i + this.rows.length : i;
    this.show(Math.max(0, Math.min(last, place)), n);
  }

  /** Go to position i. n: the key of the value to show; undefined: as before; null: that of the event. */
  go(i, { n, jump = false } = {}) {
    i = Math.max(0, Math.min(this.rows.length - 1, i));
    this.show(i, n === undefined ? this.n : n);
    this.address.say({ i: this.i, n: this.n }, jump);
  }

  step(way) {
    this.stop();
    this.go(this.i + way);
  }

  show(i, n) {
    this.i = i;
    this.n = n && this.tapes.some((tape) => tape.find(n) >= 0) ? n : null;
    const row = this.rows[i];
    if (!row) return;
    this.panes.forEach((pane, k) => {
      const v = this.n === null ? -1 : pane.tape.find(this.n);
      const here = row[k ? "b" : "a"] !== null;
      const options = { quiz: this.quiz, log: this.log, here, other: this.otherOf(k, row, v) };
      pane.show(row.at[k], v < 0 ? null : v, options);
    });
    const text = sentence(this.tapes[row.a === null ? 1 : 0], row.a ?? row.b);
    this.slider.show(i, text);
    this.count.textContent = `${i} / ${this.rows.length - 1}`;
    this.pinned.hidden = this.n === null;
    this.pinnedName.textContent = this.n ?? "";
    if (!this.timer && this.live.textContent !== text) this.live.textContent = text;
  }

  /** What the other tape holds of the value that pane k shows. */
  otherOf(k, row, v) {
    const other = this.tapes[1 - k];
    if (!other) return undefined;
    const shown = v >= 0 ? v : this.tapes[k].events[row.at[k]]?.output;
    if (shown === null || shown === undefined) return undefined;
    let there = other.find(this.tapes[k].values[shown].key);
    const paired = row.a !== null && row.b !== null;
    if (there < 0 && v < 0 && paired) there = other.events[row.at[1 - k]].output ?? -1; // called otherwise by another op
    if (there < 0) return undefined;
    return { content: other.content(there, row.at[1 - k]), gradient: other.gradient(there, row.at[1 - k]).total };
  }

  play() {
    if (this.timer) {
      this.stop();
      return;
    }
    if (this.i === this.rows.length - 1) this.go(0);
    put(this.playButton, "aria-label", "Pause (space)");
    this.playButton.replaceChildren(icon("pause"));
    this.timer = setInterval(() => {
      if (this.i >= this.rows.length - 1) this.stop();
      else this.go(this.i + 1);
    }, BEAT);
  }

  stop() {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = null;
    put(this.playButton, "aria-label", "Play (space)");
    this.playButton.replaceChildren(icon("play"));
  }

  setLog(on) {
    this.log = on;
    put(this.logButton, "aria-pressed", String(on));
    this.show(this.i, this.n);
  }

  setQuiz(on) {
    this.quiz = on;
    put(this.quizButton, "aria-pressed", String(on));
    this.show(this.i, this.n);
  }

  find() {
    this.stop();
    this.panes[0].view("list");
    this.panes[0].list.find();
  }

  keys() {
    const step = (way) => () => this.step(way);
    const phase = (way) => () => this.phase(way);
    listen({
      ArrowLeft: step(-1), ArrowRight: step(1), PageUp: step(-10), PageDown: step(10),
      Home: step(-Infinity), End: step(Infinity), "[": phase(-1), "]": phase(1),
      " ": () => this.play(), "/": () => this.find(), "?": () => this.help.showModal(),
      f: () => this.panes.forEach((pane) => pane.graph?.fit()), q: () => this.setQuiz(!this.quiz),
      l: () => this.setLog(!this.log), d: otherTheme,
    });
  }

  phase(way) {
    this.stop();
    this.go(phaseFrom(this.phases, this.i, way), { jump: true });
  }

  // ---- what stands around the panes

  header() {
    const [one, other] = this.tapes;
    const text = (label, title, onclick, pressed) =>
      el("button", { type: "button", title, "aria-pressed": pressed ? "false" : null, onclick }, label);
    this.quizButton = text("Quiz", "Predict, then reveal (q)", () => this.setQuiz(!this.quiz), true);
    this.logButton = text("Log", "Logarithmic colours of heat maps (l)", () => this.setLog(!this.log), true);
    const what = other ? "two recordings, in lockstep" : `${many(one.events.length, "event")}, ${many(one.values.length, "value")}`;
    const title = other ? `${one.title} | ${other.title}` : one.title;
    return el(
      "header", { class: "top" },
      el("h1", { title }, title || "a recorded step"),
      el("p", { class: "about" }, what, this.samples()),
      other ? this.parts() : null,
      el("div", { class: "tools", role: "group", "aria-label": "Tools" },
        text("Find", "Find an event (/)", () => this.find()),
        this.quizButton, this.logButton,
        text("Theme", "Dark or light (d)", otherTheme),
        text("Help", "Keys (?)", () => this.help.showModal())),
    );
  }

  samples() {
    const most = this.tapes[0].sampled;
    return most === null ? null : `; of large arrays samples (of about ${count(most)} numbers)`;
  }

  /** Where two tapes part. */
  parts() {
    const { ops, numbers } = parting(this.rows);
    const go = (row, text) => el("button", { type: "button", class: "small", onclick: () => this.go(row, { n: null, jump: true }) }, text);
    if (ops === null && numbers === null) return el("p", { class: "parts" }, "All ops and all numbers are equal.");
    return el(
      "p", { class: "parts" },
      numbers === null ? "The numbers are equal. " : go(numbers, `Numbers part at ${numbers}`),
      ops === null ? " The ops are the same." : go(ops, `Ops part at ${ops}`),
    );
  }

  footer() {
    const button = (name, label, onclick) => el("button", { type: "button", class: "move", "aria-label": label, title: label, onclick }, icon(name));
    this.playButton = button("play", "Play (space)", () => this.play());
    this.count = el("output", { class: "count", "aria-label": "Position" });
    this.pinnedName = el("b");
    this.pinned = el("span", { class: "pinned", hidden: true }, "showing ", this.pinnedName, " ",
      el("button", { type: "button", class: "small", onclick: () => this.go(this.i, { n: null, jump: true }) }, "follow the events"));
    return el(
      "footer", { class: "bottom" },
      this.slider.root,
      el("div", { class: "moves", role: "group", "aria-label": "Move" },
        button("first", "First event (Home)", () => this.step(-Infinity)),
        button("phaseBack", "Phase before ([)", () => this.phase(-1)),
        button("back", "Step back (left arrow)", () => this.step(-1)),
        this.playButton,
        button("on", "Step on (right arrow)", () => this.step(1)),
        button("phaseOn", "Next phase (])", () => this.phase(1)),
        button("last", "Last event (End)", () => this.step(Infinity)),
        this.count, this.pinned),
    );
  }

  makeHelp() {
    const rows = KEYS.map(([keys, what]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, keys)), el("td", {}, what)));
    const close = el("button", { type: "button", onclick: () => dialog.close() }, "Close");
    const dialog = el(
      "dialog", { class: "help", "aria-labelledby": "help-title" },
      el("h2", { id: "help-title" }, "Keys"),
      el("table", {}, el("tbody", {}, rows)),
      el("p", {}, "In the graph: Tab into it, ↑ ↓ from box to box, Enter opens a layer or shows a value; drag and wheel move it."),
      el("p", {}, "The address keeps the moment: #i=17&n=h2 is event 17, value h2; -1 is the last."),
      close,
    );
    return dialog;
  }
}

/** The graph is laid out once the list can be used. */
function whenIdle(work) {
  if (window.requestIdleCallback) requestIdleCallback(work, { timeout: 500 });
  else setTimeout(work, 50);
}

startTheme();
tapesIn().then((tapes) => {
  const page = new Page(tapes);
  performance.mark("list");
  requestAnimationFrame(() => whenIdle(() => {
    for (const pane of page.panes) pane.draw();
    performance.mark("graph");
    document.documentElement.dataset.ready = "";
  }));
});
