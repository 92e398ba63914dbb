"""Losses of scores for C classes against integer labels: cross_entropy, nll_loss, multi_margin_loss.

The scores have shape (N, C), (N, C, ...) or (C,), the labels (N,), (N, ...) or (). All raise a ShapeError, DTypeError
or DeviceError if the two do not fit together, and a ValueError for labels that are no class. On a GPU, where looking
for these would make the program wait at every step, the loss and its gradient are NaN instead.

>>> import minidl as md, minidl.functional as F
>>> logits = md.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
>>> loss = F.cross_entropy(logits, [0, 0])
>>> round(loss.item(), 4)
1.1269
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import choice, number, whole
from minidl.errors import DTypeError, ShapeError, describe
from minidl.fast.gpu import kernels
from minidl.functional.activation import relu
from minidl.functional.arithmetic import add, multiply, negative, subtract
from minidl.functional.loss import REDUCTIONS, check_floating, constant, on_one_device, raw, reduced, warn_after
from minidl.functional.precision import narrowed, widened
from minidl.functional.probabilities import Softmax, log_softmax, softmax
from minidl.functional.reduction import mean, sum
from minidl.functional.selection import where


class _Likelihood(Function):
    """L_n = -sum_c q_nc w_c l_nc for log-probabilities l and class weights w (1 if there are none).

    q is one-hot at the label, or smoothed towards 1/C: q_nc = (1 - s) [c = label_n] + s / C. The mean is
    sum_n L_n / sum_n w_(label_n) over the samples that are not ignored; over none it is NaN, with a gradient of 0.

    Attributes:
        labels: int64, with an axis of length 1 where l has its classes.
        share: what each sample's loss counts in the result: 1, or 0 if ignored; over the denominator for the mean.
        weight, classes: w and the numbers 0 to C-1, in the shape in which they broadcast with l.
    """

    __slots__ = ("axis", "classes", "labels", "reduction", "share", "smoothing", "weight")

    def __init__(self, labels: Any, share: Any, weight: Any, reduction: str, smoothing: float = 0.0) -> None:
        self.labels = labels
        self.share = share
        self.weight = weight
        self.reduction = reduction
        self.smoothing = smoothing

    def total(self, log_p: Any) -> Any:
        """The reduced loss, in the dtype of the (widened) log-probabilities."""
        xp = module_of(log_p)
        axis = self.axis = class_axis(log_p)
        self.classes = along_classes(xp.arange(log_p.shape[axis]), log_p)
        self.labels, share = xp.expand_dims(self.labels, axis), xp.expand_dims(widened(self.share), axis)
        loss, spread, number = -xp.take_along_axis(log_p, self.labels, axis=axis), log_p, share
        if self.weight is not None:
            label_weight = self.weight.take(self.labels)
            self.weight = along_classes(self.weight, log_p)
            loss, spread, number = loss * label_weight, log_p * self.weight, share * label_weight
        if self.smoothing:
            loss = (1 - self.smoothing) * loss - self.smoothing * spread.mean(axis=axis, keepdims=True)
        loss = xp.where(share == 0, 0, loss * share)  # an ignored sample's may be infinite
        self.share = share if self.reduction != "mean" else xp.where(share == 0, 0, share / number.sum())
        if self.reduction == "none":
            return loss.squeeze(axis)
        return loss.sum() if self.reduction == "sum" else loss.sum() / number.sum()  # 0/0 if every sample was ignored

    def goal(self) -> Any:
        """q_nc w_c."""
        one_hot = (self.classes == self.labels).astype(self.share.dtype)
        goal = one_hot * (1 - self.smoothing) + self.smoothing / self.classes.size
        return goal if self.weight is None else goal * self.weight

    def spread(self, grad_out: Any) -> Any:
        """The gradient that arrives at each L_n, with the axis for the classes."""
        return (grad_out.reshape(self.share.shape) if self.reduction == "none" else grad_out) * self.share


class NLL(_Likelihood):
    """The likelihood of l itself, so dL_n/dl_nc = -q_nc w_c."""

    __slots__ = ()

    def forward(self, log_p: Any) -> Any:
        return narrowed(self.total(widened(log_p)), log_p)

    def backward(self, grad_out: Any) -> Any:
        return narrowed(self.spread(grad_out) * -self.goal(), grad_out)


class CrossEntropy(_Likelihood):
    """The likelihood of l = ln softmax(x), so dL_n/dx_nc = softmax(x_n)_c sum_k q_nk w_k - q_nc w_c.

    Without weights that sum is 1: the gradient is what the network believes less what it should.
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        return narrowed(self.total(log_softmax(widened(x), class_axis(x))), x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        goal = self.goal()
        belief = softmax(widened(x), self.axis)
        if self.weight is not None:
            belief = belief * goal.sum(axis=self.axis, keepdims=True)
        return narrowed((belief - goal) * self.spread(grad_out), x)


class CrossEntropyRows(Function):
    """What `CrossEntropy` computes, of scores (N, C) on a GPU, without class weights: a launch each way.

    `counted` is how many samples are not ignored, or NaN if a label is no class; it stays on the device.
    """

    saves_inputs = True
    __slots__ = ("counted", "ignored", "labels", "reduction", "smoothing")

    def __init__(self, labels: Any, ignored: int, reduction: str, smoothing: float) -> None:
        self.labels = labels
        self.ignored = ignored
        self.reduction = reduction
        self.smoothing = smoothing

    def forward(self, x: Any) -> Any:
        mean = self.reduction == "mean"
        loss, self.counted = kernels.cross_entropy(x, self.labels, self.ignored, self.smoothing, mean)
        return loss

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            options = self.ignored, self.smoothing, self.reduction == "mean"
            return kernels.cross_entropy_gradient(x, self.labels, grad_out, self.counted, *options)
        counts = labels_that_count(x, self.labels, self.ignored, "cross_entropy")
        plain = CrossEntropy(*counts, None, self.reduction, self.smoothing)
        plain.forward(x._data)
        return plain.backward(grad_out, x)


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """-weight_label input_label: the negative log-likelihood of the labels. Of log_softmax(x) it is cross_entropy of x.

    Args:
        input: log-probabilities, from log_softmax. Others are not noticed, but for the result of softmax itself, which
            gives a warning: a loss below 0 says that they are none.
        target: integer labels from 0 to C-1.
        weight: (C,), what each class counts.
        ignore_index: samples with this label are left out.
        reduction: "mean" over the weights of the labels counted, "sum", or "none" for one loss per sample.
    """
    choice(reduction, "nll_loss: reduction", REDUCTIONS)
    input, target = _scores("nll_loss", "log-probabilities", input, target)
    warn_after(input, Softmax, "nll_loss needs log-probabilities; it was given the result of softmax: use log_softmax")
    weight = constant("nll_loss", "weight", weight, input, (input.shape[class_axis(input)],))
    return NLL(*checked_labels("nll_loss", input, target, ignore_index), weight, reduction)(input)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The negative log-likelihood of the target under softmax(input): -sum_c weight_c target_c ln softmax_c.

    Args:
        input: raw scores (logits), not probabilities.
        target: integer labels from 0 to C-1; or probabilities in the shape of `input`.
        weight: (C,), what each class counts. As in PyTorch the mean over labels is then over the sum of the labels'
            weights, the mean over probabilities as ever over the number of samples.
        ignore_index: samples with this label are left out (labels only).
        reduction: "mean" over the samples counted, "sum", or "none" for one loss per sample.
        label_smoothing: s in [0, 1]; the target becomes (1-s) target + s/C.
    """
    choice(reduction, "cross_entropy: reduction", REDUCTIONS)
    number(label_smoothing, "cross_entropy: label_smoothing", 0, 1)
    logits, target = _scores("cross_entropy", "logits", input, target)
    warn_after(logits, Softmax, "cross_entropy applies softmax itself; it was given its result. Pass it the raw scores")
    axis = class_axis(logits)
    weight = constant("cross_entropy", "weight", weight, logits, (logits.shape[axis],))
    if target.dtype.kind != "f":
        if kernels.on_device(raw(logits)) and logits.ndim == 2 and weight is None and reduction != "none":
            check_labels("cross_entropy", logits, target)
            ignored = whole(ignore_index, "cross_entropy: ignore_index", -math.inf)
            return CrossEntropyRows(raw(target).astype(np.int64), ignored, reduction, label_smoothing)(logits)
        labels, share = checked_labels("cross_entropy", logits, target, ignore_index)
        return CrossEntropy(labels, share, weight, reduction, label_smoothing)(logits)

    if target.shape != logits.shape:
        hint = ". Labels must be integers: target.astype(int)" if target.ndim == logits.ndim - 1 else ""
        raise ShapeError(
            f"cross_entropy: expected probabilities in the shape of the logits {logits.shape}; got {target.shape}{hint}"
        )
    if label_smoothing:
        target = add(multiply(target, 1 - label_smoothing), label_smoothing / logits.shape[axis])
    if weight is not None:
        target = multiply(target, along_classes(weight, logits))
    return reduced("cross_entropy", negative(sum(multiply(target, log_softmax(logits, axis)), axis=axis)), reduction)


POWERS = (1, 2)  # of multi_margin_loss


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """sum_(c != label) max(0, margin - input_label + input_c)^p / C, the hinge loss of several classes.

    It is 0 where the label's score leads all others by the margin (Weston and Watkins, 1999).

    Args:
        input: scores, (N, C) or (C,).
        target: integer labels from 0 to C-1.
        p: 1 or 2.
        margin: by how much the right class has to lead.
        weight: (C,), multiplies the losses of the samples of each class. The mean stays over N.
        reduction: "mean", "sum", or "none" for one loss per sample.
    """
    choice(p, "multi_margin_loss: p", POWERS)
    input, target = _scores("multi_margin_loss", "scores", input, target)
    if input.ndim > 2:
        raise ShapeError(f"multi_margin_loss: expected scores of shape (N, C) or (C,); got {input.shape}")
    labels, share = checked_labels("multi_margin_loss", input, target)
    weight = constant("multi_margin_loss", "weight", weight, input, input.shape[-1:])
    own = labels[..., None] == module_of(labels).arange(input.shape[-1])
    lead = subtract(sum(where(own, input, 0), axis=-1, keepdims=True), input)
    missing = where(own, 0, relu(subtract(margin, lead)))
    loss = mean(missing if p == 1 else multiply(missing, missing), axis=-1)
    counts = share if weight is None else share * weight.take(labels)
    return reduced("multi_margin_loss", multiply(loss, counts), reduction)


# ---- scores and their labels


def class_axis(scores: Any) -> int:
    """The axis of the classes: 1 of (N, C, ...), 0 of (C,)."""
    return 0 if scores.ndim == 1 else 1


def along_classes(values: Any, scores: Any) -> Any:
    """One value for each class, (C,), in the shape in which it broadcasts with the scores."""
    return values.reshape((-1, *[1] * (scores.ndim - class_axis(scores) - 1)))


def _scores(name: str, what: str, input: Any, target: Any) -> tuple[Any, Any]:
    input, target = on_one_device(name, input, target)
    check_floating(name, what, input)
    if input.ndim == 0:
        raise ShapeError(f"{name}: expected {what} of shape (N, C); got a single number, shape ()")
    return input, target


def checked_labels(name: str, scores: Any, target: Any, ignore_index: int | None = None) -> tuple[Any, Any]:
    """`labels_that_count`, of labels whose shape and dtype fit the scores."""
    check_labels(name, scores, target)
    if ignore_index is not None:
        ignore_index = whole(ignore_index, f"{name}: ignore_index", -math.inf)
    return labels_that_count(scores, raw(target), ignore_index, name)


def check_labels(name: str, scores: Any, target: Any) -> None:
    """Refuse labels that do not fit the scores in shape and dtype."""
    axis = class_axis(scores)
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{name}: expected integer labels; got {describe(target)}. Convert them: target.astype(int)")
    expected = scores.shape[:axis] + scores.shape[axis + 1 :]
    if target.shape != expected:
        raise ShapeError(
            f"{name}: scores {scores.shape} need labels of shape {expected} (one integer per sample, not one-hot: "
            f"of one-hot rows take target.argmax(1)); got {target.shape}"
        )


def labels_that_count(scores: Any, target: Any, ignored: int | None, name: str) -> tuple[Any, Any]:
    """The labels as new raw arrays: (int64 that can be looked up, what each sample counts).

    A sample counts 1; 0 if its label is `ignored`; and NaN, on a GPU, if its label is no class.
    """
    classes = scores.shape[class_axis(scores)]
    labels = target.astype(np.int64)
    xp = module_of(labels)
    counted = xp.ones_like(labels, dtype=bool) if ignored is None else labels != ignored
    wrong = counted & ((labels < 0) | (labels >= classes))
    share = counted.astype(scores.dtype)
    if xp is not np:  # a look at `wrong` would make the program wait for the device
        share = xp.where(wrong, np.nan, share)
    elif wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}: labels must lie from 0 to {classes - 1} for {classes} classes; label {int(labels[place])} at "
            f"position {place[0] if len(place) == 1 else place} does not. If your labels start at 1, subtract 1"
        )
    return xp.where(share == 1, labels, 0), share
