"""Less memory for more time: a part of a graph that keeps what went in, and is computed once more by the walk.

A graph keeps every array that a backward reads: of n layers n outputs. A `Checkpoint` is one node in place of all that
a function did. It keeps the function and its operands; what was computed in between is dropped. When the walk back
reaches it, the function runs again, and the walk goes through the nodes that this has made:

    x -- Linear -- Tanh -- Linear -- Tanh -- y        the graph of the function, dropped
    x, weights --------- Checkpoint -------- y        what stands for it

With n layers in k such parts there are in memory k operands and the inside of one part: k + n / k arrays, about
2 sqrt(n) if k is sqrt(n). Chen, Xu, Zhang & Guestrin, "Training deep nets with sublinear memory cost",
arXiv:1604.06174. The public functions are in functional/checkpointing.py, a page in docs/checkpoint.md.

Three things make the gradients the same to the last bit:

* Once more means the same: the random streams, the gradient's mode and the choice of faster versions are put back to
  what they were. What the outputs then are is compared with what they had been.
* Floating-point sums depend on their order. So the node has one input for every edge by which a gradient leaves its
  inside, twice the same source if need be, in the order in which a walk meets them: the walk outside adds them up, one
  by one, as it would have done.
* Nothing is a constant that was none: weights that the function found by itself are inputs of the node too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.autograd.backward import Walk, as_tensor
from minidl.autograd.function import Function, creation_order
from minidl.autograd.modes import AGAIN, OBSERVED, PLAIN, RECORD, current_mode, mode
from minidl.autograd.observing import Observer, leave, observe, observers
from minidl.autograd.variable import Source, Variable, extras_of
from minidl.autograd.versions import chosen
from minidl.backend import at_hand, random_apart, random_state, restore_random_state
from minidl.errors import GraphError, describe
from minidl.types import ArrayOrTensor

_OF_PARTS = np.dtype(object)  # the dtype of Parts, and of the node they are the gradient of


class Parts:
    """The gradients of several outputs on their way to the Checkpoint that made them: what it is handed as one."""

    dtype = _OF_PARTS

    def __init__(self, of: dict[int, ArrayOrTensor]) -> None:
        self.of = of
        self.shape = (len(of),)

    def __repr__(self) -> str:
        return f"[gradients of outputs {', '.join(map(str, sorted(self.of)))}]"

    def __add__(self, others: Parts) -> Parts:
        return Parts(self.of | others.of)


class Part(Function):
    """One of several outputs of a Checkpoint: the node behind it."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, grad_out: ArrayOrTensor) -> Any:
        return Parts({self.number: grad_out})


class Edge(Function):
    """z = x, where a gradient leaves the inside of a Checkpoint: the walk in there ends, and leaves it in `caught`.

    Afterwards, if the gradients have a history, it is an op like others, which leads this on to x.
    """

    __slots__ = ("caught", "source")

    def __init__(self, source: Source) -> None:
        self.source: Source | None = source
        self.caught: Any = None

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, grad_out: ArrayOrTensor) -> Any:
        if self.inputs:
            return grad_out
        self.caught = grad_out
        return ()


