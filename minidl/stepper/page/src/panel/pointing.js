// Which place of a value is pointed at: one for all the arrays that belong to it, its value, its gradient, each addend.

/** Places by value number; they outlast a step, so that going back returns to the place. */
export class Pointing {
  constructor() {
    this.places = new Map();
    this.listeners = new Map();
    this.shown = new Map(); // by value: the array that is shown of it
  }

  /** A new panel listens anew. */
  clear() {
    this.listeners.clear();
    this.shown.clear();
  }

  /** Of value v an array is shown: places are those that it holds. */
  show(v, kept) {
    this.shown.set(v, kept);
  }

  /** The place pointed at in value v of this shape; `first` says where to begin. */
  at(v, shape, first = null) {
    const there = this.places.get(v);
    const fits = there && there.length === shape.length && there.every((i, axis) => i < Math.max(1, shape[axis]));
    return this.held(v, fits ? there : (first ?? shape.map(() => 0)));
  }

  /** The place itself, or the nearest that the array shown of v holds. */
  held(v, place) {
    const kept = this.shown.get(v);
    return kept && kept.sampled ? held(kept, place) : place;
  }

  point(v, place) {
    place = this.held(v, place);
    this.places.set(v, place);
    for (const listener of this.listeners.get(v) ?? []) listener(place);
  }

  listen(v, listener) {
    if (!this.listeners.has(v)) this.listeners.set(v, []);
    this.listeners.get(v).push(listener);
  }
}

/** The place itself, or the nearest that the sample holds. */
export function held(kept, place) {
  return kept.truePlace(place.map((i, axis) => nearest(kept.index[axis], i)));
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
