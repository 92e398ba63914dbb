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
from minidl.autograd.diagnosis import explain_forward, users_lines
from minidl.autograd.modes import ANOMALY, PLAIN, RECORD, current_mode
from minidl.autograd.versions import Versioned, chosen
from minidl.autograd.writes import WriteCount
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.errors import DTypeError, GraphError, describe

_creation_order = itertools.count(1)
SAVES_INPUTS, SAVES_OUTPUT, FOREIGN = 1, 2, 4  # what an op's class says of itself, added up to its `traits`
FIRST, SECOND, THIRD = 1, 2, 4  # inputs 0, 1 and 2 in `Function.needed`

_READY = frozenset((np.ndarray, float, int, bool))  # classes of operands that forward can be handed as they are


class Extras:
    """What few Tensors and nodes have: a name, hooks, a tensor that wants its .grad, the lines that made it."""

    __slots__ = ("hooks", "name", "retained", "where")

    def __init__(self) -> None:
        self.name: str | None = None
        self.hooks: dict[int, Callable[[Any], Any]] | None = None
        self.retained: weakref.ref[Variable] | None = None
        self.where: str | None = None


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

    _grad: Variable | None
    _op: Function | None
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


def writes_of(x: Variable) -> WriteCount:
    """The WriteCount of x's memory, made when it is first needed."""
    if x._writes is None:
        x._writes = WriteCount(saved=x._op is not None and x._op._data is not None)
        if x._op is not None:
            x._op._writes = x._writes
    return x._writes


def extras_of(x: Variable | Function) -> Extras:
    """The Extras of a Tensor or node, made when they are first needed."""
    if x._extras is None:
        x._extras = Extras()
    return x._extras


class Function(Versioned, Source):
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
    traits: ClassVar[int] = 0  # all of that in one number: the walk looks at each node's class once, not three times

    __slots__ = ("_dtype", "_saved_writes", "inputs", "kept", "needed", "order")

    inputs: tuple[Any, ...] | None  # None once the node was walked and freed
    needed: int  # 2^i added up over the inputs i whose gradient is wanted
    order: int
    _dtype: Any
    _saved_writes: int

    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.versions, cls.plain = (), cls  # a subclass has its own lines, which no version of its parent's replaces
        foreign = not cls.__module__.startswith("minidl.")  # a user's, who may keep the arrays its backward returns
        cls.traits = SAVES_INPUTS * cls.saves_inputs + SAVES_OUTPUT * cls.saves_output + FOREIGN * foreign

    def needs(self, i: int) -> bool:
        """Whether the gradient for input i is wanted; `backward` may return None for it otherwise."""
        return bool(self.needed >> i & 1)

    def saved(self) -> tuple[Any, ...]:
        """Where the arrays are that `backward` is handed: the entries of the inputs, the node itself for its output."""
        inputs = self.inputs if self.saves_inputs and self.inputs is not None else ()
        return (*inputs, self) if self.saves_output else inputs

    def __call__(self, *inputs: Any) -> Any:
        """Run `forward`; with a Tensor among the inputs the result is a Tensor, else the raw array."""
        arrays: list[Any] = []
        result_class = None
        needed, bit, loose = 0, 1, False
        for x in inputs:
            if isinstance(x, Variable):
                result_class = x.result_class
                if x._requires_grad:
                    needed += bit
                version = x._writes
                if version is not None and version.stale is not None:
                    raise GraphError(f"{type(self).__name__} got {describe(x)}: {version.stale}")
                arrays.append(x._data)
            else:
                if type(x) not in _READY and isinstance(x, (np.generic, list, tuple)):
                    loose = True
                    refuse_several(type(self).__name__, x)
                arrays.append(x)
            bit += bit
        loud = set_errors(SILENT)
        try:
            if loose or (result_class is None and type(arrays[0]) is not np.ndarray):
                arrays = backend.as_operands(arrays)
            if self.versions and not current_mode() & PLAIN:
                self.__class__ = chosen(self, *arrays)
            if len(arrays) == 2:  # written out, because Python takes longer for a call with a star
                data = self.forward(arrays[0], arrays[1])
            else:
                data = self.forward(*arrays)
        except Exception as error:
            explain_forward(self, inputs, arrays, error)  # raises what says more, if anything does
            raise
        finally:
            reset_errors(loud)
        if type(data) is not np.ndarray:
            data = _as_array(data, self)
        if result_class is None:
            return data

        result = result_class.__new__(result_class)
        result._data = data
        result._grad = None
        result._writes = None
        result._extras = None
        # Of one or two inputs, as most ops have, both are compared without a loop.
        is_input = data is arrays[0] or data is arrays[-1] or (len(arrays) > 2 and id(data) in map(id, arrays))
        may_share = data.base is not None or is_input
        if needed and self.differentiable and current_mode() & RECORD:
            self._record(inputs, arrays, data, needed)
            result._op = self
            result._requires_grad = True
        else:
            result._op = None
            result._requires_grad = False
        if may_share:
            share_writes(result, inputs)
        return result

    def _record(self, inputs: tuple[Any, ...], arrays: list[Any], data: Any, needed: int) -> None:
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
        if data.dtype.kind != "f":
            raise DTypeError(f"{type(self).__name__}.forward returned {data.dtype}, which can have no gradient")
        saves_inputs = self.saves_inputs
        entries, i, version = arrays, 0, 0  # array by array the list becomes that of the entries
        for x in inputs:
            if not isinstance(x, Variable):
                if not saves_inputs:
                    entries[i] = None
            elif saves_inputs:
                op, seen = x._op, x._writes
                if op is not None:
                    op._data = entries[i]
                elif seen is None:
                    seen = x._writes = WriteCount()
                if seen is not None:
                    version += seen.count if seen._guards is None else seen.settled()
                    seen.saved = True  # after settled(), which may count a write and forget what was saved
                entries[i] = x if op is None else op
            elif x._op is not None:
                entries[i] = x._op
            else:
                entries[i] = x if x._requires_grad else None
            i += 1  # noqa: SIM113 - enumerate takes longer
        self.inputs = tuple(entries)
        self.needed = needed
        self.order = next(_creation_order)
        self._data = data if self.saves_output else None
        self._dtype = data.dtype
        self._saved_writes = version
        self._writes = None
        self._extras = None
        if current_mode() & ANOMALY:
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
                writes_of(x).guard(x._data)


def _as_array(data: Any, op: Function) -> Any:
    """The array that `forward` returned, which on a GPU is not NumPy's; NumPy turns 0-d results into scalars."""
    if not backend.is_array(data) and not isinstance(data, (np.generic, bool, int, float)):
        raise DTypeError(f"{type(op).__name__}.forward must return one array; got {type(data).__name__}")
    return backend.asarray(data)


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


def share_writes(result: Variable, inputs: tuple[Any, ...]) -> None:
    """If `result` is a view of an input's memory, let both count writes together."""
    for x in inputs:
        if isinstance(x, Variable) and backend.share_memory(result._data, x._data):
            version = result._writes = writes_of(x)
            if result._op is not None:
                result._op._writes = version
                if result._op.saves_output:
                    version.saved = True
                    result._op._saved_writes += version.count
            return
