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
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.autograd.diagnosis import explain_forward, not_of_an_instance, taken_name, users_lines, wrong_result
from minidl.autograd.modes import ANOMALY, PLAIN, RECORD, current_mode
from minidl.autograd.operands import as_operands
from minidl.autograd.variable import Source, Variable, extras_of, writes_of
from minidl.autograd.versions import Versioned
from minidl.autograd.writes import Graph, WriteCount, activity
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.errors import DTypeError, GraphError

_creation_order = itertools.count(1)
_no_graph = weakref.ref(Graph())  # dead at once
_latest_graph = _no_graph

# What an op's class says of itself, added up to its `traits`: looked up once for an op, not five times.
SAVES_INPUTS, SAVES_OUTPUT, READS, DIFFERENTIABLE, VERSIONED, FOREIGN = 1, 2, 4, 8, 16, 32
SAVES = SAVES_INPUTS | SAVES_OUTPUT
WRITES = 32  # bits for each input in the number that holds the counts of writes to all of them
EVERY = -1  # every bit: all inputs

_READY = frozenset((np.ndarray, float, int, bool))  # classes of operands that forward can be handed as they are


class Function(Versioned, Source):
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
        inputs: for each input the node that made it, the leaf Tensor, or the constant; None once the node was walked
            and freed.
        needed: 2^i added up over the inputs i whose gradient is wanted.
        order: how many nodes were recorded before this one.
        kept: what a faster version leaves for its own backward.
    """

    saves_inputs: ClassVar[bool] = False
    saves_output: ClassVar[bool] = False
    reads: ClassVar[tuple[tuple[int, ...], ...] | None] = None
    differentiable: ClassVar[bool] = True
    foreign: ClassVar[bool] = False  # not one of minidl's: what it writes and returns is checked
    traits: ClassVar[int] = 0  # what is said above in one number: the walk looks at each class once, not three times
    _read: ClassVar[dict[int, int]] = {}  # `reads` by `needed`, both as bits; all where there is no entry

    __slots__ = ("_dtype", "_graph", "_saved_writes", "_shapes", "inputs", "kept", "needed", "order")

    inputs: Any  # a tuple, or None
    needed: int
    order: int
    kept: Any
    _dtype: Any
    _saved_writes: int
    _shapes: list[tuple[int, ...]]  # of the inputs of your own op
    _graph: Any  # the Graph it belongs to; None once it was freed

    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def __init_subclass__(cls) -> None:
        foreign = not cls.__module__.startswith("minidl.")
        if foreign and not TAKEN.isdisjoint(vars(cls)):
            raise taken_name(cls, TAKEN.intersection(vars(cls)))
        super().__init_subclass__()
        cls.versions = ()  # a subclass has its own lines, which no version of its parent's replaces
        cls.foreign = foreign
        cls._read = {} if cls.reads is None else _as_bits(cls.reads)
        cls.note_traits()

    @classmethod
    def note_traits(cls) -> None:
        """Bring `traits` up to date with the class's other attributes."""
        saves = SAVES_INPUTS * cls.saves_inputs + SAVES_OUTPUT * cls.saves_output
        rest = READS * bool(cls._read) + DIFFERENTIABLE * cls.differentiable + VERSIONED * bool(cls.versions)
        cls.traits = saves + rest + FOREIGN * cls.foreign

    def needs(self, i: int) -> bool:
        """Whether the gradient for input i is wanted; `backward` may return None for it otherwise."""
        return self.needed >> i & 1 == 1

    def saved(self) -> tuple[Any, ...]:
        """Where the arrays are that `backward` is handed: the entries of the inputs, the node itself for its output."""
        return ((self.inputs or ()) if self.saves_inputs else ()) + ((self,) if self.saves_output else ())

    def saved_writes(self) -> int:
        """How often what `backward` reads was written until now, each array's count in bits of its own."""
        read, counts = self._read.get(self.needed, EVERY), 0
        for i, x in enumerate(self.saved()):
            if isinstance(x, Source) and x._writes is not None and (x is self or read >> i & 1):
                counts += x._writes.settled() << WRITES * i
        return counts

    def __call__(self, *inputs: Any) -> Any:
        """Run `forward`; with a Tensor among the inputs the result is a Tensor, else the raw array."""
        arrays: list[Any]
        tensor: Any
        arrays, tensor = [], None
        needed = loose = 0  # of `needed` bit i says whether input i wants a gradient
        for x in inputs:
            if isinstance(x, Variable):
                tensor, needed = x, needed + (x._requires_grad << len(arrays))
                arrays.append(x._data if x._writes is None or x._writes.stale is None else x.shown(type(self).__name__))
            else:
                loose = loose or type(x) not in _READY
                arrays.append(x)

        loud, traits = set_errors(SILENT), self.traits
        try:
            if loose or traits >= VERSIONED or (tensor is None and type(arrays[0]) is not np.ndarray):
                arrays = prepare(self, inputs, arrays, loose or type(arrays[0]) is not np.ndarray)
            data = self.forward(arrays[0], arrays[1]) if len(arrays) == 2 else self.forward(*arrays)  # a star is slower
        except Exception as error:
            explain_forward(self, inputs, arrays, error)  # raises what says more, if anything does
            raise
        finally:
            reset_errors(loud)

        if type(data) is not np.ndarray or traits >= FOREIGN:
            data = as_result(data, self, inputs, arrays)
        if tensor is None:
            return data
        result = tensor.result_class.__new__(tensor.result_class)
        result._data = data
        result._grad = result._writes = result._extras = None
        is_input = data is arrays[0] or data is arrays[-1] or (len(arrays) > 2 and id(data) in map(id, arrays))
        if needed and traits & DIFFERENTIABLE and current_mode() & RECORD:
            self._record(inputs, arrays, data, needed, traits)
            result._op = self
            result._requires_grad = True
        else:
            result._op = None
            result._requires_grad = False
        if is_input or data.base is not None:  # it may share memory
            share_writes(result, inputs)
        return result

    def _record(self, inputs: tuple[Any, ...], arrays: list[Any], data: Any, needed: int, traits: int) -> None:
        """Become a node: keep the way to the inputs, and of the arrays only what `backward` will read.

        `inputs` becomes, for each input, the node that made it, or the leaf Tensor, or the plain constant. An array
        that is saved is kept by the node that made it (`_data`), never through its Tensor: so a Tensor can be
        written in place and get another history without changing what is recorded here.
        """
        if traits >= FOREIGN and not hasattr(self, "_saved_writes"):
            refuse_taken_names(self)
        if hasattr(self, "order"):
            raise GraphError(
                f"this {type(self).__name__} is already a node of a graph: make a new instance for each call, as in "
                f"{type(self).__name__}(...)(x)"
            )
        if data.dtype.kind != "f":
            raise DTypeError(
                f"{type(self).__name__}.forward returned {data.dtype}, which can have no gradient: return floating "
                f"numbers, or say `differentiable = False` in the class"
            )
        if traits >= FOREIGN:
            self._shapes = [np.shape(array) for array in arrays]
        saves, read, counts = traits & SAVES_INPUTS, self._read.get(needed, EVERY) if traits & READS else EVERY, 0
        entries, i = arrays, 0  # array by array the list becomes that of the entries
        for x in inputs:
            if not isinstance(x, Variable):
                if not saves:
                    entries[i] = None
            elif saves:
                op, writes = x._op, x._writes
                if op is not None:
                    op._data = entries[i]
                elif writes is None:
                    writes = x._writes = WriteCount()
                if writes is not None and read >> i & 1:
                    counts += (writes.count if writes._guards is None else writes.settled()) << WRITES * i
                    writes.saved = True  # after settled(), which may count a write and forget what was saved
                entries[i] = x if op is None else op
            elif x._op is not None:
                entries[i] = x._op
            else:
                entries[i] = x if x._requires_grad else None
            i += 1  # noqa: SIM113 - enumerate takes longer
        self.inputs = tuple(entries)
        self.needed = needed
        self.order = next(_creation_order)
        self._data = data if traits & SAVES_OUTPUT else None
        self._dtype = data.dtype
        self._saved_writes = counts
        self._writes = None
        self._extras = None
        if traits & SAVES:
            graph = _latest_graph()
            self._graph = graph if graph is not None and graph.seen == activity.count else begin_graph()
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


