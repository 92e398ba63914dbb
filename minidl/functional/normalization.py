"""Normalisation: batch_norm, layer_norm and group_norm differ in what they take the mean over.

    of x (N, C, H, W)  mean and variance over     weight and bias
    batch_norm         N, H, W                    (C,)
    layer_norm         the last axes              of the shape of these axes
    group_norm         H, W, a group of channels  (C,)

local_response_norm, which divides by the size of a number's neighbours, is in response.py.

>>> import numpy as np, minidl.functional as F
>>> F.layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=0.0)
array([[-1.,  1.],
       [-1.,  1.]])
"""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.function import Function
from minidl.autograd.modes import is_again
from minidl.autograd.variable import Variable, writes_of
from minidl.backend import at_hand, module_of, native
from minidl.checks import is_whole, number, yes_or_no
from minidl.errors import DeviceError, DTypeError, ShapeError, describe
from minidl.functional.arithmetic import add, divide, multiply, subtract
from minidl.functional.broadcasting import sum, unbroadcast
from minidl.functional.exponential import sqrt
from minidl.functional.precision import narrowed, widened
from minidl.functional.reduction import mean, var
from minidl.functional.reshaping import reshape
from minidl.functional.selection import where
from minidl.functional.targets import raw
from minidl.types import Array, ArrayOrTensor, Gradients, Shape, ShapeLike, TensorLike


class BatchNorm(Function):
    """y = w z + b with z = (x - m) / s: x is (N, C, ...), and all others have one number for each of the C channels.

    m is the mean of a channel, v its variance, and s = sqrt(v + eps). Each of the n numbers of a channel has moved m
    and s too, and so each other z. What that adds up to in dL/dx are two means, which are the other gradients:

        dL/db = sum(dL/dy)
        dL/dw = sum(dL/dy z)
        dL/dx = w (dL/dy - dL/db / n - z dL/dw / n) / s

    (Ioffe & Szegedy, arXiv:1502.03167, section 3): no change of the gradient's mean, nor along z, gets through.

    Args:
        running: None, or (mean, variance, momentum), of which the first two are raw arrays that follow the batch's.
    """

    saves_inputs = True
    reads = ((0, 1), (0,), ())
    __slots__ = ("axis", "eps", "running")

    def __init__(self, eps: float, running: tuple[Array, Array, Any] | None) -> None:
        self.eps = eps
        self.running = running

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        self.axis = (0, *range(2, x.ndim))
        wide = widened(x)
        m, v = mean(wide, self.axis, keepdims=True), var(wide, self.axis, keepdims=True)
        centred = wide - m
        y = centred / deviation(centred, v, self.axis, self.eps)
        if weight is not None:
            y = y * per_channel(weight, x)
        if bias is not None:
            y = y + per_channel(bias, x)
        if self.running is not None:
            follow(self.running, m, v, x)
        return narrowed(y, x)

    def backward(
        self, grad_out: ArrayOrTensor, x: ArrayOrTensor, weight: ArrayOrTensor | None, bias: ArrayOrTensor | None
    ) -> Gradients:
        grad, wide, n = widened(grad_out), widened(x), values_per_channel(x)
        m, v = mean(wide, self.axis, keepdims=True), var(wide, self.axis, keepdims=True)
        centred = wide - m
        s = deviation(centred, v, self.axis, self.eps)
        z = centred / s
        grad_bias = sum(grad, self.axis, keepdims=True)
        grad_weight = sum(grad * z, self.axis, keepdims=True)
        grad_x = None
        if self.needs(0):
            grad_x = (grad - grad_bias / n - z * (grad_weight / n)) / s
            grad_x = narrowed(grad_x if weight is None else grad_x * per_channel(weight, x), x)
        return grad_x, narrowed(reshape(grad_weight, -1), x), narrowed(reshape(grad_bias, -1), x)


def deviation(centred: ArrayOrTensor, v: ArrayOrTensor, axis: tuple[int, ...], eps: float) -> ArrayOrTensor:
    """s = sqrt(v + eps), where v is the mean of the squares of x - m, which are `centred`, over `axis`.

    The square of 1e20 is infinite in float32. Where v is, the root is taken of numbers that were made small first.
    """
    s, values = sqrt(v + eps), raw(centred)
    xp = module_of(values)
    overflowed = raw(v) == math.inf
    if values.size == 0 or (at_hand(overflowed) and not overflowed.any()):
        return s
    scale = xp.where(overflowed, abs(values).max(axis=axis, keepdims=True), 1)
    small = where(overflowed, centred / scale, 1)  # elsewhere 1, and not 0, where the slope of the root is infinite
    return where(overflowed, sqrt(mean(small * small, axis, keepdims=True)) * scale, s)


