"""The graphs that a walk of tutorial 2 is tried on: numbers, and how each was made."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import count
from typing import Any

import numpy as np

from minidl.check.differences import by_differences


class Node:
    """A number and how it was made: the class of the tutorial, which also counts how often a walk looks at its inputs.

    It has a name, for messages.

    Attributes:
        value: the number.
        inputs: the nodes it was made of; () for a leaf.
        slopes: for each input the local slope.
        order: how many nodes of the graph were made before it, and 1; 0 for a leaf.
    """

    def __init__(
        self, name: str, graph: Graph, value: float, inputs: tuple[Node, ...] = (), slopes: tuple[float, ...] = ()
    ) -> None:
        self.value, self.slopes, self._inputs = value, slopes, inputs
        self._name, self._graph = name, graph
        self.order = next(graph.order) if inputs else 0

    def __repr__(self) -> str:
        return f"node {self._name}"

    @property
    def inputs(self) -> tuple[Node, ...]:
        self._graph.look()
        return self._inputs


class Graph:
    """A computation of numbers, line by line: `Graph("h = w * x; L = h * h", w=2.0, x=1.5)`; L is the loss.

    Lines are `name = a + b`, with +, - or *, and `name = sqrt a`.
    """

    def __init__(self, text: str, **numbers: float) -> None:
        self.lines = [line.split() for line in text.split("; ")]
        self.numbers = numbers
        self.order = count(1)
        self.looks = 0

    def __repr__(self) -> str:
        lines = [" ".join(line).replace("sqrt ", "root of ") for line in self.lines]
        if len(lines) > 10:
            lines = [*lines[:3], f"({len(lines) - 5} more of this kind)", *lines[-2:]]
        return (
            "L, where "
            + "; ".join(lines)
            + ", with "
            + ", ".join(f"{name} = {x:.4g}" for name, x in self.numbers.items())
        )

    @property
    def size(self) -> int:
        return len(self.lines) + len(self.numbers)

    def look(self) -> None:
        """Stop a walk that would not end, or not before long."""
        self.looks += 1
        if self.looks > 20 * self.size + 100:
            raise RuntimeError(
                f"stopped after {self.looks} looks at the inputs of nodes, in a graph of {self.size} nodes: "
                f"no node should have more than one turn"
            )

    def nodes(self) -> dict[str, Node]:
        """Make every node, newly, under its name."""
        self.order, self.looks = count(1), 0
        made = {name: Node(name, self, value) for name, value in self.numbers.items()}
        for name, _, *right in self.lines:
            if right[0] == "sqrt":
                a = made[right[1]]
                root = math.sqrt(a.value)
                made[name] = Node(name, self, root, (a,), (1 / (2 * root),))
                continue
            a, b = made[right[0]], made[right[2]]
            values = {"+": a.value + b.value, "-": a.value - b.value, "*": a.value * b.value}
            slopes = {"+": (1.0, 1.0), "-": (1.0, -1.0), "*": (b.value, a.value)}
            made[name] = Node(name, self, values[right[1]], (a, b), slopes[right[1]])
        return made

    def leaves(self) -> list[str]:
        """The names of the leaves that the loss depends on."""
        reached = {"L"}
        for name, _, *right in reversed(self.lines):
            if name in reached:
                reached.update(right)
        return [name for name in self.numbers if name in reached]

    def slopes(self) -> dict[str, float]:
        """dL/d(leaf) by finite differences: the whole computation again for each leaf, and no walk."""

        def loss(*leaves: Any) -> float:
            again = Graph("", **{**self.numbers, **dict(zip(self.leaves(), map(float, leaves), strict=True))})
            again.lines = self.lines
            return again.nodes()["L"].value

        found = by_differences(loss, 1.0, tuple(self.numbers[name] for name in self.leaves()))
        return {name: float(gradient) for name, gradient in zip(self.leaves(), found, strict=True)}


def graphs(rng: np.random.Generator) -> Iterable[tuple[Graph]]:
    """The cases of a walk: chains, diamonds, a side branch, drawn ones, many paths, a deep one."""
    yield (Graph("p = w * x; z = p + b; L = sqrt z", w=0.5, x=10.0, b=-1.0),)
    yield (Graph("L = x * x", x=3.0),)
    yield (Graph("h = w * x; u = h * h; L = u - h", w=2.0, x=1.5),)
    yield (Graph("h = w * x; a = sqrt h; b = a * w; L = b + h", w=2.0, x=2.0),)
    yield (Graph("h = w * x; side = h * w; more = side + y; L = h * h", w=2.0, x=1.5, y=4.0),)
    for _ in range(2):
        yield (drawn(rng),)
    twice = "; ".join(f"a{i + 1} = a{i} + a{i}" for i in range(12))
    yield (Graph(f"a0 = x * y; {twice}; L = a12 * x", x=1.5, y=0.5),)
    deep = "; ".join(f"h{i + 1} = h{i} + x" for i in range(2000))
    yield (Graph(f"h0 = x * x; {deep}; L = h2000 * y", x=0.5, y=2.0),)


def drawn(rng: np.random.Generator) -> Graph:
    """A graph of nine lines that are drawn, each of two of the values before; the last line uses the two last."""
    leaves = {name: round(float(x), 2) for name, x in zip("xyz", rng.uniform(0.8, 1.2, 3), strict=True)}
    names, lines = list(leaves), []
    for i in range(8):
        a, b = rng.choice(names[-4:], 2)
        names.append(f"a{i}")
        lines.append(f"a{i} = {a} {rng.choice(['+', '*'])} {b}")
    return Graph("; ".join([*lines, "L = a6 * a7"]), **leaves)
