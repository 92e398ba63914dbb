"""The losses as modules: `criterion = nn.CrossEntropyLoss()`, then `criterion(model(x), labels)`.

Formula, shapes and errors of each are at its function in `minidl.functional`. All take a `reduction`: "mean" or "sum"
over all losses, or "none" to return each of them. Weights are buffers: saved with the state, and moved by `to`.
"""

from __future__ import annotations

import math
from typing import Any

from minidl import functional as F
from minidl.checks import choice, number, whole, yes_or_no
from minidl.functional.margin import POWERS
from minidl.functional.targets import REDUCTIONS
from minidl.nn.display import options_text
from minidl.nn.module import Module
from minidl.settings import Setting
from minidl.tensors.tensor import Tensor
from minidl.types import TensorLike


def positive(value: Any, name: str) -> Any:
    """A number above 0."""
    return number(value, name, above=0)


class Loss(Module):
    """A loss with its reduction and, where a subclass takes one, its weight (None to count all alike)."""

    weight: Tensor | None
    reduction = Setting(choice, REDUCTIONS)

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def keep_weight(self, name: str, weight: TensorLike | None) -> None:
        """Keep `weight`, a Tensor, array or list, as the buffer `name`; None becomes an attribute that has no state."""
        if weight is None:
            setattr(self, name, None)
        else:
            self.register_buffer(name, weight)

    def extra_repr(self) -> str:
        return options_text(self)


class CrossEntropyLoss(Loss):
    """The cross-entropy of the softmax of raw scores (N, C, ...) against labels or probabilities: cross_entropy.

    Args:
        weight: (C,), how much each class counts.
        ignore_index: samples with this label are left out.
        reduction: as in all losses.
        label_smoothing: s in [0, 1]; the target becomes (1-s) target + s/C.
    """

    ignore_index = Setting(whole, -math.inf)
    label_smoothing = Setting(number, 0, 1)

    def __init__(
        self,
        weight: TensorLike | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.keep_weight("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(Loss):
    """The negative log-likelihood of labels under log-probabilities (N, C, ...), as LogSoftmax gives them: nll_loss.

    Args:
        weight: (C,), how much each class counts.
        ignore_index: samples with this label are left out.
        reduction: as in all losses.
    """

    ignore_index = Setting(whole, -math.inf)

    def __init__(self, weight: TensorLike | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.keep_weight("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class MultiMarginLoss(Loss):
    """The hinge loss for several classes, of scores (N, C) against labels: multi_margin_loss.

    Args:
        p: 1 or 2, the power.
        margin: by how much the score of the right class has to exceed the others.
        weight: (C,), how much each class counts.
        reduction: as in all losses.
    """

    p = Setting(choice, POWERS)
    margin = Setting(number)

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: TensorLike | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.p = p
        self.margin = margin
        self.keep_weight("weight", weight)

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)


class BCELoss(Loss):
    """The cross-entropy of probabilities of yes or no, as Sigmoid gives them: binary_cross_entropy.

    Args:
        weight: multiplies each loss; it broadcasts to the input.
        reduction: as in all losses.
    """

    def __init__(self, weight: TensorLike | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.keep_weight("weight", weight)

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(Loss):
    """BCELoss of the sigmoid of raw scores, without overflow for large ones: binary_cross_entropy_with_logits.

    Args:
        weight: multiplies each loss; it broadcasts to the input.
        reduction: as in all losses.
        pos_weight: multiplies the term of the positives; it broadcasts likewise.
    """

    pos_weight: Tensor | None

    def __init__(self, weight: TensorLike | None = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self.keep_weight("weight", weight)
        self.keep_weight("pos_weight", pos_weight)

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class MSELoss(Loss):
    """(input - target)^2."""

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.mse_loss(input, target, self.reduction)


class L1Loss(Loss):
    """|input - target|."""

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.l1_loss(input, target, self.reduction)


class SmoothL1Loss(Loss):
    """e^2 / (2 beta) for errors below beta, else |e| - beta/2: smooth_l1_loss."""

    beta = Setting(number, 0)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """e^2 / 2 for errors up to delta, else delta (|e| - delta/2): huber_loss."""

    delta = Setting(positive)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.huber_loss(input, target, self.reduction, self.delta)


class HingeLoss(Loss):
    """max(0, 1 - target * input) for targets of -1 and +1: hinge_loss."""

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.hinge_loss(input, target, self.reduction)


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence from log-probabilities to the target: kl_div.

    Args:
        reduction: also "batchmean", the divergence itself; "mean" is over every number, as PyTorch's.
        log_target: whether the target is given as logarithms.
    """

    reduction = Setting(choice, (*REDUCTIONS, "batchmean"))
    log_target = Setting(yes_or_no)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = yes_or_no(log_target, "KLDivLoss: log_target")

    def forward(self, input: TensorLike, target: TensorLike) -> TensorLike:
        return F.kl_div(input, target, self.reduction, self.log_target)