def per_channel(a: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
    """`a` (C,) in the shape that broadcasts over x (N, C, ...), and in the dtype to compute with."""
    return reshape(widened(a), (x.shape[1],) + (1,) * (x.ndim - 2))


def values_per_channel(x: ArrayOrTensor) -> int:
    """n: how many numbers of x (N, C, ...) each channel has."""
    return x.shape[0] * math.prod(x.shape[2:])


def follow(running: tuple[Array, Array, Any], m: Array, v: Array, x: Array) -> None:
    """Let the running mean and variance (C,), written in place, follow the m and v of the batch x.

    The variance of n numbers about their own mean is too small by (n - 1) / n; the running one is made up for that.
    """
    running_mean, running_var, momentum = running
    n = values_per_channel(x)
    for average, batch in ((running_mean, m), (running_var, v * (n / (n - 1)))):
        average[...] = (1 - momentum) * average + momentum * batch.reshape(average.shape)


class Standardize(Function):
    """y = w z + b with z = (x - m) / s over the axes `axis`: m is the mean, v the variance and s = sqrt(v + eps).

    `axis` is counted from the front, and leaves axes that are neighbours, or none. Weight and bias are None, or of
    shapes that broadcast over x. A number of them need not belong to one mean, as it does in BatchNorm, and the sums of
    dL/dw and dL/db are then none of those in dL/dx:

        dL/dz = w dL/dy
        dL/dx = (dL/dz - mean(dL/dz) - z mean(dL/dz z)) / s
        dL/dw = sum(dL/dy z)  and  dL/db = sum(dL/dy)  over all places that one number of w and b is for
    """

    saves_inputs = True
    reads = ((0, 1), (0,), ())
    __slots__ = ("axis", "eps")

    def __init__(self, axis: tuple[int, ...], eps: float) -> None:
        self.axis = axis
        self.eps = eps

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        wide = widened(x)
        m, v = mean(wide, self.axis, keepdims=True), var(wide, self.axis, keepdims=True)
        centred = wide - m
        y = centred / deviation(centred, v, self.axis, self.eps)
        if weight is not None:
            y = y * widened(weight)
        if bias is not None:
            y = y + widened(bias)
        return narrowed(y, x)

    def backward(
        self, grad_out: ArrayOrTensor, x: ArrayOrTensor, weight: ArrayOrTensor | None, bias: ArrayOrTensor | None
    ) -> Gradients:
        grad, wide = widened(grad_out), widened(x)
        m, v = mean(wide, self.axis, keepdims=True), var(wide, self.axis, keepdims=True)
        centred = wide - m
        s = deviation(centred, v, self.axis, self.eps)
        z = centred / s
        grad_x = grad_weight = grad_bias = None
        if self.needs(0):
            grad_z = grad if weight is None else grad * widened(weight)
            shift, along = mean(grad_z, self.axis, keepdims=True), mean(grad_z * z, self.axis, keepdims=True)
            grad_x = narrowed((grad_z - shift - z * along) / s, x)
        if weight is not None and self.needs(1):
            grad_weight = narrowed(unbroadcast(grad * z, weight.shape), x)
        if bias is not None and self.needs(2):
            grad_bias = narrowed(unbroadcast(grad, bias.shape), x)
        return grad_x, grad_weight, grad_bias


def batch_norm(
    x: TensorLike,
    running_mean: TensorLike,
    running_var: TensorLike,
    weight: TensorLike = None,
    bias: TensorLike = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> ArrayOrTensor:
    """weight (x - m) / sqrt(v + eps) + bias for each channel (Ioffe & Szegedy, arXiv:1502.03167, algorithm 1).

    In training m and v are the mean and variance of this batch, over all axes but 1, and the running ones follow them,
    written in place: running <- (1 - momentum) running + momentum batch. (v is then divided by n - 1, not n: the
    unbiased estimate.) In evaluation m and v are the running ones, so that no sample depends on its neighbours.

    Args:
        x: (N, C), (N, C, L) or (N, C, H, W).
        running_mean, running_var: (C,); both None in training, to follow nothing.
        weight, bias: (C,) or None.
        momentum: a number, or a 0-d array on x's device.

    Raises:
        ShapeError, DTypeError: the arrays do not fit together, or there is only one value a channel to train with.
        ValueError: there are no running statistics to evaluate with, or only one of the two; or eps is negative.
    """
    x = native(x)
    if getattr(x, "ndim", 0) < 2:
        raise ShapeError(f"batch_norm: expected x of shape (N, C, ...); got {describe(x)}")
    x = x if x.dtype.kind == "f" else widened(x)
    arrays = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check("batch_norm", x, eps, (x.shape[1],), arrays)
    if (running_mean is None) != (running_var is None) or (running_mean is None and not training):
        raise ValueError("batch_norm: expected running_mean and running_var, or in training None for both; got None")
    if not yes_or_no(training, "batch_norm: training"):
        return _with_running(x, running_mean, running_var, weight, bias, eps)
    _check_training(x, running_mean, running_var, momentum)
    if running_mean is None or x.size == 0 or is_again():
        return BatchNorm(eps, None)(x, weight, bias)
    y = BatchNorm(eps, (raw(running_mean), raw(running_var), raw(momentum)))(x, weight, bias)
    for written in (running_mean, running_var):
        if isinstance(written, Variable):
            writes_of(written).bump()
    return y


def _with_running(
    x: TensorLike, m: TensorLike, v: TensorLike, weight: TensorLike, bias: TensorLike, eps: float
) -> ArrayOrTensor:
    """weight (x - m) / sqrt(v + eps) + bias with the running mean and variance, to evaluate."""
    scale = divide(1, sqrt(add(widened(v), eps)))
    scale = scale if weight is None else multiply(scale, weight)
    y = multiply(subtract(widened(x), per_channel(m, x)), per_channel(scale, x))
    y = y if bias is None else add(y, per_channel(bias, x))
    return narrowed(y, x)


def _check_training(x: TensorLike, running_mean: TensorLike, running_var: TensorLike, momentum: Any) -> None:
    """Whether a batch can be trained with, and whether what it is trained with fits together."""
    if getattr(momentum, "ndim", 0) != 0:
        raise ShapeError(f"batch_norm: expected momentum to be a number or a 0-d array; got {describe(momentum)}")
    if x.size == x.shape[1] > 0:
        raise ShapeError(
            f"batch_norm: expected more than one value per channel in training; got x {tuple(x.shape)}. Use larger "
            f"batches (drop the last, smaller one), or to evaluate model.eval()"
        )
    if running_mean is not None and not type(raw(running_mean)) is type(raw(running_var)) is type(raw(x)):
        raise DeviceError(
            f"batch_norm: expected x and its running statistics on one device; got {describe(x)}, "
            f"{describe(running_mean)}, {describe(running_var)}. Move one with .to('numpy') or .to('cupy')"
        )


def layer_norm(
    x: TensorLike, normalized_shape: ShapeLike, weight: TensorLike = None, bias: TensorLike = None, eps: float = 1e-5
) -> ArrayOrTensor:
    """weight (x - m) / sqrt(v + eps) + bias with m and v over the last axes (Ba et al., arXiv:1607.06450, eq. 3).

    Args:
        x: (..., *normalized_shape).
        normalized_shape: the lengths of these last axes, or the length of the last one.
        weight, bias: of shape normalized_shape, or None.

    Raises:
        ShapeError, DTypeError: the arrays do not fit together.
        ValueError: eps is negative.
    """
    x = native(x)
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    ndim = getattr(x, "ndim", 0)
    if not shape or ndim < len(shape) or x.shape[ndim - len(shape) :] != shape:
        raise ShapeError(f"layer_norm: expected x whose last axes are normalized_shape {shape}; got {describe(x)}")
    _check("layer_norm", x, eps, shape, {"weight": weight, "bias": bias})
    x = x if x.dtype.kind == "f" else widened(x)
    return Standardize(tuple(range(ndim - len(shape), ndim)), eps)(x, weight, bias)


def group_norm(
    x: TensorLike, num_groups: int, weight: TensorLike = None, bias: TensorLike = None, eps: float = 1e-5
) -> ArrayOrTensor:
    """weight (x - m) / sqrt(v + eps) + bias with m and v over each sample's groups of channels.

    With one group it is layer normalisation of a whole image (Wu & He, arXiv:1803.08494, section 3.1).

    Args:
        x: (N, C, ...).
        num_groups: how many groups of neighbouring channels there are; it must divide C.
        weight, bias: (C,) or None.

    Raises:
        ShapeError, DTypeError: the arrays do not fit together, or num_groups does not divide the channels.
        ValueError: eps is negative.
    """
    x = native(x)
    if getattr(x, "ndim", 0) < 2:
        raise ShapeError(f"group_norm: expected x of shape (N, C, ...); got {describe(x)}")
    samples, channels, *places = x.shape
    if not is_whole(num_groups, 1) or channels % num_groups:
        raise ShapeError(f"group_norm: expected num_groups to divide the {channels} channels; got {num_groups!r}")
    _check("group_norm", x, eps, (channels,), {"weight": weight, "bias": bias})
    x = x if x.dtype.kind == "f" else widened(x)
    group = (num_groups, channels // num_groups)
    weight, bias = (None if a is None else reshape(a, (*group, *(1,) * len(places))) for a in (weight, bias))
    grouped = reshape(x, (samples, *group, *places))
    return reshape(Standardize(tuple(range(2, grouped.ndim)), eps)(grouped, weight, bias), x.shape)


def _check(name: str, x: TensorLike, eps: float, shape: Shape, arrays: dict[str, TensorLike]) -> None:
    """eps is a number, and each of the arrays that is there has `shape` and the dtype of x."""
    number(eps, f"{name}: eps", 0)
    for key, array in arrays.items():
        if array is not None and getattr(array, "shape", None) != shape:
            raise ShapeError(f"{name}: expected {key} of shape {shape} for x {tuple(x.shape)}; got {describe(array)}")
        if array is not None and array.dtype != x.dtype:
            raise DTypeError(
                f"{name}: expected x and {key} of one dtype; got {x.dtype}, {array.dtype}: for example "
                f"x.astype({str(array.dtype)!r})"
            )
