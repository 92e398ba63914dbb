"""The negative log-likelihood in all its forms: weights of classes, smoothed labels, ignored ones, further axes.

What most networks are trained with, the cross entropy of scores (N, C), is one short class in `classification.py`.
This file has `nll_loss`, and what `cross_entropy` does for all that goes beyond it.
"""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import choice, whole
from minidl.errors import ShapeError
from minidl.functional.arithmetic import add, multiply, negative
from minidl.functional.broadcasting import sum
from minidl.functional.counting import divisions, noted
from minidl.functional.labels import along_classes, checked_labels, class_axis, counts_of, scores_and_target
from minidl.functional.masking import masked
from minidl.functional.precision import narrowed, widened
from minidl.functional.probabilities import Softmax, log_softmax, softmax
from minidl.functional.selection import where
from minidl.functional.targets import REDUCTIONS, constant, reduced, warn_after, weigh
from minidl.types import Array, ArrayOrTensor, Shape, TensorLike


class _Likelihood(Function):
    """The negative log-likelihood of labels y under log-probabilities l: L_n = -sum_c q_nc w_c l_nc.

    q_n is one-hot at y_n, or smoothed towards 1/C: q_nc = (1 - s) [c = y_n] + s / C. The w_c are class weights, or 1.
    Sample n counts a_n = 1, or 0 if its label is to be ignored. The result is all a_n L_n, or their sum, or their mean
    sum_n a_n L_n / sum_n a_n w_(y_n). Where no sample counts the mean is NaN, with a gradient of 0.

    Args:
        labels: int64, a raw array that nobody writes to.
        ignored: the label to ignore.
        weight: w as a raw array (C,), or None for 1.
        reduction: "mean", "sum" or "none".
        smoothing: s.
    """

    __slots__ = ("_samples", "ignored", "labels", "reduction", "smoothing", "weight")

    def __init__(
        self, labels: Array, ignored: int, weight: Array | None, reduction: str, smoothing: float = 0.0
    ) -> None:
        self.labels = labels
        self.ignored = ignored
        self.weight = weight
        self.reduction = reduction
        self.smoothing = smoothing
        self._samples: tuple[Array, Array, Any] | None = None

    def samples(self, shape: Shape, dtype: Any) -> tuple[Array, Array, Any]:
        """(y, a, what the sum is divided by), of l in this shape and dtype; y and a have an axis for the classes.

        Computed in the forward or, if a faster version did that without them, in the backward.
        """
        if self._samples is None:
            axis = class_axis(len(shape))
            labels, counts = counts_of(self.labels, shape[axis], self.ignored)
            xp = module_of(labels)
            y, a = xp.expand_dims(labels, axis), xp.expand_dims(counts.astype(dtype), axis)
            weights = a if self.weight is None else a * self.weight.take(y)
            self._samples = y, a, weights.sum() if self.reduction == "mean" else 1
        return self._samples

    def divisor(self, scores: ArrayOrTensor) -> Any:
        """What the sum of the losses is divided by."""
        return self.samples(scores.shape, widened(scores).dtype)[2]

    def loss(self, log_p: Array) -> Array:
        """The reduced loss."""
        xp, axis = module_of(log_p), class_axis(log_p.ndim)
        y, a, divisor = self.samples(log_p.shape, log_p.dtype)
        loss, weighted = -xp.take_along_axis(log_p, y, axis=axis), log_p
        if self.weight is not None:
            loss, weighted = weigh(self.weight.take(y), loss), weigh(along_classes(self.weight, log_p.ndim), log_p)
        if self.smoothing:
            own = (1 - self.smoothing) * loss if self.smoothing < 1 else 0
            loss = own - self.smoothing * weighted.mean(axis=axis, keepdims=True)
        loss = xp.where(a == 0, 0, a * loss)  # 0 also where the loss of an ignored sample is infinite
        return loss.squeeze(axis) if self.reduction == "none" else loss.sum() / divisor

    def target(self, shape: Shape, dtype: Any) -> Array:
        """q_nc w_c."""
        axis = class_axis(len(shape))
        y, _, _ = self.samples(shape, dtype)
        classes = along_classes(module_of(y).arange(shape[axis]), len(shape))
        target = (classes == y).astype(dtype)
        if self.smoothing:
            target = target * (1 - self.smoothing) + self.smoothing / shape[axis]
        return target if self.weight is None else target * along_classes(self.weight, len(shape))

    def spread(self, grad_out: ArrayOrTensor, shape: Shape, dtype: Any) -> ArrayOrTensor:
        """dL/dL_n, with an axis for the classes: what of the gradient at the result arrives at each L_n."""
        _, a, divisor = self.samples(shape, dtype)
        if self.reduction == "none":
            return grad_out.reshape(a.shape) * a
        return grad_out * module_of(a).where(a == 0, 0, a / divisor)


