"""The engine: values that remember how they were made.

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
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.autograd.diagnosis import explain_forward, not_of_an_instance, taken_name, wrong_result
from minidl.autograd.modes import OBSERVED, PLAIN, RECORD, current_mode
from minidl.autograd.observing import observed_call
from minidl.autograd.operands import raw_operands
from minidl.autograd.own_op import made
from minidl.autograd.showing import op_words
from minidl.autograd.variable import Source, Variable, writes_of
from minidl.autograd.versions import Versioned
from minidl.autograd.writes import Stretch
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.errors import DTypeError, GraphError
from minidl.habits.answers import FunctionNames

creation_order = itertools.count(1)


class Function(Versioned, Source, FunctionNames):
    """One operation; once recorded, one node of the graph.

    A subclass defines `forward(*arrays)`, which returns one array, and `backward(grad_out, ...)`, which returns the
    gradient for each input (a tuple if there are several; None where there is none). Instances are called on Tensors,
    arrays and numbers and used once: `Mul()(x, y)`, `Sum(axis, keepdims)(x)`.

    What `backward` is handed after `grad_out` is what the class declares: with `saves_inputs` the inputs, with
    `saves_output` then the output. They and `grad_out` are raw arrays, or Tensors under `create_graph=True`, so
    `backward` uses operators, methods named as NumPy's, and functions of `minidl.functional`, which on raw arrays
    return raw arrays. On `self` an op may keep only what does not depend differentiably on its inputs: shapes, axes,
    indices, masks. (A kept intermediate array would be a constant to the second derivative, silently.) The names of
    what the engine keeps there (`TAKEN`) are refused.

    Attributes:
        saves_inputs, saves_output: what `backward` is handed.
        reads: of which inputs the values are needed, for the gradient of each input: ((1,), (0,)) for z = x y, where
            dz/dx is y and dz/dy is x. An input that is not read may be overwritten before the backward; its shape and
            dtype are all that `backward` may look at. None: every gradient may read all.
        differentiable: False for ops without a gradient.
        foreign: whether the op is yours: it is handed what it cannot write to; what it returns is checked, and copied.
        inputs: for each input the node that made it, the leaf Tensor, or the constant; None once the node was walked
            and freed.
        needed: which gradients are wanted, as a number in which bit i is set for input i; `needs(i)` asks.
        order: how many nodes were recorded before this one.
        kept: what a faster version leaves for its own backward.
    """

    saves_inputs: ClassVar[bool] = False
    saves_output: ClassVar[bool] = False
    reads: ClassVar[tuple[tuple[int, ...], ...] | None] = None
    differentiable: ClassVar[bool] = True
    foreign: ClassVar[bool] = False
    _traits: ClassVar[Any] = None  # of each class its own: all of these in the form of the faster call, once it has run

    __slots__ = ("_dtype", "_saved_writes", "_shapes", "_stretch", "inputs", "kept", "needed", "order")

    inputs: Any  # a tuple, or None
    needed: int
    order: int
    kept: Any
    _dtype: Any  # of the output, and so of its gradient
    _saved_writes: dict[int, int]
    _shapes: list[tuple[int, ...]]  # of the inputs of your own op
    _stretch: Any  # the Stretch it belongs to; None once it was freed

    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def __init_subclass__(cls) -> None:
        foreign = not cls.__module__.startswith("minidl.")
        if foreign and not TAKEN.isdisjoint(vars(cls)):
            raise taken_name(cls, TAKEN.intersection(vars(cls)))
        super().__init_subclass__()
        cls.versions = ()  # a subclass has its own lines, which no version of its parent's replaces
        cls.foreign, cls._traits = foreign, None
        if foreign and cls.__new__ is object.__new__ and cls.__init__ is object.__init__:
            cls.__new__ = made  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return op_words(self)

    # ---- forward

    def __call__(self, *inputs: Any) -> Any:
        """Run `forward`; with a Tensor among the inputs the result is a Tensor, else the raw array."""
        if not (mode := current_mode()) & (PLAIN | OBSERVED):
            return Function.versions[0].call[len(inputs)](self, inputs, mode)  # the same, faster: minidl/fast/call.py
        if mode & OBSERVED:
            return observed_call(self, inputs)
        arrays = raw_operands(self, inputs)
        self.__class__ = self.plain  # an earlier call may have made the op a faster version of itself
        before = set_errors(SILENT)  # infinity and NaN are results, of which NumPy need not warn
        try:
            data = self.forward(*arrays)
        except Exception as error:
            explain_forward(self, inputs, arrays, error)  # raises what says more, if anything does
            raise
        finally:
            reset_errors(before)
        data = as_result(data, self)
        if not any(isinstance(x, Variable) for x in inputs):
            return data
        result = Variable.wrap(data)
        needed = sum(1 << i for i, x in enumerate(inputs) if isinstance(x, Variable) and x._requires_grad)
        if needed and self.differentiable and mode & RECORD:
            self._record(inputs, arrays, data, needed)
            result._op, result._requires_grad = self, True
        share_writes(result, inputs)
        return result

    def _record(self, inputs: tuple[Any, ...], arrays: list[Any], data: Any, needed: int) -> None:
        """Become a node: keep what made each input, and of the arrays only what `backward` will read."""
        check_recordable(self, data)
        self.inputs = tuple([self._entry(x, array) for x, array in zip(inputs, arrays, strict=True)])
        self.needed = needed
        self.order = next(creation_order)
        self._dtype = data.dtype
        self._data = data if self.saves_output else None
        self._writes = self._extras = None
        if self.foreign:
            self._shapes = [np.shape(array) for array in arrays]
        watched = [writes_of(x) for i, x in enumerate(inputs) if isinstance(x, Variable) and self._will_read(i)]
        self._saved_writes = self.saved_writes()
        self._stretch = Stretch.now() if self.saves_inputs or self.saves_output else None
        for writes in watched:
            writes.saved = True
            writes.guard_for(self._stretch)

    def _entry(self, x: Any, array: Any) -> Any:
        """What stands in the node's `inputs` for x: the node that made it, or the leaf Tensor, or the constant.

        An array that is saved is kept by the node that made it (`_data`), never through its Tensor: so a Tensor can be
        written in place and get another history without changing what is recorded here.
        """
        if not isinstance(x, Variable):
            return array if self.saves_inputs else None
        if x._op is None:
            return x if self.saves_inputs or x._requires_grad else None
        if self.saves_inputs:
            x._op._data = array
        return x._op

    # ---- what a walk asks

    def needs(self, i: int) -> bool:
        """Whether the gradient for input i is wanted; `backward` may return None for it otherwise."""
        return self.needed >> i & 1 == 1

    def _will_read(self, i: int) -> bool:
        """Whether `backward` will read the values of input i."""
        if not self.saves_inputs or self.reads is None:
            return self.saves_inputs
        return any(self.needs(j) and i in read for j, read in enumerate(self.reads))

    def saved(self) -> tuple[Any, ...]:
        """Where the arrays are that `backward` is handed: the entries of the inputs, the node itself for its output."""
        return ((self.inputs or ()) if self.saves_inputs else ()) + ((self,) if self.saves_output else ())

    def saved_writes(self) -> dict[int, int]:
        """By its place in `saved()`: how often an array that `backward` reads was written, if it was at all."""
        places = [(i, x) for i, x in enumerate(self.saved()) if x is self or self._will_read(i)]
        counts = {i: x._writes.settled() for i, x in places if isinstance(x, Source) and x._writes is not None}
        return {i: count for i, count in counts.items() if count}


# ---- names that your op may not use

_DECLARED = {"saves_inputs", "saves_output", "reads", "differentiable"}
TAKEN = {name for cls in (Versioned, Source, Function) for name in vars(cls) if not name.startswith("__")} - _DECLARED
TAKEN -= {"kept"}  # free until a faster version is written


def refuse_taken_names(op: Function) -> None:
    """Refuse attributes of your own op that the engine would overwrite, or take for its own."""
    own = getattr(op, "__dict__", {}).keys() | {
        name for name in (*Source.__slots__, *Function.__slots__) if hasattr(op, name)
    }
    if not TAKEN.isdisjoint(own):
        raise taken_name(type(op), TAKEN & own)
    if not _DECLARED.isdisjoint(own):
        raise not_of_an_instance(type(op), _DECLARED & own)


# ---- what goes in and comes out


def check_recordable(op: Function, data: Any) -> None:
    """Refuse an op that is a node already, whose result can have no gradient, or with names of the engine's."""
    if op.foreign and not hasattr(op, "_saved_writes"):
        refuse_taken_names(op)
    if hasattr(op, "order"):
        raise GraphError(
            f"this {type(op).__name__} is already a node of a graph: make a new instance for each call, as in "
            f"{type(op).__name__}(...)(x)"
        )
    if data.dtype.kind != "f":
        raise DTypeError(
            f"{type(op).__name__}.forward returned {data.dtype}, which can have no gradient: return floating numbers, "
            f"or say `differentiable = False` in the class"
        )


def as_result(data: Any, op: Function) -> Any:
    """What `forward` returned, as an array: NumPy turns 0-d results into scalars.

    What an op of yours returned is copied: it may be one of its arguments or a view of one, or a buffer that the op
    holds and will write to again.
    """
    if isinstance(data, (np.generic, bool, int, float)):
        data = np.asarray(data)
    elif isinstance(data, Variable) and not op.foreign and not data._requires_grad:
        data = data.shown()  # an option, such as a slope, was given as a Tensor
    elif not backend.is_array(data):
        raise wrong_result(op, data)
    if op.foreign:
        data = backend.native(data)
        if data.dtype.kind not in "fiub":
            raise wrong_result(op, data)
        return data.copy()
    return data


def share_writes(result: Variable, inputs: tuple[Any, ...]) -> None:
    """If `result` is a view of an input's memory, let both count writes together."""
    for x in inputs:
        if isinstance(x, Variable) and backend.share_memory(result._data, x._data):
            result._writes = writes_of(x)
            op = result._op
            if op is not None:
                op._writes = result._writes
                if op.saves_output:
                    op._writes.saved = True
                    op._saved_writes = op.saved_writes()
            return
