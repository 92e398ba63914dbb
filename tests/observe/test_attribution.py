import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.nn import Linear, ReLU, Residual, Sequential
from minidl.observe.attribution import by_kind, factors
from minidl.observe.graph_recording import Graph, GraphRecording
from tests.observe.loops import batch, small


def walked(model):
    x, y = batch()
    loss = F.cross_entropy(model(x), y)
    graph = Graph(loss)
    loss.backward()
    return graph.recording


def test_the_decades_of_all_ops_add_up_to_the_fall_from_the_loss_to_the_first_layer():
    recording = walked(small(hidden=6))
    found = factors(recording)
    first = recording.names.index("Linear")
    assert [f.name for f in found[1:]] == ["Linear"] + ["Sigmoid", "Linear"] * 5 + ["Sigmoid"]
    assert sum(f.decades for f in found) == pytest.approx(np.log10(recording.gradient_norm[first]))
    assert found[-1].norm == recording.gradient_norm[first]
    assert (found[-1].layer, found[-1].before, found[-2].layer, found[-2].before) == ("fc1", "fc1", "fc2", "fc1")


def test_each_factor_is_what_the_op_made_of_the_norm():
    """A sigmoid makes the gradient at least four times smaller."""
    found = factors(walked(small(hidden=3)))
    assert all(f.decades < np.log10(0.2501) for f in found if f.name == "Sigmoid")
    assert by_kind(found)["Sigmoid"] == pytest.approx(sum(f.decades for f in found if f.name == "Sigmoid"))


def test_a_residual_block_counts_as_one():
    md.seed(0)
    body = Sequential(Linear(4, 4), ReLU(), Linear(4, 4))
    found = factors(walked(Sequential(Linear(5, 4), Residual(body), Linear(4, 3))))
    assert [f.name for f in found[1:]] == ["Linear", "4 ops"]


def test_where_the_gradient_is_zero_there_is_no_factor():
    recording = GraphRecording(
        ["w", "Linear", "ReLU", "Mean"], ["leaf", "op", "op", "op"], ["", "fc1", "", ""], ["()"] * 4,
        [[0, 1], [1, 2], [2, 3]], [0, 0, 1, 1],
    )  # fmt: skip
    assert [f.decades for f in factors(recording)] == pytest.approx([0, np.nan], nan_ok=True)
    assert by_kind(factors(recording)) == {"Mean": 0}


def test_without_a_backward_there_is_nothing_to_attribute():
    x, y = batch()
    with pytest.raises(ValueError, match=r"call loss\.backward\(\) after md\.observe\.Graph"):
        factors(Graph(F.cross_entropy(small()(x), y)).recording)
