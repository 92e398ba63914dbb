// Where everything in the graph lies. dagre lays out one level at a time, flat: clusters inside dagre take seconds for
// 1,000 ops. An opened layer is laid out by itself and is one box in the level above. Leaves (weights, inputs, numbers)
// are no nodes: they stand beside each op that uses them.

import { Graph, layout as dagre } from "@dagrejs/dagre";
import { groupTitle } from "./tree.js";
import { isolated, shapeText, short } from "./words.js";

const HEIGHT = 42; // of an op and of a closed layer
const CHIP = 20; // height of a leaf
const HEAD = 26; // of an opened layer's title
const PAD = 14;
const PORT = 18; // height of a value that comes into an opened layer
const WIRE = 26; // from a leaf to its op
const LINES = 4; // edges drawn between the same two boxes

let ruler = null;

/** The width of a text as it will be drawn. */
function widthOf(text, font) {
  ruler ??= document.createElement("canvas").getContext("2d");
  ruler.font = font;
  return ruler.measureText(text).width;
}

const BOLD = "600 13px system-ui, sans-serif";
const SMALL = "11.5px system-ui, sans-serif";

/** Long names keep both ends. */
export function clipped(text, most = 44) {
  return text.length <= most ? text : `${text.slice(0, most / 2)}…${text.slice(most / 2 + 1 - most)}`;
}

/**
 * The boxes and edges of a group whose opened children are in `open`, with positions from its own corner.
 * @returns {{width, height, boxes, edges}}
 */
export function layoutOf(group, open, tape, ops) {
  const boxes = new Map(); // by child
  const level = new Graph({ multigraph: false });
  level.setGraph({ rankdir: "TB", nodesep: 22, ranksep: 30, marginx: PAD, marginy: PAD });
  level.setDefaultEdgeLabel(() => ({}));
  for (const child of group.children) {
    const box = boxOf(child, open, tape, ops, group);
    boxes.set(child, box);
    level.setNode(child.id, { width: box.width + (box.left ?? 0), height: box.height }); // so that the ops stand in line
  }
  const ports = new Map(); // by the value that comes in from outside
  const links = linksOf(group, tape, ops, ports);
  if (group.kind !== "root") {
    for (const [value, port] of ports) {
      const text = isolated(clipped(tape.values[value].key, 24));
      const width = widthOf(text, SMALL) + 22;
      Object.assign(port, { kind: "port", value, text, width, height: PORT });
      level.setNode(port.id, { width, height: PORT });
    }
  }
  for (const link of links) level.setEdge(link.from.id, link.to.id);
  dagre(level);
  const place = (box, id) => {
    const { x, y, width } = level.node(id);
    box.x = x - width / 2;
    box.y = y - box.height / 2;
  };
  for (const [child, box] of boxes) place(box, child.id);
  for (const port of ports.values()) place(port, port.id);
  const width = cropped([...boxes.values(), ...ports.values()], level);
  const edges = edgesOf(links, boxes, level);
  return { width, height: level.graph().height, boxes: [...boxes.values()], ports: [...ports.values()], edges };
}

/** Take away what is empty at the left and the right; returns the width that is left. */
function cropped(boxes, level) {
  const bends = level.edges().flatMap((edge) => level.edge(edge).points);
  const left = Math.min(...boxes.map((box) => box.x), ...bends.map((p) => p.x - 8)) - PAD;
  const right = Math.max(...boxes.map((box) => box.x + box.width), ...bends.map((p) => p.x + 8)) + PAD;
  for (const thing of [...boxes, ...bends]) thing.x -= left;
  return right - left;
}

/** Which child of `group` the op is in; null if it is outside. */
function childWith(group, node) {
  while (node && node.parent !== group) node = node.parent;
  return node ?? null;
}

function producer(tape, ops, v) {
  const made = tape.values[v].event;
  return made === null ? null : (ops.get(made) ?? null);
}

function opsIn(group, found = []) {
  for (const child of group.children) {
    if (child.kind === "op") found.push(child);
    else opsIn(child, found);
  }
  return found;
}

/** What flows between the children of a group: [{from, to, value, uses: [[event, input], ...]}]; x*x has two. */
function linksOf(group, tape, ops, ports) {
  const links = [];
  const between = new Map();
  for (const op of opsIn(group)) {
    const to = childWith(group, op);
    tape.events[op.event].inputs.forEach((v, input) => {
      const source = producer(tape, ops, v);
      if (source === null) return;
      let from = childWith(group, source);
      if (from === to) return;
      if (from === null) {
        if (group.kind === "root") return;
        if (!ports.has(v)) ports.set(v, { id: `in${v}` });
        from = ports.get(v);
      }
      const key = `${from.id}>${to.id}`;
      const there = between.get(key) ?? 0;
      between.set(key, there + 1);
      if (there < LINES) {
        links.push({ from, to, value: v, use: [op.event, input], nth: there, key, more: 0 });
      }
      else links.find((link) => link.key === key).more += 1;
    });
  }
  for (const link of links) link.of = Math.min(LINES, between.get(link.key));
  return links;
}

