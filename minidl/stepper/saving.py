"""Tapes in files: as npz and as json, both plain data, checked when they are read."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from dataclasses import fields
from os import PathLike
from typing import Any, TypeVar

import numpy as np

from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.reading import fitting, read_text
from minidl.files.writing import path_of, write_atomically
from minidl.stepper.checking import fill_checks
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import KINDS, PHASES, Addend, Call, Event, File, Line, Value
from minidl.stepper.kept import Kept

KIND, FORMAT = "tape", 1
NAME = "minidl tape"
_STATISTICS = ("low", "high", "mean", "norm", "zeros", "nan", "infinite")
_KEPT = ("gradient", "before", "after")  # the fields of an event that are arrays

TapeT = TypeVar("TapeT", bound=TapeContents)


def save(tape: TapeContents, path: str | PathLike[str]) -> None:
    """Write a tape, as json if the name ends so, else as npz.

    Some gradients are held to finite differences first, if none was yet: a file holds no program to do so later.

    Raises:
        ValueError: the name ends in neither.
        OSError: the file cannot be written.
    """
    name = str(path_of(path))
    if not name.lower().endswith((".npz", ".json")):
        raise ValueError(f"{name}: expected a name that ends in .npz or .json (or .html: tape.save_html)")
    fill_checks(tape)
    if name.lower().endswith(".json"):
        write_atomically(path, json.dumps(as_json(tape), allow_nan=False).encode())
        return
    arrays: dict[str, Any] = {}
    data = plain(tape, lambda kept, number: _into(arrays, kept, number))
    save_arrays(path, arrays, kind=KIND, format=FORMAT, meta=data)


def load(path: str | PathLike[str], kind: Callable[[str], TapeT]) -> TapeT:
    """Read what `save` wrote, as a `kind(title)`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or no tape; the message names it.
    """
    name = str(path_of(path))
    if name.lower().endswith(".json"):
        text = read_text(name)
        with fitting(path, KIND):
            try:
                data = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"it is no text in JSON ({error})") from None
            if not isinstance(data, dict) or data.get("format") != NAME or data.get("version") != FORMAT:
                raise ValueError(f"it does not begin with format {NAME!r}, version {FORMAT}")
            return _read(data, kind, lambda described: _decoded(described))
    arrays, data = load_arrays(path, kind=KIND, format=FORMAT)
    with fitting(path, KIND):
        return _read(data, kind, lambda described: _from_arrays(arrays, described))


def as_json(tape: TapeContents, elements: int | None = None) -> dict[str, Any]:
    """A tape as plain data that JSON can hold; of arrays at most `elements` numbers, if that is given."""
    data = plain(tape, lambda kept, number: _encoded(kept if elements is None else kept.sampled_to(elements)))
    return {"format": NAME, "version": FORMAT, **finite(data)}


def plain(tape: TapeContents, describe: Callable[[Kept, int], dict[str, Any]]) -> dict[str, Any]:
    """A tape as dicts and lists; `describe` makes one of an array and its number."""
    arrays: list[dict[str, Any]] = []
    numbers: dict[int, int] = {}

    def number_of(kept: Kept | None) -> int | None:
        if kept is None:
            return None
        if id(kept) not in numbers:
            numbers[id(kept)] = len(arrays)
            about = {"shape": list(kept.shape), "dtype": kept.dtype}
            about["index"] = [None if i is None else np.asarray(i).tolist() for i in kept.index]
            arrays.append({**about, **{key: getattr(kept, key) for key in _STATISTICS}, **describe(kept, len(arrays))})
        return numbers[id(kept)]

    def addend(a: Addend) -> dict[str, Any]:
        shape = None if a.shape_before is None else list(a.shape_before)
        return {
            "input": a.input, "value": a.value, "grad": number_of(a.grad), "shape_before": shape,
            "dtype_before": a.dtype_before, "total": number_of(a.total),
        }  # fmt: skip

    def event(e: Event) -> dict[str, Any]:
        found: dict[str, Any] = {f.name: getattr(e, f.name) for f in fields(e) if f.name != "number"}
        found |= {name: number_of(found[name]) for name in _KEPT}
        return found | {"inputs": list(e.inputs), "addends": [addend(a) for a in e.addends], "numbers": dict(e.numbers)}

    def value(v: Value) -> dict[str, Any]:
        found: dict[str, Any] = {f.name: getattr(v, f.name) for f in fields(v) if f.name != "number"}
        return found | {"shape": list(v.shape), "contents": [[n, number_of(kept)] for n, kept in v.contents]}

    def flat(x: Any) -> dict[str, Any]:
        return {f.name: getattr(x, f.name) for f in fields(x)}

    events, values = [event(e) for e in tape.events], [value(v) for v in tape.values]
    return {
        "title": tape.title, "events": events, "values": values, "calls": [flat(c) for c in tape.calls],
        "lines": [flat(line) for line in tape.lines], "files": [flat(f) for f in tape.files], "arrays": arrays,
        "checks": tape.checks,
    }  # fmt: skip


def _read(data: Any, kind: Callable[[str], TapeT], array_of: Callable[[dict[str, Any]], Any]) -> TapeT:
    """The tape that `plain` described.

    Raises:
        ValueError: something is missing, of another type, or refers to something that is not there.
    """
    try:
        arrays = [_kept(about, array_of(about)) for about in data["arrays"]]
        tape = kind(str(data["title"]))
        tape.values += [_value(number, about, arrays) for number, about in enumerate(data["values"])]
        tape.events += [_event(number, about, arrays) for number, about in enumerate(data["events"])]
        tape.calls += [Call(str(c["path"]), str(c["label"]), int(c["nth"]), _whole(c["parent"])) for c in data["calls"]]
        tape.lines += [Line(int(x["file"]), int(x["line"]), str(x["function"])) for x in data["lines"]]
        tape.files += [File(str(f["name"]), int(f["first"]), str(f["text"])) for f in data["files"]]
        tape.checks += [_number(check) for check in data["checks"]]
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"its entries are not those of a tape ({type(error).__name__}: {error})") from None
    _check_references(tape)
    return tape


def _event(number: int, about: dict[str, Any], arrays: list[Kept]) -> Event:
    addends = tuple(
        Addend(
            int(a["input"]), int(a["value"]), arrays[_place(a["grad"])],
            None if a["shape_before"] is None else tuple(map(int, a["shape_before"])),
            None if a["dtype_before"] is None else str(a["dtype_before"]),
            None if a["total"] is None else arrays[_place(a["total"])],
        )
        for a in about["addends"]
    )  # fmt: skip
    kept = {name: None if about[name] is None else arrays[_place(about[name])] for name in _KEPT}
    return Event(
        number, str(about["phase"]), str(about["op"]), str(about["options"]), _whole(about["call"]),
        tuple(map(int, about["inputs"])), _whole(about["output"]), _whole(about["node"]), kept["gradient"], addends,
        kept["before"], kept["after"], {str(k): float(_number(x)) for k, x in about["numbers"].items()},
        _whole(about["line"]), _whole(about["caller"]), int(about["step"]), bool(about["grad_enabled"]),
        str(about["note"]),
    )  # fmt: skip


def _value(number: int, about: dict[str, Any], arrays: list[Kept]) -> Value:
    contents = [(int(n), arrays[_place(kept)]) for n, kept in about["contents"]]
    return Value(
        number, str(about["key"]), str(about["kind"]), tuple(map(int, about["shape"])), str(about["dtype"]),
        str(about["device"]), _whole(about["event"]), _whole(about["call"]), bool(about["requires_grad"]), contents,
    )  # fmt: skip


def _kept(about: dict[str, Any], values: Any) -> Kept:
    shape = tuple(map(int, about["shape"]))
    index = tuple(None if i is None else np.asarray(i, dtype=np.int64) for i in about["index"])
    lengths = tuple(n if i is None else len(i) for n, i in zip(shape, index, strict=True))
    if values.shape != lengths:
        raise ValueError(f"an array of shape {values.shape} stands where {lengths} was described")
    for n, i in zip(shape, index, strict=True):
        if i is not None and (i.ndim != 1 or not len(i) or i[0] < 0 or i[-1] >= n or bool((np.diff(i) <= 0).any())):
            raise ValueError("the indices of a sample are not in order")
    low, high, mean, norm, zeros, nan, infinite = [_number(about[key]) for key in _STATISTICS]
    dtype, counts = str(about["dtype"]), (int(zeros), int(nan), int(infinite))
    return Kept(shape, dtype, values, index, float(low), float(high), float(mean), float(norm), *counts)


def _check_references(tape: TapeContents) -> None:
    """Raise a ValueError unless whatever is referred to is there."""
    counts = {"event": len(tape.events), "value": len(tape.values), "call": len(tape.calls), "line": len(tape.lines)}
    found: list[tuple[str, int | None]] = []
    for e in tape.events:
        if e.phase not in PHASES:
            raise ValueError(f"event {e.number} has the phase {e.phase!r}; expected one of {', '.join(PHASES)}")
        found += [("value", v) for v in (*e.inputs, e.output, *(a.value for a in e.addends))]
        found += [("call", e.call), ("line", e.line), ("line", e.caller), ("event", e.node)]
    for v in tape.values:
        if v.kind not in KINDS or not v.contents:
            raise ValueError(f"value {v.key!r} is of the kind {v.kind!r} and was seen {len(v.contents)} times")
        found += [("event", v.event), ("call", v.call)]
    for i, call in enumerate(tape.calls):
        if call.parent is not None and not 0 <= call.parent < i:
            raise ValueError(f"call {i} is said to be inside call {call.parent}")
    for what, number in found:
        if number is not None and not 0 <= number < counts[what]:
            raise ValueError(f"{what} {number} is referred to, and there are {counts[what]}")
    if any(not 0 <= line.file < len(tape.files) for line in tape.lines):
        raise ValueError("a line stands in a file that is not there")


def _whole(x: Any) -> int | None:
    return None if x is None else int(x)


def _place(x: Any) -> int:
    if not isinstance(x, int) or x < 0:
        raise ValueError(f"expected the number of an array; got {x!r}")
    return x


# ---- numbers


def _into(arrays: dict[str, Any], kept: Kept, number: int) -> dict[str, Any]:
    arrays[f"array{number}"] = kept.values
    return {"name": f"array{number}"}


def _from_arrays(arrays: dict[str, Any], about: dict[str, Any]) -> Any:
    return arrays[about["name"]]


_STORED = {"bool": "uint8", "float16": "float32"}  # what a page can read instead


def _encoded(kept: Kept) -> dict[str, Any]:
    stored = _STORED.get(kept.dtype, kept.dtype)
    values = np.ascontiguousarray(kept.values, dtype=np.dtype(stored).newbyteorder("<"))
    about = {"index": [None if i is None else np.asarray(i).tolist() for i in kept.index]}
    return about | {
        "data": base64.b64encode(values.tobytes()).decode(),
        **({} if stored == kept.dtype else {"stored": stored}),
    }


def _decoded(about: dict[str, Any]) -> Any:
    dtype = np.dtype(about.get("stored", about["dtype"]))
    if dtype.kind not in "fiub":
        raise ValueError(f"expected numbers; got {dtype}")
    values = np.frombuffer(base64.b64decode(about["data"], validate=True), dtype=dtype.newbyteorder("<"))
    shape = [n if i is None else len(i) for n, i in zip(about["shape"], about["index"], strict=True)]
    return values.reshape(shape).astype(np.dtype(about["dtype"]))


def finite(data: Any) -> Any:
    """Plain data with {"not finite": "nan"} for numbers that JSON cannot hold."""
    if isinstance(data, float) and not math.isfinite(data):
        return {"not finite": str(data)}
    if isinstance(data, dict):
        return {key: finite(x) for key, x in data.items()}
    return [finite(x) for x in data] if isinstance(data, (list, tuple)) else data


def _number(x: Any) -> Any:
    """What `finite` was given, of what it gave."""
    if isinstance(x, dict):
        if x.keys() == {"not finite"} and x["not finite"] in ("nan", "inf", "-inf"):
            return float(x["not finite"])
        return {key: _number(y) for key, y in x.items()}
    return [_number(y) for y in x] if isinstance(x, list) else x
