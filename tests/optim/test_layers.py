"""Parameters are grouped by the layer that owns them, and what is no parameter is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import nn
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
    assert list(expected) == [name for name, _ in model.named_layers()]
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


# ---- first mistakes


class Plain(nn.Module):
    """A layer whose weights are no Parameters."""

    def __init__(self, inner=None, requires_grad=False):
        super().__init__()
        self.inner = inner
        self.w = md.tensor([1.0, 2.0], requires_grad=requires_grad)


def test_a_model_of_plain_tensors_is_told_what_they_should_be():
    with pytest.raises(ValueError, match=r"got none\. .*\. Plain\.w is a Tensor and no Parameter: wrap it, nn\.Param"):
        md.optim.SGD(Plain(), lr=0.1)


def test_a_plain_tensor_beside_layers_is_warned_of_if_it_wants_to_be_trained():
    md.optim.SGD(Plain(nn.Linear(2, 2)), lr=0.1)
    with pytest.warns(UserWarning, match=r"Plain\.w requires a gradient but is no Parameter, so that no optimizer"):
        md.optim.SGD(Plain(nn.Linear(2, 2), requires_grad=True), lr=0.1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (nn.Linear, r"got type: make a model of the class, Linear\(\.\.\.\)"),
        (0.1, r"got float: the model comes first, and then the rate"),
        (nn.Linear(2, 2).parameters, r"got method: call it"),
        (type("Net", (), {"forward": None})(), r"got Net: a model is a Module: class Net\(nn\.Module\)"),
        (
            [nn.Linear(2, 2)],
            r"entry 0 is Linear: give one optimizer \[\*one\.parameters\(\), \*other\.param",
        ),
    ],
)
def test_what_is_no_model_is_told_what_may_be_meant(source, said):
    with pytest.raises(md.DTypeError, match=said):
        md.optim.SGD(source, lr=0.1)
