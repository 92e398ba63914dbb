// The graph of the program: drawn once, and anew only when a layer is opened or closed. A step changes classes.

import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";
import { el, svg } from "./dom.js";
import { Flow } from "./flow.js";
import { SIZES, layoutOf } from "./layout.js";
import { nameNodes, treeOf } from "./tree.js";
import { shapeText, short } from "./words.js";

const OPEN_AT_FIRST = 40; // boxes
const READABLE = 0.62; // the smallest scale at which the whole graph is shown at first
const { HEIGHT, CHIP, HEAD } = SIZES;

export class GraphView {
  /** onSelect(v): a value was chosen. narrow(): whether the page scrolls, so that one finger must not move the graph. */
  constructor(tape, { onSelect, narrow }) {
    this.tape = tape;
    this.onSelect = onSelect;
    this.flow = new Flow(tape);
    const { root, ops } = treeOf(tape);
    nameNodes(root, tape);
    this.tree = root;
    this.ops = ops;
    this.open = openAtFirst(root);
    this.places = new Map(); // by opened layer: where one came from
    this.moment = -1;
    this.selected = null;
    this.canvas = svg("g");
    this.svg = svg("svg", { class: "graph", role: "group", "aria-label": "Graph of the program" }, this.canvas);
    this.legend = this.makeLegend();
    this.root = el("div", { class: "graph-view" }, this.buttons(), this.svg, this.legend);
    this.zoom = zoom()
      .scaleExtent([0.02, 4])
      .filter((event) => {
        if (event.type === "wheel") return event.ctrlKey || !narrow();
        if (event.type.startsWith("touch")) return event.touches.length > 1 || !narrow();
        return !event.ctrlKey && !event.button;
      })
      .on("zoom", ({ transform }) => {
        this.transform = transform;
        this.canvas.setAttribute("transform", transform);
      });
    this.transform = zoomIdentity;
    select(this.svg).call(this.zoom).on("dblclick.zoom", null);
    this.svg.addEventListener("click", (event) => this.clicked(event.target.closest("[data-act]")));
    this.svg.addEventListener("keydown", (event) => this.pressed(event));
    this.draw();
  }

  buttons() {
    const button = (label, text, onclick) =>
      el("button", { type: "button", class: "small", "aria-label": `${text}: ${label}`, title: label, onclick }, text);
    return el(
      "div",
      { class: "graph-buttons", role: "group", "aria-label": "Graph" },
      button("the whole graph (f)", "Fit", () => this.fit()),
      button("larger", "+", () => this.scale(1.35)),
      button("smaller", "−", () => this.scale(1 / 1.35)),
      button("all layers, as far as they can be read", "Open all", () => this.openAll()),
      button("all layers", "Close all", () => this.closeAll()),
    );
  }

  makeLegend() {
    const { low, high } = this.flow;
    const line = (name) => svg("svg", { class: "key", width: 26, height: 12, "aria-hidden": "true" },
      svg("path", { class: `edge ${name}`, d: "M2,6H24" }));
    const box = svg("svg", { class: "key", width: 22, height: 12, "aria-hidden": "true" },
      svg("rect", { class: "sample-todo", x: 1, y: 1, width: 20, height: 10, rx: 3 }));
    const items = [el("span", {}, box, "not computed yet")];
    if (high > 0) {
      items.push(el("span", {}, line("back w1"), short(low)), el("span", {}, line("back w8"), short(high)));
      items.push(el("span", {}, "norm of the gradient, log"));
    }
    return el("p", { class: "legend" }, ...items);
  }

  // ---- drawing

  draw() {
    this.parts = []; // [element, base class, state at a moment, last state]
    this.at = new Map(); // by forward event: its box on the canvas, or that of the closed layer around it
    this.byId = new Map();
    const drawn = svg("g");
    this.layout = layoutOf(this.tree, this.open, this.tape, this.ops);
    this.drawLevel(this.layout, 0, 0, drawn);
    this.canvas.replaceChildren(...drawn.childNodes);
    this.focusable = [...this.canvas.querySelectorAll("[data-act]")];
    this.focusable[0]?.setAttribute("tabindex", "0");
    this.show(this.moment, this.selected);
  }

