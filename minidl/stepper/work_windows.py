"""Worked lines of windows that move over an input: convolutions and pooling."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from minidl.stepper.computation import Computation, Held, Place
from minidl.stepper.lines import Bound, Worked, added, shown
from minidl.stepper.work_elementwise import collected
from minidl.stepper.work_products import plus, products

SPOTS = 1 << 14  # of more positions of a window no line is made


def window_of(c: Computation, kernel: tuple[int, ...] | None = None) -> tuple[Any, ...] | None:
    """(kernel, stride, padding, dilation, groups) of a convolution or a pooling; None if the tape does not say."""
    held = c.options.get("geometry") or c.options.get("window")
    read = (lambda name: getattr(held, name, None)) if held is not None else c.options.get
    found: tuple[Any, ...] = kernel or read("kernel"), read("stride"), read("padding"), read("dilation")
    if any(part is None for part in found) or math.prod(found[0]) > SPOTS:
        return None
    return *found, int(read("groups") or 1)


def _under(window: tuple[Any, ...], i: Place, size: tuple[int, ...]) -> list[tuple[Place, Place]]:
    """The (place in the window, place of x) that lie in x, for the window at position i."""
    kernel, stride, padding, dilation, _ = window
    found = []
    for k in itertools.product(*map(range, kernel)):
        at = tuple([a * s - p + b * d for a, s, p, b, d in zip(i, stride, padding, k, dilation, strict=True)])
        if all(0 <= a < n for a, n in zip(at, size, strict=True)):
            found.append((k, at))
    return found


def _over(window: tuple[Any, ...], at: Place, out: tuple[int, ...]) -> list[tuple[Place, Place]]:
    """The (place in the window, position of the window) under which a place of x lies."""
    kernel, stride, padding, dilation, _ = window
    found = []
    for k in itertools.product(*map(range, kernel)):
        position = []
        for a, s, p, b, d, n in zip(at, stride, padding, k, dilation, out, strict=True):
            whole, rest = divmod(a + p - b * d, s)
            if rest or not 0 <= whole < n:
                break
            position.append(whole)
        else:
            found.append((k, tuple(position)))
    return found


def _columns(rows: list[tuple[int, ...]], ndim: int) -> tuple[Any, ...]:
    """Places, one a row, as an array of indices for each axis."""
    return tuple(np.array(rows, dtype=np.int64).reshape(-1, ndim).T)


def conv_forward(c: Computation, place: Place) -> Worked | None:
    """The window's numbers times the filter's, and the bias."""
    x, w = c.inputs[:2]
    b = c.inputs[2] if len(c.inputs) > 2 else None
    window = None if x is None or w is None else window_of(c, w.shape[2:])
    if x is None or w is None or window is None:
        return None
    return plus(_window_sum(x, w, window, place), b, (place[1],))


def _window_sum(x: Held, w: Held, window: tuple[Any, ...], place: Place) -> Worked:
    """A filter's numbers times those of x in the window at one position."""
    sample, f, *i = place
    own = w.shape[1]
    first = f // (w.shape[0] // window[-1]) * own
    pairs = [(ch, k, at) for ch in range(own) for k, at in _under(window, tuple(i), x.shape[2:])]
    xs = _columns([(sample, first + ch, *at) for ch, _, at in pairs], len(x.shape))
    ws = _columns([(f, ch, *k) for ch, k, _ in pairs], len(w.shape))
    return products(w, ws, x, xs, f"filter {f} of {w.label} times the window of {x.label}")


def _to_x(w: Held, g: Held, window: tuple[Any, ...], place: Place) -> Worked:
    """A place of x: the numbers of the filters that met it, times g where they did."""
    sample, channel, *at = place
    per_group = w.shape[0] // window[-1]
    part = channel // w.shape[1]
    filters = range(part * per_group, (part + 1) * per_group)
    terms = [(f, k, p) for f in filters for k, p in _over(window, tuple(at), g.shape[2:])]
    ws = _columns([(f, channel % w.shape[1], *k) for f, k, _ in terms], len(w.shape))
    gs = _columns([(sample, f, *p) for f, _, p in terms], len(g.shape))
    return products(w, ws, g, gs, f"{w.label} times {g.label}, over the windows with this place")


