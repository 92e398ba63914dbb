"""Tutorial 2: what its text claims, and what its checks say to walks as students write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minidl as md
from minidl.check import t02
from tests.tutorials.conftest import Run

STEM = "02_reverse_mode"


def test_one_use_at_a_time_and_all_together(tutorial: Run) -> None:
    t = tutorial(STEM)
    assert t["one_at_a_time"] == pytest.approx([1, 3, 3], rel=1e-6)
    assert t["all_together"] == pytest.approx(sum(t["one_at_a_time"]), rel=1e-6)


def test_what_the_tape_says_at_each_moment(tutorial: Run) -> None:
    tape = tutorial(STEM)["tape"]
    at = {m: tape.gradient("h", m) for m in range(2, 7)}
    assert [len(at[m].addends) for m in at] == [0, 0, 1, 3, 3]
    assert [at[m].complete for m in at] == [False, False, False, False, True]
    assert at[2].total is None
    assert at[3].total is None  # not computed yet is not 0
    assert [addend.grad.at(()) for _, addend in at[6].addends] == [1, 3, 3]
    assert tape[4].op == "Add"  # where the link leads
    assert tape.gradient("w", 5).total is None
    assert tape.gradient("w", 6).total.at(()) == 10.5


def test_the_figure_of_addends_shows_them_and_their_sum(tutorial: Run) -> None:
    ax = tutorial(STEM)["slides"]["02_addends"].axes[0]
    bars = [(bar.get_y(), bar.get_height()) for bar in ax.patches]
    assert bars == [(0, 1), (1, 3), (4, 3), (0, 7)]
    assert [text.get_text() for text in ax.texts] == ["+1", "+3", "+3", "7"]


def test_orders_and_slopes_of_the_nodes(tutorial: Run) -> None:
    t = tutorial(STEM)
    nodes = [t[f"{name}_node"] for name in "wxhuL"]
    assert [node.order for node in nodes] == [0, 0, 1, 2, 3]
    assert all(node.order > source.order for node in nodes for source in node.inputs)
    assert t["found"][t["w_node"]] == 10.5


def test_a_turn_too_early_gives_1_5(tutorial: Run) -> None:
    """The table of the text: h sends 1 * x to w when only the sum's addend has come."""
    t = tutorial(STEM)
    assert t["h_node"].slopes[0] * 1 == 1.5


def test_which_graph_shows_which_mistake(tutorial: Run) -> None:
    t = tutorial(STEM)
    table, graphs, walks = t["results"](), list(t["graphs"]), list(t["walks"])
    wrong = {
        name: [graph for graph in graphs if table[graph, name] != pytest.approx(table[graph, "yours"])]
        for name in walks
    }
    _chain, square, diamond, two_ways = graphs
    assert wrong["yours"] == []
    assert wrong["no seed"] == graphs
    assert wrong["overwrites"] == [square, diamond, two_ways]
    assert wrong["first come,\nfirst served"] == [two_ways]
    right = t["other_walk"]  # with nothing wrong, the walk of which the others are variants is right
    for build in t["graphs"].values():
        w, x = t["Node"](2.0), t["Node"](2.0)
        loss = build(w, x)
        assert right(loss)[w] == pytest.approx(t["walk"](loss)[w])


def test_overwriting_finds_3(tutorial: Run) -> None:
    t = tutorial(STEM)
    assert t["other_walk"](t["L_node"], add=False)[t["h_node"]] == 3


def test_a_leaf_that_is_not_used_is_not_in_the_dict(tutorial: Run) -> None:
    t = tutorial(STEM)
    unused = t["Node"](5.0)
    assert unused not in t["walk"](t["L_node"])
    a = md.tensor(1.0, requires_grad=True)
    b = md.tensor(1.0, requires_grad=True)
    (a * a).backward()
    assert b.grad is None


def test_the_file_that_is_read_is_the_file_that_runs(tutorial: Run) -> None:
    t = tutorial(STEM)
    assert t["plain_runs"] == ["autograd/backward.py"]
    assert not [f for f in t["plain_files"] if f.startswith("fast/")]
    if not md.autograd.modes.current_mode() & md.autograd.modes.PLAIN:  # pytest --plain
        assert t["usual_runs"] == ["fast/walk.py"]
    assert t["source"] in Path(md.autograd.backward.__file__).read_text(encoding="utf-8")
    for line in (
        "while grads and (node := max(grads, key=by_creation)).order:",
        "grads.pop(node)",
        "node.plain.backward(node, grad_out, *saved)",
        "grads[source] + input_grads[i] if source in grads else input_grads[i]",
        "return {leaf: grad.copy()",
    ):
        assert line in t["loop"]


def test_the_walk_is_fifteen_lines() -> None:
    """What the title promises: the solution's lines."""
    import inspect

    assert len(inspect.getsource(t02._walk).splitlines()) <= 15


