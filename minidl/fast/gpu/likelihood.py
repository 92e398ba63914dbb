"""Cross entropy of scores (N, C) on a GPU: one launch each way (`kernels/rows.py`)."""

from __future__ import annotations

from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.functional import likelihood
from minidl.types import Array


class CrossEntropyRows(Faster, likelihood.GeneralCrossEntropy):
    """`kept` is how many samples are not ignored, or NaN if a label is no class; it stays on the device."""

    __slots__ = ()
    where = "on a GPU, (N, C) with no class weights, not for reduction='none'"

    def fits(self, x: Array) -> bool:
        return kernels.on_device(x) and x.ndim == 2 and self.weight is None and self.reduction != "none"

    def forward(self, x: Array) -> Array:
        mean = self.reduction == "mean"
        loss, self.kept = kernels.cross_entropy(x, self.labels, self.ignored, self.smoothing, mean)
        return loss

    def divisor(self, x: Array) -> Array | int:
        return self.kept if self.reduction == "mean" else 1

    def backward(self, grad_out: Array, x: Array) -> Array:
        mean = self.reduction == "mean"
        return kernels.cross_entropy_gradient(x, self.labels, grad_out, self.kept, self.ignored, self.smoothing, mean)
