"""x[index], writing into it, and embedding. A place that is read several times gets all the gradients, added up.

>>> import minidl as md
>>> x = md.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> x[[0, 0, 2]].sum().backward()
>>> x.grad
Tensor([2., 0., 1.])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.autograd.function import Function
from minidl.autograd.variable import Variable, to_share
from minidl.backend import asarray, check_index, found_outside, is_array, module_of, moved_beside, scatter_add
from minidl.checks import whole
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.broadcasting import unbroadcast
from minidl.functional.masking import masked
from minidl.functional.selection import where
from minidl.types import Array, ArrayOrTensor, Gradients, Shape, TensorLike


class GetItem(Function):
    """z = x[index]; index as NumPy's: integers, slices, None, ..., and arrays of integers or booleans."""

    __slots__ = ("index", "shape")

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        self.index = _beside(self.index, x)
        out = x[self.index]
        if isinstance(out, np.generic):  # one element: the ellipsis makes it a 0-d view, not a copied scalar
            out = x[(*self.index, ...) if isinstance(self.index, tuple) else (self.index, ...)]
        return out

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        put = AddAt if _may_repeat(self.index) else PutAt
        return put(self.index, self.shape)(grad_out)


class PutAt(Function):
    """The transpose of GetItem: x at `index`, zeros elsewhere, in an array of `shape`."""

    __slots__ = ("index", "shape")

    def __init__(self, index: Any, shape: Shape) -> None:
        self.index = index
        self.shape = shape

    def forward(self, x: Array) -> Array:
        out = module_of(x).zeros(self.shape, dtype=x.dtype)
        out[self.index] = x
        return out

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return grad_out[self.index]


class AddAt(PutAt):
    """The same where index arrays may name one place several times: what is put there adds up.

    In float64, for a place may be named millions of times: in float32 ten million times 0.1 would be 1,087,937.
    """

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        total = module_of(x).zeros(self.shape, dtype=np.float64)
        scatter_add(total, self.index, x.astype(np.float64))
        return total.astype(x.dtype)


class SetItem(Function):
    """z = x, but value at `index`: those places of x get no gradient, the value gets theirs.

    Where an index is repeated the last value stays (NumPy's rule), so only that one gets a gradient.
    """

    __slots__ = ("index", "value_shape", "winners")

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Array, value: Array) -> Array:
        self.index = _beside(self.index, x)
        self.value_shape = getattr(value, "shape", ())
        out = x.copy()
        self.winners = _write(out, self.index, value)
        return out

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        grad_x = SetItem(self.index)(grad_out, 0) if self.needs(0) else None
        grad_value = None
        if self.needs(1):
            grad_value = grad_out[self.index]
            if self.winners is not None:
                grad_value = masked(grad_value, self.winners)
            # NumPy lets the value have more leading axes of length 1 than the place it is written to.
            extra = max(0, len(self.value_shape) - grad_value.ndim)
            grad_value = unbroadcast(grad_value, self.value_shape[extra:]).reshape(self.value_shape)
        return grad_x, grad_value


class WriteItem(Function):
    """x[index] = value in x's own memory, which gives no gradient."""

    differentiable = False
    __slots__ = ("index",)

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Array, value: Array) -> Array:
        _write(x, _beside(self.index, x), value)
        return x


def _write(target: Array, index: Any, value: Array) -> Array | None:
    """target[index] = value. Where an index is repeated the last value stays.

    Returns:
        None, or where an index may be repeated: which of the places written kept what was written there.
    """
    if not _may_repeat(index):
        target[index] = value
        return None
    xp = module_of(target)
    writer = xp.full(target.shape, -1, dtype=np.int64)
    places = writer[index].shape
    numbers = xp.arange(math.prod(places)).reshape(places)
    xp.maximum.at(writer, index, numbers)
    last = writer[index]
    if getattr(value, "ndim", 0) > 0:  # a GPU writes in any order, so every place writes what the last one would
        value = value.reshape(value.shape[max(0, value.ndim - len(places)) :])
        value = xp.broadcast_to(value, places).reshape(-1)[last]
    target[index] = value
    return last == numbers


def getitem(x: TensorLike, index: Any) -> ArrayOrTensor:
    """x[index]: a view for slices and integers, a copy for index arrays, as in NumPy.

    Raises:
        IndexError: the index does not fit x.
    """
    return GetItem(_plain(index))(to_share(x))


