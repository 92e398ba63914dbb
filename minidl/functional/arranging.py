"""Numbers in another arrangement, composed of the ops of shape.py and indexing.py, which bring the gradient back.

moveaxis, flip, roll, repeat, tile, take; vstack, hstack; of matrices diagonal, diag, trace, tril, triu; and one_hot.

>>> import numpy as np, minidl.functional as F
>>> F.roll(np.array([1, 2, 3, 4]), 1)
array([4, 1, 2, 3])
>>> F.tril(np.ones((2, 3)))
array([[1., 0., 0.],
       [1., 1., 0.]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Never

import numpy as np

from minidl.autograd.variable import Variable
from minidl.backend import found_outside, module_of
from minidl.checks import whole
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.axes import all_axes, as_shape, one_axis
from minidl.functional.broadcasting import broadcast_to, sum
from minidl.functional.comparison import equal
from minidl.functional.indexing import PutAt, getitem
from minidl.functional.masking import masked
from minidl.functional.reshaping import array_like, flatten, reshape
from minidl.functional.shape import astype, concatenate, copy, transpose
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Axis, ShapeLike, TensorLike


def ravel(x: TensorLike) -> ArrayOrTensor:
    """All numbers of x in one row."""
    return flatten(x)


def moveaxis(x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> ArrayOrTensor:
    """x with axis `source` (or several) at the place `destination`; the others keep their order. A view.

    Raises:
        AxisError, ShapeError: there is no such axis, one is named twice, or there are not as many places as axes.
    """
    x = array_like(x)
    here, there = all_axes(source, x.ndim), all_axes(destination, x.ndim)
    if len(here) != len(there):
        raise ShapeError(f"moveaxis: expected as many places as axes; got {source} and {destination}")
    order = [axis for axis in range(x.ndim) if axis not in here]
    for to, axis in sorted(zip(there, here, strict=True)):
        order.insert(to, axis)
    return transpose(x, order)


def flip(x: TensorLike, axis: Axis = None, **unknown: Never) -> ArrayOrTensor:
    """x with its numbers in reverse along `axis`: one, several, or None for all. A view.

    Raises:
        AxisError: there is no such axis.
    """
    if unknown:
        raise unknown_option("F.flip(x)", unknown)
    x = array_like(x)
    reversed_axes = all_axes(axis, x.ndim)
    return getitem(x, tuple([slice(None, None, -1) if i in reversed_axes else slice(None) for i in range(x.ndim)]))


def roll(
    x: TensorLike, shift: int | Sequence[int], axis: int | Sequence[int] | None = None, **unknown: Never
) -> ArrayOrTensor:
    """x moved by `shift` places along `axis`; what falls off the end comes in at the beginning.

    Args:
        x: any shape.
        shift: how many places; negative ones move towards the beginning. One for all axes, or one an axis.
        axis: one axis, or several; None moves x flattened and gives it its shape again.

    Raises:
        AxisError, ShapeError: there is no such axis, or there are not as many shifts as axes.
    """
    if unknown:
        raise unknown_option("F.roll(x, 1)", unknown)
    x = array_like(x)
    if axis is None:
        return reshape(roll(flatten(x), shift, 0), x.shape)
    axes = all_axes(axis, x.ndim)
    shifts = as_shape(shift) * (1 if isinstance(shift, (tuple, list)) else len(axes))
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: expected one shift for each axis; got {shift} for {axis}")
    for places, i in zip(shifts, axes, strict=True):
        length = x.shape[i]
        cut = (length - places) % length if length else 0
        before = (slice(None),) * i
        x = concatenate([getitem(x, (*before, slice(cut, None))), getitem(x, (*before, slice(cut)))], axis=i)
    return copy(x) if not axes else x


def take(x: TensorLike, indices: TensorLike, axis: int | None = None, **unknown: Never) -> ArrayOrTensor:
    """x at `indices` along `axis`, as x[:, indices] for axis 1; None takes from x flattened.

    Raises:
        AxisError, IndexError: there is no such axis, or an index is out of range.
    """
    if unknown:
        raise unknown_option("F.take(x, indices)", unknown)
    x = array_like(x)
    if axis is None:
        return getitem(flatten(x), indices)
    return getitem(x, (*(slice(None),) * one_axis(axis, x.ndim), indices))


def repeat(x: TensorLike, repeats: int | Sequence[int], axis: int | None = None, **unknown: Never) -> ArrayOrTensor:
    """Each number `repeats` times, one after the other: [a, b] twice is [a, a, b, b].

    Args:
        x: any shape.
        repeats: how often; one number, or one for each place along `axis`.
        axis: along which; None repeats the numbers of x flattened.

    Raises:
        ShapeError: not as many numbers as there are places, or a negative one.
        AxisError: there is no such axis.
    """
    if unknown:
        raise unknown_option("F.repeat(x, 2)", unknown)
    x = array_like(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = one_axis(axis, x.ndim)
    times = np.asarray(as_shape(repeats))
    try:
        places = np.repeat(np.arange(x.shape[axis]), times)
    except ValueError as error:
        raise ShapeError(
            f"repeat: expected one number of at least 0, or {x.shape[axis]} of them for axis {axis}; got {repeats}"
        ) from error
    return take(x, places, axis)


def tile(x: TensorLike, reps: ShapeLike) -> ArrayOrTensor:
    """x as a whole, again and again: [a, b] twice is [a, b, a, b]; (2, 3) is twice down and three times across.

    Raises:
        ShapeError, DTypeError: a number of times is negative, or none.
    """
    x = array_like(x)
    times = as_shape(reps)
    for n in times:
        whole(n, "tile: reps", 0)
    times = (1,) * (x.ndim - len(times)) + times
    lengths = (1,) * (len(times) - x.ndim) + tuple(x.shape)
    apart = reshape(x, [n for length in lengths for n in (1, length)])  # an axis of length 1 before each
    repeated = broadcast_to(apart, [n for pair in zip(times, lengths, strict=True) for n in pair])
    return copy(reshape(repeated, [n * length for n, length in zip(times, lengths, strict=True)]))


def vstack(tensors: Sequence[TensorLike]) -> ArrayOrTensor:
    """Join below each other: along axis 0, where one with a single axis counts as a row.

    Raises:
        ShapeError: there are no tensors, or their shapes do not agree.
    """
    several = [array_like(t) for t in tensors]
    return concatenate([reshape(t, (1, -1)) if t.ndim < 2 else t for t in several], axis=0)


def hstack(tensors: Sequence[TensorLike]) -> ArrayOrTensor:
    """Join beside each other: along axis 1, or along axis 0 those that have only that one.

    Raises:
        ShapeError: there are no tensors, or their shapes do not agree.
    """
    several = [flatten(t) if array_like(t).ndim == 0 else t for t in tensors]
    return concatenate(several, axis=1 if several and array_like(several[0]).ndim > 1 else 0)


# ---- matrices


def _diagonal_places(rows: int, columns: int, offset: int, x: Array) -> tuple[Array, Array]:
    """The row and the column of each element of a diagonal, as arrays where x lives."""
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    places = module_of(x).arange(length)
    return places + max(-offset, 0), places + max(offset, 0)


def _raw(x: ArrayOrTensor) -> Array:
    return x._data if isinstance(x, Variable) else x


def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ArrayOrTensor:
    """The diagonal of the matrix on two axes, which become one, the last.

    Args:
        x: at least two axes.
        offset: 0 for the main diagonal, 1 for the one above it, -1 for the one below.
        axis1, axis2: where rows and columns are counted.

    Raises:
        ShapeError, AxisError: x has fewer axes, or both axes are the same.
    """
    x = array_like(x)
    if x.ndim < 2:
        raise ShapeError(f"diagonal: expected at least two axes; got shape {tuple(x.shape)}")
    matrices = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = matrices.shape[-2:]
    return getitem(matrices, (..., *_diagonal_places(rows, columns, offset, _raw(matrices))))


def diag(x: TensorLike, k: int = 0) -> ArrayOrTensor:
    """Of a matrix its k-th diagonal; of a vector the matrix that has it there, and zeros elsewhere.

    Raises:
        ShapeError: x is neither.
    """
    x = array_like(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag: expected a vector or a matrix; got shape {tuple(x.shape)}")
    n = x.shape[0] + abs(k)
    return PutAt(_diagonal_places(n, n, k, _raw(x)), (n, n))(x)


def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ArrayOrTensor:
    """The sum of `diagonal(x, offset, axis1, axis2)`."""
    return sum(diagonal(x, offset, axis1, axis2), axis=-1)


def tril(x: TensorLike, k: int = 0, **unknown: Never) -> ArrayOrTensor:
    """The matrix x (or each of a stack) with zeros above its k-th diagonal.

    Raises:
        ShapeError: x has fewer than two axes.
    """
    if unknown:
        raise unknown_option("F.tril(x)", unknown)
    return _triangle(x, "tril", k)


def triu(x: TensorLike, k: int = 0, **unknown: Never) -> ArrayOrTensor:
    """The matrix x (or each of a stack) with zeros below its k-th diagonal.

    Raises:
        ShapeError: x has fewer than two axes.
    """
    if unknown:
        raise unknown_option("F.triu(x)", unknown)
    return _triangle(x, "triu", k)


def _triangle(x: TensorLike, name: str, k: int) -> ArrayOrTensor:
    x = array_like(x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected at least two axes; got shape {tuple(x.shape)}")
    rows, columns = (module_of(_raw(x)).arange(n) for n in x.shape[-2:])
    above = columns - rows[:, None]  # the number of the diagonal that each element is on
    return masked(x, above <= k if name == "tril" else above >= k)


def one_hot(labels: TensorLike, num_classes: int = -1, dtype: str = "float32") -> ArrayOrTensor:
    """For each label a row with 1 at its place and 0 elsewhere.

    Args:
        labels: integers from 0 to num_classes - 1, in any shape (...).
        num_classes: how many there are; -1 for the largest label and one more.
        dtype: of the result. (PyTorch's is int64, which with float32 makes float64 here, as in NumPy.)

    Returns:
        (..., num_classes), without gradient.

    Raises:
        DTypeError: the labels are no integers.
        ValueError: a label is negative, or too large.
    """
    labels = array_like(labels)
    places = labels.shown() if isinstance(labels, Variable) else labels
    if places.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: expected whole numbers as labels; got {describe(labels)}")
    if num_classes == -1:
        num_classes = int(places.max()) + 1 if places.size else 0
    wrong = found_outside(places, whole(num_classes, "one_hot: num_classes", 0))
    if wrong is not None:
        raise ValueError(f"one_hot: expected labels from 0 to {num_classes - 1}; got {wrong}")
    return astype(equal(getitem(labels, (..., None)), module_of(places).arange(num_classes)), dtype)
