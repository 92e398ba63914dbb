"""OneCycleLR: the rate rises to its peak and falls far below its start, and the momentum does the opposite."""

from __future__ import annotations

import math
from typing import Any

from minidl.checks import choice, nonnegative, number, share, whole, yes_or_no
from minidl.optim.optimizer import Optimizer
from minidl.optim.schedule import Schedule
from minidl.optim.settings import Setting


class OneCycleLR(Schedule):
    """The rate rises from max_lr / div_factor to max_lr, and falls to max_lr / (div_factor final_div_factor).

        schedule = md.optim.OneCycleLR(optimizer, max_lr=0.1, epochs=10, steps_per_epoch=len(loader))

    Between two of these rates it goes along half a cosine wave, or a line. While the rate is high it keeps the weights
    from settling in a narrow minimum; the momentum is low meanwhile, and high at both ends (Smith & Topin,
    arXiv:1708.07120). As torch.optim.lr_scheduler.OneCycleLR; after the last step both stay, where that one stops with
    an error.

    The rate that the optimizer was made with does not count. With `cycle_momentum` the optimizer's `momentum`, or the
    first of Adam's `betas`, is written too.

    Args:
        optimizer: whose rate, and momentum, is written.
        max_lr: the rate at the peak.
        total_steps: how many steps the cycle takes, or
        epochs, steps_per_epoch: how many epochs of how many steps.
        pct_start: the part of the cycle, from 0 to 1, in which the rate rises.
        anneal_strategy: 'cos' or 'linear'.
        cycle_momentum: whether the momentum is written.
        base_momentum, max_momentum: the momentum at the peak, and at both ends.
        div_factor, final_div_factor: what the rate is divided by at the beginning, and once more at the end.
        three_phase: fall as long as it rose, back to where it began, and only then to the end.

    Raises:
        ValueError: a number is out of range, there is no number of steps, or the optimizer has no momentum to cycle.
    """

    max_lr = Setting(nonnegative)
    total_steps = Setting(whole)
    pct_start = Setting(share)
    anneal_strategy = Setting(choice, ("cos", "linear"))
    cycle_momentum = Setting(yes_or_no)
    base_momentum = Setting(share)
    max_momentum = Setting(share)
    div_factor = Setting(number, -math.inf, math.inf, 0)
    final_div_factor = Setting(number, -math.inf, math.inf, 0)
    three_phase = Setting(yes_or_no)

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch; got neither")
            total_steps = whole(epochs, "OneCycleLR: epochs") * whole(steps_per_epoch, "OneCycleLR: steps_per_epoch")
        self.max_lr = max_lr
        self.total_steps = total_steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.base_momentum = base_momentum
        self.max_momentum = max_momentum
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.three_phase = three_phase
        if self.cycle_momentum and not (hasattr(optimizer, "momentum") or hasattr(optimizer, "betas")):
            raise ValueError(
                f"OneCycleLR: {type(optimizer).__name__} has no momentum to cycle: pass cycle_momentum=False"
            )
        super().__init__(optimizer)

    @property
    def writes(self) -> tuple[str, ...]:  # type: ignore[override]
        """The rate, and the setting that is the momentum."""
        momentum = "betas" if hasattr(self.optimizer, "betas") else "momentum"
        return ("lr", momentum) if self.cycle_momentum else ("lr",)

    def rate(self, k: int) -> float:
        """The rate at step k of the cycle."""
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        return self._between(k, [first, self.max_lr, first, last] if self.three_phase else [first, self.max_lr, last])

    def momentum(self, k: int) -> float:
        """The momentum at step k of the cycle."""
        high, low = self.max_momentum, self.base_momentum
        return self._between(k, [high, low, high, high] if self.three_phase else [high, low, high])

    def write_beside(self, k: int) -> None:
        """Write the momentum."""
        optimizer: Any = self.optimizer
        if not self.cycle_momentum:
            return
        if hasattr(optimizer, "betas"):
            optimizer.betas = (self.momentum(k), optimizer.betas[1])
        else:
            optimizer.momentum = self.momentum(k)

    def _between(self, k: int, values: list[float]) -> float:
        """What is reached at step k on the way from each of the values to the next."""
        peak = self.pct_start * self.total_steps - 1
        ends = [peak, 2 * peak, self.total_steps - 1] if self.three_phase else [peak, self.total_steps - 1]
        k = min(k, self.total_steps - 1)
        phase = next(i for i, last in enumerate(ends) if k <= last)
        start, end = values[phase : phase + 2]
        begin, last = [0, *ends][phase : phase + 2]
        way = (k - begin) / (last - begin) if last > begin else 1.0
        if self.anneal_strategy == "linear":
            return (end - start) * way + start
        return end + (start - end) / 2 * (math.cos(math.pi * way) + 1)