class Checkpoint(Function):
    """A function of Tensors as one op: its backward is the function once more, and the walk back through that.

    Its inputs are first the operands, of which no gradient is wanted here, then the sources at the edges.
    """

    saves_inputs = True
    __slots__ = ("again", "operands", "outputs", "sums")

    def __init__(self, again: Again) -> None:
        self.again = again

    def forward(self, *operands: Any) -> Any:
        raise GraphError("a Checkpoint is no op to be called: F.checkpoint(function, *inputs) makes one")

    def stand_for(self, operands: Sequence[Variable], outputs: Sequence[Variable], edges: Sequence[Source]) -> None:
        """Become the node that `outputs` come from, in place of what they do come from."""
        self.operands, self.outputs = len(operands), [(x._data.shape, x._data.dtype) for x in outputs]
        self.sums = [sums(x._data) for x in outputs]
        self._record(tuple(operands), [x._data for x in operands], outputs[0]._data, 0)
        self.inputs = (*self.inputs, *edges)
        self.needed = (1 << len(edges)) - 1 << len(operands)
        if len(outputs) == 1:
            replace_op(outputs[0], self)
            return
        self._dtype = _OF_PARTS
        for number, output in enumerate(outputs):
            part = Part(number)
            part._record((), [], output._data, 1)
            part.inputs = (self,)
            replace_op(output, part)

    def saved(self) -> tuple[Any, ...]:
        """The operands."""
        return (self.inputs or ())[: self.operands]

    def backward(self, grad_out: Any, *operands_: Any) -> Any:
        create_graph = bool(current_mode() & RECORD)
        parts = grad_out.of if isinstance(grad_out, Parts) else {0: grad_out}
        sources = self.inputs[self.operands :]
        orders = [next(creation_order) for _ in sources]  # before all nodes inside
        start = next(creation_order)
        outputs = recorded_in(self.again.run(self.inputs), start)
        self._refuse_another(outputs, start)
        edges = cut_off([x._op for x in outputs], start, orders)
        grads: dict[Any, ArrayOrTensor] = {}
        for number, grad in parts.items():
            op = outputs[number]._op
            grads[op] = grads[op] + grad if op in grads else grad
        del outputs, op  # the walk drops what it has done with
        chosen(Walk).run(grads, None, create_graph)
        found = [edge.caught for edge in edges]
        for edge, source in zip(edges, sources, strict=True):
            edge.caught = edge.source = None
            edge.inputs = (source,) if create_graph else None
        pairs = zip(sources, found, strict=True)
        found = [grad.copy() if grad is not None and isinstance(x, Variable) else grad for x, grad in pairs]
        return *[None] * self.operands, *found

    def _refuse_another(self, outputs: Sequence[Variable], start: int) -> None:
        """Raise a GraphError unless the function has done the same as in the forward."""
        name = self.again.name
        came = [(x._data.shape, x._data.dtype) for x in outputs]
        if came != self.outputs:
            was, now = (", ".join(f"{shape} {dtype}" for shape, dtype in many) for many in (self.outputs, came))
            what = f"returned outputs of {was} in the forward and of {now or 'none with a gradient'} now"
        elif not all(near(a, sums(x._data), x._data.dtype) for a, x in zip(self.sums, outputs, strict=True)):
            what = "returned other numbers in the forward"
        elif ids(x for _, _, x in edges_of([x._op for x in outputs], start)) != ids(self.inputs[self.operands :]):
            what = "used other tensors, or in another order, in the forward"
        else:
            return
        raise GraphError(
            f"checkpoint: {name} runs again in the backward, and does something else than before: it {what}. It must "
            f"depend on nothing that has changed since: draw random numbers by md.rand, md.randn and F.dropout, whose "
            f"streams are put back (np.random's are not), and change no mode (model.eval()), counter or iterator that "
            f"it reads until after backward()"
        )


