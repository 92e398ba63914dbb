"""The exercises of tutorial 2: reverse mode, as a walk over nodes that are held to finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from minidl.check.comparing import difference, plain
from minidl.check.differences import by_differences
from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict
from minidl.check.running import Outcome

# ---- what the walks go over


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


def _graphs(rng: np.random.Generator) -> Iterable[tuple[Graph]]:
    yield (Graph("p = w * x; z = p + b; L = sqrt z", w=0.5, x=10.0, b=-1.0),)
    yield (Graph("L = x * x", x=3.0),)
    yield (Graph("h = w * x; u = h * h; L = u - h", w=2.0, x=1.5),)
    yield (Graph("h = w * x; a = sqrt h; b = a * w; L = b + h", w=2.0, x=2.0),)
    yield (Graph("h = w * x; side = h * w; more = side + y; L = h * h", w=2.0, x=1.5, y=4.0),)
    for _ in range(2):
        yield (_drawn(rng),)
    twice = "; ".join(f"a{i + 1} = a{i} + a{i}" for i in range(12))
    yield (Graph(f"a0 = x * y; {twice}; L = a12 * x", x=1.5, y=0.5),)
    deep = "; ".join(f"h{i + 1} = h{i} + x" for i in range(2000))
    yield (Graph(f"h0 = x * x; {deep}; L = h2000 * y", x=0.5, y=2.0),)


def _drawn(rng: np.random.Generator) -> Graph:
    """A graph of nine lines that are drawn, each of two of the values before; the last line uses the two last."""
    leaves = {name: round(float(x), 2) for name, x in zip("xyz", rng.uniform(0.8, 1.2, 3), strict=True)}
    names, lines = list(leaves), []
    for i in range(8):
        a, b = rng.choice(names[-4:], 2)
        names.append(f"a{i}")
        lines.append(f"a{i} = {a} {rng.choice(['+', '*'])} {b}")
    return Graph("; ".join([*lines, "L = a6 * a7"]), **leaves)


# ---- the walk


def _walk(loss: Any) -> Any:
    grads = {loss: 1.0}
    while (node := max(grads, key=lambda n: n.order)).inputs:
        grad_out = grads.pop(node)
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + grad_out * slope
    return grads


def _wrong_walk(
    seed: Callable[[Any], float] = lambda loss: 1.0,
    sent: Callable[..., float] = lambda grad_out, slope, node: grad_out * slope,
    add: bool = True,
    first: float = 0.0,
    pick: Callable[..., Any] = max,
) -> Callable[[Any], Any]:
    """The walk with another seed, another node picked, something else that is sent on, or one that overwrites."""

    def walk(loss: Any) -> Any:
        grads = {loss: seed(loss)}
        while (node := pick(grads, key=lambda n: n.order)).inputs:
            grad_out = grads.pop(node)
            for source, slope in zip(node.inputs, node.slopes, strict=True):
                grads[source] = sent(grad_out, slope, node) + (grads.get(source, first) if add else 0.0)
        return grads

    return walk


def _wrong_order(take: int, again: bool) -> Callable[[Any], Any]:
    """A walk that waits for nothing: it takes the last node met (take=-1: depth-first) or the first (take=0).

    With again=True a node has a turn at each addend, and sends on all that it has by then.
    """

    def walk(loss: Any) -> Any:
        grads, waiting, done = {loss: 1.0}, [loss], set()
        while waiting:
            node = waiting.pop(take)
            if node in done and not again:
                continue
            done.add(node)
            for source, slope in zip(node.inputs, node.slopes, strict=True):
                grads[source] = grads.get(source, 0.0) + grads[node] * slope
                waiting.append(source)
        return grads

    return walk


def _recursive(once: bool) -> Callable[[Any], Any]:
    """Depth-first by calls: send on what has come so far, and go on at once, to each node once or at each addend."""

    def walk(loss: Any) -> Any:
        grads, done = {loss: 1.0}, set()

        def visit(node: Any) -> None:
            done.add(node)
            for source, slope in zip(node.inputs, node.slopes, strict=True):
                grads[source] = grads.get(source, 0.0) + grads[node] * slope
                if not (once and source in done):
                    visit(source)

        visit(loss)
        return grads

    return walk


def _every_path(loss: Any) -> Any:
    grads: dict[Any, float] = {}
    waiting = [(loss, 1.0)]
    while waiting:
        node, grad_out = waiting.pop()
        grads[node] = grads.get(node, 0.0) + grad_out
        waiting.extend((s, grad_out * slope) for s, slope in zip(node.inputs, node.slopes, strict=True))
    return grads


def _times_the_values(loss: Any) -> Any:
    grads = {loss: 1.0}
    while (node := max(grads, key=lambda n: n.order)).inputs:
        grad_out = grads.pop(node)
        for source in node.inputs:
            grads[source] = grads.get(source, 0.0) + grad_out * source.value
    return grads


def _through_a_dict(loss: Any) -> Any:
    grads = {loss: 1.0}
    while (node := max(grads, key=lambda n: n.order)).inputs:
        grad_out = grads.pop(node)
        for source, slope in dict(zip(node.inputs, node.slopes, strict=True)).items():
            grads[source] = grads.get(source, 0.0) + grad_out * slope
    return grads


def _multiplied(loss: Any) -> Any:
    grads = {loss: 1.0}
    while (node := max(grads, key=lambda n: n.order)).inputs:
        grad_out = grads.pop(node)
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 1.0) * grad_out * slope
    return grads


def _without_a_leaf(loss: Any) -> Any:
    grads = _walk(loss)
    grads.pop(max(grads, key=lambda n: n.order))
    return grads


def _keeping_something(loss: Any) -> Any:
    loss.calls = getattr(loss, "calls", 0) + 1
    return {node: loss.calls * grad for node, grad in _walk(loss).items()}


def _never_takes_out(loss: Any) -> Any:
    grads = {loss: 1.0}
    while (node := max(grads, key=lambda n: n.order)).inputs:
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + grads[node] * slope
    return grads


def _calls_itself(loss: Any) -> Any:
    """Right, where the graph is not deep: the nodes are sorted by calls."""
    done: dict[Any, None] = {}

    def visit(node: Any) -> None:
        if node not in done:
            for source in node.inputs:
                visit(source)
            done[node] = None

    visit(loss)
    grads = dict.fromkeys(done, 0.0) | {loss: 1.0}
    for node in reversed(done):
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] += grads[node] * slope
    return grads


TOO_DEEP = "the walk calls itself for each node on a path, and Python stops such calls at about 1,000"
_AGAIN = "something else at the second call on a graph"
_TOO_EARLY = "a node has had its turn before all its addends had come, so some are missing in what it sent on"
_TWICE = "a node has had several turns, and sent the same addends on again: wait until all have come, then send once"


@dataclass(frozen=True, slots=True)
class _Odd:
    """What came back, in words, where it cannot be compared."""

    words: str

    def __repr__(self) -> str:
        return self.words


def _gradients(walk: Callable[[Any], Any], graph: Graph) -> Any:
    """The leaves' gradients as `walk` finds them, by name."""
    nodes = graph.nodes()
    found = _found(walk, graph, nodes)
    if not isinstance(found, dict) or graph.size > 100:
        return found
    graph.looks = 0
    return found if not difference(plain(_found(walk, graph, nodes)), plain(found), 1e-9) else _Odd(_AGAIN)


