"""Which part of a graph has to be walked to reach given tensors."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from minidl.autograd.function import Function
from minidl.autograd.variable import Source, Variable
from minidl.errors import GraphError
from minidl.types import ArrayOrTensor

by_creation = attrgetter("order")  # a leaf's is 0

FREED = (
    "this part of the graph was already walked and freed. A second backward needs the first to keep it: "
    "loss.backward(retain_graph=True). In a training loop it usually means that a tensor of an earlier step is used "
    "again: detach() it"
)


class Way:
    """The nodes that lead from some outputs to some targets: of a graph these alone have to be walked.

    Attributes:
        sources: them, and the targets themselves, as nodes or leaf Tensors.
        leaves: the targets that are leaves.
        caught: for each target that is a node its gradient, once it is complete.
    """

    def __init__(self, outputs: Sequence[Variable], targets: Sequence[Variable]) -> None:
        self.leaves = [x for x in dict.fromkeys(targets) if x._op is None]
        self.caught: dict[Function, Any] = {x._op: None for x in targets if x._op is not None}
        self.walked: set[Source] = set()
        reached: set[Source] = set(self.leaves) | set(self.caught)
        for node in self._reachable(outputs):
            if any(x in reached for x in node.inputs or () if isinstance(x, Source)):
                self.walked.add(node)
                reached.add(node)
        self.sources: set[Source] = reached

    def _reachable(self, outputs: Sequence[Variable]) -> list[Function]:
        nodes = behind(outputs)
        for node in nodes:
            if node.inputs is None and node not in self.caught:
                raise GraphError(f"{node.plain.__name__}: {FREED}")
        return nodes

    def enters(self, node: Function, grad_out: ArrayOrTensor) -> bool:
        """Whether the walk goes on at `node`; if it is a target, note its gradient."""
        if node in self.caught:
            self.caught[node] = grad_out
        return node in self.walked


def behind(outputs: Sequence[Variable]) -> list[Function]:
    """The nodes that the outputs were computed by, inputs before their consumers; not what is behind a freed one."""
    found: set[Function] = set()
    stack = [x._op for x in outputs if x._op is not None]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(x for x in node.inputs or () if isinstance(x, Function))
    return sorted(found, key=by_creation)


def without_way(outputs: Sequence[Variable], targets: Sequence[Variable]) -> list[list[Variable]]:
    """For each output those targets from which no node leads to it."""
    leading: dict[Source, int] = {}  # which targets lead to a source: 2^i added up over their numbers i
    for i, x in enumerate(targets):
        leading[x._op or x] = leading.get(x._op or x, 0) | 1 << i
    for node in behind(outputs):
        for x in node.inputs or ():
            if isinstance(x, Source) and x in leading:
                leading[node] = leading.get(node, 0) | leading[x]
    return [[x for i, x in enumerate(targets) if not leading.get(y._op or y, 0) >> i & 1] for y in outputs]