class NLL(_Likelihood):
    """The likelihood of l itself, so dL_n/dl_nc = -q_nc w_c."""

    __slots__ = ("shape",)

    def forward(self, log_p: Array) -> Array:
        self.shape = log_p.shape
        return narrowed(self.loss(widened(log_p)), log_p)

    def backward(self, grad_out: ArrayOrTensor) -> ArrayOrTensor:
        dtype = widened(grad_out).dtype
        return narrowed(self.spread(grad_out, self.shape, dtype) * -self.target(self.shape, dtype), grad_out)


class GeneralCrossEntropy(_Likelihood):
    """The likelihood of l = ln softmax(x), so dL_n/dx_nc = softmax(x_n)_c sum_k q_nk w_k - q_nc w_c.

    Without weights that sum is 1: the gradient is softmax(x) less the target.
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return narrowed(self.loss(log_softmax(widened(x), class_axis(x.ndim))), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        wide, axis = widened(x), class_axis(x.ndim)
        counts = self.samples(x.shape, wide.dtype)[1] != 0
        wide = masked(wide, counts)  # the scores of an ignored sample may be no numbers
        p, target = softmax(wide, axis), self.target(x.shape, wide.dtype)
        if self.weight is not None:
            p = p * target.sum(axis=axis, keepdims=True)
        return narrowed((p - target) * self.spread(grad_out, x.shape, wide.dtype), x)


def nll_loss(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> TensorLike:
    """-weight_label input_label: the negative log-likelihood of the labels. Of log_softmax(x) it is cross_entropy of x.

    Args:
        input: log-probabilities, from log_softmax: (N, C), (N, C, ...) or (C,). Others are not noticed, but for the
            result of softmax itself, which gives a warning: a loss below 0 shows that they are none.
        target: integer labels from 0 to C-1: (N,), (N, ...) or ().
        weight: (C,), what each class counts.
        ignore_index: samples with this label are left out.
        reduction: "mean" over the weights of the labels counted, "sum", or "none" for one loss per sample.

    Raises:
        ShapeError, DTypeError, DeviceError: input, target and weight do not fit together.
        ValueError: a label is no class (on a GPU the loss is NaN instead), or an option is unknown.
        GraphError: the weight requires a gradient.
    """
    choice(reduction, "nll_loss: reduction", REDUCTIONS)
    input, target = scores_and_target("nll_loss", "log-probabilities", input, target)
    warn_after(input, Softmax, "nll_loss needs log-probabilities; it was given the result of softmax: use log_softmax")
    weight = constant("nll_loss", "weight", weight, input, (input.shape[class_axis(input.ndim)],))
    ignored = whole(ignore_index, "nll_loss: ignore_index", -math.inf)
    op = NLL(checked_labels("nll_loss", input, target, ignored), ignored, weight, reduction)
    loss = op(input)
    if divisions() is not None:
        loss = noted(loss, reduction, op.divisor(input), ignored)
    return loss


def against_probabilities(
    logits: TensorLike, target: TensorLike, weight: Array | None, reduction: str, smoothing: float
) -> TensorLike:
    """cross_entropy for targets that are probabilities in the shape of the logits, which may require a gradient."""
    if target.shape != logits.shape:
        hint = ". Labels must be integers: target.astype(int)" if target.ndim == logits.ndim - 1 else ""
        raise ShapeError(
            f"cross_entropy: expected probabilities in the shape of the logits {logits.shape}; got {target.shape}{hint}"
        )
    axis = class_axis(logits.ndim)
    if smoothing:
        target = add(multiply(target, 1 - smoothing), smoothing / logits.shape[axis])
    log_p = log_softmax(logits, axis)
    if weight is not None:
        weight = along_classes(weight, logits.ndim)
        target, log_p = multiply(target, weight), where(weight == 0, 0, log_p)
    loss = negative(sum(weigh(target, log_p), axis=axis))
    return reduced("cross_entropy", loss, reduction)