def test_the_walk_on_the_librarys_ops(tutorial: Run) -> None:
    t = tutorial(STEM)
    assert t["mine"] == t["w"].grad.data == 10.5


def test_it_runs_on_other_ops_bit_for_bit(tutorial: Run) -> None:
    t = tutorial(STEM)
    w = md.tensor(0.7, requires_grad=True)
    with md.plain():
        loss = md.tanh(w * w) * w - md.exp(w) / 3.0 + md.sqrt(w)
        mine = t["walk_ops"](loss)[w]
        loss.backward()
    assert mine == w.grad.data


def test_what_the_teacher_gets(tutorial: Run) -> None:
    t = tutorial(STEM)
    assert list(t["slides"]) == ["02_addends", "02_walks"]
    assert list(t["pages"]) == ["02_addends"]
    assert len(t["tape"].page()._repr_html_()) < 300_000


# ---- the checks


@pytest.mark.parametrize(
    ("answer", "hint"),
    [(1, "h * h uses h as well"), (6, "the sum uses"), (4, "twice"), (3, "alone"), (9, "several paths"), (12, "value")],
)
def test_the_shared_slope_mispredicted(answer: float, hint: str) -> None:
    result = md.check.t02_shared(answer, show=False)
    assert not result
    assert hint in result.hint


@pytest.mark.parametrize(
    ("answer", "hint"), [(7, "the right gradient"), (1, "comes after"), (6, "one another"), (4, "at last")]
)
def test_the_overwritten_one_mispredicted(answer: float, hint: str) -> None:
    result = md.check.t02_overwritten(answer, show=False)
    assert not result
    assert hint in result.hint


def test_right_predictions() -> None:
    assert md.check.t02_shared(7, show=False)
    assert md.check.t02_overwritten(3.0, show=False)
    assert md.check.t02_why_add("b", show=False)


@pytest.mark.parametrize(("answer", "hint"), [("a", "is a product"), ("c", "one use"), ("D", "how it is done")])
def test_why_they_add(answer: str, hint: str) -> None:
    result = md.check.t02_why_add(answer, show=False)
    assert not result
    assert hint in result.hint


def overwrites(loss):
    grads = {loss: 1.0}
    while any(node.inputs for node in grads):
        node = sorted(grads, key=lambda n: n.order)[-1]
        g = grads.pop(node)
        for i in range(len(node.inputs)):
            grads[node.inputs[i]] = g * node.slopes[i]
    return grads


def without_the_seed(loss):
    grads = {loss: 0}
    while any(node.inputs for node in grads):
        node = sorted(grads, key=lambda n: n.order)[-1]
        g = grads.pop(node)
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0) + g * slope
    return grads


def depth_first(loss):
    """A stack; each node once; nobody waits."""
    grads, stack, visited = {loss: 1.0}, [loss], []
    while len(stack) > 0:
        node = stack.pop()
        if node in visited:
            continue
        visited.append(node)
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            if source not in grads:
                grads[source] = 0.0
            grads[source] += grads[node] * slope
            stack.append(source)
    return grads


def breadth_first(loss):
    from collections import deque

    grads, queue, seen = {loss: 1.0}, deque([loss]), {loss}
    while queue:
        node = queue.popleft()
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + grads[node] * slope
            if source not in seen:
                seen.add(source)
                queue.append(source)
    return grads


def sends_twice(loss):
    """By calls, with the whole sum at every visit."""
    grads = {loss: 1.0}

    def back(node):
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + grads[node] * slope
            back(source)

    back(loss)
    return grads


def slopes_alone(loss):
    grads = {loss: 1.0}
    while any(node.inputs for node in grads):
        node = max(grads, key=lambda n: n.order)
        del grads[node]
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + slope
    return grads


def never_pops(loss):
    grads = {loss: 1.0}
    while True:
        node = max(grads, key=lambda n: n.order)
        if len(node.inputs) == 0:
            break
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + grads[node] * slope
    return grads


def along_every_path(loss):
    grads = {}

    def back(node, g):
        grads[node] = grads.get(node, 0.0) + g
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            back(source, g * slope)

    back(loss, 1.0)
    return grads


def topological_by_calls(loss):
    """Right, but for the depth."""
    order, visited = [], set()

    def build(v):
        if v not in visited:
            visited.add(v)
            for child in v.inputs:
                build(child)
            order.append(v)

    build(loss)
    for v in order:
        v.grad = 0.0
    loss.grad = 1.0
    for v in reversed(order):
        for child, slope in zip(v.inputs, v.slopes, strict=True):
            child.grad += v.grad * slope
    return {v: v.grad for v in order}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (overwrites, "has overwritten"),
        (without_the_seed, "began with 0"),
        (depth_first, "before all its addends had come"),
        (breadth_first, "before all its addends had come"),
        (sends_twice, "several turns"),
        (slopes_alone, "multiply them by what came in"),
        (never_pops, "taken out of the dict"),
        (along_every_path, "every path"),
        (topological_by_calls, "use a loop"),
    ],
)
def test_a_wrong_walk(answer, hint) -> None:
    result = md.check.t02_walk(answer, show=False)
    assert not result
    assert hint in result.hint


