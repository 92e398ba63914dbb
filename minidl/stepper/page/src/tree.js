// The ops of a tape as a tree: layers inside layers, runs of the same as one "×20".
//
// A node is {id, kind, children, parent, first, last, ...}; kinds:
//   "op"    one forward event; `layer` is the call of the module that does nothing else
//   "call"  a layer, a call of a module
//   "step"  one training step, where the tape has more
//   "fold"  the same thing, `count` times; its children are of any kind
//   "part"  what stands between: the `nth` of a fold, or some of very many ops

import { many } from "./words.js";

const MOST = 60; // children at one level: beyond that, runs of them become parts; so a layout stays quick
const RUN = 30;
const LONGEST_PERIOD = 8;
const FOLD_FROM = 12; // ops and layers: shorter repetitions are drawn one by one

/** @returns {{root, ops: Map<number, node>}} the tree, and its op nodes by event number. */
export function treeOf(tape) {
  const root = { id: "root", kind: "root", children: [], label: tape.title || "program" };
  const groups = new Map();
  const ops = new Map();
  const forward = [];
  tape.events.forEach((event, i) => {
    if (event.phase === "forward" || event.phase === "loss") forward.push(i);
  });
  const steps = new Set(forward.map((i) => tape.events[i].step));
  for (const i of forward) {
    const event = tape.events[i];
    let at = root;
    if (steps.size > 1) at = groupIn(groups, at, `s${event.step}`, { kind: "step", label: `step ${event.step}` });
    for (const call of tape.layerPath(event)) {
      at = groupIn(groups, at, `${at.kind === "step" ? at.id : ""}c${call.number}`, { kind: "call", call });
    }
    const node = { id: `e${i}`, kind: "op", event: i, children: [] };
    at.children.push(node);
    ops.set(i, node);
  }
  simplify(root);
  fold(root, tape);
  chunk(root);
  link(root);
  return { root, ops };
}

function groupIn(groups, parent, key, fields) {
  let group = groups.get(key);
  if (!group) {
    group = { id: key, children: [], ...fields };
    groups.set(key, group);
    parent.children.push(group);
  }
  return group;
}

/** A layer of one op is drawn as that op with the layer's name; a layer of one layer as the inner one. */
function simplify(group) {
  group.children = group.children.map((child) => {
    if (child.kind === "op") return child;
    simplify(child);
    if (child.kind !== "call" || child.children.length !== 1) return child;
    const only = child.children[0];
    if (only.kind === "op" && !only.layer) only.layer = child.call;
    return only;
  });
}

/** What a node looks like, as a small number: equal for nodes that may be folded into one. */
function lookOf(node, tape, known) {
  let text;
  if (node.kind === "op") {
    const event = tape.events[node.event];
    text = `${event.op}/${tape.values[event.output]?.shape}/${node.layer ? node.layer.label : ""}`;
  } else {
    text = `${node.call ? node.call.label : node.label}(${node.children.map((c) => lookOf(c, tape, known)).join()})`;
  }
  if (!known.has(text)) known.set(text, known.size);
  return known.get(text);
}

function fold(group, tape) {
  for (const child of group.children) fold(child, tape);
  const children = group.children;
  if (children.length < FOLD_FROM) return;
  const known = new Map();
  const looks = children.map((child) => lookOf(child, tape, known));
  const folded = [];
  let at = 0;
  while (at < children.length) {
    const [period, times] = repetition(looks, at);
    if (period * times < FOLD_FROM || times < 3) {
      folded.push(children[at++]);
      continue;
    }
    const members = [];
    for (let k = 0; k < times; k++) {
      const part = children.slice(at + k * period, at + (k + 1) * period);
      members.push(period === 1 ? part[0] : { id: `p${part[0].id}`, kind: "part", label: `${k + 1} of ${times}`, children: part });
      Object.assign(members[k], { nth: k + 1, of: times });
    }
    folded.push({ id: `f${members[0].id}`, kind: "fold", count: times, member: members[0], children: members });
    at += period * times;
  }
  group.children = folded.length === 1 && group.kind !== "root" && group.kind !== "call" ? folded[0].children : folded;
}

/** [period, times] of the repetition that begins at `at` and covers most. */
function repetition(looks, at) {
  let best = [1, 1];
  for (let period = 1; period <= LONGEST_PERIOD; period++) {
    let end = at + period;
    while (end < looks.length && looks[end] === looks[end - period]) end++;
    const times = Math.floor((end - at) / period);
    if (times >= 3 && times * period > best[0] * best[1]) best = [period, times];
  }
  return best;
}

/** Of very many children, runs of them become parts. */
function chunk(group) {
  for (const child of group.children) chunk(child);
  while (group.children.length > MOST) {
    const parts = [];
    for (let at = 0; at < group.children.length; at += RUN) {
      const children = group.children.slice(at, at + RUN);
      const [one, last] = [children[0], children.at(-1)];
      const label = one.nth && one.of === last.of ? `${one.nth} to ${last.upTo ?? last.nth} of ${one.of}` : "";
      if (children.length === 1) parts.push(one);
      else parts.push({ id: `r${one.id}`, kind: "part", label, nth: one.nth, upTo: last.upTo ?? last.nth, of: one.of, member: one.member ?? one, children });
    }
    group.children = parts;
  }
}

function link(group) {
  group.first = Infinity;
  group.last = -1;
  group.size = 0;
  for (const child of group.children) {
    child.parent = group;
    if (child.kind === "op") {
      child.first = child.last = child.event;
      child.size = 1;
    } else {
      link(child);
    }
    group.first = Math.min(group.first, child.first);
    group.last = Math.max(group.last, child.last);
    group.size += child.size;
  }
  if (group.kind === "part" && !group.label) group.label = `events ${group.first} to ${group.last}`;
}

/** Title and second line of a node that is drawn closed: "conv1 · Conv2d 1->6 5x5", "conv1 (64, 6, 28, 28)". */
export function groupTitle(node) {
  if (node.kind === "call") return { title: node.call.path, more: `${node.call.label} · ${many(node.size, "op")}` };
  if (node.kind === "fold") {
    return { title: `${whatOf(node.member)} ×${node.count}`, more: `the same ${node.count} times · ${many(node.size, "op")}` };
  }
  return { title: node.label, more: `${node.what ? `${node.what} · ` : ""}${many(node.size, "op")}` };
}

function whatOf(node) {
  return node.kind === "op" ? node.title : node.kind === "part" ? node.what : groupTitle(node).title;
}

/** Give ops and parts the words that they are drawn with. */
export function nameNodes(group, tape) {
  for (const child of group.children) {
    if (child.kind === "op") {
      const event = tape.events[child.event];
      child.title = child.layer ? `${child.layer.path} · ${event.op}` : event.op;
    } else {
      nameNodes(child, tape);
    }
  }
  if (group.kind === "part") {
    const words = group.children.slice(0, 4).map(whatOf);
    group.what = group.nth && group.member ? whatOf(group.member) : words.join(", ") + (group.children.length > 4 ? ", …" : "");
  }
}
