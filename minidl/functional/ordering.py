"""Where the largest and smallest values are, and sorting: argmax, argmin, argsort, sort, take_along_axis.

Places are integers, which have no gradient. What is picked out by them has one: it goes back to where it came from.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([3.0, 1.0, 2.0], requires_grad=True)
>>> (F.sort(x) * md.tensor([1.0, 10.0, 100.0])).sum().backward()
>>> x.grad
Tensor([100.,   1.,  10.])
"""

from __future__ import annotations

from typing import Never

from minidl.autograd.function import Function
from minidl.autograd.variable import Variable
from minidl.backend import asarray, module_of
from minidl.checks import yes_or_no
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.axes import one_axis
from minidl.functional.indexing import getitem
from minidl.functional.reshaping import array_like, flatten
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, TensorLike


class ArgExtremum(Function):
    """Where the extreme value along an axis is, the first of equal ones: an integer."""

    differentiable = False
    __slots__ = ("axis", "keepdims", "name")

    def __init__(self, name: str, axis: int | None, keepdims: bool) -> None:
        self.name = name
        self.axis = axis
        self.keepdims = yes_or_no(keepdims, f"{name}: keepdims")

    def forward(self, x: Array) -> Array:
        axis = None if self.axis is None else one_axis(self.axis, x.ndim or 1)
        if x.ndim == 0:  # which has an axis 0 for NumPy, and none for CuPy
            axis = None
        return getattr(module_of(x), self.name)(x, axis=axis, keepdims=self.keepdims)


def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """Where along `axis` the largest value is, the first of equal ones (or of NaN); None counts x flattened.

    Raises:
        ShapeError: there are no numbers, so there is no largest.
        AxisError: there is no such axis.
    """
    if unknown:
        raise unknown_option("F.argmax(x)", unknown)
    return ArgExtremum("argmax", axis, keepdims)(x)


def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """Where along `axis` the smallest value is, the first of equal ones (or of NaN); None counts x flattened.

    Raises:
        ShapeError: there are no numbers, so there is no smallest.
        AxisError: there is no such axis.
    """
    if unknown:
        raise unknown_option("F.argmin(x)", unknown)
    return ArgExtremum("argmin", axis, keepdims)(x)


class ArgSort(Function):
    """The places of the values along an axis in the order of their size, equal ones as they stand."""

    differentiable = False
    __slots__ = ("axis",)

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return module_of(x).argsort(x, axis=one_axis(self.axis, x.ndim), kind="stable")


def argsort(x: TensorLike, axis: int | None = -1, **unknown: Never) -> ArrayOrTensor:
    """The places along `axis` of the smallest value, the next larger, ...; equal ones as they stand, NaN last.

    Args:
        x: any shape; a number counts as one of shape (1,).
        axis: which one; None sorts x flattened.

    Raises:
        AxisError: there is no such axis.
    """
    if unknown:
        raise unknown_option("F.argsort(x)", unknown)
    x = array_like(x)
    return ArgSort(-1)(flatten(x)) if axis is None or x.ndim == 0 else ArgSort(axis)(x)


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = -1, **unknown: Never) -> ArrayOrTensor:
    """x at `indices` along `axis`, which say where to look in each row of its own: z[i, j] = x[i, indices[i, j]].

    With `indices` from `argsort` or `argmax(..., keepdims=True)` these are the values that were found there.

    Args:
        x: at least one axis.
        indices: integers with as many axes as x; except along `axis` they have x's lengths, or 1.
        axis: which one; None takes from x flattened, by indices with one axis.

    Raises:
        DTypeError, ShapeError: the indices are no integers, or have another number of axes.
        AxisError, IndexError: there is no such axis, or an index is out of range.
    """
    if unknown:
        raise unknown_option("F.take_along_axis(x, indices)", unknown)
    x = array_like(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = one_axis(axis, x.ndim)
    places = indices.shown() if isinstance(indices, Variable) else asarray(indices)
    if places.dtype.kind not in "iu":
        raise DTypeError(f"take_along_axis: expected integers as indices; got {describe(indices)}")
    if places.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: expected indices with {x.ndim} axes, as x {x.shape}; got {places.shape}")
    xp = module_of(places)
    grid = [xp.arange(n).reshape([-1 if i == j else 1 for j in range(x.ndim)]) for i, n in enumerate(x.shape)]
    return getitem(x, (*grid[:axis], places, *grid[axis + 1 :]))


def sort(x: TensorLike, axis: int | None = -1, **unknown: Never) -> ArrayOrTensor:
    """The values along `axis` from the smallest to the largest, NaN last; each keeps its gradient.

    Args:
        x: any shape; a number becomes one of shape (1,).
        axis: which one; None sorts x flattened.

    Raises:
        AxisError: there is no such axis.
    """
    if unknown:
        raise unknown_option("F.sort(x)", unknown)
    x = array_like(x)
    if axis is None or x.ndim == 0:
        x, axis = flatten(x), 0
    return take_along_axis(x, argsort(x, axis), axis)
