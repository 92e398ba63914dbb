"""Blame: what made a loss no number, as far as the steps before it tell."""

from __future__ import annotations

from typing import NamedTuple

from minidl.optim import Optimizer
from minidl.optim.layer_rates import Uniform

LARGE = 100.0  # a multiplier that no layer-specific one reaches: of a gradient of 0 it is 88


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

    def advice(self, step: int) -> str:
        """What to do about a loss that was no number in this step; the weights were moved by the steps before it."""
        if self.untrained and step == self.first:
            return "no step was made before: look for NaN, infinity or huge numbers in the inputs, labels and weights"
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