def _found(walk: Callable[[Any], Any], graph: Graph, nodes: dict[str, Node]) -> Any:
    try:
        found = walk(nodes["L"])
    except RecursionError:
        raise RecursionError(TOO_DEEP) from None
    if not isinstance(found, Mapping):
        return found
    others = [key for key in found if not isinstance(key, Node)]
    if others:
        return _Odd(f"a dict with the key {str(others[0])[:15]!r}, which is no node,")
    return {name: found[nodes[name]] for name in graph.numbers if nodes[name] in found}


class _WalkExercise(Implement):
    """What is expected are finite differences, in which no walk has a part."""

    def _run(self, answer: Callable[..., Any], case: tuple[Any, ...]) -> Outcome:
        return Outcome(case[0].slopes()) if answer is self.solution else super()._run(answer, case)


t02_walk = _WalkExercise(
    "t02_walk",
    "the gradient of every leaf that a loss was made of, as a dict from leaf to gradient",
    _walk,
    _graphs,
    # In this order, since in a small graph several mistakes may give the same number: those first that pass the first
    # cases.
    mistakes=[
        Mistake(_calls_itself, "use a loop with a dict or list of the nodes that wait, instead of calls"),
        Mistake(
            _every_path, "it goes along every path by itself, of which there may be thousands: add up, then send once"
        ),
        Mistake(_wrong_order(-1, again=False), _TOO_EARLY),
        Mistake(_wrong_order(0, again=False), _TOO_EARLY),
        Mistake(_recursive(once=True), _TOO_EARLY),
        Mistake(_wrong_order(-1, again=True), _TWICE),
        Mistake(_wrong_order(0, again=True), _TWICE),
        Mistake(_recursive(once=False), _TWICE),
        Mistake(_wrong_walk(add=False), "an addend has overwritten one that had come before: add them up"),
        Mistake(
            lambda loss: {},
            "no leaf is in the dict: does the walk end before it comes to them (a return inside the loop?), or are "
            "they taken out as well? Only nodes with inputs have a turn",
        ),
        Mistake(
            _without_a_leaf,
            "a leaf was taken out of the dict before the walk saw that it is one: look at its inputs first",
        ),
        Mistake(
            _wrong_walk(pick=min),
            "the oldest node has its turn, and leaves are the oldest of all: the walk ends too early. Take the newest",
        ),
        Mistake(
            _through_a_dict,
            "of x * x one addend is lost: x stands twice among its inputs, and only once in a dict or a set of them",
        ),
        Mistake(_multiplied, "addends that meet at a node are multiplied here; they add"),
        Mistake(_wrong_walk(first=1.0), "each sum begins with 1; a node to which nothing has come yet has 0"),
        Mistake(
            _keeping_something,
            "something is kept from the first call: is there a dict outside of the function, or in its default "
            "arguments, or were the nodes changed?",
        ),
        Mistake(
            _times_the_values,
            "it multiplies by the input's own value: multiply by the local slope, which node.slopes has for each input",
        ),
        Mistake(_never_takes_out, "is each node taken out of the dict when its turn comes? Else its turn comes again"),
        Mistake(_wrong_walk(seed=lambda loss: 0.0), "it began with 0, and 0 times any slope is 0: dL/dL is 1"),
        Mistake(_wrong_walk(seed=lambda loss: loss.value), "it began with the value of L: dL/dL is 1"),
        Mistake(
            _wrong_walk(sent=lambda grad_out, slope, node: slope),
            "the local slopes go on alone: multiply them by what came in at the node",
        ),
        Mistake(
            _wrong_walk(sent=lambda grad_out, slope, node: grad_out),
            "what came in goes on as it is: multiply it by the local slope",
        ),
        Mistake(
            _wrong_walk(sent=lambda grad_out, slope, node: grad_out * node.value),
            "it multiplies by the node's value: multiply by the local slope",
        ),
        Mistake(
            _wrong_walk(sent=lambda grad_out, slope, node: grad_out + slope),
            "along a path slopes are multiplied; only addends that meet at a node are added",
        ),
    ],
    float32=False,
    rtol=1e-5,
    adapt=_gradients,
)

