"""Worked lines of products of matrices, convolutions, pooling and the losses over labels."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from minidl.stepper.computation import Computation, Held, Place
from minidl.stepper.lines import Bound, Worked, added, bound, bound_to, computed, shown
from minidl.stepper.work_elementwise import collected


def _products(a: Held, at: tuple[Any, ...], b: Held, bt: tuple[Any, ...], meaning: str) -> Worked:
    """The sum of products of numbers of two arrays."""
    (x, known_x), (y, known_y) = a.take(at), b.take(bt)
    x, y, known_x, known_y = (np.atleast_1d(part) for part in (x, y, known_x, known_y))
    return added("a b", {"a": Bound(a.label, x, known_x), "b": Bound(b.label, y, known_y)}, meaning)


def einsum(operands: list[tuple[Held, str]], output: str, place: Place, meaning: str) -> Worked | None:
    """The sum of products that einsum's letters say, at one place of the output."""
    sizes = {letter: n for held, letters in operands for letter, n in zip(letters, held.shape, strict=True)}
    fixed = dict(zip(output, place, strict=True))
    free = [letter for letter in sizes if letter not in fixed]
    count = math.prod(sizes[letter] for letter in free)
    if count > 1 << 18:
        return None
    grids = dict(zip(free, np.meshgrid(*[np.arange(sizes[x]) for x in free], indexing="ij"), strict=True))
    bounds = {}
    for k, (held, letters) in enumerate(operands):
        at = tuple(
            [grids[x].ravel() if x in grids else np.full(count, fixed[x] if sizes[x] > 1 else 0) for x in letters]
        )
        numbers, known = held.take(at)
        bounds[f"f{k}"] = Bound(held.label, np.broadcast_to(numbers, (count,)), np.broadcast_to(known, (count,)))
    return added(" ".join(bounds), bounds, meaning)


def matmul_forward(c: Computation, place: Place) -> Worked | None:
    """Row times column."""
    x, y = c.inputs
    if x is None or y is None:
        return None
    letters = _letters(len(x.shape), len(y.shape))
    return einsum([(x, letters[0]), (y, letters[1])], letters[2], place, f"row of {x.label} times column of {y.label}")


def _batch(place: Place) -> Place:
    return place


def _letters(n: int, m: int) -> tuple[str, str, str]:
    """matmul in einsum's letters: "ij,jk->ik" with the axes of a batch before."""
    batch = "abcdefgh"[: max(n, m, 2) - 2]
    x = "j" if n == 1 else batch[len(batch) - (n - 2) :] + "ij"
    y = "j" if m == 1 else batch[len(batch) - (m - 2) :] + "jk"
    out = (batch if max(n, m) > 2 else "") + ("" if n == 1 else "i") + ("" if m == 1 else "k")
    return x, y, out


def matmul_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """dL/dX = g Y^T, dL/dY = X^T g."""
    x, y, g = *c.inputs, c.gradient
    if x is None or y is None or g is None:
        return None
    letters = _letters(len(x.shape), len(y.shape))
    other = y if i == 0 else x
    meaning = f"row of g times row of {y.label}" if i == 0 else f"column of {x.label} times column of g"
    if len(x.shape) == 1 or len(y.shape) == 1:
        meaning = f"g times {other.label}"
    named = [(g, letters[2]), (other, letters[1 - i])]
    return einsum(named if i == 0 else named[::-1], letters[i], place, meaning)


def linear_forward(c: Computation, place: Place) -> Worked | None:
    """Y = X W^T + b."""
    x, w = c.inputs[:2]
    b = c.inputs[2] if len(c.inputs) > 2 else None
    if x is None or w is None:
        return None
    n = x.shape[-1]
    at = (*[np.full(n, i) for i in place[:-1]], np.arange(n))
    worked = _products(
        x, at, w, (np.full(n, place[-1]), np.arange(n)), f"row of {x.label} times row {place[-1]} of {w.label}"
    )
    return _plus(worked, b, (place[-1],))


def _plus(worked: Worked, b: Held | None, at: Place) -> Worked:
    """... and a bias."""
    if b is None or not b.shape:
        return worked
    bias = bound(b, at)
    sign = f" + ({shown(bias.numbers)})" if bias.numbers < 0 else f" + {shown(bias.numbers)}"
    value = None if worked.value is None or not bias.known else worked.value + bias.numbers
    parts = (f"{worked.parts[0]} + {bias.label}", worked.parts[1] + sign)
    return Worked(parts, value, worked.before, "", worked.scale + abs(bias.numbers))


