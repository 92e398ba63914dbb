"""The graphs of tutorial 2's walk: their values, slopes and orders, and the guard against a walk without end."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.check.graphs import Graph, graphs


def test_the_slopes_are_those_of_school() -> None:
    graph = Graph("h = w * x; u = h * h; L = u - h", w=2.0, x=1.5)
    nodes = graph.nodes()
    assert nodes["L"].value == 6
    assert [nodes[name].order for name in "wxhuL"] == [0, 0, 1, 2, 3]
    assert nodes["L"].slopes == (1.0, -1.0)
    assert graph.slopes() == pytest.approx({"w": 5 * 1.5, "x": 5 * 2.0})


def test_a_leaf_that_the_loss_does_not_depend_on_has_no_slope() -> None:
    assert list(Graph("side = x * y; L = sqrt x", x=4.0, y=1.0).slopes()) == ["x"]


def test_a_walk_that_does_not_end_is_stopped() -> None:
    node = Graph("L = x * x", x=3.0).nodes()["L"]
    with pytest.raises(RuntimeError, match="no node should have more than one turn"):
        all(node.inputs for _ in range(10_000))


def test_the_cases_are_of_every_kind() -> None:
    found = [graph for (graph,) in graphs(np.random.default_rng(0))]
    assert len(found) == 9
    assert max(graph.size for graph in found) > 2000
    assert "more of this kind" in repr(found[-1])