class Again:
    """How a function was called, so that it can be called in the same way again: its arguments, modes, random streams.

    A Tensor among the arguments is not kept, for it may get another history: `Checkpoint.inputs` has its source.
    """

    def __init__(self, function: Callable[..., Any], inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", type(function).__name__)
        values = (*inputs, *named.values())
        self.tensors = _tensors(values)
        places = {id(x): i for i, x in enumerate(self.tensors)}
        self.places = [places.get(id(x)) for x in values]
        self.constants = [None if isinstance(x, Variable) else x for x in values]
        self.names = tuple(named)
        self.mode = current_mode() & PLAIN
        self.random = random_state()

    def run(self, entries: Sequence[Any]) -> Any:
        """Call it again, recording; `entries` are the sources of its Tensors."""
        values = [
            constant if place is None else as_tensor(entries[place])
            for constant, place in zip(self.constants, self.places, strict=True)
        ]
        count = len(values) - len(self.names)
        before = mode.get()
        mode.set(before & ~PLAIN | RECORD | AGAIN | self.mode)
        try:
            with random_apart():
                restore_random_state(self.random)
                return self.function(*values[:count], **dict(zip(self.names, values[count:], strict=True)))
        finally:
            mode.set(before | mode.get() & OBSERVED)


def _tensors(values: Sequence[Any]) -> list[Variable]:
    return list({id(x): x for x in values if isinstance(x, Variable)}.values())


class Operands(Observer):
    """Notes down, by weak references, of which Tensors ops were called: those that were there before are operands."""

    def __init__(self) -> None:
        self.seen: dict[int, weakref.ref[Variable]] = {}

    def before_forward(self, op: Any, inputs: tuple[Any, ...]) -> None:
        """Note them down."""
        for x in inputs:
            if isinstance(x, Variable):
                self.seen[id(x)] = weakref.ref(x)

    def from_outside(self, start: int) -> list[Variable]:
        """Those that are still there and were not made by a node since `start`."""
        alive = [x for ref in self.seen.values() if (x := ref()) is not None]
        return [x for x in alive if x._op is None or x._op.order < start]


def stands_aside() -> bool:
    """Whether a checkpoint would be of no use: nothing is recorded, or somebody watches, who shall see every op."""
    bits = current_mode()
    return not bits & RECORD or (bool(bits & OBSERVED) and not all(isinstance(x, Operands) for x in observers()))


def checkpointed(function: Callable[..., Any], inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What `function(*inputs, **named)` returns, with one node in place of those it has recorded."""
    again, operands = Again(function, inputs, named), Operands()
    before = [(x._op, 0 if x._writes is None else x._writes.count) for x in again.tensors]
    start = next(creation_order)
    observe(operands)
    try:
        result = function(*inputs, **named)
    finally:
        leave(operands)
    for x, (op, count) in zip(again.tensors, before, strict=True):
        if x._op is not op or (x._writes is not None and x._writes.count != count):
            raise GraphError(
                f"checkpoint: {again.name} wrote into {describe(x)}, which it was given: it could not be computed from "
                f"it once more. Write into a copy: x = x.copy()"
            )
    outputs = recorded_in(result, start)
    if outputs:
        edges = [source for _, _, source in edges_of([x._op for x in outputs], start)]
        noted = [x._op._extras for x in outputs]
        for x in outputs:
            x._op = None  # the graph is dropped: of the operands those are still there that came from outside
        known = {id(x) for x in (*again.tensors, *outputs)}
        others = [x for x in operands.from_outside(start) if id(x) not in known]
        Checkpoint(again).stand_for([*again.tensors, *others], outputs, edges)
        again.tensors = []  # the node has their sources
        for x, extras in zip(outputs, noted, strict=True):
            if extras is not None:  # the function registers its hooks anew when it runs again
                extras_of(x._op).name, extras_of(x._op).retained = extras.name, extras.retained
    return result


# ---- the inside


def recorded_in(result: Any, start: int) -> list[Variable]:
    """The Tensors in what a function returned that nodes since `start` have made, each once."""
    found = {id(x): x for x in _within(result) if x._op is not None and x._op.order > start}
    return list(found.values())


def _within(value: Any) -> Iterator[Variable]:
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _within(part)
    elif isinstance(value, dict):
        yield from _within(list(value.values()))


def edges_of(nodes: Sequence[Function], start: int) -> list[tuple[Function, int, Source]]:
    """By which inputs the nodes since `start` get something from before: node, number of the input, source.

    They stand in the order in which a walk meets them.
    """
    inside, waiting = set(nodes), list(nodes)
    while waiting:
        for x in waiting.pop().inputs or ():
            if isinstance(x, Function) and x.order > start and x not in inside:
                inside.add(x)
                waiting.append(x)
    ordered = sorted(inside, key=lambda node: -node.order)
    places = [(node, i, x) for node in ordered for i, x in enumerate(node.inputs or ()) if node.needs(i)]
    return [(node, i, x) for node, i, x in places if not (isinstance(x, Function) and x.order > start)]


def ids(sources: Iterable[Source]) -> list[int]:
    """By what sources can be compared, `==` would compare the numbers in Tensors; of an Edge that of what is behind."""
    found = []
    for x in sources:
        while isinstance(x, Edge) and x.source is not None:
            x = x.source
        found.append(id(x))
    return found


def cut_off(nodes: Sequence[Function], start: int, orders: Sequence[int]) -> list[Edge]:
    """Put an Edge at each edge: a walk from `nodes` stays inside."""
    edges = []
    for (node, i, source), order in zip(edges_of(nodes, start), orders, strict=True):
        edge = Edge(source)
        edge.inputs, edge.needed, edge.order = (), 1, order
        edge._data, edge._writes, edge._extras = source._data, source._writes, None
        edge._dtype = source._dtype if isinstance(source, Function) else source._data.dtype
        edge._saved_writes, edge._stretch = {}, None
        node.inputs = (*node.inputs[:i], edge, *node.inputs[i + 1 :])
        edges.append(edge)
    return edges


def replace_op(output: Variable, node: Function) -> None:
    """Let `output` come from `node`."""
    output._op, output._requires_grad = node, True
    node._writes = output._writes


# ---- whether the numbers are the same


def sums(array: Any) -> tuple[float, float] | None:
    """The sum, and that of the magnitudes: by them one sees whether an array is the same, without keeping it.

    None for an array on a device, which would have to be waited for.
    """
    if not at_hand(array):
        return None
    with np.errstate(all="ignore"):
        return float(array.sum(dtype=np.float64)), float(np.abs(array).sum(dtype=np.float64))


def near(was: tuple[float, float] | None, now: tuple[float, float] | None, dtype: Any) -> bool:
    """Whether two arrays with these sums may be the same but for rounding; if they are not finite too."""
    if was is None or now is None or not np.isfinite([*was, *now]).all():
        return True
    return abs(was[0] - now[0]) <= float(np.finfo(dtype).eps) ** 0.75 * max(was[1], now[1])
