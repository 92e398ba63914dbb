"""Worked lines of ops along axes: sums, means, extremes, softmax and its relatives, normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.stepper.computation import Computation, Held, Place
from minidl.stepper.lines import Bound, Worked, added, bound, bound_to, computed, shown
from minidl.stepper.work_elementwise import input_place, output_places


def axes_of(c: Computation, ndim: int) -> tuple[int, ...]:
    """The axes that the op runs along, counted from the front."""
    axis = c.options.get("axis")
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted({a % ndim for a in (axis if isinstance(axis, (tuple, list)) else (axis,))}))


def group(held: Held, axes: tuple[int, ...], place: Place) -> tuple[Any, ...]:
    """All places that are reduced together with `place`: an array of indices for each axis."""
    ranges = [range(n) if a in axes else range(place[a], place[a] + 1) for a, n in enumerate(held.shape)]
    if not ranges:
        return ()
    return tuple([index.ravel() for index in np.meshgrid(*ranges, indexing="ij")])


def to_output(place: Place, axes: tuple[int, ...], keepdims: bool) -> Place:
    """The place of the result that a place of x goes into."""
    if keepdims:
        return tuple([0 if a in axes else i for a, i in enumerate(place)])
    return tuple([i for a, i in enumerate(place) if a not in axes])


def from_output(place: Place, axes: tuple[int, ...], keepdims: bool, ndim: int) -> Place:
    """A place of x, the first of those that go into a place of the result."""
    rest = iter(place)
    if keepdims:
        return tuple([0 if a in axes else i for a, i in enumerate(place)])
    return tuple([0 if a in axes else next(rest) for a in range(ndim)])


class _Group:
    """What an op along axes reduces together, at one place of x."""

    def __init__(self, c: Computation, place: Place, of_output: bool) -> None:
        x, out = c.inputs[0], c.output
        assert x is not None
        assert out is not None
        self.x, self.out = x, out
        self.axes = axes_of(c, len(x.shape))
        self.keepdims = len(out.shape) == len(x.shape)
        self.place = from_output(place, self.axes, self.keepdims, len(x.shape)) if of_output else place
        self.at = group(x, self.axes, self.place)
        self.count = len(self.at[0]) if self.at else 1
        self.result = to_output(self.place, self.axes, self.keepdims)

    def numbers(self, held: Held | None = None) -> Bound:
        """The numbers of x, or of an array of its shape, in the group."""
        held = held or self.x
        numbers, known = held.take(self.at)
        return Bound(held.label, np.atleast_1d(numbers), np.atleast_1d(known))


def _mean_worked(name: str, numbers: Bound) -> tuple[str, float]:
    """A mean in words and as a number: "m = (1 + 2 + 3) / 3 = 2"."""
    n = np.size(numbers.numbers)
    worked = added("x", {"x": numbers}, "", f"({{}}) / {n}", lambda total: total / n)
    value = math.nan if worked.value is None else worked.value
    return f"{name} = {worked.parts[1]} = {shown(value)}", value


def forward(c: Computation, place: Place) -> Worked | None:
    """One result of a reduction."""
    if c.inputs[0] is None or c.output is None:
        return None
    g = _Group(c, place, of_output=True)
    x, n = g.numbers(), g.count
    name = g.x.label
    match c.op:
        case "Sum":
            return added("x", {"x": x}, f"sum of {n:,} numbers of {name}")
        case "Mean":
            return added("x", {"x": x}, f"sum of {name} / {n}", f"({{}}) / {n}", lambda total: total / n)
        case "Max" | "Min":
            if not np.all(x.known):
                return None
            few = ", ".join(shown(float(v)) for v in x.numbers[:6]) + (", ..." if n > 6 else "")
            pick, word = (np.max, "largest") if c.op == "Max" else (np.min, "smallest")
            return Worked((f"the {word} of {few}",), float(pick(x.numbers)))
        case "Var" | "Std":
            before, m = _mean_worked("m", x)
            left = n - int(c.options.get("ddof", 0))
            wrap, root = f"({{}}) / {left}", c.op == "Std"
            wrap = f"sqrt({wrap})" if root else wrap
            worked = added(
                "(x - m)^2", {"x": x, "m": bound_to(m)}, f"squared distances from the mean m / {left}", wrap,
                lambda total: math.sqrt(total / left) if root else total / left,
            ) if left > 0 else None  # fmt: skip
            return worked and Worked(worked.parts, worked.value, before)
        case "LogSumExp":
            return added("e^x", {"x": x}, f"ln of the sum of e^{name}", "ln({})", _ln)
        case "Norm":
            p = float(c.options.get("p", 2))
            if p == 2:
                return added("x^2", {"x": x}, f"sqrt of the sum of {name}^2", "sqrt({})", math.sqrt)
            bounds = {"x": x, "p": bound_to(p)}
            return added(
                "|x|^p", bounds, f"(sum of |{name}|^p)^(1/p)", f"({{}})^(1/{shown(p)})", lambda t: t ** (1 / p)
            )
    return None


def _ln(total: float) -> float:
    return math.log(total) if total > 0 else -math.inf


def gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """The gradient of a reduction at one of the numbers that went into it."""
    if c.inputs[0] is None or c.output is None or c.gradient is None:
        return None
    g = _Group(c, place, of_output=False)
    n = g.count
    bounds = {
        "g": bound(c.gradient, g.result), "x": bound(g.x, place), "z": bound(g.out, g.result), "n": bound_to(n)
    }  # fmt: skip
    match c.op:
        case "Sum":
            return computed("g", bounds)
        case "Mean":
            return computed("g / n", bounds)
        case "Var" | "Std":
            before, m = _mean_worked("m", g.numbers())
            bounds["m"] = Bound("m", m)
            bounds["n"] = bound_to(n - int(c.options.get("ddof", 0)))
            formula = "2 g / n (x - m)" if c.op == "Var" else "g / (n z) (x - m)"
            if c.op == "Std" and bounds["z"].numbers == 0:
                return Worked(("all numbers are equal",), 0.0)
            worked = computed(formula, _with_number(bounds, "m", m))
            return Worked(worked.parts, worked.value, before, "", worked.scale)
        case "Max" | "Min":
            x = g.numbers()
            if not np.all(x.known):
                return None
            k = int(np.sum(x.numbers == bounds["z"].numbers))
            bounds["k"] = bound_to(k)
            return computed("{g if x = z; 0 else}" if k == 1 else "{g / k if x = z; 0 else}", bounds)
        case "LogSumExp":
            return computed("g e^(x - z)", bounds)
        case "Norm":
            p = float(c.options.get("p", 2))
            if bounds["z"].numbers == 0:
                return Worked(("all numbers are 0",), 0.0)
            if p == 2:
                return computed("g x / z", bounds)
            return computed("g sign(x) (|x| / z)^(p - 1)", bounds | {"p": bound_to(p)})
    return None


def _with_number(bounds: dict[str, Bound], name: str, number: float) -> dict[str, Bound]:
    return bounds | {name: Bound(name, number, not math.isnan(number))}


# ---- softmax and its relatives


def probabilities_forward(c: Computation, place: Place) -> Worked | None:
    """p_i = e^x_i / S with S = sum_j e^x_j; its logarithm x_i - ln S."""
    if c.inputs[0] is None or c.output is None:
        return None
    g = _Group(c, place, of_output=False)
    before, total = _sum_worked("S", "e^x", {"x": g.numbers()})
    bounds = {"x": bound(g.x, place), "S": Bound("S", total, not math.isnan(total))}
    worked = computed("x - ln S" if c.op == "LogSoftmax" else "e^x / S", bounds)
    return Worked(worked.parts, worked.value, before, "", worked.scale)


def probabilities_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """p_i (g_i - S) with S = sum_j g_j p_j; of the logarithm g_i - p_i S with S = sum_j g_j."""
    if c.inputs[0] is None or c.output is None or c.gradient is None:
        return None
    g = _Group(c, place, of_output=False)
    log = c.op == "LogSoftmax"
    terms = {"g": g.numbers(c.gradient)} | ({} if log else {"z": g.numbers(g.out)})
    before, total = _sum_worked("S", "g" if log else "g z", terms)
    bounds = {
        "g": bound(c.gradient, place), "z": bound(g.out, place), "S": Bound("S", total, not math.isnan(total))
    }  # fmt: skip
    worked = computed("g - e^z S" if log else "z (g - S)", bounds)
    return Worked(worked.parts, worked.value, before, "", max(worked.scale, 1e-3))


def _sum_worked(name: str, formula: str, bounds: dict[str, Bound]) -> tuple[str, float]:
    worked = added(formula, bounds, "")
    value = math.nan if worked.value is None else worked.value
    return f"{name} = {worked.parts[1]} = {shown(value)}", value


# ---- normalisation


def normalized_forward(c: Computation, place: Place) -> Worked | None:
    """y = w z + b with z = (x - m) / s, as far as there are a weight and a bias."""
    if c.inputs[0] is None:
        return None
    _, before, m, s = _moments(c, place)
    bounds = {"x": bound(c.inputs[0], place), "m": Bound("m", m, not math.isnan(m)), "s": Bound("s", s)}
    formula = "(x - m) / s"
    weight, bias = (*c.inputs, None, None)[1:3]
    if weight is not None and weight.shape:
        bounds["w"], formula = bound(weight, _beside(c, weight, place)), f"w {formula}"
    if bias is not None and bias.shape:
        bounds["b"], formula = bound(bias, _beside(c, bias, place)), f"{formula} + b"
    worked = computed(formula, bounds)
    return Worked(worked.parts, worked.value, before, "", worked.scale)


def _beside(c: Computation, weight: Held, place: Place) -> Place:
    """Where a weight is read for a place of x: batch norm has one for each channel."""
    return (place[1],) if c.op == "BatchNorm" else input_place(weight.shape, place)


def normalized_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """dL/dx = (h - mean(h) - z mean(h z)) / s with h = w g; dL/dw = sum g z, dL/db = sum g."""
    x, g = c.inputs[0], c.gradient
    if x is None or g is None:
        return None
    weight = (*c.inputs, None)[1]
    if i > 0:
        return _weights_gradient(c, i, place)
    at, before, m, s = _moments(c, place)
    numbers, known = x.take(at)
    incoming, known_g = g.take(at)
    if not (np.all(known) and np.all(known_g)) or math.isnan(m):
        return None
    z, here, own = (numbers - m) / s, bound(x, place), bound(g, place)
    bounds = {"g": own, "z": Bound("z", (here.numbers - m) / s), "s": Bound("s", s)}
    formula, h = "(g - a - z c) / s", "g"
    if weight is not None and weight.shape:
        bounds["w"] = bound(weight, _beside(c, weight, place))
        if c.op == "BatchNorm":  # its weight is the same for all that are normalised together
            formula = f"w {formula}"
        else:
            formula, h = "(w g - a - z c) / s", "w g"
            places = np.broadcast_arrays(*input_place(weight.shape, at), at[0])[:-1]
            incoming = weight.take(tuple(places))[0] * incoming
    mean_h, mean_hz = float(incoming.mean()), float((incoming * z).mean())
    bounds |= {"a": Bound(f"mean({h})", mean_h), "c": Bound(f"mean({h} z)", mean_hz)}
    before = f"{before}; z = {shown(bounds['z'].numbers)}, mean({h}) = {shown(mean_h)}, mean({h} z) = {shown(mean_hz)}"
    worked = computed(formula, bounds)
    return Worked(worked.parts, worked.value, before, "", worked.scale / max(s, 1e-6))


def _weights_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """The sum of g z, or for the bias of g, over all places that a weight is for."""
    x, g, weight = c.inputs[0], c.gradient, c.inputs[i]
    if x is None or g is None or weight is None:
        return None
    before = "z = (x - m) / s"
    if c.op == "BatchNorm":
        at, moments, _, _ = _moments(c, (0, place[0], *[0] * (len(x.shape) - 2)))
        before = f"{moments}; {before}"
    else:
        at = output_places(weight.shape, x.shape, place)
    incoming, known_g = g.take(at)
    if not np.all(known_g):
        return None
    if i == 2:
        return added("g", {"g": Bound("g", incoming)}, f"sum of g over {len(incoming):,} places")
    numbers, known = x.take(group(x, tuple(range(len(x.shape))), (0,) * len(x.shape)))
    if not np.all(known):
        return None
    axes, eps = _normalized_axes(c, len(x.shape)), float(c.options.get("eps", 0.0))
    centred = np.reshape(numbers, x.shape)
    centred = centred - centred.mean(axis=axes, keepdims=True)
    z = centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps)
    worked = added("g z", {"g": Bound("g", incoming), "z": Bound("z", z[at])}, "sum of g * z")
    return Worked(worked.parts, worked.value, before, "", worked.scale)


def _normalized_axes(c: Computation, ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim)) if c.op == "BatchNorm" else axes_of(c, ndim)


def _moments(c: Computation, place: Place) -> tuple[Any, str, float, float]:
    """The places that are normalised together, their mean m and deviation s, in words and as numbers."""
    x = c.inputs[0]
    assert x is not None
    at = group(x, _normalized_axes(c, len(x.shape)), place)
    numbers, known = x.take(at)
    if not np.all(known):
        return at, f"m, s: of {len(numbers):,} numbers, not all of them on the tape", math.nan, math.nan
    m = float(numbers.mean())
    s = math.sqrt(float(((numbers - m) ** 2).mean()) + float(c.options.get("eps", 0.0)))
    return at, f"of {len(numbers):,} numbers: mean m = {shown(m)}, s = sqrt(variance + eps) = {shown(s)}", m, s


# ---- running sums


def cumulated_forward(c: Computation, place: Place) -> Worked | None:
    """s_i = x_0 + ... + x_i."""
    return None if c.inputs[0] is None else _running(c, c.inputs[0], place, up_to=True)


def cumulated_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """g_i + g_(i+1) + ..."""
    return None if c.gradient is None else _running(c, c.gradient, place, up_to=False)


def _running(c: Computation, held: Held, place: Place, up_to: bool) -> Worked:
    axis = int(c.options.get("axis", 0)) % len(place)
    span = range(place[axis] + 1) if up_to else range(place[axis], held.shape[axis])
    at = tuple([np.array(list(span)) if a == axis else np.full(len(span), i) for a, i in enumerate(place)])
    numbers, known = held.take(at)
    return added(
        "x", {"x": Bound(held.label, numbers, known)}, f"sum of {held.label} {'up to' if up_to else 'from'} here"
    )
