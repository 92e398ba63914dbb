"""The engine: values that remember how they were made, and the walk that turns this memory into gradients.

Every operation is a `Function` with two plain methods. `forward` computes on raw arrays. `backward` is handed the
gradient of the loss with respect to the op's output and returns the gradient with respect to each input: the chain
rule for this one op. Calling the op on Tensors runs `forward` and, when a gradient may be asked for, lets the op
instance itself stay behind as the *node* of the computation graph:

    x --.                         z._op = the Mul node;  Mul.inputs = (x, y's node or y)
         Mul --> z = x * y
    y --'

The walk back over these nodes is in `backward.py`.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.backend import ERROR_STATE, SILENT
from minidl.diagnosis import explain_forward, users_lines
from minidl.errors import DTypeError, GraphError, describe
from minidl.modes import ANOMALY, RECORD, mode
from minidl.versions import Version

_creation_order = itertools.count(1)


class Extras:
    """What few Tensors and nodes have: a name, hooks, a tensor that wants its .grad, the lines that made it."""

    __slots__ = ("hooks", "name", "retained", "where")

    def __init__(self) -> None:
        self.name: str | None = None
        self.hooks: dict[int, Callable[[Any], Any]] | None = None
        self.retained: weakref.ref[Variable] | None = None
        self.where: str | None = None


class Variable:
    """What the engine sees of a Tensor: an array, its gradient, and the op that made it (None for a leaf)."""

    __slots__ = ("__weakref__", "_data", "_extras", "_grad", "_op", "_requires_grad", "_version")

    result_class: ClassVar[type[Variable]]  # the class of an op's result: Tensor, also when the input is a Parameter

    _data: Any
    _grad: Variable | None
    _op: Function | None
    _requires_grad: bool
    _version: Version | None
    _extras: Extras | None
    copy: Callable[[], Any]  # Tensor has these two; the walk uses them
    astype: Callable[[Any], Any]

    @classmethod
    def wrap(cls, array: Any) -> Any:
        """A Tensor of `array` without history; nothing is copied or checked."""
        result = cls.result_class.__new__(cls.result_class)
        result._data = array
        result._grad = None
        result._op = None
        result._version = None
        result._extras = None
        result._requires_grad = False
        return result


def version_of(x: Variable) -> Version:
    """The Version of x's memory, made when it is first needed."""
    if x._version is None:
        x._version = Version(saved=x._op is not None and x._op._data is not None)
        if x._op is not None:
            x._op._version = x._version
    return x._version


def extras_of(x: Variable | Function) -> Extras:
    """The Extras of a Tensor or node, made when they are first needed."""
    if x._extras is None:
        x._extras = Extras()
    return x._extras


