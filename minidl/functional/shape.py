"""Ops that move numbers without changing them: each one's backward moves the gradient back.

>>> import numpy as np, minidl.functional as F
>>> F.concatenate([np.ones((2, 3)), np.zeros((2, 1))], axis=1).shape
(2, 4)
>>> F.pad(np.ones(2), (1, 2))
array([0., 1., 1., 0., 0.])
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Never

import numpy as np

from minidl.autograd.function import Function
from minidl.autograd.odd_operands import refuse_several
from minidl.autograd.variable import Variable, to_share
from minidl.backend import as_operands, device_of, is_array, module_of
from minidl.backend import to_device as to_device_array
from minidl.checks import number
from minidl.errors import DTypeError, ShapeError, warn
from minidl.functional.axes import as_shape, one_axis
from minidl.functional.indexing import getitem
from minidl.functional.reshaping import array_like, reshape
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, DTypeLike, Gradients, TensorLike


class Transpose(Function):
    """The axes in another order."""

    __slots__ = ("axes",)

    def __init__(self, axes: tuple[int, ...] | None) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return x.transpose() if self.axes is None else x.transpose(self.axes)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        if self.axes is None:
            return grad_out.transpose()
        inverse = sorted(range(len(self.axes)), key=[axis % len(self.axes) for axis in self.axes].__getitem__)
        return grad_out.transpose(inverse)


def transpose(x: TensorLike, axes: Sequence[int] | None = None, *more: Never) -> ArrayOrTensor:
    """x with its axes in the order `axes`; reversed if None. A view.

    Raises:
        ShapeError, AxisError: `axes` does not name each axis of x once.
    """
    if more:
        raise TypeError(f"F.transpose(x, axes) takes the order of all axes: write F.swapaxes(x, {axes}, {more[0]})")
    return Transpose(None if axes is None else as_shape(axes))(to_share(x))


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> ArrayOrTensor:
    """x with two axes exchanged. A view.

    Raises:
        AxisError: there is no such axis.
    """
    x = array_like(x)
    i, j = one_axis(axis1, x.ndim), one_axis(axis2, x.ndim)
    order = list(range(x.ndim))
    order[i], order[j] = order[j], order[i]
    return transpose(x, order)


class Concatenate(Function):
    """Arrays joined along an axis: the gradient is cut where they were joined."""

    __slots__ = ("axis", "lengths")

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def note_lengths(self, arrays: Sequence[Array]) -> None:
        """Set `axis`, counted from the front, and the arrays' lengths along it."""
        if any(np.ndim(a) != np.ndim(arrays[0]) for a in arrays):
            raise ShapeError(f"expected tensors with equally many axes; got {[tuple(np.shape(a)) for a in arrays]}")
        if np.ndim(arrays[0]) == 0:
            raise ShapeError("tensors of shape () have no axis to be joined along; use stack")
        self.axis = one_axis(self.axis, arrays[0].ndim)
        self.lengths = [a.shape[self.axis] for a in arrays]

    def forward(self, *arrays: Array) -> Array:
        self.note_lengths(arrays)
        return module_of(*arrays).concatenate(arrays, axis=self.axis)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        grads: list[ArrayOrTensor] = []
        start = 0
        before = (slice(None),) * self.axis
        for i, length in enumerate(self.lengths):
            piece = (*before, slice(start, start + length))
            grads.append(grad_out[piece] if self.needs(i) else None)
            start += length
        return tuple(grads)


def concatenate(tensors: Sequence[TensorLike], axis: int = 0, **unknown: Never) -> ArrayOrTensor:
    """Join tensors along an existing axis; all other lengths must agree. Mixed dtypes promote as in NumPy.

    Raises:
        ShapeError: there are no tensors, or their shapes do not agree.
        AxisError: there is no such axis.
    """
    if unknown:
        raise unknown_option("F.concatenate([x, y])", unknown)
    several = list(tensors)
    if not several:
        raise ShapeError("concatenate: expected at least one tensor; got none")
    return Concatenate(axis)(*several)


def side_by_side(xs: Sequence[TensorLike]) -> list[ArrayOrTensor]:
    """Each as a Tensor or array; a number or list beside one goes where that is, and does not promote its dtype."""
    for x in xs:
        refuse_several("", x)
    arrays = as_operands([x.shown() if isinstance(x, Variable) else x for x in xs])
    xp = module_of(*arrays)
    floating = next((array.dtype for array in arrays if is_array(array) and array.dtype.kind == "f"), None)
    made = [array if is_array(array) else xp.asarray(array, dtype=floating) for array in arrays]
    return [x if isinstance(x, Variable) else array for x, array in zip(xs, made, strict=True)]


def stack(tensors: Sequence[TensorLike], axis: int = 0, **unknown: Never) -> ArrayOrTensor:
    """Join tensors of one shape along a new axis, which is then number `axis` of the result.

    Raises:
        ShapeError: there are no tensors, or their shapes differ.
        AxisError: the result has no such axis.
    """
    if unknown:
        raise unknown_option("F.stack([x, y])", unknown)
    several = list(tensors)
    if not several:
        raise ShapeError("stack: expected at least one tensor; got none")
    several = side_by_side(several)
    shape = several[0].shape
    if any(t.shape != shape for t in several):
        raise ShapeError(f"stack: expected tensors of one shape; got {[tuple(t.shape) for t in several]}")
    at = one_axis(axis, len(shape) + 1)
    return concatenate([reshape(t, (*shape[:at], 1, *shape[at:])) for t in several], axis=at)


