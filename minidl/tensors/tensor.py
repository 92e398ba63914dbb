"""Tensor: an array that remembers how it was made. Its operators are calls into `minidl.functional`."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from minidl import backend
from minidl import functional as F
from minidl.autograd.backward import Walk, seed_gradient
from minidl.autograd.diagnosis import refuse_unpacking, warn_of_no_grad
from minidl.autograd.hooks import RemovableHandle, after_backward
from minidl.autograd.modes import PLAIN, current_mode
from minidl.autograd.variable import Variable, extras_of, to_share, writes_of
from minidl.autograd.versions import chosen
from minidl.checks import yes_or_no
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError, describe
from minidl.functional.arithmetic import Add, Div, Mul, Sub
from minidl.habits.answers import TensorNames
from minidl.tensors.array import as_data
from minidl.tensors.in_place import become, write_item
from minidl.tensors.methods import NumPyMethods
from minidl.tensors.numpy_functions import from_function, from_ufunc
from minidl.tensors.showing import shown


class Tensor(NumPyMethods, TensorNames):
    """An n-dimensional array with a gradient.

    Attributes:
        data: the raw NumPy or CuPy array.
        grad: dL/d(this) as a Tensor once a `backward()` has come by, else None. It adds up over backwards.
        requires_grad: whether operations on this tensor are recorded.

    Args:
        data: an array, which is shared, not copied (`md.tensor` copies); numbers and lists become an array on the
            current backend, floats among them float32.
        requires_grad: record what is done with it. Only for floating dtypes.
        name: what error messages, graphs and figures call it.
    """

    __slots__ = ()
    _grad: Tensor | None
    __array_ufunc__ = from_ufunc  # np.exp(t), array * t
    __array_function__ = from_function  # np.mean(t), np.stack([t, u])

    def __init__(self, data: Any, requires_grad: bool = False, name: str | None = None) -> None:
        self._op = None
        self._grad = None
        self._writes = writes_of(to_share(data)) if isinstance(data, Variable) else None
        self._data = as_data(data)
        self._extras = None
        self._requires_grad = False
        if not self._data.flags.c_contiguous:
            writes_of(self)  # somebody shares the memory already: see `to_share`
        if name is not None:
            self.name = name
        if requires_grad is not False:
            self.requires_grad = requires_grad

    # ---- what it is

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward() left here, a Tensor of this shape, or None.

        At results of ops it leaves none, unless `retain_grad()` asked for it: reading it there gives a warning.
        """
        if self._grad is None and self._op is not None:
            warn_of_no_grad(self)
        return self._grad

    @grad.setter
    def grad(self, grad: Tensor | None) -> None:
        if grad is not None and not isinstance(grad, Tensor):
            raise DTypeError(
                f"expected a Tensor or None as .grad; got {type(grad).__name__}: wrap it in md.Tensor(...)"
            )
        if grad is not None and grad.shape != self.shape:
            raise ShapeError(f"the gradient of {describe(self)} must have its shape; got {grad.shape}")
        if grad is not None and grad.dtype != self.dtype:
            raise DTypeError(f"the gradient of {describe(self)} must have its dtype; got {grad.dtype}: use .astype()")
        if grad is not None and grad.device != self.device:
            raise DeviceError(f"the gradient of {describe(self)} must be on its device; got {grad.device}: use .to()")
        self._grad = grad

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, required: bool) -> None:
        required = yes_or_no(required, "requires_grad")
        if required and self.dtype.kind != "f":
            raise DTypeError(
                f"only floating tensors can require a gradient; got {describe(self)}: use .astype('float32')"
            )
        if self._op is not None and not required:
            raise GraphError("requires_grad can be turned off only for leaves; use .detach() for a result of an op")
        self._requires_grad = required

    def requires_grad_(self, required: bool = True) -> Tensor:
        """Set `requires_grad` and return self."""
        self.requires_grad = required
        return self

    @property
    def name(self) -> str | None:
        """What messages and figures call this tensor."""
        return self._extras.name if self._extras is not None else None

    @name.setter
    def name(self, name: str | None) -> None:
        extras_of(self).name = name
        if self._op is not None:
            extras_of(self._op).name = name  # the graph holds no Tensors, and its errors shall name them

    def __repr__(self) -> str:
        return shown(self)

    # ---- backward

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add dL/dt to the `.grad` of every leaf t this tensor L was computed from.

        Args:
            gradient: dL/d(self), of this tensor's shape; may be left out (1) if it has one element.
            retain_graph: keep the graph for another backward; by default it is freed on the way.
            create_graph: record the backward itself, so that the gradients can be differentiated. The `.grad` then
                holds on to the graph until it is cleared: `md.grad` avoids that.

        Raises:
            GraphError: nothing was recorded, or it was freed, or a value it needs was overwritten.
            ShapeError: `gradient` has another shape, or is missing for more than one element.
        """
        seed = seed_gradient(self, gradient, create_graph)
        walk = Walk if current_mode() & PLAIN else chosen(Walk)
        leaves = walk.run({self._op or self: seed}, retain_graph, create_graph)
        walk.deliver(leaves, seed)
        for hook in list(after_backward.values()) if after_backward else ():
            hook(self)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient: it becomes None, or with `set_to_none=False` 0."""
        grad = None if yes_or_no(set_to_none, "zero_grad: set_to_none") else self._grad
        self._grad = None if grad is None else self.wrap(backend.module_of(grad._data).zeros_like(grad._data))

    def retain_grad(self) -> None:
        """Let backward() leave a `.grad` here too, though this is not a leaf."""
        if not self._requires_grad:
            raise GraphError(f"{describe(self)} does not require a gradient, so there is none to retain")
        if self._op is not None:
            extras_of(self._op).retained = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(grad)` in every backward when this tensor's gradient is complete.

        The hook may return another Tensor to be used instead. Returns a handle with `remove()`, which is also a
        context manager.
        """
        if not self._requires_grad:
            raise GraphError(f"{describe(self)} does not require a gradient, so no hook would ever be called")
        extras = extras_of(self if self._op is None else self._op)
        if extras.hooks is None:
            extras.hooks = {}
        return RemovableHandle(extras.hooks, hook)

    def detach(self) -> Tensor:
        """The same memory as a Tensor without history."""
        result: Tensor = self.wrap(to_share(self).shown())
        result._writes = writes_of(self)
        return result

    # ---- moving and converting

    def to(self, device: str) -> Tensor:
        """On 'numpy' or 'cupy': this tensor if it is there, else a copy there; the gradient finds its way back."""
        if device == self.device:
            return self
        return F.to_device(self, device)

    def astype(self, dtype: Any) -> Tensor:
        """A copy in another dtype."""
        return F.astype(self, dtype)

    def copy(self) -> Tensor:
        """A copy in memory of its own; the gradient goes through."""
        return F.copy(self)

    def __copy__(self) -> Tensor:
        """A Tensor with the same memory and history, but no `.grad`."""
        result = type(self)(self)
        result._op, result._requires_grad = self._op, self._requires_grad
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._op is not None:
            raise GraphError("only leaves can be deep-copied: detach() the tensor first")
        result: Tensor = type(self).__new__(type(self))
        memo[id(self)] = result
        result._data = self.shown().copy()
        result._requires_grad = self._requires_grad
        result._grad = None if self._grad is None else self.wrap(self._grad._data.copy())
        result._op = None
        result._writes = None
        result._extras = None
        if self.name is not None:
            result.name = self.name
        return result

    def __iter__(self) -> Iterator[Tensor]:
        refuse_unpacking(self, sys._getframe(1))  # values, places = x.max(1)
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value)._data.any())

    # ---- operators

    def __add__(self, other: Any) -> Tensor:
        return Add()(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return Add()(other, self)

    def __iadd__(self, other: Any) -> Tensor:
        return become(self, Add()(self, other))

    def __sub__(self, other: Any) -> Tensor:
        return Sub()(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return Sub()(other, self)

    def __isub__(self, other: Any) -> Tensor:
        return become(self, Sub()(self, other))

    def __mul__(self, other: Any) -> Tensor:
        return Mul()(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return Mul()(other, self)

    def __imul__(self, other: Any) -> Tensor:
        return become(self, Mul()(self, other))

    def __truediv__(self, other: Any) -> Tensor:
        return Div()(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return Div()(other, self)

    def __itruediv__(self, other: Any) -> Tensor:
        return become(self, Div()(self, other))

    def __floordiv__(self, other: Any) -> Tensor:
        return F.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return F.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return F.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return F.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return F.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return F.power(other, self)

    def __ipow__(self, other: Any) -> Tensor:
        return become(self, F.power(self, other))

    def __matmul__(self, other: Any) -> Tensor:
        return F.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return F.matmul(other, self)

    def __neg__(self) -> Tensor:
        return F.negative(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return F.absolute(self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return F.equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return F.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return F.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return F.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return F.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return F.greater_equal(self, other)

    def __and__(self, other: Any) -> Tensor:
        return F.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return F.bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return F.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return F.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return F.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return F.bitwise_xor(other, self)

    def __invert__(self) -> Tensor:
        return F.invert(self)

    __hash__ = object.__hash__  # tensors are told apart by identity; == compares elements

    def __getitem__(self, index: Any) -> Tensor:
        return F.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        write_item(self, index, value)


Variable.result_class = Tensor
