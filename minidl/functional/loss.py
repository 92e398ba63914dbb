"""Losses that compare number with number, such as mse_loss and binary_cross_entropy; and what all losses share.

Those of class labels are in `classification.py`. Here input and target have one shape and are both differentiable.
`reduction` is "mean" or "sum" over all, or "none" for one loss each. All raise a ShapeError if the shapes differ ((N,)
against (N, 1) would compare every pair, which nobody means), a DeviceError for a target elsewhere, and a ValueError for
options and values out of range. Values are looked at on the CPU only: on a GPU the program would wait for them.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([0.5, 3.0], requires_grad=True)
>>> F.huber_loss(x, [0.0, 0.0], reduction="sum").backward()
>>> x.grad
Tensor([0.5, 1. ])
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from minidl.autograd.function import Function, Variable, refuse_several
from minidl.backend import device_of, is_array, module_of
from minidl.checks import choice, number
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError, describe
from minidl.functional.activation import Sigmoid, relu, sigmoid, softplus
from minidl.functional.arithmetic import absolute, divide, multiply, subtract
from minidl.functional.exponential import exp, log
from minidl.functional.precision import widened
from minidl.functional.reduction import mean, sum
from minidl.functional.selection import equal, less, masked, maximum, where

REDUCTIONS = ("mean", "sum", "none")


# ---- what all losses share


def reduced(name: str, loss: Any, reduction: str) -> Any:
    """The mean or the sum of `loss`, or itself for "none". The mean of no numbers is NaN."""
    choice(reduction, f"{name}: reduction", REDUCTIONS)
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def raw(x: Any) -> Any:
    """The array in a Tensor; anything else as it is."""
    return x._data if isinstance(x, Variable) else x


def on_one_device(name: str, input: Any, other: Any, what: str = "target") -> tuple[Any, Any]:
    """Each as a Tensor or an array: a list or number goes where the other one is (floats in the other's dtype)."""
    beside = next((raw(x) for x in (input, other) if is_array(raw(x))), None)
    pair: list[Any] = []
    for x in (input, other):
        if not is_array(raw(x)):
            refuse_several(name, x)
            x = np.asarray(x)
            if beside is not None and beside.dtype.kind == x.dtype.kind == "f":
                x = x.astype(beside.dtype)
            x = module_of(beside).asarray(x)
        pair.append(x)
    if device_of(raw(pair[0])) != device_of(raw(pair[1])):
        raise DeviceError(
            f"{name}: expected input and {what} on one device; got {describe(input)} and {describe(other)}. "
            f"Move one with .to('numpy') or .to('cupy')"
        )
    return pair[0], pair[1]


def matched(name: str, input: Any, other: Any, what: str = "target") -> tuple[Any, Any]:
    """`input` and `other` on one device and of one shape; integers beside floats in the dtype of these."""
    input, other = on_one_device(name, input, other, what)
    if input.shape != other.shape:
        raise ShapeError(
            f"{name}: expected input and {what} of one shape; got {tuple(input.shape)} and {tuple(other.shape)}. "
            f"reshape() one of them"
        )
    return input, other.astype(input.dtype) if input.dtype.kind == "f" != other.dtype.kind else other


def check_floating(name: str, what: str, x: Any) -> None:
    """Refuse integers and booleans."""
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: expected floating {what}; got {x.dtype}. Convert: .astype('float32')")


def constant(name: str, what: str, value: Any, input: Any, shape: tuple[int, ...]) -> Any:
    """Weights as a raw array that nobody else writes to, broadcast to `shape`, in the input's dtype; None stays."""
    if value is None:
        return None
    if isinstance(value, Variable) and value._requires_grad:
        raise GraphError(f"{name} takes its {what} as a constant; got one that requires a gradient: detach() it")
    array = raw(on_one_device(name, input, value, what)[1]).astype(input.dtype)
    try:
        return module_of(array).broadcast_to(array, shape)
    except ValueError as error:
        raise ShapeError(f"{name}: expected {what} of shape {shape}; got {array.shape}") from error


def warn_after(x: Any, op: type[Function], message: str) -> None:
    """Warn the caller of a loss if `x` is the result of `op`."""
    if isinstance(x, Variable) and isinstance(x._op, op):
        warnings.warn(message, stacklevel=3)


# ---- distances


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """(input - target)^2.

    A `weight` of the same shape multiplies each; the mean is then over the sum of the weights.
    """
    error = subtract(*matched("mse_loss", input, target))
    return _weighted("mse_loss", multiply(error, error), weight, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """|input - target|: however large the error is, its gradient is -1 or 1. `weight` as in mse_loss."""
    return _weighted("l1_loss", absolute(subtract(*matched("l1_loss", input, target))), weight, reduction)


def _weighted(name: str, loss: Any, weight: Any, reduction: str) -> Any:
    if weight is None:
        return reduced(name, loss, reduction)
    loss, weight = matched(name, loss, weight, "weight")
    result = reduced(name, multiply(loss, weight), reduction)
    return divide(result, mean(weight)) if reduction == "mean" else result


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """e^2 / (2 beta) for errors |e| < beta, else |e| - beta/2 (Girshick, arXiv:1504.08083, eq. 3, with beta = 1).

    The gradient is e / beta, limited to [-1, 1]. With beta = 0 it is l1_loss.
    """
    number(beta, "smooth_l1_loss: beta", 0)
    error = subtract(*matched("smooth_l1_loss", input, target))
    return reduced("smooth_l1_loss", _rounded(error, beta, beta, 1) if beta > 0 else absolute(error), reduction)


def _rounded(error: Any, width: float, radius: float, slope: float) -> Any:
    """slope (|e| - width/2) with the kink at 0 rounded: e^2 / (2 radius) for |e| < width = slope radius."""
    size = absolute(error)
    near = less(size, width)
    small = where(near, error, 0)  # chosen first: the slope of an infinite e^2, unused, would be 0 * infinity
    return where(near, multiply(small, divide(small, 2 * radius)), multiply(subtract(size, width / 2), slope))


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """e^2 / 2 for errors |e| < delta, else delta (|e| - delta/2) (Huber, 1964, Annals of Mathematical Statistics 35).

    The gradient is e, limited to [-delta, delta]: gradient clipping, error by error.
    """
    if number(delta, "huber_loss: delta", above=0) == math.inf:
        raise ValueError("huber_loss: expected a finite delta; without a limit it is mse_loss / 2")
    error = subtract(*matched("huber_loss", input, target))
    return reduced("huber_loss", _rounded(error, delta, 1, delta), reduction)


def hinge_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """max(0, 1 - target * input), the loss of a support vector machine, for targets of -1 and +1.

    It is 0 for a score on the right side with a margin of 1. For several classes: multi_margin_loss.
    """
    input, target = matched("hinge_loss", input, target)
    sides = raw(target)
    if module_of(sides) is np and ((sides != 1) & (sides != -1)).any():
        raise ValueError(
            f"hinge_loss: expected targets of -1 and +1; got values from {sides.min():g} to {sides.max():g}. "
            f"Labels of 0 and 1 become these by 2 * target - 1"
        )
    return reduced("hinge_loss", relu(subtract(1, multiply(target, input))), reduction)


# ---- probabilities


class BCE(Function):
    """L = -t ln x - (1 - t) ln(1 - x), so dL/dx = (1 - t) / (1 - x) - t / x and dL/dt = ln(1 - x) - ln x.

    A certain prediction that is wrong would cost infinity: as in PyTorch the logarithms of L end at -100, and the
    denominators of its slope at 1e-12. Where it is right the slope is 0, as there.
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any, t: Any) -> Any:
        xp = module_of(x)
        wide = widened(x)
        loss = -t * xp.maximum(xp.log(wide), -100) - (1 - t) * xp.maximum(xp.log1p(-wide), -100)
        return loss.astype(np.result_type(x.dtype, t.dtype))

    def backward(self, grad_out: Any, x: Any, t: Any) -> Any:
        wide, grad_x, grad_t = widened(x), None, None
        if self.needs(0):
            goal = widened(t)
            slope = (1 - goal) / maximum(1 - wide, 1e-12) - goal / maximum(wide, 1e-12)
            grad_x = grad_out * masked(slope, (wide != goal) | (wide * (1 - wide) > 0))
        if self.needs(1):
            grad_t = grad_out * (log(1 - wide) - log(wide))
        return grad_x, grad_t


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """-target ln(input) - (1 - target) ln(1 - input), for probabilities: what comes out of a sigmoid.

    From raw scores use binary_cross_entropy_with_logits, which is exact also where a sigmoid has become 0 or 1.

    Args:
        input, target: numbers from 0 to 1.
        weight: a constant that multiplies each loss and broadcasts to the input. The mean is over all, as without.
        reduction: "mean", "sum" or "none".
    """
    name = "binary_cross_entropy"
    input, target = matched(name, input, target)
    check_floating(name, "input", input)
    _check_probabilities(name, "input", input, ". For raw scores (logits) use binary_cross_entropy_with_logits")
    _check_probabilities(name, "target", target)
    weight = constant(name, "weight", weight, input, input.shape)
    loss = BCE()(input, target)
    return reduced(name, loss if weight is None else multiply(loss, weight), reduction)


class BCEWithLogits(Function):
    """L = p t softplus(-x) + (1 - t) softplus(x), so dL/dx = sigmoid(x) (p t + 1 - t) - p t: for p = 1, sigmoid(x) - t.

    softplus(-x) is -ln sigmoid(x), and softplus(x) is -ln(1 - sigmoid(x)). dL/dt = p softplus(-x) - softplus(x).
    """

    saves_inputs = True
    __slots__ = ("p",)

    def __init__(self, p: Any) -> None:
        self.p = p

    def forward(self, x: Any, t: Any) -> Any:
        xp = module_of(x)
        wide = widened(x)
        rest = xp.log1p(xp.exp(-abs(wide)))  # softplus(x) = max(x, 0) + rest
        positive = t if self.p is None else self.p * t
        loss = positive * (xp.maximum(-wide, 0) + rest) + (1 - t) * (xp.maximum(wide, 0) + rest)
        return loss.astype(np.result_type(x.dtype, t.dtype))

    def backward(self, grad_out: Any, x: Any, t: Any) -> Any:
        grad_x = grad_t = None
        if self.needs(0) and self.p is None:
            grad_x = grad_out * (sigmoid(x) - t)
        elif self.needs(0):
            positive = self.p * t
            grad_x = grad_out * (sigmoid(x) * (positive + 1 - t) - positive)
        if self.needs(1):
            grad_t = grad_out * (-x if self.p is None else self.p * softplus(-x) - softplus(x))
        return grad_x, grad_t


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """binary_cross_entropy of sigmoid(input), without the sigmoid: exact for all scores.

    Args:
        input: raw scores (logits), not probabilities.
        target: numbers from 0 to 1.
        weight, reduction: as in binary_cross_entropy.
        pos_weight: p, a constant that multiplies the term of the positives and broadcasts likewise. With p = (number
            of 0) / (number of 1) the few positives count together as much as the many negatives.
    """
    name = "binary_cross_entropy_with_logits"
    input, target = matched(name, input, target)
    check_floating(name, "logits", input)
    warn_after(input, Sigmoid, f"{name} applies sigmoid itself; it was given the result of sigmoid. Pass it raw scores")
    _check_probabilities(name, "target", target)
    weight = constant(name, "weight", weight, input, input.shape)
    loss = BCEWithLogits(constant(name, "pos_weight", pos_weight, input, input.shape))(input, target)
    return reduced(name, loss if weight is None else multiply(loss, weight), reduction)


def _check_probabilities(name: str, what: str, x: Any, remedy: str = "") -> None:
    values = raw(x)
    if module_of(values) is np and values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"{name}: expected {what} from 0 to 1; got values from {values.min():g} to {values.max():g}{remedy}"
        )


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """target (ln(target) - input), the Kullback-Leibler divergence from a prediction to the target; 0 for target 0.

    Args:
        input: log-probabilities, such as log_softmax gives.
        target: probabilities, or with `log_target` their logarithms.
        reduction: "batchmean", the divergence itself: the sum over the number of samples (the first axis); "mean", as
            PyTorch's over every number, so C times less; "sum" or "none".
        log_target: whether the target is given as logarithms.
    """
    choice(reduction, "kl_div: reduction", (*REDUCTIONS, "batchmean"))
    input, target = matched("kl_div", input, target)
    if log_target:
        loss = multiply(exp(target), subtract(target, input))
    else:
        loss = multiply(target, subtract(log(where(equal(target, 0), 1, target)), input))
    if reduction == "batchmean":
        return divide(sum(loss), input.shape[0] if input.ndim else 1)
    return reduced("kl_div", loss, reduction)
