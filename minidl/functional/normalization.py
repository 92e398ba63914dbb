"""Normalisation: batch_norm, layer_norm and group_norm share one op, and differ in what they take the mean over.

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

from minidl.autograd import Function
from minidl.backend import is_array, kernels, module_of
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.arithmetic import add, divide, multiply, subtract
from minidl.functional.exponential import sqrt
from minidl.functional.options import is_whole, number
from minidl.functional.precision import HALF, widened
from minidl.functional.reduction import mean, var
from minidl.functional.shape import astype, reshape


class Standardize(Function):
    """z = (x - m) / s over the axes `axis`: m is the mean, v the variance and s = sqrt(v + eps).

    `axis` is counted from the front, and leaves axes that are neighbours, or none.

    Each x moves m and s too. What that adds to dL/dz / s is, summed up, two means:

        dL/dx = (dL/dz - mean(dL/dz) - z mean(dL/dz z)) / s

    (Ioffe & Szegedy, arXiv:1502.03167, section 3): no change of the gradient's mean, nor along z, gets through.

    `mean` and `variance` are there for whoever made the op. A backward that is itself recorded may not use them: they
    are constants to it.
    """

    saves_inputs = True
    saves_output = True
    __slots__ = ("axis", "eps", "mean", "variance")

    def __init__(self, axis: tuple[int, ...], eps: float) -> None:
        self.axis = axis
        self.eps = eps

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            z, self.mean, self.variance = kernels.standardize(x, self.axis, self.eps)
            return z
        self.mean = mean(x, self.axis, keepdims=True)
        z = x - self.mean
        self.variance = mean(z * z, self.axis, keepdims=True)  # mean(x^2) - m^2 would cancel where m is large
        z *= 1 / module_of(x).sqrt(self.variance + self.eps)
        return z

    def backward(self, grad_out: Any, x: Any, out: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.standardize_gradient(grad_out, out, self.variance, self.axis, self.eps)
        variance = self.variance if is_array(grad_out) else var(x, self.axis, keepdims=True)
        grad_x = grad_out - mean(grad_out, self.axis, keepdims=True)
        grad_x = grad_x - out * mean(grad_out * out, self.axis, keepdims=True)
        return grad_x * (1 / sqrt(variance + self.eps))


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
    channels = x.shape[1]
    arrays = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check("batch_norm", x, eps, (channels,), arrays)
    if (running_mean is None) != (running_var is None) or (running_mean is None and not training):
        raise ValueError("batch_norm: expected running_mean and running_var, or in training None for both; got None")
    axis = (0, *range(2, x.ndim))
    beside = (channels,) + (1,) * (x.ndim - 2)  # how (C,) broadcasts over x
    if training:
        count = math.prod(x.shape[a] for a in axis)
        if count == 1:
            raise ShapeError(
                f"batch_norm: expected more than one value per channel in training; got x {tuple(x.shape)}. Use larger "
                f"batches (drop the last, smaller one), or to evaluate model.eval()"
            )
        op = Standardize(axis, eps)
        z = op(widened(x))
        if running_mean is not None and x.size:
            _follow(running_mean, op.mean, momentum)
            _follow(running_var, op.variance * (count / (count - 1)), momentum)
    else:
        s = sqrt(add(widened(running_var), eps))
        z = divide(subtract(widened(x), reshape(running_mean, beside)), reshape(s, beside))
    return _scaled(z, weight, bias, beside, x)


def _follow(running: Any, batch: Any, momentum: Any) -> None:
    """running <- (1 - momentum) running + momentum batch, in place, without waiting for the device."""
    running[...] = add(multiply(running, 1 - momentum), multiply(reshape(batch, running.shape), momentum))


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
    if weight is not None:
        z = multiply(z, reshape(weight, beside))
    if bias is not None:
        z = add(z, reshape(bias, beside))
    return astype(z, HALF) if x.dtype == HALF else z
