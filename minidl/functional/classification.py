"""cross_entropy: the loss of scores for C classes against labels.

The scores have shape (N, C), (N, C, ...) or (C,), the labels (N,), (N, ...) or (). The common case, one label for each
row of (N, C), is the class `CrossEntropy`; all further ones are in `likelihood.py`.

>>> import minidl as md, minidl.functional as F
>>> logits = md.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
>>> loss = F.cross_entropy(logits, [0, 0])
>>> round(loss.item(), 4)
1.1269
"""

from __future__ import annotations

import math

from minidl.autograd.function import Function
from minidl.backend import may_contain, module_of
from minidl.checks import choice, number, whole
from minidl.functional.counting import divisions, noted
from minidl.functional.labels import checked_labels, class_axis, scores_and_target
from minidl.functional.likelihood import GeneralCrossEntropy, against_probabilities
from minidl.functional.precision import narrowed, widened
from minidl.functional.probabilities import Softmax, log_softmax, softmax
from minidl.functional.targets import REDUCTIONS, constant, warn_after
from minidl.types import Array, ArrayOrTensor, TensorLike


class CrossEntropy(Function):
    """L = -sum_n ln p_n[y_n] / count, with p = softmax(x), so dL/dx_n = (p_n - one_hot(y_n)) / count.

    Of scores x (N, C) and labels y (N,). `count` is N for the mean over the samples, 1 for their sum.
    """

    saves_inputs = True
    __slots__ = ("count", "labels")

    def __init__(self, labels: Array, reduction: str) -> None:
        self.labels = labels
        self.count = len(labels) if reduction == "mean" else 1

    def divisor(self, x: ArrayOrTensor) -> int:
        return self.count

    def forward(self, x: Array) -> Array:
        log_p = log_softmax(widened(x), axis=1)
        rows = module_of(x).arange(len(x))
        return narrowed(-log_p[rows, self.labels].sum() / self.count, x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        p = softmax(widened(x), axis=1)
        one_hot = self.labels[:, None] == module_of(self.labels).arange(x.shape[1])
        return narrowed((p - one_hot) * (widened(grad_out) / self.count), x)


def cross_entropy(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> TensorLike:
    """The negative log-likelihood of the target under softmax(input): -sum_c weight_c target_c ln softmax_c.

    Args:
        input: raw scores (logits), not probabilities.
        target: integer labels from 0 to C-1; or probabilities in the shape of `input`.
        weight: (C,), what each class counts. As in PyTorch the mean over labels is then over the sum of the labels'
            weights, the mean over probabilities as ever over the number of samples.
        ignore_index: samples with this label are left out (labels only).
        reduction: "mean" over the samples counted, "sum", or "none" for one loss per sample.
        label_smoothing: s in [0, 1]; the target becomes (1-s) target + s/C.

    Raises:
        ShapeError, DTypeError, DeviceError: input, target and weight do not fit together.
        ValueError: a label is no class, or an option is out of range. On a GPU, where looking at the labels would make
            the program wait at every step, the loss and its gradient are NaN instead.
        GraphError: the weight requires a gradient.
    """
    choice(reduction, "cross_entropy: reduction", REDUCTIONS)
    label_smoothing = number(label_smoothing, "cross_entropy: label_smoothing", 0, 1)
    logits, target = scores_and_target("cross_entropy", "logits", input, target)
    warn_after(logits, Softmax, "cross_entropy applies softmax itself; it was given its result. Pass it the raw scores")
    if weight is not None:
        weight = constant("cross_entropy", "weight", weight, logits, (logits.shape[class_axis(logits.ndim)],))
    if target.dtype.kind == "f":
        return against_probabilities(logits, target, weight, reduction, label_smoothing)

    ignored = whole(ignore_index, "cross_entropy: ignore_index", -math.inf)
    labels = checked_labels("cross_entropy", logits, target, ignored)
    one_number_of_rows = logits.ndim == 2 and reduction != "none"
    if one_number_of_rows and weight is None and not label_smoothing and not may_contain(labels, ignored):
        op: CrossEntropy | GeneralCrossEntropy = CrossEntropy(labels, reduction)
    else:
        op = GeneralCrossEntropy(labels, ignored, weight, reduction, label_smoothing)
    loss = op(logits)
    if divisions() is not None:
        loss = noted(loss, reduction, op.divisor(logits), ignored)
    return loss
