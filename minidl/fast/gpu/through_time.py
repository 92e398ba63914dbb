"""A recurrent layer over all time steps on a GPU: a product and one launch a step, each way (`kernels/recurrent.cu`).

The op's own lines launch some twenty a step of an LSTM.
"""

from __future__ import annotations

from collections.abc import Callable

from minidl.backend import module_of
from minidl.fast import through_time
from minidl.fast.gpu import kernels
from minidl.fast.gpu.products import product
from minidl.fast.versions import Faster
from minidl.types import Array, Gradients


class ByKernels(Faster):
    """An op through time whose steps, forward and backward, are a kernel each."""

    __slots__ = ()
    where = "on a GPU"
    kind: str  # of the kernels
    grad_of_weights: Callable[..., tuple[Array | None, Array | None]]  # ThroughTime has it

    def fits(self, from_input: Array, *others: Array) -> bool:
        return kernels.on_device(from_input)

    def forward(self, from_input: Array, weight_hh: Array, bias_hh: Array | None, *state: Array) -> Array:
        xp, (steps, samples, rows) = module_of(from_input), from_input.shape
        size, dtype = weight_hh.shape[1], from_input.dtype
        from_input, *before = (xp.ascontiguousarray(array) for array in (from_input, *state))
        bias_hh = None if bias_hh is None else xp.ascontiguousarray(bias_hh)
        out = xp.empty((len(before), steps, samples, size), dtype=dtype)
        parts = xp.empty((steps, kernels.PARTS[self.kind], samples, size), dtype=dtype)
        from_state = xp.empty((samples, rows), dtype=dtype)
        for t in range(steps):
            product(before[0], weight_hh.T, out=from_state)
            after = [states[t] for states in out]
            cell = after[1] if len(after) > 1 else None
            kernels.recurrent_step(self.kind, from_input[t], from_state, bias_hh, before[-1], parts[t], after[0], cell)
            before = after
        self.kept = parts  # type: ignore[misc]  # a slot of the op
        return out

    def backward(
        self, grad_out: Array, from_input: Array, weight_hh: Array, bias_hh: Array | None, *state_and_out: Array
    ) -> Gradients:
        *state, out = state_and_out
        xp, (steps, samples, size) = module_of(grad_out), grad_out.shape[1:]
        grad_out, *first = (xp.ascontiguousarray(array) for array in (grad_out, *state))
        grad_input = xp.empty((steps, samples, len(weight_hh)), dtype=grad_out.dtype)
        two = self.kind == "gru"  # gradients, of from_input and of from_state; the others have one for both
        grad_from_state = xp.empty_like(grad_input) if two else grad_input
        later, direct = xp.zeros((2, samples, size), dtype=grad_out.dtype)
        for t in reversed(range(steps)):
            grad_cell = grad_out[1, t] if len(first) > 1 else None
            before = out[-1, t - 1] if t > 0 else first[-1]
            kernels.recurrent_step_back(
                self.kind, grad_out[0, t], grad_cell, later, direct, self.kept[t], before, out[-1, t],
                grad_input[t], grad_from_state[t] if two else None,
            )  # fmt: skip
            product(grad_from_state[t], weight_hh, out=later)
        if two:
            later += direct
        grad_weights = self.grad_of_weights(grad_from_state, state, out)
        return (grad_input, *grad_weights, *[later, direct][: len(state)])


class RNNThroughTime(ByKernels, through_time.RNNThroughTime):
    """The kernels tanh_step and relu_step."""

    __slots__ = ()

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.nonlinearity


class LSTMThroughTime(ByKernels, through_time.LSTMThroughTime):
    """The kernel lstm_step."""

    __slots__ = ()
    kind = "lstm"


class GRUThroughTime(ByKernels, through_time.GRUThroughTime):
    """The kernel gru_step."""

    __slots__ = ()
    kind = "gru"
