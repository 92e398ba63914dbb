// A tape as its JSON tells it, and the questions that every view asks: the same as minidl/stepper/contents.py answers.
//
// Going back is an index, not a run: `content` and `gradient` say what is known of a value after event i.
// i = -1 is the moment before anything happened.

const TYPED = {
  float64: Float64Array, float32: Float32Array,
  int64: BigInt64Array, int32: Int32Array, int16: Int16Array, int8: Int8Array,
  uint64: BigUint64Array, uint32: Uint32Array, uint16: Uint16Array, uint8: Uint8Array,
};
const NOT_FINITE = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/** A number of the JSON, where one that is not finite is written {"not finite": "nan"}. */
export function number(said) {
  return said !== null && typeof said === "object" ? NOT_FINITE[said["not finite"]] : said;
}

/** An array as the tape kept it: whole if it is small, else a sample of it; its statistics are of all of it. */
export class Kept {
  /**
   * shape, dtype: of the array. values: of the array itself or of the sample, in C order; sides: the sample's shape.
   * index: for each axis which of its indices are in `values`; null for all.
   * low, high, mean: of its finite numbers. norm: of all of it. zeros, nan, infinite: how many there are.
   */
  constructor(said) {
    this.shape = said.shape;
    this.dtype = said.dtype;
    this.index = said.index;
    this.low = number(said.low);
    this.high = number(said.high);
    this.mean = number(said.mean);
    this.norm = number(said.norm);
    this.zeros = said.zeros;
    this.nan = said.nan;
    this.infinite = said.infinite;
    this.size = said.shape.reduce((a, n) => a * n, 1);
    this.sides = said.shape.map((n, axis) => (said.index[axis] ? said.index[axis].length : n));
    this.sampled = said.index.some((kept) => kept !== null);
    this.values = decode(said.data, said.stored ?? said.dtype);
  }

  /** The number at `place` of the array; null if the sample does not hold it. An axis counts from its end below 0. */
  at(place) {
    if (this.size === 0) return null;
    if (place.length !== this.shape.length || place.some((i, axis) => !(i >= -this.shape[axis] && i < this.shape[axis]))) {
      throw new RangeError(`expected an index into shape (${this.shape.join(", ")}); got (${place.join(", ")})`);
    }
    let offset = 0;
    for (let axis = 0; axis < place.length; axis++) {
      let i = place[axis] < 0 ? place[axis] + this.shape[axis] : place[axis];
      if (this.index[axis]) i = this.index[axis].indexOf(i);
      if (i < 0) return null;
      offset = offset * this.sides[axis] + i;
    }
    return this.values[offset];
  }

  /** Where in the array the number at `place` of the sample stands. */
  truePlace(place) {
    return place.map((i, axis) => (this.index[axis] ? this.index[axis][i] : i));
  }
}

/** The numbers of a base64 text of little-endian bytes. Integers of 64 bits come as floats, exact up to 2^53. */
function decode(text, dtype) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const Typed = TYPED[dtype];
  if (!Typed) throw new TypeError(`expected an array of real numbers; got dtype ${dtype}`);
  const values = new Typed(bytes.buffer);
  return typeof values[0] === "bigint" ? Float64Array.from(values, Number) : values;
}

export class Tape {
  /** json: what `saving.as_json` makes. `calls[i].number`, `events[i].number`, `values[i].number` are their places. */
  constructor(json) {
    if (json.format !== "minidl tape" || json.version !== 1) {
      throw new TypeError(`expected a "minidl tape" of version 1; got ${json.format} ${json.version}`);
    }
    this.title = json.title;
    this.events = json.events.map((event, i) => ({ ...event, number: i, numbers: finite(event.numbers) }));
    this.values = json.values.map((value, i) => ({ ...value, number: i, missing: isMissing(value) }));
    this.calls = json.calls.map((call, i) => ({ ...call, number: i }));
    this.lines = json.lines;
    this.files = json.files.map((file) => ({ ...file, lines: file.text.split("\n") }));
    this.checks = (json.checks ?? []).map(finite);
    this.quiz = json.quiz ?? [];
    this._arrays = json.arrays;
    this._made = new Array(json.arrays.length);
    this._places = new Map(this.values.map((value) => [value.key, value.number]));
    this._index();
  }