  part(element, base, state) {
    this.parts.push({ element, base, state, last: null });
    return element;
  }

  drawLevel(level, dx, dy, into) {
    for (const edge of level.edges) this.drawEdge(edge, dx, dy, into);
    for (const port of level.ports) this.drawPort(port, dx, dy, into);
    for (const box of level.boxes) {
      const [x, y] = [box.x + dx, box.y + dy];
      this.byId.set(box.node.id, { x, y, width: box.width, height: box.height });
      if (box.kind === "open") this.drawOpen(box, x, y, into);
      else this.drawBox(box, x, y, into);
    }
  }

  drawEdge({ value, use, path, more }, dx, dy, into) {
    const line = svg("path", { d: path, transform: `translate(${dx},${dy})` });
    this.part(line, "edge", (i) => this.flow.edge(value, use, i));
    line.append(svg("title", {}, `${this.tape.values[value].key} ${shapeText(this.tape.values[value].shape)}${more ? ` and ${more} more` : ""}`));
    into.append(line);
  }

  drawPort(port, dx, dy, into) {
    const [x, y] = [port.x + dx, port.y + dy];
    const key = this.tape.values[port.value].key;
    const group = this.selectable(port.value, `${key}, from outside this layer`, port.value);
    group.append(
      svg("rect", { x, y, width: port.width, height: port.height, rx: 9 }),
      svg("text", { x: x + port.width / 2, y: y + 13 }, `↓ ${port.text}`),
    );
    const made = this.tape.values[port.value].event;
    this.part(group, "port", (i) => (made !== null && i < made ? "todo" : "done"));
    into.append(group);
  }

  selectable(v, label) {
    return svg("g", { "data-act": "select", "data-v": v, role: "button", tabindex: "-1", "aria-label": label });
  }

  drawOpen(box, x, y, into) {
    const events = eventsOf(box.node);
    const frame = svg("rect", { x, y, width: box.width, height: box.height, rx: 10 });
    this.part(frame, "frame", (i) => this.flow.group(events, i));
    const head = svg("g", {
      "data-act": "toggle", "data-id": box.node.id, role: "button", tabindex: "-1", "aria-expanded": "true",
      "aria-label": `▾ ${box.title}: close this layer`, class: "head",
    });
    head.append(
      svg("rect", { x, y, width: box.width, height: HEAD, rx: 10, class: "hit" }),
      svg("text", { x: x + 12, y: y + 18, class: "title" }, `▾ ${box.title}`),
    );
    into.append(frame, head);
    this.drawLevel(box.inner, x + box.shift, y + HEAD, into);
  }

  drawBox(box, x, y, into) {
    const { node } = box;
    const isOp = node.kind === "op";
    const left = x + box.left;
    const top = y + (box.height - HEIGHT) / 2;
    const out = isOp ? this.tape.events[node.event].output : null;
    const group = isOp
      ? this.selectable(out, `${box.title} ${box.more}`)
      : svg("g", {
          "data-act": "toggle", "data-id": node.id, role: "button", tabindex: "-1", "aria-expanded": "false",
          "aria-label": `▸ ${box.title} ${box.more}: open`,
        });
    if (node.kind === "fold") {
      for (const shift of [8, 4]) group.append(svg("rect", { class: "behind", x: left + shift, y: top + shift, width: box.body, height: HEIGHT, rx: 8 }));
    }
    group.append(
      svg("rect", { class: "body", x: left, y: top, width: box.body, height: HEIGHT, rx: 8 }),
      svg("text", { class: "title", x: left + 12, y: top + 17 }, `${isOp ? "" : "▸ "}${box.title}`),
      " ", // or the two would be read as one word
      svg("text", { class: "more", x: left + 12, y: top + 33 }, box.more),
    );
    const phase = isOp ? this.tape.events[node.event].phase : "forward";
    const events = eventsOf(node);
    for (const event of events) this.at.set(event, { x: left, y: top, width: box.body, height: HEIGHT });
    const state = isOp ? (i) => this.flow.op(node.event, i) : (i) => this.flow.group(events, i);
    const chosen = () => (out !== null && this.selected === out ? " selected" : "");
    this.part(group, `${isOp ? "op" : "closed"} ${phase}`, (i) => state(i) + chosen());
    this.drawChips(box, x, y, left, top, into);
    into.append(group);
  }

