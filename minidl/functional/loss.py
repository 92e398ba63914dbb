"""Losses that compare number with number, such as mse_loss and binary_cross_entropy.

Input and target have one shape, and both get a gradient; two arrays of integers are computed in float64. `reduction`
is "mean" or "sum" over all, or "none" for one loss each. All raise a ShapeError if the shapes differ ((N,) against
(N, 1) would compare every pair, which nobody means), a DeviceError for a target on another device, and a ValueError for
options and values out of range. The values are looked at on the CPU only: on a GPU the program would wait for them.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([0.5, 3.0], requires_grad=True)
>>> F.huber_loss(x, [0.0, 0.0], reduction="sum").backward()
>>> x.grad
Tensor([0.5, 1. ])
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import choice, number, yes_or_no
from minidl.functional.activation import Sigmoid, sigmoid, softplus
from minidl.functional.arithmetic import absolute, divide, multiply, subtract
from minidl.functional.broadcasting import sum
from minidl.functional.comparison import equal, less, logical_and, logical_or, not_equal
from minidl.functional.counting import divisions, noted
from minidl.functional.exponential import exp, log
from minidl.functional.masking import masked
from minidl.functional.precision import widened
from minidl.functional.reduction import mean
from minidl.functional.selection import maximum, where
from minidl.functional.targets import (
    REDUCTIONS,
    check_floating,
    check_probabilities,
    comparable,
    constant,
    matched,
    raw,
    reduced,
    warn_after,
    weigh,
)
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike

# ---- distances


def mse_loss(input: TensorLike, target: TensorLike, reduction: str = "mean", weight: TensorLike = None) -> TensorLike:
    """(input - target)^2.

    A `weight` of the same shape multiplies each; the mean is then over the sum of the weights.
    """
    return _weighted("mse_loss", _square, subtract(*comparable("mse_loss", input, target)), weight, reduction)


def l1_loss(input: TensorLike, target: TensorLike, reduction: str = "mean", weight: TensorLike = None) -> TensorLike:
    """|input - target|: however large the error is, its gradient is -1 or 1. `weight` as in mse_loss."""
    return _weighted("l1_loss", _size, subtract(*comparable("l1_loss", input, target)), weight, reduction)


def _square(error: TensorLike, weight: TensorLike = None) -> TensorLike:
    # Weighted before it is squared: 0 times a square that overflows would be NaN.
    return multiply(error if weight is None else multiply(error, weight), error)


def _size(error: TensorLike, weight: TensorLike = None) -> TensorLike:
    return absolute(error) if weight is None else multiply(absolute(error), weight)


def _weighted(
    name: str, cost: Callable[..., TensorLike], error: TensorLike, weight: TensorLike, reduction: str
) -> TensorLike:
    """The cost of the errors, reduced. An infinite error of weight 0 does not count."""
    if weight is None:
        return reduced(name, cost(error), reduction)
    error, weight = matched(name, error, weight, "weight")
    counts = logical_or(not_equal(weight, 0), not_equal(absolute(error), math.inf))
    result = reduced(name, cost(where(counts, error, 0), weight), reduction)
    if reduction != "mean":
        return result
    result = divide(result, mean(weight))
    return result if divisions() is None else noted(result, reduction, raw(weight).sum(dtype=np.float64))


def smooth_l1_loss(input: TensorLike, target: TensorLike, reduction: str = "mean", beta: float = 1.0) -> TensorLike:
    """e^2 / (2 beta) for errors |e| < beta, else |e| - beta/2 (Girshick, arXiv:1504.08083, eq. 3, with beta = 1).

    The gradient is e / beta, limited to [-1, 1]. With beta = 0 it is l1_loss.
    """
    number(beta, "smooth_l1_loss: beta", 0)
    error = subtract(*comparable("smooth_l1_loss", input, target))
    loss = _rounded(error, beta, beta, 1) if beta > 0 else absolute(error)
    return reduced("smooth_l1_loss", loss, reduction)


def _rounded(error: TensorLike, width: float, radius: float, slope: float) -> TensorLike:
    """e^2 / (2 radius) for |e| < width, else slope (|e| - width/2); with width = slope radius the two meet smoothly."""
    size = absolute(error)
    near = less(size, width)
    small = where(near, error, 0)  # before it is squared: the slope of an infinite e^2 would be NaN, also unused
    return where(near, multiply(small, divide(small, 2 * radius)), multiply(subtract(size, width / 2), slope))


def huber_loss(input: TensorLike, target: TensorLike, reduction: str = "mean", delta: float = 1.0) -> TensorLike:
    """e^2 / 2 for errors |e| < delta, else delta (|e| - delta/2) (Huber, 1964, Annals of Mathematical Statistics 35).

    The gradient is e, limited to [-delta, delta]: gradient clipping, error by error.
    """
    if number(delta, "huber_loss: delta", above=0) == math.inf:
        raise ValueError("huber_loss: expected a finite delta; without a limit it is mse_loss / 2")
    error = subtract(*comparable("huber_loss", input, target))
    return reduced("huber_loss", _rounded(error, delta, 1, delta), reduction)


# ---- probabilities


class BCE(Function):
    """L = -t ln x - (1 - t) ln(1 - x), so dL/dx = (1 - t) / (1 - x) - t / x and dL/dt = ln(1 - x) - ln x.

    A prediction of exactly 0 or 1 that is wrong would cost infinity. As in PyTorch no logarithm in L is taken to be
    less than -100, and so none in dL/dt; and no denominator in dL/dx less than 1e-12. Where such a prediction is right
    dL/dx is 0, as there.
    """

    saves_inputs = True
    reads = ((0, 1), (0,))
    __slots__ = ()

    def forward(self, x: Array, t: Array) -> Array:
        xp = module_of(x)
        wide = widened(x)
        loss = -t * xp.maximum(xp.log(wide), -100) - (1 - t) * xp.maximum(xp.log1p(-wide), -100)
        return loss.astype(np.result_type(x.dtype, t.dtype))

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, t: ArrayOrTensor) -> Gradients:
        wide, grad_x, grad_t = widened(x), None, None
        if self.needs(0):
            goal = widened(t)
            slope = (1 - goal) / maximum(1 - wide, 1e-12) - goal / maximum(wide, 1e-12)
            grad_x = grad_out * masked(slope, (wide != goal) | (wide * (1 - wide) > 0))
        if self.needs(1):
            grad_t = grad_out * (_logarithm(1 - wide) - _logarithm(wide))
        return grad_x, grad_t


def _logarithm(p: ArrayOrTensor) -> ArrayOrTensor:
    """ln p, but not less than -100, also where p is 0."""
    return where(p == 0, -100, maximum(log(where(p == 0, 1, p)), -100))


def binary_cross_entropy(
    input: TensorLike, target: TensorLike, weight: TensorLike = None, reduction: str = "mean"
) -> TensorLike:
    """-target ln(input) - (1 - target) ln(1 - input), for probabilities: what comes out of a sigmoid.

    From raw scores use binary_cross_entropy_with_logits, which is exact also where a sigmoid has become 0 or 1.

    Args:
        input, target: numbers from 0 to 1.
        weight: a constant that multiplies each loss and broadcasts to the input. The mean is still over all numbers.
        reduction: "mean", "sum" or "none".
    """
    name = "binary_cross_entropy"
    input, target = matched(name, input, target)
    check_floating(name, "input", input)
    check_probabilities(name, "input", input, ". For raw scores (logits) use binary_cross_entropy_with_logits")
    check_probabilities(name, "target", target)
    weight = constant(name, "weight", weight, input, input.shape)
    loss = BCE()(input, target)
    return reduced(name, loss if weight is None else multiply(loss, weight), reduction)


class BCEWithLogits(Function):
    """L = p t softplus(-x) + (1 - t) softplus(x), so dL/dx = sigmoid(x) (p t + 1 - t) - p t: for p = 1, sigmoid(x) - t.

    softplus(-x) is -ln sigmoid(x), and softplus(x) is -ln(1 - sigmoid(x)). dL/dt = p softplus(-x) - softplus(x). p is
    the weight of the positives; None stands for 1.
    """

    saves_inputs = True
    reads = ((0, 1), (0,))
    __slots__ = ("p",)

    def __init__(self, p: Array | None) -> None:
        self.p = p

    def forward(self, x: Array, t: Array) -> Array:
        xp = module_of(x)
        wide = widened(x)
        rest = xp.log1p(xp.exp(-abs(wide)))  # softplus(x) = max(x, 0) + rest
        positive = t if self.p is None else self.p * t
        loss = weigh(positive, xp.maximum(-wide, 0) + rest) + weigh(1 - t, xp.maximum(wide, 0) + rest)
        return loss.astype(np.result_type(x.dtype, t.dtype))

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, t: ArrayOrTensor) -> Gradients:
        grad_x = grad_t = None
        if self.needs(0) and self.p is None:
            grad_x = grad_out * (sigmoid(x) - t)
        elif self.needs(0):
            positive = self.p * t
            grad_x = grad_out * (sigmoid(x) * (positive + 1 - t) - positive)
        if self.needs(1):
            grad_t = weigh(grad_out, -x if self.p is None else weigh(self.p, softplus(-x)) - softplus(x))
        return grad_x, grad_t


def binary_cross_entropy_with_logits(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike = None,
    reduction: str = "mean",
    pos_weight: TensorLike = None,
) -> TensorLike:
    """binary_cross_entropy of sigmoid(input), without the sigmoid: exact for all scores.

    Args:
        input: raw scores (logits), not probabilities.
        target: numbers from 0 to 1.
        weight, reduction: as in binary_cross_entropy.
        pos_weight: p, a constant that multiplies the term of the positives and broadcasts to the input. With p =
            (number of 0) / (number of 1) a few positives count together as much as many negatives.
    """
    name = "binary_cross_entropy_with_logits"
    input, target = matched(name, input, target)
    check_floating(name, "logits", input)
    warn_after(input, Sigmoid, f"{name} applies sigmoid itself; it was given the result of sigmoid. Pass it raw scores")
    check_probabilities(name, "target", target)
    weight = constant(name, "weight", weight, input, input.shape)
    loss = BCEWithLogits(constant(name, "pos_weight", pos_weight, input, input.shape))(input, target)
    return reduced(name, loss if weight is None else weigh(weight, loss), reduction)


class KLDiv(Function):
    """L = t (ln t - x), so dL/dx = -t and dL/dt = ln t - x + 1.

    Where t is 0 so is L, the limit, also if x is -infinity; dL/dt is then infinite.
    """

    saves_inputs = True
    reads = ((1,), (0, 1))
    __slots__ = ()

    def forward(self, x: Array, t: Array) -> Array:
        xp = module_of(x)
        return weigh(t, xp.log(xp.where(t == 0, 1, t)) - x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, t: ArrayOrTensor) -> Gradients:
        grad_x = -grad_out * t if self.needs(0) else None
        grad_t = None
        if self.needs(1):
            grad_t = grad_out * (log(where(x == -math.inf, 1, t)) - x + 1)  # infinite there, whatever t is
        return grad_x, grad_t


def kl_div(input: TensorLike, target: TensorLike, reduction: str = "mean", log_target: bool = False) -> TensorLike:
    """target (ln(target) - input), the Kullback-Leibler divergence from a prediction to the target.

    A target of 0 adds 0, also where the prediction rules it out too (its logarithm is -infinity).

    Args:
        input: log-probabilities, such as log_softmax gives.
        target: probabilities, or with `log_target` their logarithms.
        reduction: "batchmean", the divergence itself: the sum over the number of samples (the first axis); "mean", as
            PyTorch's over every number, so C times less; "sum" or "none".
        log_target: whether the target is given as logarithms.
    """
    choice(reduction, "kl_div: reduction", (*REDUCTIONS, "batchmean"))
    input, target = comparable("kl_div", input, target)
    if yes_or_no(log_target, "kl_div: log_target"):
        p = exp(target)
        nothing = logical_and(equal(p, 0), equal(input, input))  # but a NaN of the input stays
        loss = multiply(p, where(nothing, 0, subtract(target, input)))
    else:
        loss = KLDiv()(input, target)
    if reduction == "batchmean":
        return divide(sum(loss), input.shape[0] if input.ndim else 1)
    return reduced("kl_div", loss, reduction)
