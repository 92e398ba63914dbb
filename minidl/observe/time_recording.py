"""through_time: how the gradient of a recurrent network shrinks or grows on its way back through the time steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.derivatives.gradients import grad
from minidl.errors import ShapeError, describe
from minidl.files.schema import NUMBERS, TEXT, Entry
from minidl.nn import GRUCell, LSTMCell, Module, RNNCell
from minidl.observe.saved import SavedRecording
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True, eq=False)
class TimeRecording(SavedRecording):
    """The size of dL_T/dh_t for K recurrent networks on N sequences of T time steps.

    Attributes:
        networks: (K,) their names.
        radius: (K,) the spectral radius of weight_hh; NaN for an LSTM or a GRU, which have several such matrices.
        norm: (K, N, T) of the gradient at h_T, h_{T-1}, ..., h_1, for each sequence; not finite as infinity.
        predicted: (K,) log10 of the factor a time step that theory predicts (see `through_time`); NaN where none is.
    """

    kind: ClassVar[str] = "through_time"
    schema: ClassVar[dict[str, Entry]] = {
        "networks": Entry(TEXT, ("K",)),
        "radius": Entry(NUMBERS, ("K",)),
        "norm": Entry(NUMBERS, ("K", "N", "T")),
        "predicted": Entry(NUMBERS, ("K",)),
    }

    networks: tuple[str, ...]
    radius: Any
    norm: Any
    predicted: Any

    def __repr__(self) -> str:
        return f"TimeRecording({', '.join(self.networks)}; {self.norm.shape[2]} time steps)"


def through_time(cells: Mapping[str, Module] | Module, x: Any, seed: int = 0) -> TimeRecording:
    """Run recurrent cells over sequences and measure dL_T/dh_t at every time step, for L_T = u . h_T with a random u.

    For a plain RNN, h_t = phi(W_hh h_{t-1} + ...), the gradient of one time step earlier is W_hh^T (phi' g). If the
    elements of W_hh are independent, with variance r^2/n (so that the spectral radius is r for large n, by the circular
    law), and g does not depend on them, its mean square is r^2 E[phi'^2] times that of g. So theory predicts
    log10(r sqrt(E[phi'^2])) decades a time step, with E[phi'^2] over the run; of a linear network log10(r).

        md.observe.through_time({"0.5": cell, "1": other}, x)

    Args:
        cells: {name: RNNCell, LSTMCell or GRUCell}, or one.
        x: inputs (T, N, input_size), at least two time steps, an array or Tensor.
        seed: of u, the same for all cells.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013.

    Raises:
        TypeError: something is no cell.
        ShapeError: x has fewer than two time steps, or does not fit.
    """
    named = dict(cells) if isinstance(cells, Mapping) else {type(cells).__name__: cells}
    x = x if isinstance(x, Tensor) else Tensor(x)
    if x.ndim != 3 or x.shape[0] < 2:
        raise ShapeError(f"expected inputs (T, N, input_size) with at least two time steps; got {describe(x)}")
    measured = [_measure(cell, x, seed) for cell in named.values()]
    return TimeRecording(
        tuple(named), [m[0] for m in measured], np.array([m[1] for m in measured]), [m[2] for m in measured]
    )


def _measure(cell: Module, x: Tensor, seed: int) -> tuple[float, Any, float]:
    """Spectral radius, norms (N, T), and log10 of the predicted factor."""
    if not isinstance(cell, (RNNCell, LSTMCell, GRUCell)):
        raise TypeError(f"expected an RNNCell, LSTMCell or GRUCell, which is one time step; got {describe(cell)}")
    state: Any = None
    hidden = []
    for x_t in x:
        state = cell(x_t, state)
        hidden.append(state[0] if isinstance(state, tuple) else state)
    u = np.random.default_rng(seed).standard_normal(hidden[-1].shape)
    u = backend.to_device(u.astype(hidden[-1].dtype), hidden[-1].device)
    gradients = grad(F.sum(hidden[-1] * u), hidden)
    arrays = [backend.to_numpy(g._data).astype(np.float64) for g in gradients[::-1]]
    with np.errstate(all="ignore"):
        norms = np.stack([_lengths(array) for array in arrays], axis=1)
    if not isinstance(cell, RNNCell):
        return np.nan, norms, np.nan
    weight = backend.to_numpy(cell.weight_hh._data).astype(np.float64)
    radius = float(np.abs(np.linalg.eigvals(weight)).max()) if np.isfinite(weight).all() else np.nan
    h = np.stack([backend.to_numpy(h._data).astype(np.float64) for h in hidden])
    slopes = 1 - h**2 if cell.nonlinearity == "tanh" else (h > 0).astype(np.float64)
    with np.errstate(divide="ignore"):
        return radius, norms, float(np.log10(radius * np.sqrt((slopes**2).mean())))


def _lengths(array: Any) -> Any:
    """The norm of each row, without underflow of the squares; what is not finite as infinity."""
    largest = np.abs(array).max(axis=1, keepdims=True)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    lengths = scale[:, 0] * np.sqrt(((array / scale) ** 2).sum(axis=1))
    return np.where(np.isfinite(lengths), lengths, np.inf)
