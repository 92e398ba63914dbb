"""Losses: cross_entropy and mse_loss.

>>> import minidl as md, minidl.functional as F
>>> logits = md.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
>>> loss = F.cross_entropy(logits, [0, 0])
>>> round(loss.item(), 4)
1.1269
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minidl.autograd import Function, Variable
from minidl.backend import asarray, device_of, module_of
from minidl.errors import DeviceError, DTypeError, ShapeError, describe
from minidl.functional.arithmetic import multiply, negative, subtract
from minidl.functional.precision import narrowed, widened
from minidl.functional.reduction import mean, sum
from minidl.functional.softmax import Softmax, log_softmax, softmax

REDUCTIONS = ("mean", "sum", "none")


class CrossEntropy(Function):
    """L_n = -sum_c q_nc ln softmax(x_n)_c for integer labels, where q is one-hot, or smoothed towards 1/C:

        q_nc = (1 - s) [c = label_n] + s / C,        dL_n/dx_nc = softmax(x_n)_c - q_nc

    The class axis of x is 1 (0 for a single sample). Samples whose label is `ignore_index` count nothing, neither in
    the sum nor in the mean's denominator; a mean over no samples is NaN, with a gradient of 0.

    Attributes:
        labels: int64, with an axis of length 1 where x has its classes.
        weight: what each sample's loss counts in the result: 1, 0 if ignored; over the number counted for the mean.
    """

    saves_inputs = True
    __slots__ = ("axis", "ignore_index", "labels", "reduction", "smoothing", "weight")

    def __init__(self, labels: Any, ignore_index: int, smoothing: float, reduction: str) -> None:
        self.labels = labels
        self.ignore_index = ignore_index
        self.smoothing = smoothing
        self.reduction = reduction

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        self.axis = 0 if x.ndim == 1 else 1
        wide = widened(x)
        counted = self.labels != self.ignore_index
        self.weight = counted.astype(wide.dtype)
        if xp is not np:  # looking for bad labels would make the program wait, so they make a NaN
            bad = (self.labels < 0) | (self.labels >= x.shape[self.axis])
            self.weight = xp.where(counted & bad, np.nan, self.weight)
        self.labels = xp.expand_dims(xp.where(self.weight == 1, self.labels, 0), self.axis)

        log_p = log_softmax(wide, self.axis)
        loss = -xp.take_along_axis(log_p, self.labels, axis=self.axis).squeeze(self.axis)
        if self.smoothing:
            loss = (1 - self.smoothing) * loss - self.smoothing * log_p.mean(axis=self.axis)
        loss = xp.where(counted, loss * self.weight, 0)  # an ignored sample's may be infinite

        if self.reduction == "none":
            return narrowed(loss, x)
        if self.reduction == "sum":
            return narrowed(loss.sum(), x)
        number = self.weight.sum()
        self.weight /= xp.maximum(number, 1)
        return narrowed(loss.sum() / number, x)  # 0/0 if every sample was ignored

    def backward(self, grad_out: Any, x: Any) -> Any:
        xp = module_of(self.weight)
        classes = x.shape[self.axis]
        one_hot = xp.expand_dims(xp.arange(classes), tuple(range(1, x.ndim - self.axis))) == self.labels
        target = one_hot.astype(self.weight.dtype) * (1 - self.smoothing) + self.smoothing / classes
        if self.reduction == "none":
            grad_out = grad_out.reshape(self.labels.shape)
        weight = xp.expand_dims(self.weight, self.axis)
        return narrowed((softmax(widened(x), self.axis) - target) * (grad_out * weight), x)


def cross_entropy(
    logits: Any, target: Any, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
) -> Any:
    """The negative log-likelihood of the target under softmax(logits), as PyTorch's: -sum_c target_c ln softmax_c.

    Args:
        logits: raw scores, not probabilities: (N, C), (N, C, ...) or (C,).
        target: integer labels (N,), (N, ...) or (), each from 0 to C-1; or probabilities in the shape of `logits`.
        ignore_index: samples with this label are left out (labels only).
        reduction: "mean" over the samples counted, "sum", or "none" for one loss per sample.
        label_smoothing: s in [0, 1]; the target becomes (1-s) target + s/C.

    Raises:
        ShapeError, DTypeError, DeviceError: the two do not fit together.
        ValueError: a label is not one of the classes (on a GPU, where finding out would make the program wait, the
            loss and its gradient are NaN instead), or an option is none of those above.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"cross_entropy: expected a reduction out of {', '.join(REDUCTIONS)}; got {reduction!r}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: expected label_smoothing from 0 to 1; got {label_smoothing}")
    scores = logits._data if isinstance(logits, Variable) else asarray(logits)
    goal = target._data if isinstance(target, Variable) else asarray(target)
    if device_of(scores) != device_of(goal) and isinstance(target, (list, tuple, int)):
        goal = module_of(scores).asarray(goal)
    if device_of(scores) != device_of(goal):
        raise DeviceError(
            f"cross_entropy: expected logits and target on one device; got {describe(logits)} and {describe(target)}. "
            f"Move one with .to('numpy') or .to('cupy')"
        )
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
                f"cross_entropy: expected probabilities in the shape of the logits {scores.shape}; got "
                f"{goal.shape}{hint}"
            )
        probabilities = target if isinstance(target, Variable) else goal
        return _with_probabilities(logits, probabilities, axis, classes, reduction, label_smoothing)

    if goal.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: expected integer labels or floating probabilities; got {describe(goal)}")
    expected = scores.shape[:axis] + scores.shape[axis + 1 :]
    if goal.shape != expected:
        raise ShapeError(
            f"cross_entropy: logits {scores.shape} need labels of shape {expected} (one integer per sample, not "
            f"one-hot); got {goal.shape}"
        )
    goal = goal.astype(np.int64)
    if module_of(goal) is np:  # on a GPU this look would make the program wait for the device at every step
        wrong = (goal != ignore_index) & ((goal < 0) | (goal >= classes))
        if wrong.any():
            where = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"cross_entropy: labels must lie from 0 to {classes - 1} for {classes} classes; label "
                f"{int(goal[where])} at position {where[0] if len(where) == 1 else where} does not. If your labels "
                f"start at 1, subtract 1"
            )
    return CrossEntropy(goal, ignore_index, label_smoothing, reduction)(logits)


def _with_probabilities(logits: Any, target: Any, axis: int, classes: int, reduction: str, smoothing: float) -> Any:
    """-sum_c target_c ln softmax(logits)_c; differentiable in both."""
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    return _reduce(negative(sum(multiply(target, log_softmax(logits, axis)), axis=axis)), reduction)


def _reduce(loss: Any, reduction: str) -> Any:
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def mse_loss(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """(prediction - target)^2: its mean, its sum, or ("none") each. The two must have one shape.

    Raises:
        ValueError: `reduction` is none of the three.
        ShapeError: the shapes differ. Broadcasting (N,) against (N, 1) would compare every pair, which nobody means.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"mse_loss: expected a reduction out of {', '.join(REDUCTIONS)}; got {reduction!r}")
    shapes = [tuple(x.shape) if hasattr(x, "shape") else np.shape(x) for x in (prediction, target)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"mse_loss: expected prediction and target of one shape; got {shapes[0]} and {shapes[1]}")
    error = subtract(prediction, target)
    return _reduce(multiply(error, error), reduction)
