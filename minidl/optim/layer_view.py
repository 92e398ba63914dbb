"""LayerView: what a layer rate is shown of one layer in one step."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any

from minidl.autograd.writes import WriteCount
from minidl.functional.precision import widened
from minidl.optim.norms import joined, l2_norm
from minidl.types import Array


class LayerView:
    """What a layer rate sees of one layer in one step. The arrays are raw and not copied: read them only.

    Attributes:
        name: the layer's name.
        params: its parameters' arrays; those that are frozen or got no gradient are left out here and below.
        gradients: their gradients, as backward (and clipping) left them.
        direction: what the multiplier will scale. For a rate that applies to the gradient these are the gradients with
            weight decay; for one that applies to the update they are the finished updates, without the base rate.
        step: how many steps were made before this one, 0 in the first.
        decays: the weight decay of each parameter that is part of its gradient (0 if the method keeps it apart).
        floored: whether a norm was too small to be used; a rate that replaces such a norm sets this for the report.
    """

    floored: Any = False
    _norms: list[Array] | None = None

    def __init__(
        self,
        name: str,
        params: Sequence[Array],
        gradients: Sequence[Array],
        direction: Sequence[Array] | None,
        step: int,
        decays: Sequence[float] | None = None,
    ) -> None:
        self.name, self.params, self.gradients, self.step = name, params, gradients, step
        self.decays = [0.0] * len(params) if decays is None else decays
        self._direction = direction

    def __repr__(self) -> str:
        return f"LayerView({self.name!r}, {len(self.params)} parameters, step {self.step})"

    @property
    def direction(self) -> Sequence[Array]:
        """What the multiplier will scale. If nothing was set these are the gradients with weight decay."""
        if self._direction is None:
            columns = zip(self.gradients, self.decays, self.params, strict=True)
            self._direction = [widened(g) + decay * widened(w) if decay else g for g, decay, w in columns]
        return self._direction

    @direction.setter
    def direction(self, direction: Sequence[Array]) -> None:
        self._direction = direction

    @property
    def gradient_norms(self) -> list[Array]:
        """||g||_2 of each of the gradients: 0-d float64 arrays on the device, computed when they are first asked for.

        The layer's norm is made of them, and so are a recorder's, so that each gradient is measured once in a step.
        """
        if self._norms is None:
            self._norms = [l2_norm([g]) for g in self.gradients]
        return self._norms

    @property
    def has_norms(self) -> bool:
        """Whether somebody has asked for `gradient_norms` already."""
        return self._norms is not None

    @property
    def gradient_norm(self) -> Array:
        """||g_l||_2 over all the layer's gradients together."""
        return joined(self.gradient_norms)

    def measure_before(self, writes: Sequence[WriteCount]) -> None:
        """Have the norms computed before one of the gradients is written to, such as zeroed in place.

        Args:
            writes: the WriteCounts of the gradients. They keep only a weak reference to this view.
        """
        if any(count.handed_out for count in writes):
            self._norms = self.gradient_norms
        elif self._norms is None:
            measure = partial(_measure, weakref.ref(self))
            for count in writes:
                if count.before_write is not None:
                    count.announce()  # another optimizer's report may wait for the same gradient
                count.before_write = measure


def _measure(ref: weakref.ref[LayerView]) -> None:
    view = ref()
    if view is not None:
        view.gradient_norms  # noqa: B018 - it keeps what it computes
