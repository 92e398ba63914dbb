"""Worked lines of elementwise ops, with broadcasting, and of ops that only move numbers to other places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.stepper.computation import Computation, Held, Place
from minidl.stepper.formulas import gradient_formula, output_name
from minidl.stepper.lines import Bound, Worked, added, bound, bound_to, computed, label_at
from minidl.types import Shape

DEFAULTS = {"BCEWithLogits": {"p": 1.0}, "Clip": {"low": -math.inf, "high": math.inf}}


def right_side(formula: str) -> str:
    """What stands behind the first = of a formula."""
    return formula.split("=", 1)[1].strip()


def input_place(shape: Shape, place: Any) -> tuple[Any, ...]:
    """Where an input of this shape is read for a place of the output: its axes are the last ones."""
    return tuple([0 if n == 1 else i for n, i in zip(shape, place[len(place) - len(shape) :], strict=True)])


def output_places(shape: Shape, out_shape: Shape, place: Place) -> tuple[Any, ...]:
    """All places of the output that a place of an input was broadcast to: an array of indices for each axis."""
    extra = len(out_shape) - len(shape)
    ranges = [range(n) for n in out_shape[:extra]]
    for n, m, i in zip(shape, out_shape[extra:], place, strict=True):
        ranges.append(range(m) if n == 1 else range(i, i + 1))
    if not ranges:
        return ()
    return tuple([index.ravel() for index in np.meshgrid(*ranges, indexing="ij")])


def forward(c: Computation, place: Place) -> Worked | None:
    """An elementwise forward."""
    bounds = bounds_at(c, place)
    bounds.pop(output_name(c.formula), None)
    if c.op in ("Dropout", "Masked"):
        mask = _mask(c, place)
        if mask is None:
            return None
        bounds["m"] = Bound("m", mask)
    return computed(right_side(c.formula.forward), bounds, c.formula.where)


def gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """The gradient of an elementwise op for one input: a sum where the input was broadcast."""
    formula = gradient_formula(c.formula, i)
    if formula is None or c.output is None or c.gradient is None:
        return None
    held = c.inputs[i]
    if held is None:
        return None
    shape = held.shape
    if shape == c.output.shape:
        bounds = bounds_at(c, place)
        if c.op in ("Dropout", "Masked"):
            mask = _mask(c, place)
            if mask is None:
                return None
            bounds["m"] = Bound("m", mask)
        return computed(formula, bounds, c.formula.where)
    places = output_places(shape, c.output.shape, place)
    if np.size(places[0] if places else 0) == 1 or not places:
        return computed(formula, bounds_at(c, tuple([int(p[0]) for p in places])), c.formula.where)
    bounds = {name: b for name, b in bounds_at(c, places).items() if name in _names(formula, c.formula.where)}
    count = len(places[0])
    return added(formula, bounds, f"sum of {formula} over {count:,} places", where=c.formula.where)


def _names(formula: str, where: str) -> set[str]:
    """The words of a formula and of what it refers to."""
    signs = str.maketrans(dict.fromkeys("+-*/^()[]{}|,;=<>_", " "))
    return set(f"{formula} {where}".translate(signs).split())


def bounds_at(c: Computation, place: Any) -> dict[str, Bound]:
    """The variables at a place of the output, or at many."""
    found = {name: bound_to(number) for name, number in {**DEFAULTS.get(c.op, {}), **c.settings}.items()}
    for name, held in c.named.items():
        if len(held.shape) > len(place):
            continue
        at = input_place(held.shape, place)
        if any(np.ndim(i) for i in place):
            at = tuple(np.broadcast_arrays(*at, place[0])[:-1]) if at else ()
            numbers, known = held.take(at)
            found[name] = Bound(held.label, numbers, known)
        else:
            found[name] = bound(held, tuple([int(i) for i in at]))
    return found


def _mask(c: Computation, place: Place) -> float | None:
    """Whether a dropout or a mask let a place through, as its numbers show; None if they do not."""
    x, z = c.inputs[0], c.output
    if x is None or z is None:
        return None
    before, after = bound(x, place), bound(z, place)
    if not (before.known and after.known):
        return None
    if before.numbers != 0:
        return float(after.numbers != 0)
    if c.backward is not None and c.gradient is not None and c.backward.addends:
        g, sent = bound(c.gradient, place), c.backward.addends[0].grad.at(place)
        if g.known and g.numbers != 0 and sent is not None:
            return float(sent != 0)
    return None


# ---- numbers that only move


def moved_from(c: Computation) -> Any:
    """For each place of the output: which number, counted over all inputs in C order, it is; -1 for none of them."""
    if "from" not in c.maps:
        c.maps["from"] = _moved_from(c)
    return c.maps["from"]


def _moved_from(c: Computation) -> Any:
    if c.output is None or any(held is None for held in c.inputs):
        return None
    starts = np.cumsum([0, *[math.prod(held.shape) for held in c.inputs if held is not None]])
    if starts[-1] > 1 << 20:
        return None
    ids = [
        np.arange(a, b).reshape(held.shape)
        for a, b, held in zip(starts[:-1], starts[1:], c.inputs, strict=True)
        if held is not None
    ]
    try:
        found = _move(c, ids)
    except (IndexError, ValueError, TypeError):
        return None
    return found if found is not None and found.shape == c.output.shape else None


def _move(c: Computation, ids: list[Any]) -> Any:
    """What the op does to the numbers of its inputs' places."""
    options, shape = c.options, () if c.output is None else c.output.shape
    match c.op:
        case "Reshape":
            return ids[0].reshape(shape)
        case "Transpose":
            return ids[0].transpose(options.get("axes"))
        case "Concatenate":
            return np.concatenate(ids, axis=options["axis"]) if "axis" in options else None
        case "Pad" if "widths" in options:
            widths = options["widths"]
            if tuple(n + a + b for n, (a, b) in zip(ids[0].shape, widths, strict=True)) != shape:
                return None
            return np.pad(ids[0], widths, constant_values=-1)
        case "GetItem" if "index" in options:
            return np.asarray(ids[0][options["index"]])
        case "PutAt" if "index" in options:
            found = np.full(shape, -1)
            found[options["index"]] = ids[0]
            return found
        case "SetItem" if "index" in options:
            found = ids[0].copy()
            found[options["index"]] = ids[1]
            return found
    return None


