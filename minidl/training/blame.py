"""Blame: what made a loss no number, as far as the steps before it tell."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.data import Loader
from minidl.optim import SGD, Optimizer
from minidl.optim.layer_rates import Uniform
from minidl.optim.scales import UNSCALED

LARGE = 100.0  # a multiplier that no layer-specific one reaches: of a gradient of 0 it is 88


def odd_examples(loader: Loader, epoch: int, batch: int) -> str | None:
    """What is NaN or infinite in the data of a batch, or of the one before, in words; None if nothing is.

    What is infinite may leave the loss finite, and make the weights NaN.
    """
    before = (epoch, batch - 1) if batch > 0 else (epoch - 1, len(loader) - 1)
    for place, step in (((epoch, batch), "this step"), (before, "the step before")):
        try:
            found = loader.batch(*place)
        except Exception:  # there is no such batch, or it cannot be made a second time: then nothing is known of it
            continue
        for name, array in zip(("inputs", "labels"), found, strict=True):
            rows = _odd_rows(array)
            if rows.size:
                first = loader.order(place[0])[place[1] * loader.batch_size + rows[0]]
                more = f" and of {rows.size - 1} more" if rows.size > 1 else ""
                return (
                    f"the {name} of example {first} of the data set{more}, in the batch of {step}, hold NaN or infinity"
                )
    return None


def _odd_rows(array: Any) -> Any:
    """The numbers of the rows in which something is not finite, on the host."""
    if array.dtype.kind != "f":
        return np.array([], np.int64)
    finite = backend.module_of(array).isfinite(array).reshape(len(array), -1).all(axis=1)
    return np.flatnonzero(~backend.to_numpy(finite))


class Fastest(NamedTuple):
    """The layer that moved at the largest rate in a step."""

    step: int
    layer: str
    multiplier: float
    rate: float


class Blame:
    """What the steps of a training have to do with a loss that is no number: it is told of each, and asked for advice.

    With a layer rate, what is too large may be the multiplier of one layer, not the rate that was chosen. Multipliers
    that are on a GPU are not looked at: that would make every step wait.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.untrained = optimizer.step_count == 0
        self.first: int | None = None
        self.fastest: list[Fastest] = []  # the first of them all, and whoever was faster later

    def note_step(self, step: int) -> None:
        """The step with this number, from 1, was made."""
        if self.first is None:
            self.first = step
        found = self.optimizer.largest_multiplier()
        if found is not None:
            layer, multiplier = found
            rate = multiplier * self.optimizer.lr
            if not self.fastest or rate > self.fastest[-1].rate:
                self.fastest.append(Fastest(step, layer, multiplier, rate))

    def is_first(self, step: int) -> bool:
        """Whether no step was made before this one."""
        return self.untrained and step == self.first

    def advice(self, step: int) -> str:
        """What to do about a loss that was no number in this step; the weights were moved by the steps before it."""
        if self.is_first(step):
            return "no step was made before: look for NaN, infinity or huge numbers in the inputs, labels and weights"
        own = self._of_a_parameter()
        if own is not None:
            return own
        before = [fastest for fastest in self.fastest if fastest.step < step]
        if before:
            found = before[-1]
            where = f"layer {found.layer!r} moved at rate {found.rate:.3g} in step {found.step}"
            times = f"lr times its multiplier {found.multiplier:.3g}"
            if found.multiplier > LARGE:
                return (
                    f"{where}, {times}, which grows as a layer's gradient vanishes: bound the multiplier in "
                    f"{self.optimizer.layer_rate!r}, as by min(multiplier, 10)"
                )
            return f"try a smaller rate ({where}, {times})"
        if type(self.optimizer.layer_rate) is not Uniform:
            return "try a smaller rate, or look at optimizer.layer_report() after a step: a multiplier may be too large"
        return "try a smaller rate"

    def _of_a_parameter(self) -> str | None:
        """What one parameter's own rate or decay does by itself, whatever its gradient; None if it is nothing."""
        optimizer = self.optimizer
        for name in optimizer.state:
            scale = optimizer.scales.get(name, UNSCALED)
            rate, decay = optimizer.lr * scale.lr, optimizer.weight_decay * scale.decay
            if isinstance(optimizer, SGD) or optimizer.decoupled_decay:
                # w <- w - rate decay w grows without bound, with momentum m too, where rate decay is above 2 (1 + m).
                limit = 2 * (1 + getattr(optimizer, "momentum", 0.0))
                if rate * decay > limit:
                    return (
                        f"the weight decay alone lets parameter {name!r} grow without bound: its rate {rate:.3g} times "
                        f"its decay {decay:.3g} is above {limit:g}. Lower the decay"
                    )
            if scale.lr > LARGE:
                return (
                    f"parameter {name!r} moves at rate {rate:.3g}, lr times the {scale.lr:.3g} that optimizer.scale() "
                    f"gave it: lower that"
                )
        return None
