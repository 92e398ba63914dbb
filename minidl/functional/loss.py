"""Losses: cross_entropy and mse_loss."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minidl.autograd import Function, Variable
from minidl.backend import asarray, module_of
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.arithmetic import multiply, negative, subtract
from minidl.functional.reduction import mean, sum
from minidl.functional.softmax import Softmax, log_softmax, softmax

REDUCTIONS = ("mean", "sum", "none")


class CrossEntropy(Function):
    """L_n = -sum_c q_nc ln softmax(x_n)_c for integer labels, where q is one-hot, or smoothed towards 1/C:

        q_nc = (1 - s) [c = label_n] + s / C,        dL_n/dx_nc = softmax(x_n)_c - q_nc

    The class axis of x is 1 (0 for a single sample). Samples whose label is `ignore_index` count nothing, neither in
    the sum nor in the mean's denominator.
    """

    saves_inputs = True
    __slots__ = ("axis", "counts", "ignore_index", "labels", "reduction", "smoothing", "total")

    def __init__(self, labels: Any, ignore_index: int, smoothing: float, reduction: str) -> None:
        self.labels = labels
        self.ignore_index = ignore_index
        self.smoothing = smoothing
        self.reduction = reduction

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        self.axis = 0 if x.ndim == 1 else 1
        ignored = self.labels == self.ignore_index
        self.counts = xp.logical_not(ignored).astype(x.dtype)
        self.labels = xp.expand_dims(xp.where(ignored, 0, self.labels), self.axis)
        self.total = self.counts.sum() if self.reduction == "mean" else 1

        log_p = log_softmax(x, self.axis)
        loss = -xp.take_along_axis(log_p, self.labels, axis=self.axis).squeeze(self.axis)
        if self.smoothing:
            loss = (1 - self.smoothing) * loss - self.smoothing * log_p.mean(axis=self.axis)
        loss = xp.where(self.counts > 0, loss, 0)
        if self.reduction == "none":
            return loss
        with np.errstate(invalid="ignore"):  # every sample ignored: 0/0 = NaN, as in PyTorch
            return loss.sum() / self.total

    def backward(self, grad_out: Any, x: Any) -> Any:
        xp = module_of(self.counts)
        classes = x.shape[self.axis]
        one_hot = xp.expand_dims(xp.arange(classes), tuple(range(1, x.ndim - self.axis))) == self.labels
        target = one_hot.astype(x.dtype) * (1 - self.smoothing) + self.smoothing / classes
        with np.errstate(invalid="ignore"):
            weight = xp.expand_dims(self.counts / self.total, self.axis)
        if self.reduction == "none":
            shape = list(x.shape)
            shape[self.axis] = 1
            grad_out = grad_out.reshape(tuple(shape))
        return (softmax(x, self.axis) - target) * (grad_out * weight)


def cross_entropy(
    logits: Any, target: Any, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
) -> Any:
    """The negative log-likelihood of the target under softmax(logits), as PyTorch's.

    Args:
        logits: raw scores, not probabilities: (N, C), (N, C, ...) or (C,).
        target: integer labels (N,), (N, ...) or (), each from 0 to C-1; or probabilities in the shape of `logits`.
        ignore_index: samples with this label are left out (labels only).
        reduction: "mean" over the samples counted, "sum", or "none" for one loss per sample.
        label_smoothing: s in [0, 1]; the target becomes (1-s) target + s/C.

    Raises:
        ShapeError, DTypeError, ValueError: the two do not fit, or a label is not one of the classes.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"cross_entropy: expected a reduction out of {', '.join(REDUCTIONS)}; got {reduction!r}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: expected label_smoothing from 0 to 1; got {label_smoothing}")
    scores = logits._data if isinstance(logits, Variable) else asarray(logits)
    goal = target._data if isinstance(target, Variable) else asarray(target)
    if scores.dtype.kind != "f":
        raise DTypeError(f"cross_entropy: expected floating logits; got {scores.dtype}")
    if scores.ndim == 0:
        raise ShapeError("cross_entropy: expected logits of shape (N, C); got a single number, shape ()")
    axis = 0 if scores.ndim == 1 else 1
    classes = scores.shape[axis]
    if isinstance(logits, Variable) and isinstance(logits._op, Softmax):
        warnings.warn(
            "cross_entropy applies softmax itself; it was given the result of softmax. Pass it the raw scores "
            "(logits), or the gradient is squeezed twice",
            stacklevel=2,
        )
    if goal.dtype.kind == "f":
        if goal.shape != scores.shape:
            hint = ". Labels must be integers: target.astype(int)" if goal.ndim == scores.ndim - 1 else ""
            raise ShapeError(
                f"cross_entropy: expected probabilities in the shape of the logits {scores.shape}; got {goal.shape}{hint}"
            )
        return _with_probabilities(logits, target, axis, classes, reduction, label_smoothing)

    if goal.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: expected integer labels or floating probabilities; got {describe(goal)}")
    expected = scores.shape[:axis] + scores.shape[axis + 1 :]
    if goal.shape != expected:
        raise ShapeError(
            f"cross_entropy: logits {scores.shape} need labels of shape {expected} (one integer per sample, not "
            f"one-hot); got {goal.shape}"
        )
    xp = module_of(goal)
    if xp is np:  # on a GPU this look would make the program wait for the device at every step
        wrong = (goal != ignore_index) & ((goal < 0) | (goal >= classes))
        if wrong.any():
            where = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"cross_entropy: labels must lie from 0 to {classes - 1} for {classes} classes; label "
                f"{int(goal[where])} at position {where[0] if len(where) == 1 else where} does not. If your labels "
                f"start at 1, subtract 1"
            )
    return CrossEntropy(goal.astype(np.int64), ignore_index, label_smoothing, reduction)(logits)


def _with_probabilities(logits: Any, target: Any, axis: int, classes: int, reduction: str, smoothing: float) -> Any:
    """-sum_c target_c ln softmax(logits)_c; differentiable in both."""
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    loss = negative(sum(multiply(target, log_softmax(logits, axis)), axis=axis))
    return _reduce(loss, reduction)


def _reduce(loss: Any, reduction: str) -> Any:
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def mse_loss(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """(prediction - target)^2: its mean, its sum, or ("none") each. The two must have one shape.

    Raises:
        ShapeError: the shapes differ. Broadcasting (N,) against (N, 1) would compare every pair, which nobody means.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"mse_loss: expected a reduction out of {', '.join(REDUCTIONS)}; got {reduction!r}")
    shapes = [tuple(getattr(x, "shape", ())) for x in (prediction, target)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"mse_loss: expected prediction and target of one shape; got {shapes[0]} and {shapes[1]}")
    error = subtract(prediction, target)
    return _reduce(multiply(error, error), reduction)