class Function:
    """One operation; once recorded, one node of the graph.

    A subclass defines `forward(*arrays)`, which returns one array, and `backward(grad_out, ...)`, which returns the
    gradient for each input (a tuple if there are several; None where there is none). Instances are called on Tensors,
    arrays and numbers and used once: `Mul()(x, y)`, `Sum(axis, keepdims)(x)`.

    What `backward` is handed after `grad_out` is what the class declares: with `saves_inputs` the inputs, with
    `saves_output` then the output. They and `grad_out` are raw arrays, or Tensors under `create_graph=True`, so
    `backward` uses operators, methods named as NumPy's, and functions of `minidl.functional`, which on raw arrays
    return raw arrays. On `self` an op may keep only what does not depend differentiably on its inputs: shapes, axes,
    indices, masks. (A kept intermediate array would be a constant to the second derivative, silently.)
    """

    saves_inputs: ClassVar[bool] = False
    saves_output: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    foreign: ClassVar[bool]  # whether it is a user's, who may keep the arrays that its backward returns

    __slots__ = ("_data", "_dtype", "_extras", "_needs", "_saved_version", "_version", "inputs", "order")

    inputs: tuple[Any, ...] | None  # None once the node was walked and freed
    order: int
    _data: Any
    _dtype: Any
    _needs: int
    _saved_version: int
    _version: Version | None
    _extras: Extras | None

    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def __init_subclass__(cls) -> None:
        cls.foreign = not cls.__module__.startswith("minidl.")

    def needs(self, i: int) -> bool:
        """Whether the gradient for input i is wanted; `backward` may return None for it otherwise."""
        return bool(self._needs >> i & 1)

    def __call__(self, *inputs: Any) -> Any:
        """Run `forward`; with a Tensor among the inputs the result is a Tensor, else the raw array."""
        arrays: list[Any] = []
        result_class = None
        needs, bit, loose = 0, 1, False
        for x in inputs:
            if isinstance(x, Variable):
                result_class = x.result_class
                if x._requires_grad:
                    needs += bit
                if x._version is not None and x._version.stale is not None:
                    raise GraphError(f"{type(self).__name__} got {describe(x)}: {x._version.stale}")
                x = x._data
            elif isinstance(x, (np.generic, list, tuple)):
                loose = True
                refuse_several(type(self).__name__, x)
            arrays.append(x)
            bit += bit
        loud = ERROR_STATE.set(SILENT)
        try:
            if loose or (result_class is None and type(arrays[0]) is not np.ndarray):
                arrays = backend.as_operands(arrays)
            data = self.forward(*arrays)
        except Exception as error:
            explain_forward(self, inputs, arrays, error)  # raises what says more, if anything does
            raise
        finally:
            ERROR_STATE.reset(loud)
        if type(data) is not np.ndarray:
            if not backend.is_array(data) and not isinstance(data, (np.generic, bool, int, float)):
                raise DTypeError(f"{type(self).__name__}.forward must return one array; got {type(data).__name__}")
            data = backend.asarray(data)  # NumPy turns 0-d results into scalars
        if result_class is None:
            return data

        result = result_class.__new__(result_class)
        result._data = data
        result._grad = None
        result._version = None
        result._extras = None
        if needs and self.differentiable and mode.get() & RECORD:
            if data.dtype.kind != "f":
                raise DTypeError(f"{type(self).__name__}.forward returned {data.dtype}, which can have no gradient")
            self._needs = needs
            self._record(inputs, arrays, data)
            result._op = self
            result._requires_grad = True
        else:
            result._op = None
            result._requires_grad = False
        is_input = data is arrays[0] or data is arrays[-1] or (len(arrays) > 2 and any(data is a for a in arrays))
        if data.base is not None or is_input:
            share_version(result, inputs)
        return result

    def _record(self, inputs: tuple[Any, ...], arrays: list[Any], data: Any) -> None:
        """Become a node: keep the way to the inputs, and of the arrays only what `backward` will read.

        `inputs` becomes, for each input, the node that made it, or the leaf Tensor, or the plain constant. An array
        that is saved is kept by the node that made it (`_data`), never through its Tensor: so a Tensor can be
        written in place and get another history without changing what is recorded here.
        """
        if hasattr(self, "order"):
            raise GraphError(
                f"this {type(self).__name__} is already a node of a graph: make a new instance for each call, as in "
                f"{type(self).__name__}(...)(x)"
            )
        entries: list[Any] = []
        version = 0
        for x, array in zip(inputs, arrays, strict=True):
            if not isinstance(x, Variable):
                entries.append(array if self.saves_inputs else None)
                continue
            op = x._op
            if self.saves_inputs:
                if op is not None:
                    op._data = array
                elif x._version is None:
                    x._version = Version(saved=True)
                if x._version is not None:
                    version += x._version.settled()
                    x._version.saved = True  # after settled(), which may count a write and forget what was saved
                entries.append(x if op is None else op)
            elif op is not None:
                entries.append(op)
            else:
                entries.append(x if x._requires_grad else None)
        self.inputs = tuple(entries)
        self.order = next(_creation_order)
        self._data = data if self.saves_output else None
        self._dtype = data.dtype
        self._saved_version = version
        self._version = None
        self._extras = None
        if mode.get() & ANOMALY:
            self._watch(inputs)

    def _watch(self, inputs: tuple[Any, ...]) -> None:
        """Anomaly mode: remember the user's lines, and guard the saved inputs against writes by any way."""
        extras_of(self).where = users_lines()
        if not self.saves_inputs or self.inputs is None:
            return
        watched = [Variable.wrap(x) if backend.is_array(x) else x for x in self.inputs]  # raw constants too
        self.inputs = tuple(watched)
        for x in [*inputs, *watched]:
            if isinstance(x, Variable):
                version_of(x).guard(x._data)


def refuse_several(name: str, x: Any) -> None:
    """Refuse a list or tuple of Tensors as an operand of `name`: as an array of numbers it would lose their history."""
    if holds_variable(x):
        raise DTypeError(
            f"{name}: expected a Tensor, an array or a number; got a {type(x).__name__} of Tensors. F.stack makes one "
            f"of them; a recurrent layer returns (output, state): use the first"
        )


def holds_variable(x: Any) -> bool:
    """Whether x is a list or tuple with a Tensor somewhere in it."""
    return isinstance(x, (list, tuple)) and any(isinstance(part, Variable) or holds_variable(part) for part in x)


def share_version(result: Variable, inputs: tuple[Any, ...]) -> None:
    """If `result` is a view of an input's memory, let both count writes together."""
    for x in inputs:
        if isinstance(x, Variable) and backend.share_memory(result._data, x._data):
            version = result._version = version_of(x)
            if result._op is not None:
                result._op._version = version
                if result._op.saves_output:
                    version.saved = True
                    result._op._saved_version += version.count
            return
