"""Warns of a forgotten `zero_grad`: of gradients that were not cleared between two steps, and so add up."""

from __future__ import annotations

from collections.abc import Sequence

from minidl.errors import warn
from minidl.nn import Parameter
from minidl.observe.layers import gradients_of
from minidl.observe.statistics import max_abs, norm


class ForgottenZeroGrad:
    """Watches whether the gradients of a step were cleared before those of the next step are used.

    It looks when a backward begins, before it has added to any `.grad`. Gradients zeroed in place count as cleared.
    A gradient that is there at one backward and cleared before another of the same step (adversarial training) is no
    mistake, so the warning waits for the update. Numbers are looked at, and the device waited for, only where a
    `.grad` exists at such a moment, and only until the first finding.

    Attributes:
        finding: the mistake in words, once it was made.
    """

    def __init__(self, parameters: Sequence[Parameter], remedy: str) -> None:
        self._parameters = parameters
        self._remedy = remedy
        self._cleared = True  # before the first step there is nothing to clear
        self._in_place = False
        self._left: str | None = None  # words for a gradient that is still there
        self.finding: str | None = None

    def step_begins(self) -> None:
        """An update is done."""
        self._cleared = self._in_place or self.finding is not None  # then there is nothing to look for
        self._left = None

    def backward_begins(self, step: int) -> None:
        """The first gradient of a backward of `step` has arrived; no `.grad` has changed yet."""
        if self._cleared:
            return
        largest = max_abs(gradients_of(self._parameters))
        if largest is None or float(largest) == 0:
            self._cleared, self._left = True, None
            self._in_place = largest is not None
        elif self._left is None:
            with_gradient = [p for p in self._parameters if p._grad is not None]
            worst = max(with_gradient, key=lambda p: float(max_abs(gradients_of([p]))))
            size = float(norm(gradients_of([worst])))
            self._left = (
                f"{worst.name or 'a weight'}.grad of step {step - 1} (norm {size:.3g}) was not cleared before the "
                f"backward of step {step}: the new gradient is added to the old one, and grows. "
                f"Call {self._remedy} once a step"
            )

    def update_begins(self) -> None:
        """The gradients are about to be used: warn, once, if those of the step before are still in them."""
        if not self._cleared and self._left is not None:
            self.finding, self._left = self._left, None
            warn(self.finding)