def _to_weight(x: Held, g: Held, window: tuple[Any, ...], shape: tuple[int, ...], place: Place) -> Worked | None:
    """A place of a filter: the numbers of x that it met, times g where it did."""
    spots = list(itertools.product(range(g.shape[0]), *map(range, g.shape[2:])))
    if len(spots) > SPOTS:
        return None
    f, channel, *k = place
    _, stride, padding, dilation, _ = window
    first = f // (shape[0] // window[-1]) * shape[1]
    pairs = []
    for n, *p in spots:
        at = [a * s - q + b * d for a, s, q, b, d in zip(p, stride, padding, k, dilation, strict=True)]
        if all(0 <= a < size for a, size in zip(at, x.shape[2:], strict=True)):
            pairs.append(((n, first + channel, *at), (n, f, *p)))
    xs, gs = _columns([a for a, _ in pairs], len(x.shape)), _columns([b for _, b in pairs], len(g.shape))
    return products(x, xs, g, gs, f"{x.label} times {g.label}, over all positions of the window")


def conv_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """For x over the windows it lay under, for a weight over all windows, for a bias over all positions."""
    x, w, g = c.inputs[0], c.inputs[1], c.gradient
    window = None if x is None or w is None else window_of(c, w.shape[2:])
    if x is None or w is None or g is None or window is None:
        return None
    if i == 0:
        return _to_x(w, g, window, place)
    if i == 1:
        return _to_weight(x, g, window, w.shape, place)
    f = place[0]
    spots = list(itertools.product(range(g.shape[0]), *map(range, g.shape[2:])))
    if len(spots) > SPOTS:
        return None
    numbers, known = g.take(_columns([(n, f, *p) for n, *p in spots], len(g.shape)))
    return added("g", {"g": Bound("g", numbers, known)}, f"sum of g over all places of channel {f}")


def conv_input_forward(c: Computation, place: Place) -> Worked | None:
    """A transposed convolution: the gradient of a convolution's x, with what went in for g."""
    x_shape, (g, w) = c.options.get("x_shape"), c.inputs
    window = None if w is None else window_of(c, w.shape[2:])
    if g is None or w is None or x_shape is None or window is None:
        return None
    return _to_x(w, g, window, place)


def conv_input_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """For what went in a convolution of g; for a weight over all positions."""
    (x, w), g = c.inputs, c.gradient
    window = None if w is None else window_of(c, w.shape[2:])
    if x is None or w is None or g is None or window is None:
        return None
    return _window_sum(g, w, window, place) if i == 0 else _to_weight(g, x, window, w.shape, place)


def pool_forward(c: Computation, place: Place) -> Worked | None:
    """The largest number of a window, or the mean."""
    x, window = c.inputs[0], window_of(c)
    if x is None or window is None:
        return None
    at = _columns([(*place[:2], *spot) for _, spot in _under(window, place[2:], x.shape[2:])], len(x.shape))
    numbers, known = x.take(at)
    if c.op == "MaxPool":
        if not np.all(known):
            return None
        few = ", ".join(shown(float(v)) for v in numbers[:9]) + (", ..." if len(numbers) > 9 else "")
        return Worked((f"the largest of the window: {few}",), float(numbers.max()))
    area = _area(c, window, place[2:], x.shape[2:])
    return added(
        "x", {"x": Bound(x.label, numbers, known)}, "mean of the window", f"({{}}) / {area}", lambda t: t / area
    )


def _area(c: Computation, window: tuple[Any, ...], position: Place, size: tuple[int, ...]) -> int:
    """How many places of a window the mean counts."""
    if not c.options.get("count_padding", True):
        return len(_under(window, position, size))
    kernel, stride, padding, _, _ = window  # no further than the padding reaches
    ends = zip(position, kernel, stride, padding, size, strict=True)
    return math.prod([min(i * s - p + k, n + p) - (i * s - p) for i, k, s, p, n in ends])


def pool_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """The gradients of the windows in which a place was the largest; its share of those of all its windows."""
    x, g, window = c.inputs[0], c.gradient, window_of(c)
    if x is None or g is None or window is None:
        return None
    positions = [p for _, p in _over(window, place[2:], g.shape[2:])]
    if c.op == "MaxPool":
        chosen = [(*place[:2], *p) for p in positions if _chosen(x, window, place, p) == place[2:]]
        return collected(g, np.array(chosen, dtype=np.int64), "in no window the largest")
    if not positions:
        return Worked(("in no window",), 0.0)
    numbers, known = g.take(_columns([(*place[:2], *p) for p in positions], len(g.shape)))
    areas = np.array([_area(c, window, p, x.shape[2:]) for p in positions], dtype=np.float64)
    return added("g / k", {"g": Bound("g", numbers, known), "k": Bound("k", areas)}, "its share of the windows with it")


def _chosen(x: Held, window: tuple[Any, ...], place: Place, position: Place) -> Place | None:
    """Which place of a window was its largest, the first of equal ones; None if the tape does not say."""
    spots = [spot for _, spot in _under(window, position, x.shape[2:])]
    numbers, known = x.take(_columns([(*place[:2], *spot) for spot in spots], len(x.shape)))
    return spots[int(np.argmax(numbers))] if np.all(known) else None
