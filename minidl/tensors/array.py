"""The array in a Tensor: reading it, replacing it, and turning it into Python's and NumPy's values."""

from __future__ import annotations

from typing import Any, Never

import numpy as np

from minidl import backend
from minidl.autograd.modes import is_grad_enabled
from minidl.autograd.variable import Variable, to_share, writes_of
from minidl.autograd.writes import WriteCount
from minidl.errors import DTypeError, GraphError, ShapeError, describe
from minidl.tensors.numpy_functions import refuse_to_be_stored
from minidl.types import Array, TensorLike

DEFAULT_DTYPE = np.dtype(np.float32)  # for Python numbers; arrays keep the dtype they have


class Count(int):
    """A number of elements. Called, as PyTorch's `size()` is, it says how the shape is asked for."""

    __slots__ = ()

    def __call__(self, axis: int | None = None) -> Never:
        raise TypeError(f"x.size is the number of elements, {self}: write x.shape{'' if axis is None else f'[{axis}]'}")


class ArrayOfTensor(Variable):
    """The part of Tensor that is about the array it holds, not about operations or gradients."""

    __slots__ = ()

    @property
    def data(self) -> Array:
        """The raw array, shared. Reading it is not recorded.

        A write to it is noticed by the backward of what has saved the tensor before the array was handed out, and of
        what is recorded afterwards as long as such a graph is there; it is not seen by others: write t[...] = ...
        """
        array, writes = to_share(self).shown(), writes_of(self)
        if writes.saved:
            writes.guard(array)
        writes.announce()
        writes.handed_out = True
        return array

    @data.setter
    def data(self, array: TensorLike) -> None:
        new = as_data(array)
        if self._requires_grad and new.dtype.kind != "f":
            raise DTypeError(f"{describe(self)} requires a gradient, so its data must be floating; got {new.dtype}")
        if new is not self._data and self._grad is not None and self._grad._data.shape != new.shape:
            raise ShapeError(f"{describe(self)} has a gradient; new data must have its shape, got {new.shape}")
        before = writes_of(self)
        before.announce()
        self._data = new
        # Other tensors of the old memory keep its count. What saved this one finds another count than it noted.
        self._writes = writes_of(array) if isinstance(array, Variable) else WriteCount()
        if self._writes.count <= before.count:
            self._writes.count = before.count
            self._writes.bump()
        if self._op is not None:
            self._op._writes = self._writes

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this tensor."""
        return self._op is None

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return Count(self._data.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements."""
        return self._data.dtype

    @property
    def device(self) -> str:
        """'numpy' or 'cupy': where the array lives."""
        return backend.device_of(self._data)

    def numpy(self) -> Any:
        """A NumPy array: sharing memory on the CPU, a copy of what is on the GPU."""
        return self.data if self.device == "numpy" else backend.to_numpy(self.shown())  # nobody writes through a copy

    def item(self) -> Any:
        """The only element, as a Python number (waits for the device)."""
        if self.size != 1:
            raise ShapeError(f"item() needs exactly one element; got {describe(self)}")
        return self.shown().item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.shown().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self._requires_grad and is_grad_enabled():
            raise GraphError(
                f"{describe(self)} requires a gradient, which an array of it would lose. If you mean the values alone, "
                f"write t.numpy(). With their history F.stack([t, u]) makes one tensor of several, and h[i] = t writes "
                f"into a tensor h = md.zeros(...)"
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __bool__(self) -> bool:
        return bool(self.shown())

    def __float__(self) -> float:
        refuse_to_be_stored(self)
        return float(self.item())

    def __int__(self) -> int:
        refuse_to_be_stored(self)
        return int(self.item())

    def __index__(self) -> int:
        if self.ndim != 0 or self.dtype.kind not in "iu":
            raise TypeError(f"only a single integer can be an index; got {describe(self)}")
        return int(self.item())

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else object.__format__(self, spec)


def as_data(value: Any) -> Any:
    """The raw array for a new tensor: arrays as they are, numbers and lists on the current backend.

    Arrays of another class than NumPy's, or with their bytes in another order, are made native: `backend.native`.

    Raises:
        DTypeError: the value is no array of numbers (complex, text, ragged lists), or a masked one.
    """
    if isinstance(value, Variable):
        return value.shown("Tensor")
    given = backend.is_array(value)
    if given:
        array = backend.native(value)
    elif isinstance(value, np.generic):
        array = np.asarray(value)
    else:
        array = array_of(value)
        if array.dtype == np.float64:
            array = array.astype(DEFAULT_DTYPE)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"expected floating, integer or boolean numbers; got dtype {array.dtype}")
    return array if given else backend.to_device(array, backend.current())


def array_of(value: Any, dtype: Any = None) -> Any:
    """The NumPy array of a number or of nested lists of numbers.

    Raises:
        DTypeError: it is none, or there is a Tensor in it whose gradient would be lost.
    """
    try:
        return np.asarray(value, dtype)
    except GraphError as error:
        raise DTypeError(
            f"expected numbers; got a {type(value).__name__} with Tensors that require a gradient, which would be "
            f"lost: F.stack([t, u]) makes one tensor of them, with their history"
        ) from error
    except (ValueError, TypeError) as error:
        raise DTypeError(f"expected numbers or nested lists of equal lengths; got {value!r}") from error
