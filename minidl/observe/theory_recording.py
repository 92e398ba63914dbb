"""vanishing_theory: how fast the gradient falls in a deep network, beside what two predictions say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.derivatives.gradients import grad
from minidl.errors import describe
from minidl.files.schema import NUMBERS, TEXT, Entry
from minidl.nn import Linear, Module
from minidl.observe.blocks import Block, blocks_of
from minidl.observe.saved import SavedRecording
from minidl.tensors.tensor import Tensor

_GRID = np.linspace(-12, 12, 24_001)  # where the largest slope of an activation is looked for


@dataclass(frozen=True, eq=False)
class TheoryRecording(SavedRecording):
    """The back-propagated gradient of L layers, and what two predictions make of it from layer to layer.

    Attributes:
        layers: (L,) the names of the hidden layers, input to output.
        rms: (L,) the root mean square of dL/dh; infinity where it is not finite.
        mean_field: (L,) log10 of the factor that the mean field predicts from layer l + 1 to l; NaN for the last,
            infinity where weights or activations are not finite.
        bound: (L,) log10 of the largest factor that is possible; likewise.
    """

    kind: ClassVar[str] = "vanishing_theory"
    schema: ClassVar[dict[str, Entry]] = {
        "layers": Entry(TEXT, ("L",)),
        "rms": Entry(NUMBERS, ("L",)),
        "mean_field": Entry(NUMBERS, ("L",)),
        "bound": Entry(NUMBERS, ("L",)),
    }

    layers: tuple[str, ...]
    rms: Any
    mean_field: Any
    bound: Any

    def __repr__(self) -> str:
        return f"TheoryRecording({len(self.layers)} hidden layers)"


def vanishing_theory(
    model: Module, inputs: Any, labels: Any, loss: Callable[[Any, Any], Any] = F.cross_entropy
) -> TheoryRecording:
    """Measure dL/dh in the hidden layers of a multi-layer perceptron, and compute both predictions.

    h_l = phi(z_l) and z_l = W_l h_{l-1} + b_l give dL/dh_{l-1} = W_l^T (phi'(z_l) dL/dh_l).

    * The bound: |phi'| <= max phi' (1/4 for a sigmoid) and |W^T v| <= |W|_2 |v|, so the norm grows at most by
      max phi' |W_l|_2, whatever the data.
    * The mean field: if the elements of W_l are independent with variance Var(W) and independent of the gradient, the
      mean square is multiplied by n Var(W) E[phi'^2], with n the rows of W_l.

    Both are compared as factors of the root mean square. Var(W) is the mean square of the elements of W_l, and E the
    mean over units and batch.

    Args:
        model: a Sequential of Linear layers, each but the last with one activation behind it, as `models.mlp` makes.
        inputs, labels: one batch, arrays.
        loss: of the model's output and the labels.

    Source: Hochreiter 1991; Bengio, Simard and Frasconi 1994 (the bound); Glorot and Bengio, AISTATS 2010; Schoenholz,
    Gilmer, Ganguli and Sohl-Dickstein, Deep information propagation, ICLR 2017 (the mean field).

    Raises:
        TypeError: the model is built in another way.
        ValueError: it has fewer than two hidden layers.
    """
    found = blocks_of(model)
    for i, block in enumerate(found):
        if not isinstance(block.modules[0], Linear) or len(block.modules) != (2 if i < len(found) - 1 else 1):
            raise TypeError(
                f"vanishing_theory: expected Linear layers with one activation behind each but the last; "
                f"{block.name} is {' '.join(describe(module) for module in block.modules)}"
            )
    hidden = found[:-1]
    if len(hidden) < 2:
        raise ValueError("vanishing_theory: expected at least two hidden layers, between which a gradient can fall")
    h = inputs if isinstance(inputs, Tensor) else Tensor(inputs)
    outputs, slopes = [], []
    for block in hidden:
        z = block.modules[0](h)
        slopes.append(_slope(block, z))
        h = block.modules[1](z)
        outputs.append(h)
    gradients = grad(loss(found[-1](h), labels), outputs)
    with np.errstate(all="ignore"):
        rms = np.array([_rms(backend.to_numpy(g._data)) for g in gradients])
        factors = [_factors(upper, slope) for upper, slope in zip(hidden[1:], slopes[1:], strict=True)]
    factors.append((np.nan, np.nan))
    mean_field, bound = np.array(factors).T
    return TheoryRecording(tuple(block.name for block in hidden), rms, mean_field, bound)


def _slope(block: Block, z: Tensor) -> Any:
    """phi'(z), for every unit and example."""
    z = z.detach().requires_grad_()
    return backend.to_numpy(grad(F.sum(block.modules[1](z)), z)._data).astype(np.float64)


def _factors(upper: Block, slope: Any) -> tuple[float, float]:
    """log10 of the factor of the root mean square on the way back through `upper`: predicted, and at most."""
    weight = backend.to_numpy(upper.modules[0].weight._data).astype(np.float64)
    if not (np.isfinite(weight).all() and np.isfinite(slope).all()):
        return np.inf, np.inf
    rows, columns = weight.shape
    mean_field = 0.5 * np.log10(rows * (weight**2).mean() * (slope**2).mean())
    line = Tensor(_GRID).to(upper.modules[0].weight.device)
    steepest = np.abs(_slope(upper, line)).max()
    bound = np.log10(steepest * np.linalg.norm(weight, 2) * np.sqrt(rows / columns))
    return float(mean_field), float(bound)


def _rms(array: Any) -> float:
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        return float("inf")
    largest = np.abs(array).max()
    return float(largest * np.sqrt(((array / largest) ** 2).mean())) if largest > 0 else 0.0
