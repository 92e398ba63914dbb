"""Graph: the computation graph of a loss, and the size of the gradient that a backward brings to each of its ops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl.autograd.function import Function
from minidl.autograd.hooks import RemovableHandle
from minidl.autograd.variable import Variable, extras_of
from minidl.derivatives.gradients import grad
from minidl.errors import GraphError, describe, printable
from minidl.files.schema import NUMBERS, TEXT, WHOLE, Entry
from minidl.observe.saved import SavedRecording, finite_or_infinite
from minidl.observe.statistics import norm
from minidl.tensors.tensor import Tensor

OP, LEAF, CONSTANT = "op", "leaf", "constant"


@dataclass(frozen=True, eq=False)
class GraphRecording(SavedRecording):
    """The graph of N values: the ops that lead to a loss, the leaves they begin with, and the constants they read.

    Attributes:
        names: (N,) an op's class ("Linear"), a leaf's name ("fc1.weight"); in the order of creation, the loss last.
        kinds: (N,) "op", "leaf" (its gradient is wanted) or "constant".
        layers: (N,) the layer whose parameter an op reads, else "".
        shapes: (N,) of the value, in words: "(64, 10)".
        edges: (E, 2) from which value an op is computed: pairs of indices (value, op).
        gradient_norm: (N,) the Euclidean norm of dL/d(value); NaN where no backward has brought one, infinity for what
            is not finite.
    """

    kind: ClassVar[str] = "graph"
    schema: ClassVar[dict[str, Entry]] = {
        "names": Entry(TEXT, ("N",)),
        "kinds": Entry(TEXT, ("N",)),
        "layers": Entry(TEXT, ("N",)),
        "shapes": Entry(TEXT, ("N",)),
        "edges": Entry(WHOLE, ("E", 2)),
        "gradient_norm": Entry(NUMBERS, ("N",)),
    }

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    layers: tuple[str, ...]
    shapes: tuple[str, ...]
    edges: Any
    gradient_norm: Any

    def __repr__(self) -> str:
        return f"GraphRecording({self.kinds.count(OP)} ops, {self.kinds.count(LEAF)} leaves)"

    @property
    def walked(self) -> bool:
        """Whether a backward has brought gradients."""
        return not bool(np.isnan(self.gradient_norm).all())


class Graph:
    """The graph of a loss, read before `backward()` frees it; it then sees the gradients of every backward pass by.

        graph = md.observe.Graph(loss)
        md.plot.graph(graph)            # hatched: no gradient yet
        loss.backward()
        md.plot.graph(graph)            # the norm of the gradient at each op
        md.plot.attribution(graph)      # which op made it small

    An op does not keep the shape of its result, so one walk as of `md.grad` asks for it (hooks see it pass); no `.grad`
    changes. Parameters and layers are called by their names in the model, as long as there is one.

    Args:
        loss: a Tensor with a single element, which ops have made.

    Raises:
        GraphError: it has no history, several elements, or its graph was freed by a backward.
    """

    def __init__(self, loss: Tensor) -> None:
        if not isinstance(loss, Tensor) or loss._op is None or loss.size != 1:
            raise GraphError(f"expected a loss, a single number that ops have made of a leaf; got {describe(loss)}")
        sources = _sources(loss._op)
        self._index = {id(source): i for i, source in enumerate(sources)}
        self._names = [_name(source) for source in sources]
        self._kinds = [_kind(source) for source in sources]
        self._layers = [_layer(source) for source in sources]
        self._edges = [
            (self._index[id(x)], i)
            for i, op in enumerate(sources)
            if isinstance(op, Function)
            for x in op.inputs
            if x is not None
        ]
        self._shapes: list[tuple[int, ...]] = [np.shape(getattr(source, "_data", source)) for source in sources]
        self._norms = np.full(len(sources), np.nan)
        watched = [source for source, kind in zip(sources, self._kinds, strict=True) if kind != CONSTANT]
        shape_handles = [_hook(source, _NoteShape(self._shapes, self._index[id(source)])) for source in watched]
        try:
            grad(loss, [s for s in watched if isinstance(s, Tensor)], retain_graph=True, allow_unused=True)
        finally:
            for handle in shape_handles:
                handle.remove()
        self._handles = [_hook(source, _NoteNorm(self._norms, self._index[id(source)])) for source in watched]

    def __repr__(self) -> str:
        seen = "no gradient yet" if np.isnan(self._norms).all() else "with gradients"
        return f"Graph({self._kinds.count(OP)} ops, {self._kinds.count(LEAF)} leaves, {seen})"

    @property
    def recording(self) -> GraphRecording:
        """What is known by now, as plain arrays."""
        return GraphRecording(
            names=tuple(self._names),
            kinds=tuple(self._kinds),
            layers=tuple(self._layers),
            shapes=tuple(str(tuple(shape)) for shape in self._shapes),
            edges=np.array(self._edges, dtype=np.int64).reshape(-1, 2),
            gradient_norm=self._norms.copy(),
        )

    def remove(self) -> None:
        """Look no more."""
        for handle in self._handles:
            handle.remove()


class _NoteShape:
    """Notes the shape of a gradient, which is that of its value."""

    def __init__(self, shapes: list[tuple[int, ...]], index: int) -> None:
        self.shapes, self.index = shapes, index

    def __call__(self, gradient: Any) -> None:
        self.shapes[self.index] = gradient.shape


class _NoteNorm:
    """Notes the norm of a gradient."""

    def __init__(self, norms: Any, index: int) -> None:
        self.norms, self.index = norms, index

    def __call__(self, gradient: Any) -> None:
        size = norm([gradient._data])
        self.norms[self.index] = 0.0 if size is None else finite_or_infinite(float(size))


def _hook(source: Any, hook: Any) -> RemovableHandle:
    extras = extras_of(source)
    if extras.hooks is None:
        extras.hooks = {}
    return RemovableHandle(extras.hooks, hook)


def _sources(last: Function) -> list[Any]:
    """Everything that leads to `last`: constants and leaves first, then the ops in the order of their creation."""
    found: dict[int, Any] = {}
    waiting: list[Any] = [last]
    while waiting:
        source = waiting.pop()
        if source is None or id(source) in found:
            continue
        found[id(source)] = source
        if isinstance(source, Function):
            if source.inputs is None:
                raise GraphError(
                    "the graph of this loss was freed by a backward: look at it before, "
                    "graph = md.observe.Graph(loss), or keep it, loss.backward(retain_graph=True)"
                )
            waiting += source.inputs
    return sorted(found.values(), key=lambda source: source.order if isinstance(source, Function) else 0)


def _name(source: Any) -> str:
    if isinstance(source, Function):
        return source.plain.__name__
    name = getattr(source, "name", None)
    if name:
        return printable(name)
    array = getattr(source, "_data", source)
    if np.ndim(array) == 0:
        return f"{float(array):g}"
    return "leaf" if _kind(source) == LEAF else "data"


def _kind(source: Any) -> str:
    if isinstance(source, Function):
        return OP
    return LEAF if isinstance(source, Variable) and source._requires_grad else CONSTANT


def _layer(source: Any) -> str:
    """The layer whose parameters an op reads: "fc1" if one of them is called "fc1.weight"."""
    for x in (source.inputs or ()) if isinstance(source, Function) else ():
        name = getattr(x, "name", None) if isinstance(x, Variable) and x._requires_grad else None
        if name and "." in name:
            return printable(name.rpartition(".")[0])
    return ""
