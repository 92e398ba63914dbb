"""WholeLoss: the loss of all batches of a data set, as it would be if they were one batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.autograd.modes import enable_grad
from minidl.derivatives.gradients import grad
from minidl.errors import GraphError, warn
from minidl.functional.counting import Divisions
from minidl.tensors.tensor import Tensor
from minidl.training.batch_loss import BatchLoss


class Part(NamedTuple):
    """One of minidl's losses inside a loss. All three are numbers, or raw 0-d arrays.

    Attributes:
        value: what it was for the batch.
        slope: how much the loss changes with it.
        divisor: what its sum was divided by; None if it is a sum.
    """

    value: Any
    slope: Any
    divisor: Any


class WholeLoss:
    """Takes the loss of one batch after the other.

    A loss is taken for a sum

        sum_k c_k M_k + R

    in which each M_k is one of minidl's losses, and R what is left, a mean over the examples. Of all batches together
    M_k is the mean over what it counts in all of them (labels that are not to be ignored, weights), or their sum. What
    c_k is says the slope of the loss by M_k. If M_k is a sum and c_k no constant, but less for a larger batch, c_k M_k
    is a mean over 1 / c_k, such as `F.mse_loss(y, t, reduction="sum") / len(t)`; and if it is the same sum for every
    batch, as of weights, it belongs to R. Where all batches are equally long these look alike. So the loss of the first
    batch, taken twice over, is asked for too.

    Where a slope differs from batch to batch otherwise, as in `F.sqrt(F.mse_loss(y, t))`, the loss is no such sum, and
    what it is for all data does not follow from what it is for each batch. There is a warning then, and the result is
    the mean over the examples. (A mean that is none of minidl's losses, such as F.mean(y[t >= 0]), is not seen: it
    belongs to R.)

    Attributes:
        divisions: of the last batch, how the losses in it became one number, as far as they said so.

    Args:
        loss: loss(outputs, labels).
        name: of the function that was given it, for messages.
    """

    def __init__(self, loss: Callable[[Any, Any], Any], name: str) -> None:
        self.loss = BatchLoss(loss, name)
        self.name = name
        self.divisions = Divisions()
        self._values: list[Any] = []  # for each batch
        self._examples: list[int] = []
        self._parts: list[list[Part]] = []
        self._kinds: list[str] | None = None  # of the parts that are sums, once a batch has told
        self._first: tuple[Any, Any] | None = None  # outputs and labels, until there is a second batch
        self._rest_is_sum = False

    def add(self, outputs: Any, labels: Any) -> None:
        """Take another batch."""
        value, parts = self._taken_apart(outputs, labels)
        self.divisions = self.loss.divisions
        if self._kinds is None:
            self._kinds = self._kinds_of_sums(outputs, labels, parts)
        if not self._values:
            self._first = outputs, labels
        elif self._first is not None:
            self._rest_is_sum = self._doubles(*self._first)
            self._first = None
        self._values.append(value)
        self._examples.append(len(labels))
        self._parts.append(parts)

    def _taken_apart(self, outputs: Any, labels: Any) -> tuple[Any, list[Part]]:
        """The loss of a batch as a raw array, and its parts."""
        try:
            with enable_grad():
                value = self.loss(outputs, labels, parts=True)
        except GraphError:  # it makes arrays of its parts, as a loss can that is never trained with
            return self.loss(outputs, labels)._data, []
        inside = [division for division in self.loss.divisions if division.part is not None]
        if not inside or not value.requires_grad:
            return value._data, []
        with enable_grad():
            number = value.reshape(())
        slopes = grad(number, [division.part for division in inside], allow_unused=True)
        return value._data, [
            Part(division.part._data, 0.0 if slope is None else slope._data, division.divisor)
            for division, slope in zip(inside, slopes, strict=True)
        ]

    def _kinds_of_sums(self, outputs: Any, labels: Any, parts: list[Part]) -> list[str] | None:
        """What each part that is a sum becomes when there are twice as many examples; None if this batch cannot tell.

        A "sum" is twice as large, and counts as much as before; a "mean" counts half as much; the "rest" is the same.
        """
        sums = [part for part in parts if part.divisor is None]
        if not sums or not isinstance(outputs, Tensor):
            return None
        larger = [part for part in self._taken_apart(*_twice(outputs, labels))[1] if part.divisor is None]
        numbers = [x for part in (*sums, *larger) for x in part[:2]]
        found = np.array(on_host(*numbers)).reshape(-1, 2)
        if len(larger) != len(sums) or not np.isfinite(found).all() or not found.all():
            return None
        value, slope = (found[len(sums) :] / found[: len(sums)]).T
        return ["mean" if s < 0.75 else "sum" if v > 1.5 else "rest" for v, s in zip(value, slope, strict=True)]

    def _doubles(self, outputs: Any, labels: Any) -> bool:
        """Whether R of the first batch, taken twice over, is twice as large."""
        rest, rounding = _rest(self._values[0], self._parts[0])
        if not isinstance(outputs, Tensor) or not abs(rest) > rounding:
            return False
        try:
            twice, _ = _rest(*self._taken_apart(*_twice(outputs, labels)))
        except Exception:  # a loss that takes batches of one size only
            return False
        return abs(twice - 2 * rest) <= 2 * rounding < math.inf

    def value(self) -> float:
        """The loss of all batches together; NaN if nothing counts."""
        width = len(self._parts[0])
        if any(len(parts) != width for parts in self._parts):
            return self._over_examples(on_host(*self._values))
        divisors = [0 if part.divisor is None else part.divisor for parts in self._parts for part in parts]
        numbers = [x for parts in self._parts for part in parts for x in part[:2]]
        found, count = np.array(on_host(*self._values, *numbers, *divisors)), len(self._values)
        losses, found = found[:count], found[count:]
        values, slopes = found[: len(numbers)].reshape(count, width, 2).transpose(2, 1, 0)
        counted = found[len(numbers) :].reshape(count, width).T
        kinds = iter(self._kinds or ["sum"] * width)
        rest, total = losses, 0.0
        with np.errstate(all="ignore"):
            for i in range(width):
                kind = next(kinds) if self._parts[0][i].divisor is None else "divided"
                if kind == "rest" or not slopes[i].any():
                    continue
                if kind != "mean" and not np.allclose(slopes[i], slopes[i][0], rtol=1e-4, atol=0):
                    return self._over_examples(losses)
                total += _together(kind, values[i], slopes[i], counted[i])
                share = slopes[i] * values[i]
                rest = np.where(np.isfinite(share), rest - share, 0)
            return float(total + (rest.sum() if self._rest_is_sum else np.average(rest, weights=self._examples)))

    def _over_examples(self, losses: Any) -> float:
        """The mean over the examples, with a warning."""
        warn(
            f"{self.name}: the loss is no sum of means, each times a constant, so what it is for all data cannot be "
            f"found batch by batch. What is returned, the mean of the batches' losses, depends on batch_size. Take "
            f"batch_size=len(dataset), or evaluate the means and compute with them afterwards"
        )
        return float(np.average(losses, weights=self._examples))


def _twice(outputs: Tensor, labels: Any) -> tuple[Any, Any]:
    """A batch with each example twice."""
    return F.concatenate([outputs, outputs]), backend.module_of(labels).concatenate([labels, labels])


def _rest(value: Any, parts: list[Part]) -> tuple[float, float]:
    """R, what a batch's loss is beside its parts; and how much of it may come from rounding."""
    found = np.array(on_host(value, *(x for part in parts for x in part[:2])))
    with np.errstate(all="ignore"):
        return float(found[0] - found[1::2] @ found[2::2]), float(1e-4 * abs(found).max())


def _together(kind: str, values: Any, slopes: Any, counted: Any) -> float:
    """What a part adds to the loss of all batches."""
    if kind == "sum":
        return float(slopes[0] * values.sum())
    if kind == "mean":  # over 1 / slope
        return float(values.sum() / (1 / slopes).sum())
    there = counted > 0
    return float(slopes[0] * (values[there] @ counted[there]) / counted.sum()) if there.any() else math.nan


def on_host(*numbers: Any) -> list[float]:
    """The numbers, Python's or raw 0-d arrays, as Python's; a device is waited for once."""
    xp = backend.module_of(*numbers)
    if xp is np:
        return [float(np.reshape(x, ())) for x in numbers]
    together = xp.concatenate([xp.asarray(x, dtype="float64").reshape(1) for x in numbers])
    return [float(x) for x in backend.to_numpy(together)]