def moved_forward(c: Computation, place: Place) -> Worked | None:
    """A number of the output is one of the inputs', from another place."""
    source = moved_from(c)
    if source is None:
        return None
    number = int(source[place])
    for held in c.inputs:
        assert held is not None
        size = math.prod(held.shape)
        if number < size:
            if number < 0:
                value = float(c.options.get("value", 0.0))
                return Worked(("no number of the input comes here",), value)
            at = tuple([int(i) for i in np.unravel_index(number, held.shape)])
            b = bound(held, at)
            return Worked((b.label,), b.numbers) if b.known else None
        number -= size
    return None


def moved_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """The gradient goes back to where the number came from."""
    source, held = moved_from(c), c.inputs[i]
    if source is None or held is None or c.gradient is None or c.output is None:
        return None
    start = sum(math.prod(other.shape) for other in c.inputs[:i] if other is not None)
    number = start + (int(np.ravel_multi_index(place, held.shape)) if place else 0)
    return collected(c.gradient, np.argwhere(source == number), "no number of the output comes from here")


def collected(g: Held, places: Any, otherwise: str) -> Worked:
    """The sum of a gradient over places, given as rows."""
    if len(places) == 0:
        return Worked((otherwise,), 0.0)
    if len(places) == 1:
        b = bound(g, tuple([int(n) for n in places[0]]))
        return Worked((f"{b.label} passes through",), b.numbers if b.known else None)
    numbers, known = g.take(tuple(places.T))
    labels = " + ".join(label_at(g.label, tuple(map(int, p))) for p in places[:2])
    more = " + ..." if len(places) > 2 else ""
    return added("g", {"g": Bound("g", numbers, known)}, f"{labels}{more}")


def causal_forward(c: Computation, place: Place) -> Worked | None:
    """z_ij = x_ij where j <= i."""
    x = c.inputs[0]
    if x is None:
        return None
    if place[-1] > place[-2]:
        return Worked((f"key {place[-1]} comes after query {place[-2]}",), -math.inf)
    b = bound(x, place)
    return Worked((b.label,), b.numbers if b.known else None)


def causal_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """It passes where x did."""
    if c.gradient is None:
        return None
    if place[-1] > place[-2]:
        return Worked((f"key {place[-1]} comes after query {place[-2]}",), 0.0)
    b = bound(c.gradient, place)
    return Worked((b.label,), b.numbers if b.known else None)


def constant_forward(c: Computation, place: Place) -> Worked | None:
    """z = y."""
    return (
        None if c.inputs[0] is None else Worked((bound(c.inputs[0], place).label,), bound(c.inputs[0], place).numbers)
    )


def constant_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """dL/dy = g, and 0 for the others."""
    if c.gradient is None:
        return None
    b = bound(c.gradient, place) if i == 0 else bound_to(0.0)
    return Worked((b.label,), b.numbers)