def linear_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """dL/dX = g W, dL/dW = g^T X, dL/db = g summed over the samples."""
    x, w, g = c.inputs[0], c.inputs[1], c.gradient
    if x is None or w is None or g is None:
        return None
    if i == 0:
        n = w.shape[0]
        at = (*[np.full(n, j) for j in place[:-1]], np.arange(n))
        return _products(
            g, at, w, (np.arange(n), np.full(n, place[-1])), f"row of g times column {place[-1]} of {w.label}"
        )
    count = math.prod(g.shape[:-1])
    if count > 1 << 18:
        return None
    samples = tuple(index.ravel() for index in np.indices(g.shape[:-1])) if g.shape[:-1] else ()

    def along(column: int) -> tuple[Any, ...]:
        return (*samples, np.full(count, column))

    if i == 1:
        return _products(
            g, along(place[0]), x, along(place[1]), f"column {place[0]} of g times column {place[1]} of {x.label}"
        )
    numbers, known = g.take(along(place[0]))
    return added("g", {"g": Bound("g", numbers, known)}, f"sum of column {place[0]} of g")


def einsum_forward(c: Computation, place: Place) -> Worked | None:
    """The products of the operands, summed over the letters that the output lacks."""
    subscripts, output = c.options.get("subscripts"), c.options.get("output")
    if subscripts is None or output is None or any(held is None for held in c.inputs):
        return None
    operands = [(held, s) for held, s in zip(c.inputs, subscripts, strict=True) if held is not None]
    return einsum(operands, output, place, f"sum for {','.join(subscripts)}->{output}")


def einsum_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """The products of g and the other operands, summed over the letters that this one lacks."""
    subscripts, output, g = c.options.get("subscripts"), c.options.get("output"), c.gradient
    if subscripts is None or output is None or g is None or any(held is None for held in c.inputs):
        return None
    operands = [(held, s) for held, s in zip(c.inputs, subscripts, strict=True) if held is not None]
    others = [(g, output), *[pair for k, pair in enumerate(operands) if k != i]]
    there = {letter for _, letters in others for letter in letters}
    if not set(subscripts[i]) <= there:
        return None
    return einsum(others, subscripts[i], place, f"sum for {','.join(s for _, s in others)}->{subscripts[i]}")


# ---- windows


def window_of(c: Computation, kernel: tuple[int, ...] | None = None) -> tuple[Any, ...] | None:
    """(kernel, stride, padding, dilation, groups) of a convolution or a pooling; None if the tape does not say."""
    held = c.options.get("geometry") or c.options.get("window")
    read = (lambda name: getattr(held, name, None)) if held is not None else c.options.get
    found = kernel or read("kernel"), read("stride"), read("padding"), read("dilation")
    if any(part is None for part in found):
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
    sample, f, *i = place
    own = w.shape[1]
    first = f // (w.shape[0] // window[-1]) * own
    pairs = [(ch, k, at) for ch in range(own) for k, at in _under(window, tuple(i), x.shape[2:])]
    xs = _columns([(sample, first + ch, *at) for ch, _, at in pairs], len(x.shape))
    ws = _columns([(f, ch, *k) for ch, k, _ in pairs], len(w.shape))
    return _plus(_products(w, ws, x, xs, f"filter {f} of {w.label} times the window of {x.label}"), b, (f,))


