"""rate_range: the learning-rate range test: which rates lower the loss, and from which one on it grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import functional as F
from minidl.checks import whole
from minidl.data import Loader
from minidl.files.schema import NUMBERS, Entry
from minidl.nn import Module
from minidl.observe.saved import SavedRecording
from minidl.optim import Optimizer
from minidl.tensors.tensor import Tensor

_TOO_LARGE = 4.0  # times the lowest loss so far: then the test is over
_SMOOTH = 0.9  # weight of what came before in the smoothed loss


@dataclass(frozen=True, eq=False)
class RangeRecording(SavedRecording):
    """The loss of R steps, each at a larger rate than the one before.

    Attributes:
        rates: (R,) the rate of each step.
        loss: (R,) the loss of its batch before the step; the last may be not finite.
        smooth: (R,) the mean of the losses so far, in which each step counts 0.9 times the next one.
    """

    kind: ClassVar[str] = "rate_range"
    schema: ClassVar[dict[str, Entry]] = {name: Entry(NUMBERS, ("R",)) for name in ("rates", "loss", "smooth")}

    rates: Any
    loss: Any
    smooth: Any

    def __repr__(self) -> str:
        return f"RangeRecording({len(self.rates)} rates from {self.rates[0]:g} to {self.rates[-1]:g})"

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss falls fastest with the logarithm of the rate, before it is lowest."""
        half = max(1, len(self.rates) // 15)  # slopes over so many steps to both sides: single ones are noise
        lowest, decades = self._lowest(), np.log10(self.rates)
        if lowest < 2 * half:
            return self.lowest
        middle = np.arange(half, lowest - half + 1)
        falls = self.smooth[middle - half] - self.smooth[middle + half]
        return float(self.rates[middle[int(np.argmax(falls / (decades[middle + half] - decades[middle - half])))]])

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is lowest."""
        return float(self.rates[self._lowest()])

    def _lowest(self) -> int:
        return int(np.argmin(np.where(np.isfinite(self.smooth), self.smooth, np.inf)))


def rate_range(
    model: Module,
    optimizer: Optimizer,
    loader: Loader,
    low: float = 1e-4,
    high: float = 10.0,
    steps: int = 100,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
) -> RangeRecording:
    """Train with a rate that grows from `low` to `high`, the same factor each step, until the loss is 4 times its best.

    The weights, the optimizer's state and rate are afterwards what they were before.

    Args:
        model, optimizer, loader: as for training; the loader is gone through as often as needed.
        low, high: the first and the last rate.
        steps: how many rates.
        loss: of the model's output and the labels.

    Source: Smith, Cyclical learning rates for training neural networks, WACV 2017.

    Raises:
        ValueError: the rates are not in order, or fewer than two steps.
    """
    whole(steps, "rate_range: steps", 2)
    if not 0 < low < high < np.inf:
        raise ValueError(f"rate_range: expected 0 < low < high; got {low} and {high}")
    before, state, rate = model.state_dict(), optimizer.state_dict(), optimizer.lr
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    smooth: list[float] = []
    average = weight = 0.0
    try:
        batches = iter(loader)
        for lr in rates:
            try:
                inputs, labels = next(batches)
            except StopIteration:
                batches = iter(loader)
                inputs, labels = next(batches)
            optimizer.lr = float(lr)
            optimizer.zero_grad()
            found = loss(model(Tensor(inputs)), labels)
            found.backward()
            losses.append(found.item())
            average, weight = _SMOOTH * average + (1 - _SMOOTH) * losses[-1], _SMOOTH * weight + 1 - _SMOOTH
            smooth.append(average / weight)
            if not np.isfinite(losses[-1]) or (len(smooth) > 5 and smooth[-1] > _TOO_LARGE * min(smooth)):
                break
            optimizer.step()
    finally:
        optimizer.zero_grad()
        model.load_state_dict(before)
        optimizer.load_state_dict(state)
        optimizer.lr = rate
    return RangeRecording(rates[: len(losses)], losses, smooth)
