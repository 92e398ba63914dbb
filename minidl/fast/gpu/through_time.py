"""A recurrent layer over all time steps on a GPU: a product and one launch a step, each way (`kernels/recurrent.cu`).

The op's own lines launch some twenty a step of an LSTM.
"""

from __future__ import annotations

from collections.abc import Callable

from minidl.fast import through_time
from minidl.fast.gpu import kernels
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
        out, self.kept = kernels.through_time(self.kind, from_input, weight_hh, bias_hh, state)
        return out

    def backward(
        self,
        grad_out: Array,
        from_input: Array,
        weight_hh: Array,
        bias_hh: Array | None,
        *state_and_out: Array,
    ) -> Gradients:
        *state, out = state_and_out
        grads = kernels.back_through_time(self.kind, grad_out, weight_hh, self.kept, state, out)
        grad_input, grad_from_state, grad_state = grads
        return (grad_input, *self.grad_of_weights(grad_from_state, state, out), *grad_state)


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