  drawChips(box, x, y, left, top, into) {
    const all = box.chips.length * (CHIP + 4) - 4;
    box.chips.forEach((chip, k) => {
      const cy = y + (box.height - all) / 2 + k * (CHIP + 4);
      const cx = left - chip.width - 20;
      const end = top + (HEIGHT * (k + 1)) / (box.chips.length + 1);
      chip.uses.slice(0, 4).forEach((use, nth) => {
        const apart = (nth - (Math.min(4, chip.uses.length) - 1) / 2) * 7;
        const [y1, y2] = [cy + CHIP / 2 + apart * 0.6, end + apart];
        const wire = svg("path", { d: `M${cx + chip.width},${y1}C${left - 8},${y1} ${left - 12},${y2} ${left},${y2}` });
        this.part(wire, "edge wire", (i) => this.flow.edge(chip.value, use, i));
        into.append(wire);
      });
      const group = this.selectable(chip.value, `${chip.kind} ${chip.text}`);
      group.append(
        svg("rect", { x: cx, y: cy, width: chip.width, height: CHIP, rx: chip.kind === "constant" ? 2 : 10 }),
        svg("text", { x: cx + 8, y: cy + 14 }, chip.text),
      );
      const chosen = () => (this.selected === chip.value ? " selected" : "");
      this.part(group, `chip ${chip.kind}`, (i) => this.flow.leaf(chip.value, chip.uses, i) + chosen());
      into.append(group);
    });
  }

  // ---- a moment

  /** Show moment i and the selected value: classes only. */
  show(i, selected) {
    this.moment = i;
    this.selected = selected;
    for (const part of this.parts) {
      const state = part.state(i);
      if (state === part.last) continue;
      part.last = state;
      part.element.setAttribute("class", `${part.base} ${state}`);
    }
  }

  /** Move the graph, if need be, so that what event i is about can be seen. */
  follow(i) {
    this.bring(this.flow.current(i)[0]);
  }

  /** The same for a value that was asked for: for the op that made it, or else for the first that uses it. */
  followValue(v) {
    this.bring(this.tape.values[v].event ?? this.flow.users.get(v)?.[0]);
  }

  bring(event) {
    const box = this.at.get(event);
    const { width, height } = this.size();
    if (!box || !width) return;
    const { k, x, y } = this.transform;
    const [left, top] = [box.x * k + x, box.y * k + y];
    const [right, bottom] = [left + box.width * k, top + box.height * k];
    const move = (from, to, room, begin, all) => {
      const margin = 12;
      if (from >= margin && to <= room - margin) return 0;
      const wanted = room / 2 - (from + to) / 2;
      if (all <= room) return wanted;
      return Math.min(Math.max(wanted, room - margin - all - begin), margin - begin); // no empty room at the ends
    };
    const dx = move(left, right, width, x, this.layout.width * k);
    const dy = move(top, bottom, height, y, this.layout.height * k);
    if (dx || dy) this.moveTo(this.transform.translate(dx / k, dy / k));
  }

  /** The size of the picture, as the pane's observer last saw it: to ask for it in a step would cost a layout. */
  size() {
    return this.seen ?? this.look();
  }

  look() {
    const { clientWidth: width, clientHeight: height } = this.svg;
    this.seen = { width, height };
    return this.seen;
  }

