// What of the graph is known at a moment: which op is computed, where a gradient has gone and how large it was.

import { normOf } from "./told.js";

export const WIDTHS = 8; // thicknesses of an edge on the way back

/** Looks up, for one tape, what the graph's classes depend on. */
export class Flow {
  constructor(tape) {
    this.tape = tape;
    this.backs = new Map(); // by forward event: its backward events
    this.users = new Map(); // by value: the forward events that use it
    let [low, high] = [Infinity, 0];
    for (const event of tape.events) {
      if (event.phase === "forward" || event.phase === "loss") {
        for (const v of event.inputs) add(this.users, v, event.number);
      } else if (event.phase === "backward") {
        if (event.node !== null) add(this.backs, event.node, event.number);
        for (const { grad } of event.addends) {
          const norm = normOf(tape, grad);
          if (norm > 0 && Number.isFinite(norm)) [low, high] = [Math.min(low, norm), Math.max(high, norm)];
        }
      }
    }
    this.low = low;
    this.high = high;
  }

  /** The backward of a forward event that ran last at moment i; null if none did, or if it is about to run again. */
  backOf(event, i) {
    const backs = this.backs.get(event);
    const found = backs?.findLast((back) => back <= i);
    if (found === undefined) return null;
    const next = backs.find((back) => back > i);
    if (next === undefined) return found;
    const begin = this.tape.backwardBegan(i);
    return found < begin && this.tape.backwardBegan(next) === begin ? null : found;
  }

  /** "todo" until it is computed, "done" from then on, "back" once its backward ran; and "now". */
  op(event, i) {
    if (i < event) return "todo";
    if (i === event) return "done now";
    const back = this.backOf(event, i);
    if (back === null) return "done";
    return back === i ? "back now" : "back";
  }

  /** The same of a layer, from the ops in it. */
  group(events, i) {
    if (i < events[0]) return "todo";
    const current = this.current(i);
    const now = current.some((event) => events.includes(event)) ? " now" : "";
    if (events.some((event) => this.backOf(event, i) !== null)) return `back${now}`;
    return `done${now}`;
  }

  /** The forward events that event i is about. */
  current(i) {
    const event = this.tape.events[i];
    if (!event) return [];
    if (event.phase === "forward" || event.phase === "loss") return [i];
    if (event.phase === "backward" && event.node !== null) return [event.node];
    if (event.output === null) return [];
    const made = this.tape.values[event.output].event;
    return made === null ? (this.users.get(event.output) ?? []).filter((use) => this.inStep(use, event)) : [made];
  }

  /** Of the edge that brings value v to input `input` of an op. */
  edge(v, [event, input], i) {
    const made = this.tape.values[v].event;
    if (made !== null && i < made) return "todo";
    if (i < event) return "ready";
    if (i === event) return "done now";
    const back = this.backOf(event, i);
    if (back === null) return "done";
    const addend = this.tape.events[back].addends.find((a) => a.input === input);
    if (!addend) return "done none"; // nobody wants this gradient
    return `back ${this.thickness(normOf(this.tape, addend.grad))}${back === i ? " now" : ""}`;
  }

  /** Of a leaf beside an op. */
  leaf(v, uses, i) {
    const event = this.tape.events[i];
    const ends = event?.output === v && (event.phase === "accumulate" || event.phase === "update");
    if (ends && uses.some(([use]) => this.inStep(use, event))) return `${event.phase} now`;
    if (uses.some((use) => this.edge(v, use, i).startsWith("back"))) return "back";
    return uses.some(([use]) => use <= i) ? "done" : "ready";
  }

  /** Whether a forward event is of the same training step as another event. */
  inStep(forward, event) {
    return this.tape.events[forward].step === event.step;
  }

  /** "w1" to "w8" for the logarithm of a norm among all of the tape; "w0" for 0, "broken" for what is not finite. */
  thickness(norm) {
    if (!Number.isFinite(norm)) return "broken";
    if (norm === 0) return "w0";
    const span = Math.log(this.high / this.low);
    const part = span > 0 ? Math.log(norm / this.low) / span : 1;
    return `w${1 + Math.round(part * (WIDTHS - 1))}`;
  }
}

function add(map, key, item) {
  if (map.has(key)) map.get(key).push(item);
  else map.set(key, [item]);
}
