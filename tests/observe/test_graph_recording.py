import gc
import weakref

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.observe.graph_recording import Graph, GraphRecording
from tests.arrays import tensor
from tests.observe.loops import batch, norm, small


def line():
    """mean((w x + b)^2)"""
    x, w, b = tensor([1.0, 2.0]), tensor([3.0, -1.0], True), tensor(0.5, True)
    x.name, w.name, b.name = "x", "w", "b"
    return F.mean((w * x + b) * (w * x + b)), w, b


def test_ops_leaves_and_constants_are_named_with_their_shapes_and_edges():
    loss, _, _ = line()
    found = Graph(loss).recording
    values = dict(zip(zip(found.names, found.kinds, strict=True), found.shapes, strict=True))
    assert values[("w", "leaf")] == "(2,)"
    assert values[("x", "constant")] == "(2,)"
    assert values[("Add", "op")] == "(2,)"  # an op that keeps no array
    assert (found.names[-1], found.shapes[-1]) == ("Mean", "()")
    named = {(found.names[a], found.names[b]) for a, b in found.edges.tolist()}
    assert {("w", "Mul"), ("x", "Mul"), ("b", "Add"), ("Mul", "Add"), ("Add", "Mul"), ("Mul", "Mean")} == named
    assert (found.edges[:, 0] < found.edges[:, 1]).all()


def test_looking_changes_no_gradient_and_a_backward_fills_the_norms():
    loss, w, b = line()
    graph = Graph(loss)
    assert w.grad is None
    assert not graph.recording.walked
    loss.backward()
    found = graph.recording
    sizes = dict(zip(found.names, found.gradient_norm, strict=True))
    assert sizes["w"] == pytest.approx(norm(w.grad))
    assert sizes["b"] == pytest.approx(norm(b.grad))
    assert sizes["Mean"] == 1
    assert np.isnan(sizes["x"])


def test_a_layer_is_the_one_whose_parameters_an_op_reads():
    x, y = batch()
    model = small()  # a parameter is named by the model that owns it
    found = Graph(F.cross_entropy(model(x), y)).recording
    ops = [(n, layer) for n, k, layer in zip(found.names, found.kinds, found.layers, strict=True) if k == "op"]
    assert ops[:-1] == [
        ("Linear", "fc1"), ("Sigmoid", ""), ("Linear", "fc2"), ("Sigmoid", ""), ("Linear", "fc3"),
    ]  # fmt: skip


def test_what_is_zero_and_what_is_not_finite_is_told_apart():
    w = tensor([0.0, -1.0], True)
    graph = Graph(loss := F.sum(F.relu(w)) + F.sum(F.sqrt(w * 0)))
    loss.backward()
    sizes = dict(zip(graph.recording.names, graph.recording.gradient_norm, strict=True))
    assert sizes["ReLU"] > 0
    assert np.isinf(sizes["Mul"])
    assert np.isinf(sizes["leaf"])
    zero = Graph(loss := F.sum(F.relu(w)))
    loss.backward()
    assert dict(zip(zero.recording.names, zero.recording.gradient_norm, strict=True))["leaf"] == 0


def test_it_can_be_saved_and_holds_nothing_of_the_graph(tmp_path):
    loss, w, _ = line()
    graph = Graph(loss)
    loss.backward()
    graph.recording.save(tmp_path / "g.npz")
    assert GraphRecording.load(tmp_path / "g.npz").names == graph.recording.names
    gone = weakref.ref(w)
    gc.disable()
    try:
        del loss, w, _
        assert gone() is None
    finally:
        gc.enable()


def test_removed_it_sees_nothing_more():
    loss, _, _ = line()
    graph = Graph(loss)
    graph.remove()
    loss.backward()
    assert not graph.recording.walked


def test_what_has_no_graph_is_refused():
    loss, _, _ = line()
    loss.backward()
    with pytest.raises(md.GraphError, match=r"was freed by a backward.*Graph\(loss\)"):
        Graph(loss)
    for wrong in (tensor(1.0), tensor([1.0, 2.0], True) * 2, 3.0):
        with pytest.raises(md.GraphError, match="expected a loss"):
            Graph(wrong)