# ---- predictions and reasons

t02_shared = Predict(
    "t02_shared",
    "dL/dh of L = h * h + h at h = 3",
    7.0,
    mistakes=[
        Mistake(1.0, "this is what comes by the sum alone; the product h * h uses h as well"),
        Mistake(6.0, "this is what comes by h * h; the sum uses h as well"),
        Mistake(4.0, "h * h uses h twice, once as each of its inputs"),
        Mistake(3.0, "this is one addend alone; how often is h used?"),
        Mistake([1.0, 3.0, 3.0], "these are the addends; the gradient is one number, made of them"),
        Mistake(10.5, "this is dL/dw, one op further on"),
        Mistake(9.0, "along a path slopes multiply; here are several paths"),
        Mistake(10.0, "is that h * h + 1? The slope of h * h is asked for, not its value"),
        Mistake(27.0, "along a path slopes multiply; here are several paths"),
        Mistake(12.0, "this is the value of L: by how much does it change when h does?"),
    ],
    why="1 by the sum, and 3 by each of the two inputs of h * h.",
)

t02_overwritten = Predict(
    "t02_overwritten",
    "what a walk that overwrites finds for dL/dh of L = u + h, u = h * h at h = 3",
    3.0,
    mistakes=[
        Mistake(7.0, "this is the right gradient; the wrong walk forgets an addend each time another comes"),
        Mistake(1.0, "1 comes first, from the sum, which is the newest node; what comes after it?"),
        Mistake(6.0, "the two addends of h * h overwrite one another as well"),
        Mistake(4.0, "nothing is added in this walk: what stands there at last?"),
        Mistake(4.5, "this is what then arrives at w; the question is about h"),
        Mistake(9.0, "nothing is multiplied with what stands there: it is written over"),
        Mistake(0.0, "something is always put there: which addend comes last?"),
    ],
    why="The last addend to come is left: 3, from the second input of h * h.",
)

t02_why_add = Explain(
    "t02_why_add",
    "why do the gradients that meet at a node add up?",
    {
        "a": "because L happens to be a sum, L = u + h; were it a product, they would be multiplied",
        "b": "because a small change of h reaches L by each of its uses, and what each of them changes of L adds up",
        "c": "because all gradients are equally right, and a sum is the mean of them but for a factor",
        "d": "because the walk comes by several times, and the library keeps what it had before",
    },
    "b",
    hints={
        "a": "u = h * h is a product, and its two addends are added as well. Think of the change of h, not of the op",
        "c": "neither is right by itself: each is the answer for one use, while the others are held still",
        "d": "that says how it is done. The question is why this gives the slope that finite differences find",
    },
)

EXERCISES: tuple[Exercise, ...] = (t02_shared, t02_walk, t02_overwritten, t02_why_add)