def split(
    x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0, **unknown: Never
) -> list[ArrayOrTensor]:
    """Cut x along an axis, as `numpy.split`. The parts are views.

    Args:
        x: at least one axis.
        indices_or_sections: a number of equally long parts; or where to cut: [2, 5] gives x[:2], x[2:5] and x[5:].
        axis: which one.

    Raises:
        ShapeError: so many parts cannot be equally long.
        AxisError: there is no such axis.
        DTypeError: a place to cut is no whole number.
    """
    if unknown:
        raise unknown_option("F.split(x, 2)", unknown)
    x = array_like(x)
    axis = one_axis(axis, x.ndim)
    length = x.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        parts = int(indices_or_sections)
        if parts < 1 or length % parts:
            raise ShapeError(
                f"split: expected a number of parts that divides the length {length} of axis {axis}; got {parts}"
            )
        cuts = [length // parts * i for i in range(1, parts)]
    else:
        try:
            cuts = [operator.index(i) for i in indices_or_sections]
        except TypeError as error:
            raise DTypeError(
                f"split: expected a number of parts, or whole numbers where to cut; got {indices_or_sections!r}"
            ) from error
    before = (slice(None),) * axis
    return [getitem(x, (*before, slice(*ends))) for ends in itertools.pairwise([0, *cuts, length])]


class Pad(Function):
    """A constant border around x: the gradient is the part that lies over x."""

    __slots__ = ("value", "widths")

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths = widths
        self.value = value

    def forward(self, x: Array) -> Array:
        if x.ndim == 0:
            return x.copy()
        return module_of(x).pad(x, self.widths, mode="constant", constant_values=self.value)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return grad_out[tuple(slice(a, n - b) for (a, b), n in zip(self.widths, grad_out.shape, strict=True))]


def pad(x: TensorLike, pad_width: TensorLike, constant_values: float = 0, **unknown: Never) -> ArrayOrTensor:
    """x with a border of a constant, as `numpy.pad`.

    Args:
        x: any shape.
        pad_width: one number, one pair (before, after) for every axis, or one pair an axis.
        constant_values: the number the border is made of.

    Raises:
        ShapeError: `pad_width` does not fit x, or is not of whole numbers of at least 0.
        ValueError: `constant_values` is no number.
        UserWarning: one pair pads several axes, where PyTorch's would pad the last.
    """
    if unknown:
        raise unknown_option("F.pad(x, pad_width)", unknown)
    x = array_like(x)
    expected = (
        f"pad: expected pad_width as a whole number of at least 0, one pair, or {x.ndim} pairs; got {pad_width!r}"
    )
    if isinstance(pad_width, tuple) and 2 < len(pad_width) <= 2 * x.ndim and not len(pad_width) % 2:
        pairs = [pad_width[i : i + 2] for i in range(0, len(pad_width), 2)]  # PyTorch's: the last axis first
        expected += f": write F.pad(x, {[(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]})"
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    except ValueError as error:
        raise ShapeError(expected) from error
    if any(not isinstance(n, int) or n < 0 for pair in widths for n in pair):
        raise ShapeError(expected)
    if x.ndim > 1 and np.shape(pad_width) == (2,):
        warn(
            f"pad({tuple(pad_width)}) pads all {x.ndim} axes, as NumPy's: for the last one alone write F.pad(x, "
            f"{[(0, 0)] * (x.ndim - 1) + [tuple(pad_width)]}), for all of them {[tuple(pad_width)] * x.ndim}"
        )
    return Pad(tuple((before, after) for before, after in widths), number(constant_values, "pad: constant_values"))(x)


class Cast(Function):
    """The same numbers in another floating dtype: the gradient is cast back."""

    __slots__ = ("dtype", "in_dtype")

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        self.in_dtype = x.dtype
        return x.astype(self.dtype)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return grad_out.astype(self.in_dtype)


class CastToWhole(Function):
    """The same numbers as integers or booleans, which have no gradient."""

    differentiable = False
    __slots__ = ("dtype",)

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        return x.astype(self.dtype)


def astype(x: TensorLike, dtype: DTypeLike) -> ArrayOrTensor:
    """x in another dtype, always a copy. Only between floating dtypes has it a gradient.

    Raises:
        DTypeError: `dtype` is none of numbers.
    """
    try:
        dtype = np.dtype("" if dtype is None else dtype)  # NumPy takes None for float64
    except TypeError as error:
        raise DTypeError(f"astype: expected a dtype such as 'float32'; got {dtype!r}") from error
    if dtype.kind not in "fiub":
        raise DTypeError(f"astype: expected a floating, integer or boolean dtype; got {dtype}")
    dtype = dtype.newbyteorder("=")
    return Cast(dtype)(x) if dtype.kind == "f" else CastToWhole(dtype)(x)


class Copy(Function):
    """The same numbers in memory of their own."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return x.copy()

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return grad_out


def copy(x: TensorLike) -> ArrayOrTensor:
    """x in memory of its own, with the gradient going through."""
    return Copy()(x)


class ToDevice(Function):
    """The same numbers on another device: the gradient travels back."""

    __slots__ = ("device", "home")

    def __init__(self, device: str) -> None:
        self.device = device

    def forward(self, x: Array) -> Array:
        self.home = device_of(x)
        return to_device_array(x, self.device)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return ToDevice(self.home)(grad_out)


def to_device(x: TensorLike, device: str) -> ArrayOrTensor:
    """x on 'numpy' or 'cupy'."""
    return ToDevice(device)(x)