/** A box with its size, for one child of a level. */
function boxOf(node, open, tape, ops, group) {
  if (node.kind !== "op" && open.has(node.id)) {
    const inner = layoutOf(node, open, tape, ops);
    const { title } = groupTitle(node);
    const width = Math.max(inner.width, widthOf(clipped(title), BOLD) + 60);
    return { kind: "open", node, inner, title, shift: (width - inner.width) / 2, width, height: inner.height + HEAD };
  }
  const chips = chipsOf(node, tape, ops);
  let title, more;
  if (node.kind === "op") {
    const out = tape.values[tape.events[node.event].output];
    title = node.title;
    more = out ? `${isolated(clipped(out.key, 28))}  ${shapeText(out.shape)}` : "";
  } else {
    ({ title, more } = groupTitle(node));
    const out = lastOutput(node, tape);
    if (out) more += `  ${shapeText(out.shape)}`;
  }
  const fold = node.kind === "op" ? 0 : 18;
  const body = Math.max(96, widthOf(clipped(title), BOLD) + fold, widthOf(clipped(more, 60), SMALL)) + 24;
  const beside = chips.length ? Math.max(...chips.map((c) => c.width)) + WIRE : 0;
  const tall = Math.max(HEIGHT, chips.length * (CHIP + 4) - 4);
  return {
    kind: "box", node, title: clipped(title), more: clipped(more, 60), chips,
    body, left: beside, width: beside + body, height: tall,
  };
}

function lastOutput(node, tape) {
  const v = tape.events[node.last]?.output;
  return v === null || v === undefined ? null : tape.values[v];
}

/** The leaves that an op uses, or the data that a closed layer takes: its weights are said inside. */
function chipsOf(node, tape, ops) {
  const chips = [];
  const add = (event, v, input) => {
    const value = tape.values[v];
    const same = chips.find((c) => c.value === v);
    if (same) {
      same.uses.push([event, input]);
      return;
    }
    let text = isolated(clipped(value.key, 30));
    if (value.kind === "constant" && value.shape.length === 0) text = short(tape.content(v, event)?.values[0]);
    else text += `  ${shapeText(value.shape)}`;
    chips.push({ value: v, kind: value.kind, text, width: widthOf(text, SMALL) + 16, height: CHIP, uses: [[event, input]] });
  };
  const within = node.kind === "op" ? [node] : opsIn(node);
  for (const op of within) {
    tape.events[op.event].inputs.forEach((v, input) => {
      if (producer(tape, ops, v) !== null) return;
      const { kind, missing } = tape.values[v];
      if (missing) return;
      if (node.kind === "op" || kind === "input" || kind === "leaf") add(op.event, v, input);
    });
  }
  if (node.kind !== "op" && chips.length > 3) return chips.slice(0, 3);
  return chips;
}

/** Where an edge leaves and enters a box: the middle of its body, not of the leaves beside it. */
function middle(box) {
  return box.kind === "box" ? box.x + box.left + box.body / 2 : box.x + box.width / 2;
}

function edgesOf(links, boxes, level) {
  return links.map((link) => {
    const from = boxes.get(link.from) ?? link.from;
    const to = boxes.get(link.to) ?? link.to;
    const apart = (link.nth - (link.of - 1) / 2) * 14;
    const bends = level.edge(link.from.id, link.to.id).points.slice(1, -1);
    const straight = bends.length <= 1;
    const spread = (box, x) => x + Math.max(-box.width / 3, Math.min(box.width / 3, apart));
    const points = [
      { x: spread(from, middle(from)), y: bottomOf(from) },
      ...(straight ? [] : bends.map((p) => ({ x: p.x + apart, y: p.y }))),
      { x: spread(to, middle(to)), y: topOf(to) },
    ];
    return { value: link.value, use: link.use, more: link.more, path: curve(points) };
  });
}

function topOf(box) {
  return box.kind === "box" ? box.y + (box.height - HEIGHT) / 2 : box.y;
}

function bottomOf(box) {
  return box.kind === "box" ? box.y + (box.height + HEIGHT) / 2 : box.y + box.height;
}

/** A line through the points that leaves and enters each of them upright. */
function curve(points) {
  const r = (x) => Math.round(x * 10) / 10;
  let path = `M${r(points[0].x)},${r(points[0].y)}`;
  for (let k = 1; k < points.length; k++) {
    const [a, b] = [points[k - 1], points[k]];
    const half = (a.y + b.y) / 2;
    path += `C${r(a.x)},${r(half)} ${r(b.x)},${r(half)} ${r(b.x)},${r(b.y)}`;
  }
  return path;
}

export const SIZES = { HEIGHT, CHIP, HEAD };
