"""A recurrent layer over all time steps on a GPU: a product and one launch a step, each way (`kernels/recurrent.cu`).

The op's own lines launch some twenty a step of an LSTM.
"""

from __future__ import annotations

from minidl.fast import through_time
from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.types import Array


class ByKernels(Faster):
    """An op through time whose steps, forward and backward, are a kernel each."""

    __slots__ = ()
    where = "on a GPU"
    kind: str  # of the kernels

    def fits(self, from_input: Array, *others: Array) -> bool:
        return kernels.on_device(from_input)

    def forward(self, from_input: Array, weight_hh: Array, bias_hh: Array | None, *state: Array) -> Array:
        out, self.kept = kernels.through_time(self.kind, from_input, weight_hh, bias_hh, state)
        return out

    def back_through_time(
        self, grad_out: Array, weight_hh: Array, parts: Array, state: list[Array], out: Array
    ) -> tuple[Array, Array, list[Array]]:
        return kernels.back_through_time(self.kind, grad_out, weight_hh, parts, state, out)


class RNNThroughTime(ByKernels, through_time.RNNThroughTime):
    __slots__ = ()

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.nonlinearity


class LSTMThroughTime(ByKernels, through_time.LSTMThroughTime):
    __slots__ = ()
    kind = "lstm"


class GRUThroughTime(ByKernels, through_time.GRUThroughTime):
    __slots__ = ()
    kind = "gru"