  // ---- moving about

  moveTo(transform) {
    select(this.svg).call(this.zoom.transform, transform);
  }

  scale(factor) {
    select(this.svg).call(this.zoom.scaleBy, factor);
  }

  /** The whole graph; or, unless it is asked for, where that could not be read, its width and its beginning. */
  fit(whole = true) {
    const { width, height } = this.size();
    if (!width) return;
    const [byWidth, byHeight] = [width / this.layout.width, height / this.layout.height];
    const most = Math.max(1, Math.min(2.6, width / 560));
    const all = Math.min(byWidth, byHeight, most);
    const k = whole || all >= READABLE ? all : Math.min(most, Math.max(0.5, Math.min(byWidth, Math.max(byHeight, 0.85))));
    const x = (width - this.layout.width * k) / 2;
    const y = Math.max(4, (height - this.layout.height * k) / 2);
    this.moveTo(zoomIdentity.translate(x, y).scale(k));
  }

  openAll() {
    this.open = openAtFirst(this.tree, 400);
    this.draw();
    this.fit();
  }

  closeAll() {
    this.open = new Set();
    this.places.clear();
    this.draw();
    this.fit(false);
  }

  /** Open or close a layer: what was clicked stays where it is; closing goes back to where one came from. */
  toggle(id) {
    const before = this.byId.get(id);
    const from = this.transform;
    const opening = !this.open.has(id);
    if (opening) {
      this.open.add(id);
      this.places.set(id, from);
    } else {
      this.open.delete(id);
    }
    this.draw();
    const after = this.byId.get(id);
    const place = this.places.get(id);
    if (!opening && place) {
      this.places.delete(id);
      this.moveTo(place);
    } else {
      this.moveTo(from.translate(before.x - after.x, before.y - after.y));
    }
    this.focusable.find((part) => part.dataset.id === id)?.focus({ preventScroll: true });
  }

  clicked(target) {
    if (!target) return;
    this.rove(target);
    if (target.dataset.act === "toggle") this.toggle(target.dataset.id);
    else this.onSelect(Number(target.dataset.v));
  }

  pressed(event) {
    const at = this.focusable.indexOf(event.target);
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") this.clicked(event.target);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = this.focusable[at + (event.key === "ArrowDown" ? 1 : -1)];
      if (next) {
        this.rove(next);
        next.focus({ preventScroll: true });
        this.reveal(next);
      }
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** One part at a time is in the order of the Tab key. */
  rove(target) {
    for (const part of this.focusable) if (part.getAttribute("tabindex") === "0") part.setAttribute("tabindex", "-1");
    target.setAttribute("tabindex", "0");
  }

  reveal(part) {
    const [inner, outer] = [part.getBoundingClientRect(), this.svg.getBoundingClientRect()];
    const beyond = (low, high, from, to) => (low < from ? from - low + 10 : high > to ? to - high - 10 : 0);
    const dx = beyond(inner.left, inner.right, outer.left, outer.right);
    const dy = beyond(inner.top, inner.bottom, outer.top, outer.bottom);
    if (dx || dy) this.moveTo(this.transform.translate(dx / this.transform.k, dy / this.transform.k));
  }
}

function eventsOf(node, found = []) {
  if (node.kind === "op") found.push(node.event);
  else for (const child of node.children) eventsOf(child, found);
  return found;
}

/** The layers to open so that about `most` boxes are drawn, the outer ones first. */
function openAtFirst(root, most = OPEN_AT_FIRST) {
  const open = new Set();
  let boxes = root.children.length;
  let level = root.children;
  while (level.length) {
    const next = [];
    for (const node of level) {
      if (node.kind === "op" || (node.kind === "fold" && most === OPEN_AT_FIRST)) continue;
      if (boxes + node.children.length > most) continue;
      open.add(node.id);
      boxes += node.children.length;
      next.push(...node.children);
    }
    level = next;
  }
  return open;
}

