// One tape on the page: its list of events, its graph, its panel.

import { el, put } from "./dom.js";
import { GraphView } from "./graph.js";
import { ListView } from "./list.js";
import { renderPanel } from "./panel/panel.js";

export class Pane {
  /**
   * onSelect(v), onJump(i), onLog(on): what was done inside. title: a heading, where there are two tapes.
   */
  constructor(tape, title, { onSelect, onJump, onLog }) {
    this.tape = tape;
    this.actions = { onSelect, onJump, onLog };
    this.list = new ListView(tape, { onJump });
    this.graph = null;
    this.event = null;
    this.pinned = null; // the value that was asked for, if not the event's own
    const label = (what) => (title ? `${what} of ${title}` : what); // or two landmarks had one name
    this.graphBox = el("section", { class: "graph-box", "aria-label": label("Graph") }, el("p", { class: "waiting" }, "The graph is being laid out …"));
    this.listBox = el("section", { class: "list-box", "aria-label": label("Events") }, this.list.root);
    this.panel = el("section", { class: "panel-box", tabindex: "0", "aria-label": label("Value and gradient") });
    this.inner = el("div");
    this.panel.append(this.inner);
    this.gone = el("p", { class: "gone", role: "note", hidden: true }, "Nothing here: the other tape has an event that this one has not.");
    const choose = (view, text) =>
      el("button", { type: "button", class: "small", "aria-pressed": "false", "data-view": view, onclick: () => this.view(view) }, text);
    this.switch = el("div", { class: "switch", role: "group", "aria-label": "What is shown" }, choose("list", "Events"), choose("graph", "Graph"));
    this.body = el("div", { class: "pane-body" }, el("div", { class: "left" }, this.switch, this.listBox, this.graphBox), this.panel);
    this.root = el("section", { class: "pane", "aria-label": title || "Tape" }, title ? el("h2", { class: "pane-title" }, title) : null, this.gone, this.body);
    this.view("list");
  }

  /** Which of list and graph is shown where there is no room for both. */
  view(name) {
    put(this.body, "data-view", name);
    for (const button of this.switch.children) put(button, "aria-pressed", String(button.dataset.view === name));
    if (name === "graph" && this.graph) this.settle();
  }

  /** Lay the graph out and draw it; it takes the place of the list where there is room for one. */
  draw() {
    const narrow = () => getComputedStyle(this.body).getPropertyValue("--narrow").trim() === "1";
    this.graph = new GraphView(this.tape, { onSelect: this.actions.onSelect, narrow });
    this.graphBox.replaceChildren(this.graph.root);
    this.fitted = false;
    if (!narrow()) this.view("graph");
    this.settle();
    new ResizeObserver(() => this.settle()).observe(this.graph.svg);
  }

  /** The first time that the graph can be seen, it is made to fit. */
  settle() {
    this.graph.look();
    if (!this.fitted && this.graph.size().width > 0) {
      this.fitted = true;
      this.graph.fit(false);
    }
    if (matchMedia("print").matches) this.graph.fit();
    if (this.event === null) return;
    this.graph.show(this.event, this.selected);
    this.graph.follow(this.event);
    if (this.pinned !== null) this.graph.followValue(this.pinned);
  }

  /** Show event i and value `selected` (null: the event's own); here: whether this tape has an event there. */
  show(i, selected, { quiz, log, other, here = true }) {
    const moved = i !== this.event;
    const asked = selected !== null && selected !== this.pinned;
    this.pinned = selected;
    this.event = i;
    this.selected = selected ?? this.tape.events[i]?.output ?? null;
    this.gone.hidden = here;
    this.list.show(i);
    if (this.graph) {
      this.graph.show(i, this.selected);
      if (moved) this.graph.follow(i);
      if (asked) this.graph.followValue(selected);
    }
    renderPanel(this.inner, this.tape, i, selected, { ...this.actions, quiz, log, other });
  }
}
