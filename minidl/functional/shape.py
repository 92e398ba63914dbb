"""Ops that move numbers without changing them: each one's backward moves the gradient back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.autograd import Function, Variable
from minidl.backend import device_of, module_of
from minidl.backend import to_device as to_device_array
from minidl.errors import ShapeError
from minidl.functional.broadcasting import unbroadcast


class Reshape(Function):
    """The same numbers in the same (C) order under another shape."""

    __slots__ = ("in_shape", "shape")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.in_shape = x.shape
        return x.reshape(self.shape)

    def backward(self, grad_out: Any) -> Any:
        return grad_out.reshape(self.in_shape)


def reshape(x: Any, shape: int | Sequence[int]) -> Any:
    """x under another shape with as many elements; one length may be -1. A view where NumPy gives a view."""
    return Reshape(_as_tuple(shape))(x)


def _as_tuple(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)


def flatten(x: Any, start_axis: int = 0) -> Any:
    """Merge the axes from `start_axis` on into one: (N, C, H, W) with start_axis=1 becomes (N, C*H*W)."""
    ndim = np.ndim(x) if not hasattr(x, "ndim") else x.ndim
    if ndim == 0:
        return reshape(x, (1,))
    if not -ndim <= start_axis < ndim:
        raise ShapeError(f"flatten: expected start_axis from {-ndim} to {ndim - 1}; got {start_axis}")
    start_axis %= ndim
    return reshape(x, (*x.shape[:start_axis], math.prod(x.shape[start_axis:])))


class Transpose(Function):
    """The axes in another order."""

    __slots__ = ("axes",)

    def __init__(self, axes: tuple[int, ...] | None) -> None:
        self.axes = axes

    def forward(self, x: Any) -> Any:
        return x.transpose() if self.axes is None else x.transpose(self.axes)

    def backward(self, grad_out: Any) -> Any:
        if self.axes is None:
            return grad_out.transpose()
        inverse = sorted(range(len(self.axes)), key=[axis % len(self.axes) for axis in self.axes].__getitem__)
        return grad_out.transpose(inverse)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """x with its axes in the order `axes`; reversed if None. A view."""
    return Transpose(None if axes is None else tuple(axes))(x)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """x with two axes exchanged. A view."""
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


class BroadcastTo(Function):
    """The same numbers repeated along new or length-1 axes."""

    __slots__ = ("in_shape", "shape")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.in_shape = x.shape
        return module_of(x).broadcast_to(x, self.shape)

    def backward(self, grad_out: Any) -> Any:
        return unbroadcast(grad_out, self.in_shape)


def broadcast_to(x: Any, shape: int | Sequence[int]) -> Any:
    """x repeated, without copying, to `shape`. The result is read-only, as NumPy's."""
    return BroadcastTo(_as_tuple(shape))(x)


class Concatenate(Function):
    """Arrays joined along an axis: the gradient is cut where they were joined."""

    __slots__ = ("axis", "lengths")

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: Any) -> Any:
        self.lengths = [a.shape[self.axis] for a in arrays]
        return module_of(*arrays).concatenate(arrays, axis=self.axis)

    def backward(self, grad_out: Any) -> Any:
        grads: list[Any] = []
        start = 0
        before = (slice(None),) * (self.axis % grad_out.ndim)
        for i, length in enumerate(self.lengths):
            piece = (*before, slice(start, start + length))
            grads.append(grad_out[piece] if self.needs(i) else None)
            start += length
        return tuple(grads)


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Join tensors along an existing axis; all other lengths must agree."""
    tensors = list(tensors)
    if not tensors:
        raise ShapeError("concatenate: expected at least one tensor; got none")
    return Concatenate(axis)(*tensors)


def stack(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Join tensors of one shape along a new axis."""
    tensors = list(tensors)
    if not tensors:
        raise ShapeError("stack: expected at least one tensor; got none")
    tensors = [t if hasattr(t, "shape") else np.asarray(t) for t in tensors]
    shape = tensors[0].shape
    if any(t.shape != shape for t in tensors):
        raise ShapeError(f"stack: expected tensors of one shape; got {[tuple(t.shape) for t in tensors]}")
    ndim = len(shape) + 1
    if not -ndim <= axis < ndim:
        raise ShapeError(f"stack: expected axis from {-ndim} to {ndim - 1}; got {axis}")
    at = axis % ndim
    return concatenate([reshape(t, (*shape[:at], 1, *shape[at:])) for t in tensors], axis=at)


class Pad(Function):
    """A constant border around x: the gradient is the part that lies over x."""

    __slots__ = ("value", "widths")

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths = widths
        self.value = value

    def forward(self, x: Any) -> Any:
        return module_of(x).pad(x, self.widths, mode="constant", constant_values=self.value)

    def backward(self, grad_out: Any) -> Any:
        return grad_out[tuple(slice(a, n - b) for (a, b), n in zip(self.widths, grad_out.shape, strict=True))]


def pad(x: Any, pad_width: Any, constant_values: float = 0) -> Any:
    """x with a border of a constant, as `numpy.pad`.

    `pad_width` is one number, one pair (before, after) for every axis, or one pair an axis.
    """
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    if any(n < 0 or n != int(n) for pair in widths for n in pair):
        raise ShapeError(f"pad: expected non-negative whole numbers as pad_width; got {pad_width!r}")
    return Pad(tuple((int(a), int(b)) for a, b in widths), constant_values)(x)


class Cast(Function):
    """The same numbers in another floating dtype: the gradient is cast back."""

    __slots__ = ("dtype", "in_dtype")

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def forward(self, x: Any) -> Any:
        self.in_dtype = x.dtype
        return x.astype(self.dtype)

    def backward(self, grad_out: Any) -> Any:
        return grad_out.astype(self.in_dtype)


def astype(x: Any, dtype: Any) -> Any:
    """x in another dtype, always a copy. Only between floating dtypes has it a gradient."""
    dtype = np.dtype(dtype)
    if isinstance(x, Variable) and dtype.kind != "f":
        return x.wrap(x._data.astype(dtype))
    return Cast(dtype)(x)


class Copy(Function):
    """The same numbers in memory of their own."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        return x.copy()

    def backward(self, grad_out: Any) -> Any:
        return grad_out


def copy(x: Any) -> Any:
    """x in memory of its own, with the gradient going through."""
    return Copy()(x)


class ToDevice(Function):
    """The same numbers on another device: the gradient travels back."""

    __slots__ = ("device", "home")

    def __init__(self, device: str) -> None:
        self.device = device

    def forward(self, x: Any) -> Any:
        self.home = device_of(x)
        return to_device_array(x, self.device)

    def backward(self, grad_out: Any) -> Any:
        return ToDevice(self.home)(grad_out)


def to_device(x: Any, device: str) -> Any:
    """x on 'numpy' or 'cupy'."""
    return ToDevice(device)(x)
