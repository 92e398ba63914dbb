"""Passages: batches on their way through layers, and the gradients that come back; where a layer's h is found.

The h of a layer is its output, or what an activation made of that. An activation module is seen when it is called. A
functional activation, `F.tanh(self.fc1(x))`, is found in the graph: when the next layer is called, or the model is
done, the nodes of what it was given are followed back to the layers.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol

from minidl import backend, nn
from minidl.autograd.function import Function
from minidl.autograd.variable import Variable, extras_of
from minidl.functional import activation, gated
from minidl.observe.statistics import norm

MODULES = (
    nn.ELU, nn.GELU, nn.Hardtanh, nn.LeakyReLU, nn.ReLU, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softsign,
    nn.Tanh,
)  # fmt: skip
NAMES: dict[type[Function], str] = {
    activation.ELU: "elu",
    activation.Hardtanh: "hardtanh",
    activation.LeakyReLU: "leaky_relu",
    activation.PReLU: "prelu",
    activation.ReLU: "relu",
    activation.Sigmoid: "sigmoid",
    activation.Softplus: "softplus",
    activation.Softsign: "softsign",
    activation.Tanh: "tanh",
    gated.GELU: "gelu",
    gated.SiLU: "silu",
    gated.TanhGELU: "gelu",
}
_FAR = 8  # nodes that are followed back: a flatten, a dropout, a pooling, ... may come after the activation


class Watcher(Protocol):
    """Who hears of gradients that arrive."""

    def gradient_arrived(self, passage: Passage, gradient: Any) -> None:
        """dL/dh of a passage, a raw array."""


class Passage:
    """One batch on its way through one layer; it meets dL/dh on the way back.

    Its output is measured when the gradient arrives, or when the next layer is called and it is known that no
    activation takes its place: so no array is kept from the graph's memory longer than the forward lasts.

    Attributes:
        layer: which one.
        output: h, a raw array; None once it was measured.
        count: its elements.
        norm: its norm, until that was added to the step.
        tensor: a weak reference to it, if it has no history by which it could be found again.
        kind: the activation that made it, as in `NAMES`; "" if it is the layer's own output.
        phase: the mode that the model was in.
        first: of the second, third, ... Tensor of a tuple, such as the last state of an LSTM: the passage of the first,
            whose place it takes if a gradient comes to it and none to the first.
        place: where in the tuple it stands.
        arrived: whether a gradient came.
        gradient_norm: of dL/dh, if it waits to take the place of `first`.
        among: the watchers of its node, of which it is one; None if no gradient will ever come.
    """

    __slots__ = (
        "among", "arrived", "count", "first", "gradient_norm", "kind", "layer", "norm", "output", "phase", "place",
        "tensor", "watcher",
    )  # fmt: skip

    def __init__(self, watcher: Watcher, layer: int, phase: str) -> None:
        self.watcher = watcher
        self.layer = layer
        self.phase = phase
        self.kind = ""
        self.among: dict[int, Any] | None = None
        self.output: Any = None
        self.norm: Any = None
        self.gradient_norm: Any = None
        self.count = 0
        self.first: Passage | None = None
        self.place = ""
        self.arrived = False
        self.tensor: weakref.ref[Variable] | None = None

    def follow(self, array: Any, node: Any, kind: str, keep: bool) -> None:
        """h is `array`, made by `node` (None if it has no history); `keep` it to be measured."""
        self.let_go()
        self.output = array if keep else None
        self.norm = None
        self.count = int(array.size)
        self.kind = kind
        if node is not None:
            extras = extras_of(node)
            if extras.watchers is None:
                extras.watchers = {}
            self.among = extras.watchers
            self.among[id(self)] = self

    def __call__(self, gradient: Any) -> None:
        raw = gradient._data if isinstance(gradient, Variable) else backend.asarray(gradient)
        self.watcher.gradient_arrived(self, raw)

    def made(self, x: Any) -> bool:
        """Whether h is x, a Tensor without history."""
        return self.tensor is not None and self.tensor() is x

    def let_go(self) -> None:
        """Hear of no gradient any more."""
        if self.among is not None:
            self.among.pop(id(self), None)
            self.among = None

    def measure(self) -> None:
        """Take the norm of the output, and let go of it."""
        if self.output is not None:
            self.norm = norm([self.output])
            self.output = None


def tensors_in(output: Any, place: str = "") -> list[tuple[str, Any]]:
    """The Tensors of a layer's result, and where each stands: "" if it is the result, "[0]" and "[1][0]" in tuples."""
    if isinstance(output, Variable):
        return [(place, output)]
    if isinstance(output, (tuple, list)):
        return [found for i, x in enumerate(output) for found in tensors_in(x, f"{place}[{i}]")]
    if isinstance(output, dict):
        return [found for key, x in output.items() for found in tensors_in(x, f"{place}[{key!r}]")]
    return []


def activation_on_the_way(x: Any, passages: dict[int, Passage]) -> tuple[Passage, Any, Any, str] | None:
    """The activation between a layer and x: the layer's passage, the activation's node, its result, its name.

    Args:
        x: a Tensor that was given to a layer, or the result of the model.
        passages: by the number of the node that made the layer's output.

    Returns:
        None if the nodes of x do not lead to a passage in a straight line, or the node after it is no activation, or
        its result is not kept by the graph.
    """
    node, after = x._op, None
    for _ in range(_FAR):
        if node is None:
            return None
        passage = passages.get(node.order)
        if passage is not None:
            name = "" if after is None else NAMES.get(type(after).plain, "")
            result = None if after is None else (x._data if after is x._op else after._data)
            return None if not name or result is None else (passage, after, result, name)
        before = [source for source in node.inputs or () if isinstance(source, Function)]
        if len(before) != 1:
            return None
        after, node = node, before[0]
    return None
