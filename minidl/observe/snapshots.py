"""Snapshots: the distributions of what runs through the layers, at up to 64 of the recorded steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.observe.bins import BINS, QUANTITIES, counted
from minidl.observe.layers import Layer, gradients_of

MOST = 64  # snapshots; 330 kB for each layer
LIMIT = 0.97  # |2 h - 1| of a sigmoid, and |h| of a tanh, beyond which it counts as saturated


class Snapshots:
    """Distributions at the first recorded step, and then at every one, every second, every fourth, ...: at most 64.

    Each is of the first time that a layer is called, and gets a gradient, in its step. They are counted on the host: at
    a step with a snapshot a device is waited for.

    Attributes:
        open: whether this step has one.
    """

    def __init__(self, layers: int, wanted: bool) -> None:
        self._layers = layers
        self._wanted = wanted
        self._stride = 1
        self._kept: list[dict[str, Any]] = []
        self._now: dict[str, Any] = {}
        self.open = False

    def begin(self, index: int, last: bool) -> None:
        """The recorded step number `index` begins; `last`: the loop's last."""
        self.open = self._wanted and (index % self._stride == 0 or last)
        self._now = _empty(self._layers) if self.open else {}

    def see(self, quantity: str, layer: int, array: Any) -> None:
        """Count the numbers of `array`, unless this layer's `quantity` was counted in this step."""
        k = QUANTITIES.index(quantity)
        if self.open and not self._now["seen"][k, layer]:
            self._now["seen"][k, layer] = True
            found = counted(backend.to_numpy(array))
            self._now["bins"][k, layer], self._now["tops"][k, layer], self._now["zeros"][k, layer] = found

    def see_activation(self, layer: int, array: Any, kind: str, channels: int) -> None:
        """Count an activation, and which part of it is saturated, and which units are dead.

        Args:
            layer: whose it is.
            array: h.
            kind: "sigmoid", "tanh", "relu", or anything else.
            channels: the axis of the units.
        """
        if not self.open or self._now["seen"][QUANTITIES.index("activation"), layer]:
            return
        self.see("activation", layer, array)
        h = backend.to_numpy(array)
        if kind in ("sigmoid", "tanh"):
            idle = abs(2 * h - 1 if kind == "sigmoid" else h) > LIMIT
            self._now["saturated"][layer] = idle.mean()
        elif kind == "relu":
            idle = h == 0
        else:
            return
        others = tuple(axis for axis in range(h.ndim) if axis != channels % h.ndim)
        self._now["dead"][layer] = idle.all(axis=others).mean()

    def see_gradients(self, layer: Layer) -> None:
        """Count the gradients of the weights of `layer`."""
        arrays = gradients_of(layer.weights)
        if self.open and arrays:
            together = np.concatenate([backend.to_numpy(array).reshape(-1) for array in arrays])
            self.see("weight_gradient", layer.index, together)

    def end(self, step: int) -> None:
        """The step is complete."""
        if not self.open:
            return
        if len(self._kept) == MOST:
            self._kept = self._kept[::2]
            self._stride *= 2
        self._kept.append({**self._now, "step": step})
        self.open = False

    def arrays(self) -> dict[str, Any]:
        """The fields of a FlowRecording."""
        kept = self._kept or [_empty(self._layers) | {"step": 0}]
        count = len(self._kept)
        names = ("bins", "tops", "zeros", "saturated", "dead")
        found = {name: np.stack([one[name] for one in kept])[:count] for name in names}
        return {"snapshots": np.array([one["step"] for one in kept], dtype=np.int64)[:count], **found}


def _empty(layers: int) -> dict[str, Any]:
    count = len(QUANTITIES)
    return {
        "seen": np.zeros((count, layers), dtype=bool),
        "bins": np.zeros((count, layers, BINS), dtype=np.uint32),
        "tops": np.full((count, layers), np.nan),
        "zeros": np.full((count, layers), np.nan),
        "saturated": np.full(layers, np.nan),
        "dead": np.full(layers, np.nan),
    }
