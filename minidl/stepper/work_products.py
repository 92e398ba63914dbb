"""Worked lines of products of matrices, and of the losses over labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.stepper.computation import Computation, Held, Place
from minidl.stepper.lines import Bound, Worked, added, bound, bound_to, computed, shown


def products(a: Held, at: tuple[Any, ...], b: Held, bt: tuple[Any, ...], meaning: str) -> Worked:
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
    worked = products(
        x, at, w, (np.full(n, place[-1]), np.arange(n)), f"row of {x.label} times row {place[-1]} of {w.label}"
    )
    return plus(worked, b, (place[-1],))


def plus(worked: Worked, b: Held | None, at: Place) -> Worked:
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
        return products(
            g, at, w, (np.arange(n), np.full(n, place[-1])), f"row of g times column {place[-1]} of {w.label}"
        )
    count = math.prod(g.shape[:-1])
    if count > 1 << 18:
        return None
    samples = tuple(index.ravel() for index in np.indices(g.shape[:-1])) if g.shape[:-1] else ()

    def along(column: int) -> tuple[Any, ...]:
        return (*samples, np.full(count, column))

    if i == 1:
        return products(
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
    """Scores (N, C), labels and what the sum is divided by; None of a loss with weights or other shapes."""
    x, labels = c.inputs[0], labels_of(c)
    weighted = c.options.get("weight") is not None or (c.op == "NLL" and c.options.get("smoothing"))
    if x is None or labels is None or labels.ndim != 1 or len(x.shape) != 2 or weighted:
        return None
    if c.options.get("reduction") == "none" or np.any((labels < 0) | (labels >= x.shape[1])):
        return None
    return x, labels, divisor_of(c, labels)


def divisor_of(c: Computation, labels: Any) -> int:
    """What the sum of the samples' losses is divided by."""
    if "count" in c.options:
        return int(c.options["count"])
    return len(labels) if labels is not None and c.options.get("reduction", "mean") == "mean" else 1


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
    smoothing = float(c.options.get("smoothing", 0.0))
    if smoothing:
        logs = shifted - np.log(powers.sum(axis=1, keepdims=True))
        losses = -(1 - smoothing) * np.log(p) - smoothing * logs.mean(axis=1)
        return added(
            "l", {"l": Bound("l", losses)}, f"losses -sum q ln p with p = softmax({x.label}), mean", wrap, then
        )
    return added("-ln p", {"p": Bound("p", p)}, f"-ln p of the label, p = softmax({x.label}), mean", wrap, then)


def labels_gradient(c: Computation, i: int, place: Place) -> Worked | None:
    """g (p - t) / n, with t = 1 for the label, or a little less where it is smoothed."""
    found = _plain_labels(c)
    if found is None or c.gradient is None:
        return None
    x, labels, count = found
    sample, own = place
    label, smoothing = int(own == labels[sample]), float(c.options.get("smoothing", 0.0))
    target = (1 - smoothing) * label + smoothing / x.shape[1]
    bounds = {"g": bound(c.gradient, ()), "n": bound_to(count), "t": bound_to(target)}
    is_label = f"class {own} is {'' if label else 'not '}the label of sample {sample}"
    if c.op == "NLL":
        worked = computed("-g / n" if label else "0", bounds)
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
