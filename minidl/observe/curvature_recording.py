"""Curvature: the curvature of the loss in each layer beside the size of its gradient, at chosen steps of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.derivatives.curvature import Extremes, layer_eigenvalues
from minidl.derivatives.gradients import grad
from minidl.files.schema import NUMBERS, TEXT, WHOLE, Entry
from minidl.nn import Module
from minidl.observe.layers import layers_of
from minidl.observe.saved import SavedRecording, finite_or_infinite
from minidl.observe.statistics import norm
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True, eq=False)
class CurvatureRecording(SavedRecording):
    """Curvature and gradient of L layers at T steps.

    Attributes:
        layers: (L,) the names, input to output.
        steps: (T,) the steps looked at.
        loss: (T,) the loss there.
        largest: (T, L) the largest eigenvalue of the layer's own block of the Hessian, d^2 L / dw_l^2; NaN where it is
            smaller than its uncertainty, so that not even its sign is known.
        smallest: (T, L) the smallest one, likewise; negative where the loss curves downward.
        gradient_norm: (T, L) of dL/dw_l.
    """

    kind: ClassVar[str] = "curvature"
    schema: ClassVar[dict[str, Entry]] = {
        "layers": Entry(TEXT, ("L",)),
        "steps": Entry(WHOLE, ("T",)),
        "loss": Entry(NUMBERS, ("T",)),
        "largest": Entry(NUMBERS, ("T", "L")),
        "smallest": Entry(NUMBERS, ("T", "L")),
        "gradient_norm": Entry(NUMBERS, ("T", "L")),
    }

    layers: tuple[str, ...]
    steps: Any
    loss: Any
    largest: Any
    smallest: Any
    gradient_norm: Any

    def __repr__(self) -> str:
        return f"CurvatureRecording({len(self.steps)} steps of {len(self.layers)} layers)"


class Curvature:
    """Look at the curvature of each layer now and then, in any training loop.

        curvature = md.observe.Curvature(model)
        for step, (x, y) in enumerate(loader):
            if step % 50 == 0:
                curvature.look(step, F.cross_entropy(model(whole_x), whole_y))
            ...
        md.plot.curvature(curvature.recording)

    The loss should be that of many examples: of a small batch curvature and gradient are mostly noise. Eigenvalues are
    found by Lanczos' iteration on exact products of the Hessian with vectors (`md.curvature.layer_eigenvalues`).

    Args:
        model: the network.
        products: how many products with the Hessian for each layer at most.
        tolerance: stop earlier when the uncertainty is below this part of the largest absolute eigenvalue.
    """

    def __init__(self, model: Module, products: int = 40, tolerance: float = 1e-3) -> None:
        self._model, self._products, self._tolerance = model, products, tolerance
        self._layers = layers_of(model)
        self._rows: list[tuple[int, float, Any, Any, Any]] = []

    def __repr__(self) -> str:
        return f"Curvature({len(self._rows)} looks at {len(self._layers)} layers)"

    def look(self, step: int, loss: Tensor) -> None:
        """Measure at `loss`, which the model has just computed; no `.grad` changes."""
        found = layer_eigenvalues(loss, self._model, steps=self._products, tolerance=self._tolerance)
        parameters = [p for layer in self._layers for p in layer.parameters if p.requires_grad]
        gradients = grad(loss, parameters, retain_graph=True, allow_unused=True)
        of = {id(p): g._data for p, g in zip(parameters, gradients, strict=True) if g is not None}
        largest, smallest, sizes = (np.full(len(self._layers), np.nan) for _ in range(3))
        for layer in self._layers:
            if layer.name in found:
                largest[layer.index], smallest[layer.index] = _known(found[layer.name])
            size = norm([of[id(p)] for p in layer.parameters if id(p) in of])
            if size is not None:
                sizes[layer.index] = finite_or_infinite(float(backend.asarray(size)))
        self._rows.append((int(step), float(loss.item()), largest, smallest, sizes))

    @property
    def recording(self) -> CurvatureRecording:
        """What was measured so far."""
        count = len(self._layers)
        columns = list(zip(*self._rows, strict=True)) or [()] * 5
        steps, losses, *tables = columns
        return CurvatureRecording(
            tuple(layer.name for layer in self._layers),
            np.array(steps, dtype=np.int64),
            np.array(losses, dtype=np.float64),
            *(np.array(table, dtype=np.float64).reshape(-1, count) for table in tables),
        )


def _known(found: Extremes) -> tuple[float, float]:
    """The largest and the smallest eigenvalue, each if more is known of it than that it is near 0."""
    if np.isnan(found.largest):
        return np.inf, np.inf
    ends = (found.largest, found.smallest)
    large, small = (value if abs(value) > found.residual or found.residual == 0 else np.nan for value in ends)
    return large, small