def begin_graph() -> Graph:
    """A new Graph for the nodes recorded from now on, until something is written or a backward walk is done."""
    global _latest_graph
    graph = Graph()
    _latest_graph = weakref.ref(graph)
    return graph


def end_graph() -> None:
    """What is recorded after this belongs to another Graph."""
    global _latest_graph
    _latest_graph = _no_graph


def _as_bits(reads: tuple[tuple[int, ...], ...]) -> dict[int, int]:
    """`Function.reads` as: bits of the inputs whose gradients are wanted -> bits of the inputs that are read."""
    table = {}
    for needed in range(1, 1 << len(reads)):
        wanted = [inputs for i, inputs in enumerate(reads) if needed >> i & 1]
        table[needed] = sum(1 << i for i in set().union(*wanted))
    return table


def prepare(op: Function, inputs: tuple[Any, ...], arrays: list[Any], loose: Any) -> list[Any]:
    """What `forward` can be handed if, with `loose`, some operands may be no arrays; the op becomes a faster version.

    Raises:
        DTypeError: a list of Tensors.
    """
    if loose:
        arrays = as_operands(op, inputs, arrays)
    if op.versions and not current_mode() & PLAIN:  # as `chosen`, written out: every op passes by here
        for version in op.versions:
            if version.fits(op, *arrays):
                op.__class__ = version
                break
    return [backend.read_only(x) for x in arrays] if op.foreign else arrays


def as_result(data: Any, op: Function, inputs: tuple[Any, ...], arrays: list[Any]) -> Any:
    """The array that `forward` returned, which on a GPU is not NumPy's; NumPy turns 0-d results into scalars."""
    if isinstance(data, (np.generic, bool, int, float)):
        data = np.asarray(data)
    elif isinstance(data, Variable) and not op.foreign and not data._requires_grad:
        data = data.shown()  # an option, such as a slope, was given as a Tensor
    elif not backend.is_array(data):
        raise wrong_result(op, data)
    if op.foreign:
        if data.dtype.kind not in "fiub":
            raise wrong_result(op, data)
        lent = [x._data if isinstance(x, Variable) else x for x in inputs]
        for i, x in enumerate(lent):
            if data is arrays[i] and backend.is_array(x):  # what it was handed: a view, on a GPU a copy
                data = arrays[i] = x
        backend.writable_again(data, lent)
    return data


def share_writes(result: Variable, inputs: tuple[Any, ...]) -> None:
    """If `result` is a view of an input's memory, let both count writes together."""
    for x in inputs:
        if isinstance(x, Variable) and backend.share_memory(result._data, x._data):
            writes = result._writes = writes_of(x)
            op = result._op
            if op is not None:
                op._writes = writes
                if op.saves_output:
                    writes.saved = True
                    op._saved_writes += writes.count << WRITES * (len(inputs) if op.saves_inputs else 0)
            return
