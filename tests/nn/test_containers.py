from collections import OrderedDict

import numpy as np
import pytest

import minidl.functional as F
from minidl import nn
from tests.arrays import host, tensor

X = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)


def test_sequential_calls_one_after_the_other():
    first, second = nn.Linear(2, 4), nn.Linear(4, 1)
    model = nn.Sequential(first, nn.Tanh(), second)
    np.testing.assert_array_equal(host(model(tensor(X))), host(second(F.tanh(first(tensor(X))))))


def test_without_names_positions_are_the_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    assert [name for name, _ in model.named_children()] == ["0", "1", "2"]
    assert [name for name, _ in model.layers()] == ["0", "2"]


@pytest.mark.parametrize("form", [list, tuple, dict, OrderedDict])
def test_names_may_come_as_pairs_or_as_a_dict(form):
    fc, act = nn.Linear(2, 2), nn.ReLU()
    model = nn.Sequential(form([("fc1", fc), ("act1", act)]))
    assert model.named_children() == [("fc1", fc), ("act1", act)]
    assert model.fc1 is fc


def test_modules_are_reached_by_position_and_slice():
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3)
    model = nn.Sequential([("a", a), ("b", b), ("c", c)])
    assert len(model) == 3
    assert list(model) == [a, b, c]
    assert model[0] is a
    assert model[-1] is c
    part = model[1:]
    assert isinstance(part, nn.Sequential)
    assert part.named_children() == [("b", b), ("c", c)]
    assert c.weight.name == "c.weight"
    with pytest.raises(IndexError):
        model[3]


def test_a_module_is_replaced_and_added_by_position():
    model = nn.Sequential([("fc1", nn.Linear(2, 2)), ("fc2", nn.Linear(2, 2))])
    model[-1] = nn.Linear(2, 5)
    assert model.fc2.weight.shape == (5, 2)
    assert model.append(nn.Softmax()) is model
    assert [name for name, _ in model.named_children()] == ["fc1", "fc2", "2"]
    assert model(tensor(X)).shape == (3, 5)


def test_an_empty_sequential_returns_its_input():
    x = tensor(X)
    assert nn.Sequential()(x) is x


def test_a_module_list_registers_and_does_not_call():
    blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 3)])
    assert [name for name, _ in blocks.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert blocks[1](tensor(X)).shape == (3, 3)
    assert [type(block) for block in blocks] == [nn.Linear, nn.Linear]
    with pytest.raises(AttributeError, match="does not say what it computes"):
        blocks(tensor(X))


def test_the_usual_mistakes_in_making_one():
    with pytest.raises(TypeError, match=r"got the class ReLU for '1'; make one: ReLU\(...\)"):
        nn.Sequential(nn.Linear(2, 2), nn.ReLU)
    with pytest.raises(
        TypeError, match=r"expected a Module for '1'; got function; for the function relu use the module"
    ):
        nn.Sequential(nn.Linear(2, 2), F.relu)
    with pytest.raises(TypeError, match=r"expected a Module for '0'; got int"):
        nn.Sequential(3)
    with pytest.raises(TypeError, match=r"write them as arguments: Sequential\(\*modules\)"):
        nn.Sequential([nn.Linear(2, 2), nn.ReLU()])
    with pytest.raises(ValueError, match=r"the name 'a' is taken; names must differ"):
        nn.Sequential([("a", nn.ReLU()), ("a", nn.ReLU())])
