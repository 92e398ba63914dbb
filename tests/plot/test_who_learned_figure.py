import json

import numpy as np
import pytest

from minidl import plot
from minidl.observe import GradientFlow
from minidl.optim import SGD
from tests.arrays import host
from tests.observe.loops import norm, small, train
from tests.plot.recordings import flow


def test_the_claim_is_how_far_the_layers_are_from_where_they_began():
    distance = np.linspace(0.2, 1.0, 5)[:, None] * [1e-4, 1e-3, 0.1, 0.5]
    figure = plot.who_learned(flow(distance=distance, weight_norm=2.0))
    assert figure.caption == (
        "After step 4 fc4 has moved by 25% of its first weights and fc1 has moved by 0.005% of its first weights; "
        "2 of 4 layers moved by less than 1%."
    )
    np.testing.assert_allclose(figure.numbers["networks"][""]["distance"][-1], [5e-5, 5e-4, 0.05, 0.25])
    json.dumps(figure.numbers, allow_nan=False)


def test_it_is_what_the_weights_did():
    model = small()
    optimizer = SGD(model, lr=0.5)
    before = [host(layer.weight).copy() for layer in (model.fc1, model.fc2, model.fc3)]
    with GradientFlow(model, optimizer, distances=True) as flow:
        train(model, optimizer, 4)
    after = [host(layer.weight) for layer in (model.fc1, model.fc2, model.fc3)]
    expected = [norm(b - a) / norm(a) for a, b in zip(before, after, strict=True)]
    figure = plot.who_learned({"mlp": flow.recording})
    assert figure.numbers["networks"]["mlp"]["distance"][-1] == pytest.approx(expected, rel=1e-4)
    assert figure.caption.startswith("mlp: after step 3 fc")


def test_a_frozen_layer_is_where_it_began():
    distance = np.ones((5, 4))
    distance[:, 1] = 0
    figure = plot.who_learned(flow(distance=distance))
    assert "fc2 has moved by nothing of its first weights" in figure.caption
    assert figure.numbers["networks"][""]["distance"][0][1] == 0


def test_weights_that_began_at_0_have_no_part_to_move_by():
    start = np.ones((5, 4))
    start[:, 0] = 0
    figure = plot.who_learned(flow(distance=0.5, weight_norm=start))
    assert figure.numbers["networks"][""]["distance"][-1] == [None, 0.5, 0.5, 0.5]


def test_without_distances_it_says_how_to_record_them():
    with pytest.raises(ValueError, match=r"GradientFlow\(model, optimizer, distances=True\)"):
        plot.who_learned(flow(distance=np.nan))


def test_what_is_not_finite_has_no_distance():
    figure = plot.who_learned(flow(distance=np.inf))
    assert figure.caption == "At step 4 no layer has a finite distance from its first weights."
