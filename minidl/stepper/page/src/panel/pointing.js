// Which place of a value is pointed at: one for all the arrays that belong to it, its value, its gradient, each addend.

/** Places by value number; they outlast a step, so that going back returns to the place. */
export class Pointing {
  constructor() {
    this.places = new Map();
    this.listeners = new Map();
  }

  /** A new panel listens anew. */
  clear() {
    this.listeners.clear();
  }

  /** The place pointed at in value v of this shape; `first` says where to begin. */
  at(v, shape, first = null) {
    const there = this.places.get(v);
    const fits = there && there.length === shape.length && there.every((i, axis) => i < Math.max(1, shape[axis]));
    return fits ? there : (first ?? shape.map(() => 0));
  }

  point(v, place) {
    this.places.set(v, place);
    for (const listener of this.listeners.get(v) ?? []) listener(place);
  }

  listen(v, listener) {
    if (!this.listeners.has(v)) this.listeners.set(v, []);
    this.listeners.get(v).push(listener);
  }
}

/** Where in a sampled axis index i stands, or the nearest that is there. */
export function nearest(kept, i) {
  if (!kept) return i;
  let best = 0;
  kept.forEach((there, j) => {
    if (Math.abs(there - i) < Math.abs(kept[best] - i)) best = j;
  });
  return best;
}