  /** What an op was given: its inputs without those that are not there, such as a layer's bias. */
  given(event) {
    return event.inputs.filter((v) => !this.values[v].missing);
  }

  /** Who received an addend when, whose gradient was complete when, and where each backward began. */
  _index() {
    this._received = this.values.map(() => []);
    this._completed = this.values.map(() => []);
    this._begins = [];
    for (const event of this.events) {
      if (event.phase === "backward" && !event.inputs.length && !event.addends.length) this._begins.push(event.number);
      for (const addend of event.addends) this._received[addend.value].push([event.number, addend]);
      const completes = event.phase === "backward" || event.phase === "accumulate";
      if (completes && event.output !== null && event.gradient !== null) {
        this._completed[event.output].push([event.number, event.gradient]);
      }
    }
  }

  /** Array n of the tape, decoded when it is first asked for; null for null. */
  array(n) {
    if (n === null || n === undefined) return null;
    return (this._made[n] ??= new Kept(this._arrays[n]));
  }

  /** The number of array that value v held after event i; null: it had not been computed yet. */
  contentNumber(v, i) {
    const value = this.values[v];
    if (value.event !== null && value.event > i) return null;
    let found = null;
    for (const [event, array] of value.contents) {
      // what no op made was there from the beginning
      if (event <= i || (value.event === null && found === null)) found = array;
    }
    return found;
  }

  /** What value v held after event i; null: it had not been computed yet (hatched, never 0). */
  content(v, i) {
    return this.array(this.contentNumber(v, i));
  }

  /** The number of the event with which the backward of moment i, or the last before it, began. */
  backwardBegan(i) {
    return this._begins.findLast((begin) => begin <= i) ?? 0;
  }

  /**
   * What is known after event i of dL/dv, in the backward that ran last:
   * {total: number of array|null, addends: [[event number, addend], ...], complete}.
   */
  gradientNumber(v, i) {
    const begin = this.backwardBegan(i);
    const inside = ([event]) => begin <= event && event <= i;
    const addends = this._received[v].filter(inside);
    const completed = this._completed[v].filter(inside);
    let total = null;
    if (addends.length) total = addends.at(-1)[1].total ?? addends.at(-1)[1].grad;
    if (completed.length) total = completed.at(-1)[1];
    return { total, addends, complete: completed.length > 0 };
  }

  /** The same with `total` as an array. */
  gradient(v, i) {
    const known = this.gradientNumber(v, i);
    return { ...known, total: this.array(known.total) };
  }

  /** Whether value v gets a gradient somewhere after event i. */
  receives(v, i) {
    return [...this._received[v], ...this._completed[v]].some(([event]) => event > i);
  }

  /** The module calls that an event happened in, the outermost first. */
  layerPath(event) {
    const path = [];
    for (let call = event.call; call !== null; call = this.calls[call].parent) path.unshift(this.calls[call]);
    return path;
  }

  /** The user's line that called the op: {file, line, function, text, first, lines}; null if unknown. `lines` are all
   * the lines that are known of the file, the first of them numbered `first`. */
  sourceOf(event) {
    return this._source(event.line);
  }

  /** The user's line that called backward() or step(), likewise. */
  callerOf(event) {
    return this._source(event.caller);
  }

  _source(place) {
    if (place === null || place === undefined) return null;
    const { file, line, function: inside } = this.lines[place];
    const { name, first, lines } = this.files[file];
    return { file: name, line, function: inside, text: lines[line - first] ?? "", first, lines };
  }

  /** The number of the value with this key; -1 if there is none. */
  find(key) {
    return this._places.get(key) ?? -1;
  }

  /** The event that made value v; null if no op did. */
  madeBy(v) {
    const { event } = this.values[v];
    return event === null ? null : this.events[event];
  }
}

/** Whether a value stands for an input that was left out. */
function isMissing({ kind, shape, key }) {
  return kind === "constant" && shape.length === 1 && shape[0] === 0 && key.startsWith("none");
}

/** A record whose numbers may be not finite. */
function finite(record) {
  return Object.fromEntries(Object.entries(record ?? {}).map(([name, said]) => [name, Array.isArray(said) ? said : number(said)]));
}