def conv_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """For x over the windows it lay under, for a weight over all windows, for a bias over all positions."""
    x, w, g = c.inputs[0], c.inputs[1], c.gradient
    window = None if x is None or w is None else window_of(c, w.shape[2:])
    if x is None or w is None or g is None or window is None:
        return None
    out, per_group = g.shape[2:], w.shape[0] // window[-1]
    if i == 0:
        sample, channel, *at = place
        part = channel // w.shape[1]
        filters = range(part * per_group, (part + 1) * per_group)
        terms = [(f, k, p) for f in filters for k, p in _over(window, tuple(at), out)]
        ws = _columns([(f, channel % w.shape[1], *k) for f, k, _ in terms], len(w.shape))
        gs = _columns([(sample, f, *p) for f, _, p in terms], len(g.shape))
        return _products(w, ws, g, gs, f"{w.label} times g, over the windows with this place")
    f = place[0]
    spots = list(itertools.product(range(g.shape[0]), *map(range, out)))
    if len(spots) > 1 << 14:
        return None
    if i == 2:
        numbers, known = g.take(_columns([(n, f, *p) for n, *p in spots], len(g.shape)))
        return added("g", {"g": Bound("g", numbers, known)}, f"sum of g over all places of channel {f}")
    _, channel, *k = place
    _, stride, padding, dilation, _ = window
    pairs = []
    for n, *p in spots:
        at = [a * s - q + b * d for a, s, q, b, d in zip(p, stride, padding, k, dilation, strict=True)]
        if all(0 <= a < size for a, size in zip(at, x.shape[2:], strict=True)):
            pairs.append(((n, f // per_group * w.shape[1] + channel, *at), (n, f, *p)))
    xs, gs = _columns([a for a, _ in pairs], len(x.shape)), _columns([b for _, b in pairs], len(g.shape))
    return _products(x, xs, g, gs, f"{x.label} times g, over all positions of the window")


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


# ---- losses over labels


def labels_of(c: Computation) -> Any:
    """The labels: from the op while its program runs, else where the gradient is negative; None if unknown."""
    labels = c.options.get("labels")
    if labels is not None:
        return np.asarray(labels)
    backward = c.backward or next(
        (e for e in c.tape.events[c.forward.number :] if e.node == c.forward.number and e.addends), None
    )
    if backward is None or not backward.addends or backward.addends[0].grad.sampled:
        return None
    sent = np.asarray(backward.addends[0].grad.values)
    incoming = 0.0 if backward.gradient is None else float(backward.gradient.mean)
    if sent.ndim != 2 or incoming == 0 or not np.all((np.sign(incoming) * sent < 0).sum(axis=1) == 1):
        return None
    return (np.sign(incoming) * sent).argmin(axis=1)


def _plain_labels(c: Computation) -> tuple[Held, Any, int] | None:
    """Scores (N, C), labels and what the sum is divided by; None of a loss with weights, smoothing or other shapes."""
    x, labels = c.inputs[0], labels_of(c)
    weighted = c.options.get("weight") is not None or c.options.get("smoothing")
    if x is None or labels is None or labels.ndim != 1 or len(x.shape) != 2 or weighted:
        return None
    if c.options.get("reduction") == "none" or np.any((labels < 0) | (labels >= x.shape[1])):
        return None
    mean = c.options.get("reduction", "mean") == "mean"
    count = int(c.options["count"]) if "count" in c.options else (len(labels) if mean else 1)
    return x, labels, count


def labels_forward(c: Computation, place: Place) -> Worked | None:
    """The mean of -ln p of the labels."""
    found = _plain_labels(c)
    if found is None:
        return None
    x, labels, count = found
    whole = x.whole()
    if whole is None:
        return None
    own = whole[np.arange(len(labels)), labels]
    wrap = "{}" if count == 1 else f"({{}}) / {count}"
    then = lambda total: total / count  # noqa: E731 - what is done to the sum
    if c.op == "NLL":
        return added("-x", {"x": Bound(x.label, own)}, f"-{x.label} of the label, mean over the samples", wrap, then)
    shifted = whole - whole.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    p = powers[np.arange(len(labels)), labels] / powers.sum(axis=1)
    return added("-ln p", {"p": Bound("p", p)}, f"-ln p of the label, p = softmax({x.label}), mean", wrap, then)


def labels_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """g (p - t) / n, with t = 1 for the label."""
    found = _plain_labels(c)
    if found is None or c.gradient is None:
        return None
    x, labels, count = found
    sample, own = place
    target = int(own == labels[sample])
    bounds = {"g": bound(c.gradient, ()), "n": bound_to(count), "t": bound_to(target)}
    is_label = f"class {own} is {'' if target else 'not '}the label of sample {sample}"
    if c.op == "NLL":
        worked = computed("-g / n" if target else "0", bounds)
        return Worked(worked.parts, worked.value, is_label)
    numbers, known = x.take((np.full(x.shape[1], sample), np.arange(x.shape[1])))
    if not np.all(known):
        return None
    powers = np.exp(numbers - numbers.max())
    p = float(powers[own] / powers.sum())
    total = added("e^x", {"x": Bound(x.label, numbers)}, "").parts[1]
    power = computed("e^x", {"x": bound_to(float(numbers[own]))}).parts[1]
    before = f"{is_label}; p = softmax = {power} / ({total}) = {shown(p)}"
    bounds["p"] = Bound("p", p)
    worked = computed("g (p - t) / n", bounds)
    return Worked(worked.parts, worked.value, before, "", 1 / count)
