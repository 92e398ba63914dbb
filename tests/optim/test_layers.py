"""Parameters are grouped by the layer that owns them, and what is no parameter is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.errors import DTypeError, GraphError
from minidl.optim import SGD, Optimizer
from tests.optim.test_optimizer import network
from tests.optim.trajectories import Pair, scalar


def names_of(optimizer: Optimizer) -> dict[str, list[str]]:
    return {layer.name: [name for name, _ in layer.parameters] for layer in optimizer.layers}


def test_the_layers_are_the_models() -> None:
    model = network()
    expected = {"fc1": ["fc1.weight", "fc1.bias"], "fc2": ["fc2.weight", "fc2.bias"]}
    assert names_of(SGD(model)) == expected
    assert list(expected) == [name for name, _ in model.layers()]
    assert names_of(SGD(model.parameters())) == expected
    assert names_of(SGD(p for p in model.parameters())) == expected


def test_a_layer_alone_is_named_after_its_class() -> None:
    layer = md.nn.Linear(2, 1)
    assert names_of(SGD(layer)) == names_of(SGD(layer.parameters())) == {"Linear": ["weight", "bias"]}


def test_a_tied_weight_belongs_to_its_first_owner() -> None:
    model = Pair()
    model.second.weight = model.first.weight
    assert names_of(SGD(model)) == {"first": ["first.weight", "first.bias"], "second": ["second.bias"]}


def test_names_are_unique() -> None:
    one, other = network(), network()
    optimizer = SGD([*one.parameters(), *other.parameters()])
    assert list(names_of(optimizer)) == ["fc1", "fc2", "fc1#2", "fc2#2"]
    assert names_of(optimizer)["fc2#2"] == ["fc2.weight#2", "fc2.bias#2"]


def test_plain_tensors_are_layers_by_themselves() -> None:
    named = md.Tensor(np.ones(1, "float32"), requires_grad=True, name="w")
    assert names_of(SGD([named, scalar()])) == {"w": ["w"], "parameter1": ["parameter1"]}


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (list, ValueError, "at least one parameter"),
        (lambda: iter(()), ValueError, "make it again"),
        (lambda: md.nn.ReLU(), ValueError, "nothing to train"),
        (lambda: scalar(), DTypeError, r"put it in a list, \[parameter\]"),
        (lambda: 3, DTypeError, "a model or a list of parameters; got int"),
        (lambda: [scalar(), np.ones(2)], DTypeError, "entry 1 is ndarray"),
        (lambda: [md.nn.Linear(2, 1)], DTypeError, "entry 0 is Linear"),
        (lambda: [scalar() * 2], GraphError, "result of an op"),
        (lambda: [scalar()] * 2, ValueError, "entry 1, Tensor of shape .* is entry 0 again"),
    ],
)
def test_refuses_what_cannot_be_optimized(source: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        SGD(source())