def adding_up(loss, grads=None, start=0.0, times=None, newest=max, keep_dict=False, pop_first=False):
    """A right walk, with what the slips below change in it."""
    grads = {} if grads is None else grads
    grads[loss] = 1.0
    while True:
        node = newest(grads, key=lambda n: n.order)
        if pop_first:
            g = grads.pop(node)
        if len(node.inputs) == 0:
            return grads
        if not pop_first:
            g = grads.pop(node)
        pairs = list(zip(node.inputs, node.slopes, strict=True))
        for source, slope in dict(pairs).items() if keep_dict else pairs:
            factor = slope if times is None else times(source)
            grads[source] = grads.get(source, start) + g * factor


KEPT = {}


def returns_too_soon(loss):
    grads = {loss: 1.0}
    while True:
        node = max(grads, key=lambda n: n.order)
        g = grads.pop(node)
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + g * slope
        return grads


def changes_the_nodes(loss):
    grads = adding_up(loss)
    loss.slopes = tuple(2 * slope for slope in loss.slopes)
    return grads


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda loss: adding_up(loss, pop_first=True), "a leaf was taken out"),
        (lambda loss: adding_up(loss, newest=min), "Take the newest"),
        (lambda loss: adding_up(loss, start=1.0), "begins with 1"),
        (lambda loss: adding_up(loss, times=lambda source: source.value), "node.slopes has"),
        (lambda loss: adding_up(loss, keep_dict=True), "only once in a dict"),
        (lambda loss: adding_up(loss, grads=KEPT), "kept from the first call"),
        (changes_the_nodes, "kept from the first call"),
        (returns_too_soon, "a return inside the loop"),
        (lambda loss: {repr(leaf): g for leaf, g in adding_up(loss).items()}, ""),
    ],
)
def test_slips_beside_the_usual_ones(answer, hint) -> None:
    result = md.check.t02_walk(answer, show=False)
    assert not result
    assert hint in result.hint
    assert hint or "which is no node" in result.difference
    assert "raised" not in result.difference


def test_a_walk_that_goes_to_the_first_input_only_is_not_told_that_it_took_leaves_out() -> None:
    def first_only(loss):
        grads = {loss: 1.0}
        while any(node.inputs for node in grads):
            node = max(grads, key=lambda n: n.order)
            g = grads.pop(node)
            for i in range(len(node.inputs) - 1):
                grads[node.inputs[i]] = grads.get(node.inputs[i], 0.0) + g * node.slopes[i]
        return grads

    assert md.check.t02_walk(first_only, show=False).hint == ""
    assert md.check.t02_walk(adding_up, show=False)


def with_a_list(loss):
    """The newest of a list that waits."""
    gradient, todo = {loss: np.float64(1)}, [loss]
    while todo:
        todo.sort(key=lambda n: n.order)
        node = todo.pop()
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            if source in gradient:
                gradient[source] = gradient[source] + gradient[node] * slope
            else:
                gradient[source] = gradient[node] * slope
                todo.append(source)
    return gradient


def by_counting_uses(loss):
    """A node's turn comes when as many addends have come as it has uses."""
    uses, reached, look = {}, [loss], [loss]
    while look:
        node = look.pop()
        for source in node.inputs:
            uses[source] = uses.get(source, 0) + 1
            if source not in reached:
                reached.append(source)
                look.append(source)
    grads, ready = {loss: 1.0}, [loss]
    while ready:
        node = ready.pop()
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + slope * grads[node]
            uses[source] -= 1
            if uses[source] == 0:
                ready.append(source)
    return {node: g for node, g in grads.items() if not node.inputs}


@pytest.mark.parametrize("answer", [with_a_list, by_counting_uses])
def test_a_right_walk(answer) -> None:
    result = md.check.t02_walk(answer, show=False)
    assert result, str(result)


@pytest.mark.parametrize("seed", range(5))
def test_the_drawn_graphs_tell_right_from_wrong(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minidl.check.seeding._chosen", seed)
    drawn = [graph for (graph,) in t02.t02_walk.cases() if "a7" in repr(graph) and "a12" not in repr(graph)]
    assert len(drawn) == 2
    for graph in drawn:
        expected = graph.slopes()
        assert t02._gradients(t02._walk, graph) == pytest.approx(expected, rel=1e-6)
        assert t02._gradients(overwrites, graph) != pytest.approx(expected, rel=1e-3)


def test_the_check_survives_what_is_no_walk(capsys: pytest.CaptureFixture[str]) -> None:
    for answer in (lambda loss: None, lambda loss: [1.0], lambda loss: {}, lambda loss: loss.value, lambda: 3, "walk"):
        assert not md.check.t02_walk(answer)
    said = capsys.readouterr().out
    assert "a dict with the keys" in said
    assert "function itself was expected" in said
