from collections import OrderedDict

import numpy as np
import pytest

import minidl.functional as F
from minidl import nn
from minidl.errors import DTypeError, ShapeError
from tests.arrays import host, tensor
from tests.pytorch import torch

X = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)


def test_sequential_calls_one_after_the_other():
    first, second = nn.Linear(2, 4), nn.Linear(4, 1)
    model = nn.Sequential(first, nn.Tanh(), second)
    np.testing.assert_array_equal(host(model(tensor(X))), host(second(F.tanh(first(tensor(X))))))


def test_without_names_positions_are_the_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    assert [name for name, _ in model.named_children()] == ["0", "1", "2"]
    assert [name for name, _ in model.named_layers()] == ["0", "2"]


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


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("after", [nn.ReLU(), nn.Linear(3, 3), nn.Softmax()])
def test_a_recurrent_layer_hands_on_two_things(steps, after):
    model = nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 3), after)
    with pytest.raises(DTypeError, match=r"got a tuple of Tensors.*a recurrent layer returns \(output, state\)"):
        model(tensor(np.ones((steps, 2, 3), np.float32)))


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


def test_a_residual_adds_what_its_body_makes_to_its_input():
    body = nn.Linear(2, 2)
    block = nn.Residual(body)
    x = tensor(X, requires_grad=True)
    y = block(x)
    np.testing.assert_array_equal(host(y), host(body(x)) + X)
    assert [name for name, _ in block.named_parameters()] == ["body.weight", "body.bias"]
    y.sum().backward()
    slope = 1 + host(body.weight).sum(axis=0)  # 1 for the shortcut
    np.testing.assert_allclose(host(x.grad), np.broadcast_to(slope, X.shape), rtol=1e-6)


def test_the_gradient_passes_many_residuals_whose_bodies_pass_none():
    blocks = [nn.Residual(nn.Linear(2, 2, init=nn.init.zeros_)) for _ in range(50)]
    x = tensor(X, requires_grad=True)
    nn.Sequential(*blocks)(x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), np.ones_like(X))


def test_a_residual_whose_body_changes_the_shape_has_a_shortcut_that_does_too():
    image = tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32))
    body = nn.Conv2d(3, 5, 3, stride=2, padding=1)
    shortcut = nn.Conv2d(3, 5, 1, stride=2)
    np.testing.assert_array_equal(host(nn.Residual(body, shortcut)(image)), host(body(image)) + host(shortcut(image)))
    with pytest.raises(
        ShapeError, match=r"the body gives \(2, 5, 3, 3\), the shortcut \(2, 3, 6, 6\): give it a shortcut"
    ):
        nn.Residual(body)(image)
    with pytest.raises(ShapeError, match="give it a shortcut"):  # these two would broadcast
        nn.Residual(nn.Linear(2, 1))(tensor(X))


def test_a_residual_is_made_of_modules():
    with pytest.raises(TypeError, match="Residual: expected a Module for 'body'; got function; for the function relu"):
        nn.Residual(F.relu)
    with pytest.raises(TypeError, match=r"Residual: got the class ReLU for 'shortcut'; make one: ReLU\(...\)"):
        nn.Residual(nn.ReLU(), nn.ReLU)


# ---- ModuleDict


def test_a_module_dict_holds_modules_by_name():
    fc, act = nn.Linear(2, 3), nn.ReLU()
    modules = nn.ModuleDict({"fc": fc, "act": act})
    assert (len(modules), list(modules)) == (2, ["fc", "act"])
    assert list(modules.keys()) == ["fc", "act"]
    assert list(modules.values()) == [fc, act]
    assert list(modules.items()) == [("fc", fc), ("act", act)]
    assert modules["fc"] is modules.fc is fc
    assert "act" in modules
    assert "training" not in modules
    assert [name for name, _ in modules.named_parameters()] == ["fc.weight", "fc.bias"]
    with pytest.raises(AttributeError, match="does not say what it computes"):
        modules(tensor(X))


def test_a_module_dict_is_changed_as_a_dict_is():
    modules = nn.ModuleDict([("a", nn.ReLU())])
    modules["b"] = linear = nn.Linear(2, 2)
    modules.update({"a": nn.Tanh(), "c": nn.ReLU()})
    assert [type(module) for module in modules.values()] == [nn.Tanh, nn.Linear, nn.ReLU]
    assert modules.pop("b") is linear
    del modules["a"]
    assert list(modules) == ["c"]
    others = nn.ModuleDict({"d": linear})
    modules.update(others)
    assert modules["d"] is others["d"] is linear
    modules.clear()
    assert len(modules) == 0


def test_a_module_dict_equals_pytorchs():
    theirs = torch.nn.ModuleDict({"one": torch.nn.Linear(2, 3), "two": torch.nn.Linear(2, 1)})
    modules = nn.ModuleDict({"one": nn.Linear(2, 3), "two": nn.Linear(2, 1)})
    modules.load_state_dict(theirs.state_dict())
    np.testing.assert_allclose(host(modules["two"](tensor(X))), theirs["two"](torch.tensor(X)).detach(), rtol=1e-5)


def test_the_usual_mistakes_with_a_module_dict():
    modules = nn.ModuleDict({"fc": nn.Linear(2, 2)})
    with pytest.raises(KeyError, match="ModuleDict: no module 'fx'; it holds fc"):
        modules["fx"]
    with pytest.raises(KeyError, match="no module 'fx'"):
        del modules["fx"]
    with pytest.raises(KeyError, match="no module 'training'"):
        modules.pop("training")
    with pytest.raises(ValueError, match="ModuleDict: the name 'items' is taken"):
        modules["items"] = nn.ReLU()
    with pytest.raises(ValueError, match="must not be empty or contain a dot"):
        modules["a.b"] = nn.ReLU()
    with pytest.raises(TypeError, match="ModuleDict: expected a text as the name of a module; got 0"):
        modules[0] = nn.ReLU()
    with pytest.raises(TypeError, match="ModuleDict: got the class ReLU for 'act'"):
        modules["act"] = nn.ReLU
