"""Normalisation: batch_norm, layer_norm and group_norm differ in what they take the mean over.

    of x (N, C, H, W)  mean and variance over     weight and bias
    batch_norm         N, H, W                    (C,)
    layer_norm         the last axes              of the shape of these axes
    group_norm         H, W, a group of channels  (C,)

local_response_norm, of the networks before them, is in response.py.

>>> import numpy as np, minidl.functional as F
>>> F.layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=0.0)
array([[-1.,  1.],
       [-1.,  1.]])
"""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.function import Function, Variable, writes_of
from minidl.backend import is_array, module_of
from minidl.checks import is_whole, number
from minidl.errors import DeviceError, DTypeError, ShapeError, describe
from minidl.fast.gpu import kernels
from minidl.functional.arithmetic import add, divide, multiply, subtract
from minidl.functional.broadcasting import spread, unbroadcast
from minidl.functional.exponential import sqrt
from minidl.functional.loss import raw
from minidl.functional.precision import HALF, add_products, narrowed, widened
from minidl.functional.shape import astype, broadcast_to, reshape


class BatchNorm(Function):
    """y = w z + b with z = (x - m) / s: x is (N, C, ...), and all others have one number for each of the C channels.

    m is the mean of a channel, v its variance, and s = sqrt(v + eps). Each of the n numbers of a channel has moved m
    and s too, and so each other z. What that adds up to in dL/dx are two means, which are the other gradients:

        dL/db = sum(dL/dy)
        dL/dw = sum(dL/dy z)
        dL/dx = w (dL/dy - dL/db / n - z dL/dw / n) / s

    (Ioffe & Szegedy, arXiv:1502.03167, section 3): no change of the gradient's mean, nor along z, gets through.

    `running` is None, or (mean, variance, momentum), of which the first two are raw arrays that follow the batch's.

    `mean` and `variance` are kept for the backward. If that is itself recorded it may not use them: they are constants
    to it.
    """

    saves_inputs = True
    __slots__ = ("axis", "eps", "mean", "running", "variance")

    def __init__(self, eps: float, running: tuple[Any, Any, Any] | None) -> None:
        self.eps = eps
        self.running = running

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        self.axis = (0, *range(2, x.ndim))
        if kernels.on_device(x):
            y, self.mean, self.variance = kernels.normalize(x, self.axis, self.eps, weight, bias, self.running)
            return y
        wide, n = widened(x), _count(x, self.axis)
        self.mean, self.variance, y = _moments(wide, self.axis)
        scale = 1 / module_of(x).sqrt(self.variance + self.eps)
        y *= spread(scale if weight is None else scale * _beside(weight, x), wide)
        if bias is not None:
            y += spread(_beside(bias, x), wide)
        if self.running is not None:
            running_mean, running_var, momentum = self.running
            for running, batch in ((running_mean, self.mean), (running_var, self.variance * (n / (n - 1)))):
                running[...] = (1 - momentum) * running + momentum * batch.reshape(running.shape)
        return narrowed(y, x)

    def backward(self, grad_out: Any, x: Any, weight: Any, bias: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.normalize_gradient(grad_out, x, self.mean, self.variance, self.axis, self.eps, weight)
        grad, wide, n = widened(grad_out), widened(x), _count(x, self.axis)
        m, v = (self.mean, self.variance) if is_array(grad_out) else _moments(wide, self.axis)[:2]
        scale = 1 / sqrt(v + self.eps)
        z = (wide - spread(m, wide)) * spread(scale, wide)
        grad_bias = SumOfProducts(self.axis)(grad)
        grad_weight = SumOfProducts(self.axis)(grad, z)
        slope = scale if weight is None else scale * _beside(weight, x)
        grad_x = _projected(grad, z, grad_bias / n, grad_weight / n, slope, memory=z)
        return narrowed(grad_x, x), *(narrowed(reshape(g, (-1,)), x) for g in (grad_weight, grad_bias))


class Standardize(Function):
    """z = (x - m) / s over the axes `axis`: m is the mean, v the variance and s = sqrt(v + eps).

    `axis` is counted from the front, and leaves axes that are neighbours, or none. It is BatchNorm's formula without
    weight and bias, which layer_norm and group_norm have in other numbers than means:

        dL/dx = (dL/dz - mean(dL/dz) - z mean(dL/dz z)) / s
    """

    saves_inputs = True
    saves_output = True
    __slots__ = ("axis", "eps", "mean", "variance")

    def __init__(self, axis: tuple[int, ...], eps: float) -> None:
        self.axis = axis
        self.eps = eps

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            z, self.mean, self.variance = kernels.normalize(x, self.axis, self.eps)
            return z
        self.mean, self.variance, z = _moments(x, self.axis)
        z *= 1 / module_of(x).sqrt(self.variance + self.eps)
        return z

    def backward(self, grad_out: Any, x: Any, out: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.normalize_gradient(grad_out, x, self.mean, self.variance, self.axis, self.eps)[0]
        n = _count(x, self.axis)
        v = self.variance if is_array(grad_out) else _moments(x, self.axis)[1]
        shift, along = SumOfProducts(self.axis)(grad_out) / n, SumOfProducts(self.axis)(grad_out, out) / n
        return _projected(grad_out, out, shift, along, 1 / sqrt(v + self.eps))


class Affine(Function):
    """y = w z + b, where weight and bias are broadcast over z; so dz = w dy, dw = sum of dy z, db = sum of dy."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, z: Any, weight: Any, bias: Any) -> Any:
        y = z * spread(weight, z)
        if bias is not None:
            y += spread(bias, z)
        return y

    def backward(self, grad_out: Any, z: Any, weight: Any, bias: Any) -> Any:
        grad_weight = unbroadcast(grad_out * z, weight.shape) if self.needs(1) else None
        grad_bias = unbroadcast(grad_out, bias.shape) if self.needs(2) else None
        return grad_out * spread(weight, grad_out), grad_weight, grad_bias


class SumOfProducts(Function):
    """p = sum of x_i y_i (without y: of x_i) over the axes `axis`, kept with length 1; so dp/dx_i = y_i, dp/dy_i = x_i.

    In one pass over memory, where x * y and then its sum take two.
    """

    saves_inputs = True
    __slots__ = ("axis",)

    def __init__(self, axis: tuple[int, ...]) -> None:
        self.axis = axis

    def forward(self, x: Any, y: Any = None) -> Any:
        return add_products(x, y, self.axis)

    def backward(self, grad_out: Any, x: Any, y: Any = None) -> Any:
        return broadcast_to(grad_out, x.shape) if y is None else (grad_out * y, grad_out * x)


def _moments(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """The mean m of x over `axis`, the variance, and x - m. (mean(x^2) - m^2 would cancel where m is large.)"""
    n = _count(x, axis)
    m = SumOfProducts(axis)(x) / n
    centred = x - spread(m, x)
    return m, SumOfProducts(axis)(centred, centred) / n, centred


def _count(x: Any, axis: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axis)


def _projected(grad: Any, z: Any, shift: Any, along: Any, factor: Any, memory: Any = None) -> Any:
    """(grad - z along - shift) factor; of raw arrays in `memory`, or one new array, which stays in the cache."""
    if not is_array(grad):
        return (grad - z * along - shift) * factor
    xp = module_of(grad)
    result = xp.multiply(z, spread(along, z), out=memory)
    xp.subtract(grad, result, out=result)
    result -= spread(shift, z)
    result *= spread(factor, z)
    return result


def _beside(a: Any, x: Any) -> Any:
    """`a` (C,) in the shape that broadcasts over x (N, C, ...), and in the dtype to compute with."""
    return reshape(widened(a), (x.shape[1],) + (1,) * (x.ndim - 2))


def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Any:
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
    if getattr(x, "ndim", 0) < 2:
        raise ShapeError(f"batch_norm: expected x of shape (N, C, ...); got {describe(x)}")
    x, channels = x if x.dtype.kind == "f" else widened(x), x.shape[1]
    arrays = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check("batch_norm", x, eps, (channels,), arrays)
    if (running_mean is None) != (running_var is None) or (running_mean is None and not training):
        raise ValueError("batch_norm: expected running_mean and running_var, or in training None for both; got None")
    if training:
        if getattr(momentum, "ndim", 0) != 0:
            raise ShapeError(f"batch_norm: expected momentum to be a number or a 0-d array; got {describe(momentum)}")
        if x.size == x.shape[1] > 0:
            raise ShapeError(
                f"batch_norm: expected more than one value per channel in training; got x {tuple(x.shape)}. Use larger "
                f"batches (drop the last, smaller one), or to evaluate model.eval()"
            )
        if running_mean is None or x.size == 0:
            return BatchNorm(eps, None)(x, weight, bias)
        if not type(raw(running_mean)) is type(raw(running_var)) is type(raw(x)):
            raise DeviceError(
                f"batch_norm: expected x and its running statistics on one device; got {describe(x)}, "
                f"{describe(running_mean)}, {describe(running_var)}. Move one with .to('numpy') or .to('cupy')"
            )
        y = BatchNorm(eps, (raw(running_mean), raw(running_var), raw(momentum)))(x, weight, bias)
        for written in (running_mean, running_var):
            if isinstance(written, Variable):
                writes_of(written).bump()
        return y
    scale = divide(1, sqrt(add(widened(running_var), eps)))
    scale = scale if weight is None else multiply(scale, weight)
    y = multiply(subtract(widened(x), _beside(running_mean, x)), _beside(scale, x))
    y = y if bias is None else add(y, _beside(bias, x))
    return narrowed(y, x)


def layer_norm(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """weight (x - m) / sqrt(v + eps) + bias with m and v over the last axes (Ba et al., arXiv:1607.06450, eq. 3).

    Args:
        x: (..., *normalized_shape).
        normalized_shape: the lengths of these last axes, or the length of the last one.
        weight, bias: of shape normalized_shape, or None.

    Raises:
        ShapeError, DTypeError: the arrays do not fit together.
        ValueError: eps is negative.
    """
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    ndim = getattr(x, "ndim", 0)
    if not shape or ndim < len(shape) or x.shape[ndim - len(shape) :] != shape:
        raise ShapeError(f"layer_norm: expected x whose last axes are normalized_shape {shape}; got {describe(x)}")
    _check("layer_norm", x, eps, shape, {"weight": weight, "bias": bias})
    z = Standardize(tuple(range(ndim - len(shape), ndim)), eps)(widened(x))
    return _scaled(z, weight, bias, shape, x)


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
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
    if getattr(x, "ndim", 0) < 2:
        raise ShapeError(f"group_norm: expected x of shape (N, C, ...); got {describe(x)}")
    samples, channels, *places = x.shape
    if not is_whole(num_groups, 1) or channels % num_groups:
        raise ShapeError(f"group_norm: expected num_groups to divide the {channels} channels; got {num_groups!r}")
    _check("group_norm", x, eps, (channels,), {"weight": weight, "bias": bias})
    groups = reshape(widened(x), (samples, num_groups, channels // num_groups * math.prod(places)))
    z = reshape(Standardize((2,), eps)(groups), x.shape)
    return _scaled(z, weight, bias, (channels,) + (1,) * len(places), x)


def _check(name: str, x: Any, eps: float, shape: tuple[int, ...], arrays: dict[str, Any]) -> None:
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


def _scaled(z: Any, weight: Any, bias: Any, beside: tuple[int, ...], x: Any) -> Any:
    """weight z + bias, both in the shape `beside`; float16 if x is (until here it was computed in float32)."""
    weight, bias = (None if a is None else reshape(a, beside) for a in (weight, bias))
    if weight is not None:
        z = Affine()(z, weight, bias)
    elif bias is not None:
        z = add(z, bias)
    return astype(z, HALF) if x.dtype == HALF else z
