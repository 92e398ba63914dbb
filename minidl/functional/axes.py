"""Axes and shapes as a user writes them, made into tuples of whole numbers: axis -1 is the last one."""

from __future__ import annotations

import operator

from minidl.errors import AxisError, DTypeError, ShapeError, describe
from minidl.types import Axis, Shape, ShapeLike


def one_axis(axis: int, ndim: int) -> int:
    """`axis` counted from the front of `ndim` axes.

    Raises:
        AxisError: there is no such axis.
        DTypeError: `axis` is no whole number.
    """
    try:
        number = operator.index(axis)
    except TypeError as error:
        raise DTypeError(f"expected an axis as a whole number; got {describe(axis)}") from error
    if not -ndim <= number < ndim:
        there = f"from {-ndim} to {ndim - 1}" if ndim else "of an array that has axes; this one has shape ()"
        raise AxisError(f"expected an axis {there}; got {number}")
    return number % ndim


def all_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes meant by `axis` (one, several, or None for all), counted from the front.

    A 0-d array has no axes, but 0 and -1 are accepted there, as NumPy and PyTorch do: nothing is to be reduced.

    Raises:
        AxisError, DTypeError: as for `one_axis`.
        ShapeError: an axis is named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    several = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    if ndim == 0 and all(a in (0, -1) for a in several):
        return ()
    found = tuple([one_axis(a, ndim) for a in several])
    if len(set(found)) < len(found):
        raise ShapeError(f"expected each axis once; got {axis}")
    return found


def as_shape(shape: ShapeLike) -> Shape:
    """`shape`, one length or several (or the order of some axes), as a tuple of ints.

    Raises:
        DTypeError: a length is no whole number.
    """
    lengths = shape if isinstance(shape, (tuple, list)) else (shape,)
    try:
        return tuple(map(operator.index, lengths))
    except TypeError as error:
        raise DTypeError(f"expected a shape of whole numbers; got {shape!r}") from error
