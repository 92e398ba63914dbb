"""What an op's inputs are to the engine: Tensors, seen as an array with a gradient and a history."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from minidl.autograd.writes import WriteCount
from minidl.errors import GraphError, describe


class Extras:
    """What few Tensors and nodes have: a name, hooks, a tensor that wants its .grad, what observers note down."""

    __slots__ = ("hooks", "layers", "name", "odd", "retained", "watchers", "where")

    def __init__(self) -> None:
        self.name: str | None = None
        self.hooks: dict[int, Callable[[Any], Any]] | None = None
        self.retained: weakref.ref[Variable] | None = None
        self.watchers: dict[int, Callable[[Any], None]] | None = None
        self.where: str | None = None  # the lines that made it
        self.layers: tuple[str, ...] | None = None  # in which it was made, the innermost first
        self.odd: str | None = None  # how NaN or infinity came into it


class Source:
    """What an op's input comes from: a leaf Tensor, or the op that made it. Both keep an array and its WriteCount."""

    __slots__ = ("_data", "_extras", "_writes")

    _data: Any
    _extras: Extras | None
    _writes: WriteCount | None


class Variable(Source):
    """What the engine sees of a Tensor: an array, its gradient, and the op that made it (None for a leaf)."""

    __slots__ = ("__weakref__", "_grad", "_op", "_requires_grad")

    result_class: ClassVar[type[Variable]]  # the class of an op's result: Tensor, also when the input is a Parameter

    order: ClassVar[int] = 0  # of a leaf: before every op
    _grad: Variable | None
    _op: Any  # the Function that made it, or None
    _requires_grad: bool
    copy: Callable[[], Any]  # Tensor has these two; the walk uses them
    astype: Callable[[Any], Any]

    @classmethod
    def wrap(cls, array: Any) -> Any:
        """A Tensor of `array` without history; nothing is copied or checked."""
        result = cls.result_class.__new__(cls.result_class)
        result._data = array
        result._grad = None
        result._op = None
        result._writes = None
        result._extras = None
        result._requires_grad = False
        return result

    def shown(self, reader: str = "") -> Any:
        """The raw array.

        Raises:
            GraphError: it no longer shows this tensor's values.
        """
        if self._writes is not None and self._writes.stale is not None:
            raise GraphError(f"{reader}{' got ' if reader else ''}{describe(self)}: {self._writes.stale}")
        return self._data


def to_share(x: Any) -> Any:
    """x, of which a view is about to be made, or whose raw array is about to be handed out.

    The results of some ops do not lie in C order, on one device or another. Whether NumPy makes a view of an array, or
    a copy, depends on its order in memory, and must not depend on the device. So before the memory of an op's result is
    shared for the first time, it is brought into C order.
    """
    if isinstance(x, Variable) and x._writes is None and not x._data.flags.c_contiguous:
        x._data = x._data.copy(order="C")
    return x


def writes_of(x: Variable) -> WriteCount:
    """The WriteCount of x's memory, made when it is first needed."""
    if x._writes is None:
        x._writes = WriteCount()
        if x._op is not None:
            x._writes.saved = x._op._data is not None
            x._op._writes = x._writes
    return x._writes


def extras_of(x: Source) -> Extras:
    """The Extras of a Tensor or node, made when they are first needed."""
    if x._extras is None:
        x._extras = Extras()
    return x._extras