def embedding(indices: TensorLike, weight: TensorLike, padding_idx: int | None = None) -> ArrayOrTensor:
    """weight[indices]: for each index a row, such as the vector of each word of a text whose words are numbered.

    Args:
        indices: whole numbers from 0 to num_embeddings - 1, in any shape (...).
        weight: (num_embeddings, embedding_dim).
        padding_idx: the index that fills short sequences up to one length; its row gets no gradient. None if there is
            no such index.

    Returns:
        (..., embedding_dim). A row that is named several times gets the sum of their gradients, others 0.

    Raises:
        DTypeError, ShapeError: the indices are no whole numbers, or the weight is no matrix.
        ValueError: there is no row padding_idx.
        IndexError: an index is out of range, negative ones too. On a GPU, where finding out would make the program
            wait, it silently names some other row.
    """
    places = indices.shown() if isinstance(indices, Variable) else asarray(indices)
    if places.dtype.kind not in "iu":
        raise DTypeError(f"embedding: expected whole numbers as indices; got {describe(indices)}")
    shape = np.shape(weight)
    if len(shape) != 2:
        raise ShapeError(f"embedding: expected a weight (num_embeddings, embedding_dim); got shape {shape}")
    wrong = found_outside(places, shape[0])
    if wrong is not None:
        raise IndexError(f"embedding: expected indices from 0 to {shape[0] - 1}; got {wrong}")
    rows = getitem(weight, places)
    if padding_idx is None:
        return rows
    constant = rows._data if isinstance(rows, Variable) else rows
    is_word = moved_beside(places, constant) != padding_row(padding_idx, shape[0], "embedding")
    return where(is_word[..., None], rows, constant)


def padding_row(padding_idx: Any, rows: int, name: str) -> int:
    """The row of so many that `padding_idx` means; -1 is the last."""
    if whole(padding_idx, f"{name}: padding_idx", -rows) >= rows:
        raise ValueError(f"{name}: padding_idx: expected one of the {rows} rows, which start at 0; got {padding_idx}")
    return int(padding_idx) % rows


def setitem(x: TensorLike, index: Any, value: TensorLike) -> ArrayOrTensor:
    """A copy of x with x[index] = value; gradients reach x and the value. It keeps x's dtype.

    Raises:
        IndexError, ShapeError: the index does not fit x, or the value does not broadcast to the place.
        DTypeError: x holds integers, and the value requires a gradient: it would be lost; or the value is None.
    """
    _refuse_none(value)
    array = x.shown() if isinstance(x, Variable) else asarray(x)
    if array.dtype.kind != "f" and isinstance(value, Variable) and value._requires_grad:
        raise DTypeError(f"setitem: cannot write {describe(value)}, which requires a gradient, into {describe(x)}")
    return SetItem(_plain(index))(x, value)


def write_item(x: TensorLike, index: Any, value: TensorLike) -> None:
    """x[index] = value in x's own memory, without a gradient.

    Raises:
        IndexError, ShapeError: the index does not fit x, or the value does not broadcast to the place.
        DTypeError: the value is None.
    """
    _refuse_none(value)
    WriteItem(_plain(index))(x, value)


def _refuse_none(value: Any) -> None:
    if value is None:  # NumPy would write NaN
        raise DTypeError("expected a Tensor, array or number to write; got None")


def _plain(index: Any, part: bool = False) -> Any:
    """The index with Tensors and sequences as raw arrays, copied so that a later write to them changes nothing here.

    A tuple names a place on each axis. But as a `part` of an index it is a sequence of places on one axis, as a list
    is, a range or an array.array: in x[:, (0, 0, 2)] the inner one.
    """
    if isinstance(index, tuple) and not part:
        return tuple(_plain(each, True) for each in index)
    if isinstance(index, Variable):
        return index.shown().copy()
    if is_array(index):
        return index.copy()
    if index is None or index is Ellipsis or isinstance(index, slice) or hasattr(index, "__index__"):
        return index
    array = np.array(index)
    array = array.astype(np.intp) if array.size == 0 else array
    return array if array.dtype.kind in "iub" else index  # what is no index the library refuses, in its own words


def _beside(index: Any, x: Array) -> Any:
    """The index with its arrays on x's device: small ones of the host are moved there, none is fetched from there."""
    if isinstance(index, tuple):
        return tuple(_beside(part, x) for part in index)
    if is_array(index):
        return moved_beside(index, x)
    check_index(index, x)
    return index


def _may_repeat(index: Any) -> bool:
    """Whether an index could name one place twice: only arrays of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(is_array(part) and part.dtype.kind in "iu" and part.ndim > 0 for part in parts)
