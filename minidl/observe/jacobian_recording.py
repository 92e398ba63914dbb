"""jacobian_spectrum: how much each direction of the input is stretched on its way up through the layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.derivatives.higher_order import jacobian
from minidl.errors import ShapeError, describe
from minidl.files.schema import NUMBERS, TEXT, Entry
from minidl.nn import Module
from minidl.nn.modes import evaluating
from minidl.observe.blocks import Block, blocks_of
from minidl.observe.saved import SavedRecording
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True, eq=False)
class JacobianRecording(SavedRecording):
    """The singular values of dh_l/dh_0, the Jacobian of each layer's output by the network's input.

    Attributes:
        layers: (L,) the names, input to output.
        log10: (L, M) log10 of the singular values at all inputs together; minus infinity for one that is 0, or so small
            a part of the largest (n eps of float64) that rounding hides it; infinity where the Jacobian is not finite;
            NaN where a layer has fewer of them.
    """

    kind: ClassVar[str] = "jacobian_spectrum"
    schema: ClassVar[dict[str, Entry]] = {"layers": Entry(TEXT, ("L",)), "log10": Entry(NUMBERS, ("L", "M"))}

    layers: tuple[str, ...]
    log10: Any

    def __repr__(self) -> str:
        return f"JacobianRecording({len(self.layers)} layers, {self.log10.shape[1]} singular values)"

    def quantiles(self, levels: Any) -> Any:
        """(len(levels), L) of log10 of the singular values; minus infinity where it is 0."""
        lines = [np.sort(line[~np.isnan(line)]) for line in self.log10]
        return np.array([[_at(line, level) for line in lines] for level in levels])


def jacobian_spectrum(model: Module, x: Any) -> JacobianRecording:
    """Measure the singular values of dh_l/dh_0 at each of some inputs.

    h_0 is the input and h_l the output of block l of a Sequential: a layer, or a residual block, with the activation
    behind it. By the chain rule dh_l/dh_0 is the product of the blocks' own Jacobians; it is formed in float64 and its
    size kept apart, so that it neither under- nor overflows. In evaluation mode, one input at a time.

    Args:
        model: a Sequential.
        x: inputs (N, ...), a few; an array or Tensor.

    Source: Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning, ICLR 2014; Pennington,
    Schoenholz and Ganguli, Resurrecting the sigmoid, NeurIPS 2017.

    Raises:
        TypeError: the model is no Sequential.
        ShapeError: there is no input.
    """
    found = blocks_of(model)
    x = x if isinstance(x, Tensor) else Tensor(x)
    if x.ndim < 2 or x.shape[0] == 0:
        raise ShapeError(f"expected inputs (N, ...) with at least one of them; got {describe(x)}")
    with evaluating(model):
        of_inputs = [_spectra(found, x[i : i + 1]) for i in range(x.shape[0])]
    lines = [np.concatenate([spectra[k] for spectra in of_inputs]) for k in range(len(found))]
    most = max(len(line) for line in lines)
    padded = [np.pad(line, (0, most - len(line)), constant_values=np.nan) for line in lines]
    return JacobianRecording(tuple(block.name for block in found), np.array(padded))


def _spectra(blocks: list[Block], h: Tensor) -> list[Any]:
    """log10 of the singular values behind each block, for one input."""
    product, decades = np.eye(h.size), 0.0
    found = []
    for block in blocks:
        own = backend.to_numpy(jacobian(block, h)._data).astype(np.float64)
        h = block(h).detach()
        with np.errstate(all="ignore"):
            product = own.reshape(h.size, -1) @ product
        size = float(np.abs(product).max())
        if 0 < size < np.inf:
            product, decades = product / size, decades + np.log10(size)
        found.append(_log10_singular(product, decades))
    return found


def _log10_singular(matrix: Any, decades: float) -> Any:
    if not np.isfinite(matrix).all():
        return np.full(min(matrix.shape), np.inf)
    values = np.linalg.svd(matrix, compute_uv=False)
    floor = max(matrix.shape) * np.finfo(np.float64).eps * values[0]
    with np.errstate(divide="ignore"):
        return np.where(values > floor, np.log10(values) + decades, -np.inf)


def _at(line: Any, level: float) -> float:
    """The quantile of a sorted line, between neighbours by a straight line where both are finite."""
    place = level * (len(line) - 1)
    below, above = line[int(np.floor(place))], line[int(np.ceil(place))]
    if not np.isfinite(below) or not np.isfinite(above):
        return float(below if place % 1 < 0.5 else above)
    return float(below + (place % 1) * (above - below))
