"""hinge_loss and multi_margin_loss: 0 for a score that is right by a margin, as in a support vector machine.

>>> import minidl as md, minidl.functional as F
>>> F.hinge_loss(md.tensor([0.5, 2.0]), [1, 1], reduction="none")
Tensor([0.5, 0. ])
"""

from __future__ import annotations

from minidl.backend import module_of
from minidl.checks import choice
from minidl.errors import ShapeError
from minidl.functional.activation import relu
from minidl.functional.arithmetic import multiply, subtract
from minidl.functional.broadcasting import sum
from minidl.functional.comparison import equal, logical_and, logical_or
from minidl.functional.labels import checked_labels, counts_of, scores_and_target
from minidl.functional.reduction import mean
from minidl.functional.selection import where
from minidl.functional.targets import check_sides, comparable, constant, reduced
from minidl.types import TensorLike


def hinge_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> TensorLike:
    """max(0, 1 - target * input), the loss of a support vector machine, for targets of -1 and +1.

    It is 0 for a score on the right side with a margin of 1. For several classes: multi_margin_loss.

    Raises:
        ShapeError, DeviceError: input and target differ in shape or device.
        ValueError: a target is neither -1 nor 1 (not noticed on a GPU), or the reduction is unknown.
    """
    input, target = comparable("hinge_loss", input, target)
    check_sides("hinge_loss", target)
    return reduced("hinge_loss", relu(subtract(1, multiply(target, input))), reduction)


POWERS = (1, 2)  # what multi_margin_loss's option `p` may be


def multi_margin_loss(
    input: TensorLike,
    target: TensorLike,
    p: int = 1,
    margin: float = 1.0,
    weight: TensorLike = None,
    reduction: str = "mean",
) -> TensorLike:
    """sum_(c != label) max(0, margin - input_label + input_c)^p / C, the hinge loss of several classes.

    It is 0 where the label's score leads all others by the margin (Weston and Watkins, 1999).

    Args:
        input: scores, (N, C) or (C,).
        target: integer labels from 0 to C-1.
        p: 1 or 2.
        margin: by how much the right class has to lead.
        weight: (C,), multiplies the losses of the samples of each class. The mean stays over N.
        reduction: "mean", "sum", or "none" for one loss per sample.

    Raises:
        ShapeError, DTypeError, DeviceError: input and target do not fit together.
        ValueError: a label is no class (on a GPU the loss is NaN instead), or an option is unknown.
    """
    choice(p, "multi_margin_loss: p", POWERS)
    input, target = scores_and_target("multi_margin_loss", "scores", input, target)
    if input.ndim > 2:
        raise ShapeError(f"multi_margin_loss: expected scores of shape (N, C) or (C,); got {input.shape}")
    classes = input.shape[-1]
    labels, counts = counts_of(checked_labels("multi_margin_loss", input, target), classes)
    weight = constant("multi_margin_loss", "weight", weight, input, (classes,))

    own = labels[..., None] == module_of(labels).arange(classes)
    lead = subtract(sum(where(own, input, 0), axis=-1, keepdims=True), input)
    counts = counts.astype(input.dtype)
    if weight is not None:
        counts = counts * weight.take(labels)
    missing = relu(subtract(margin, lead))
    nothing = logical_and((counts == 0)[..., None], equal(missing, missing))  # NaN stays; 0 times infinity would be NaN
    missing = where(logical_or(own, nothing), 0, missing)
    loss = mean(missing if p == 1 else multiply(missing, missing), axis=-1)
    return reduced("multi_margin_loss", multiply(loss, counts), reduction)
