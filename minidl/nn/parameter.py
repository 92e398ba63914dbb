"""Parameter: a Tensor that belongs to a layer and is learned."""

from __future__ import annotations

import weakref
from typing import Any

from minidl.tensors.tensor import Tensor


class Parameter(Tensor):
    """A leaf Tensor that requires a gradient and belongs to a layer.

    Assigning it to an attribute of a Module registers it there: it then appears in `parameters()`, and an optimizer
    moves it. What an operation makes of it is a plain Tensor.

    Attributes:
        owner: the Module that owns it: the first it was assigned to that still has it; None while there is none. The
            link is weak, so a kept Parameter does not keep a dropped model alive.
        name: its dotted name in the model, 'fc1.weight', once it has an owner.

    Args:
        data: an array or Tensor, which is shared, not copied; numbers and lists become an array on the current backend.
        requires_grad: False for a frozen parameter.
        name: what messages call it until it has an owner.

    Raises:
        DTypeError: `data` is not floating and a gradient is asked for.
    """

    __slots__ = ("_key", "_owner")

    _owner: weakref.ref[Any] | None
    _key: str

    def __new__(cls, *args: Any, **kwargs: Any) -> Parameter:
        parameter = super().__new__(cls)
        parameter._owner, parameter._key = None, ""
        return parameter

    def __init__(self, data: Any, requires_grad: bool = True, name: str | None = None) -> None:
        super().__init__(data, requires_grad, name)

    @property
    def owner(self) -> Any:
        """The Module that owns this parameter, or None."""
        owner = self._owner() if self._owner is not None else None
        return owner if owner is not None and owner.__dict__.get(self._key) is self else None

    def _claim(self, module: Any, key: str) -> None:
        """Make `module`, which has this parameter as its attribute `key`, the owner unless there is one already."""
        if self.owner is None:
            self._owner, self._key = weakref.ref(module), key

    @property
    def name(self) -> str | None:
        """The dotted name in the model, or without an owner the name it was given."""
        owner = self.owner
        if owner is None:
            return super().name
        path = owner._path()
        return f"{path}.{self._key}" if path else self._key

    @name.setter
    def name(self, name: str | None) -> None:
        if self.owner is not None:
            raise AttributeError(
                f"parameter {self.name!r} is named by its place in the model; it cannot be called {name!r}"
            )
        Tensor.name.fset(self, name)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return "Parameter" + super().__repr__().removeprefix("Tensor").replace("\n", "\n   ")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._data, self._requires_grad, self.name)  # for pickle: no owner, no gradient
