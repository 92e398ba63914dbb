"""The usual mistakes with a Module, each with words of its own."""

import numpy as np
import pytest

from minidl import nn
from minidl.errors import ShapeError
from tests.arrays import device, tensor


def test_a_forgotten_super_init_is_named_at_the_first_layer():
    class Net(nn.Module):
        def __init__(self):
            self.fc1 = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"Net.__init__ must call super\(\).__init__\(\) before.*self.fc1"):
        Net()


def test_a_parameter_before_super_init_is_named():
    class Net(nn.Module):
        def __init__(self):
            self.w = nn.Parameter([1.0])
            super().__init__()

    with pytest.raises(
        AttributeError, match=r"Net.__init__ must call super\(\).__init__\(\) before.*Parameter to self.w"
    ):
        Net()


def test_a_forgotten_super_init_without_layers_is_named_at_the_call():
    class Power(nn.Module):
        def __init__(self, n):
            self.n = n

        def forward(self, x):
            return x**self.n

    with pytest.raises(AttributeError, match=r"Power.__init__ must call super\(\).__init__\(\)"):
        Power(2)(tensor([1.0]))


def test_a_missing_forward_is_named():
    class Net(nn.Module):
        pass

    with pytest.raises(AttributeError, match=r"Net does not say what it computes: define forward\(self, x\)"):
        Net()(tensor([1.0]))


def test_an_unknown_attribute_says_what_there_is():
    model = nn.Sequential([("fc1", nn.Linear(2, 2)), ("act1", nn.ReLU())])
    with pytest.raises(AttributeError, match="Sequential has no attribute 'fc2'; it holds fc1, act1"):
        model.fc2
    assert not hasattr(model, "fc2")


def test_an_array_cannot_take_a_parameters_place():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"Linear.weight is a parameter and cannot become a .*ndarray: wrap it"):
        layer.weight = device(np.zeros((2, 2), np.float32))
    with pytest.raises(TypeError, match=r"cannot become a Tensor"):
        layer.weight = tensor(np.zeros((2, 2), np.float32))
    assert isinstance(layer.weight, nn.Parameter)


def test_a_number_cannot_take_a_modules_or_a_buffers_place():
    model = nn.Sequential([("fc1", nn.Linear(2, 2))])
    with pytest.raises(TypeError, match=r"Sequential.fc1 is a module and cannot become an int"):
        model.fc1 = 3
    model.register_buffer("mean", device(np.zeros(2)))
    with pytest.raises(TypeError, match=r"Sequential.mean is a buffer and cannot become a float"):
        model.mean = 3.0


@pytest.mark.parametrize("hide", [list, tuple, lambda layers: dict(enumerate(layers))])
def test_layers_in_a_plain_list_would_not_be_found(hide):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fcs = hide([nn.Linear(2, 2), nn.Linear(2, 2)])

    with pytest.raises(TypeError, match=r"Net.fcs.*no optimizer would train them. Use nn.Sequential or nn.ModuleList"):
        Net()


def test_a_list_of_layers_that_are_registered_already_is_fine():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model.stack = [model[0], model[1]]
    model.weights = model.parameters()
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]


@pytest.mark.parametrize("name", ["modules", "parameters", "forward", "training"])
def test_a_layer_cannot_hide_a_method_of_module(name):
    with pytest.raises(AttributeError, match=f"would hide '{name}'"):
        setattr(nn.Module(), name, nn.ReLU())


@pytest.mark.parametrize("name", ["", "fc.1"])
def test_names_with_dots_are_refused(name):
    with pytest.raises(ValueError, match="must not be empty or contain a dot"):
        setattr(nn.Module(), name, nn.ReLU())


def test_a_module_cannot_contain_itself():
    model = nn.Sequential(nn.Sequential(nn.ReLU()))
    with pytest.raises(ValueError, match="contain itself"):
        model[0].loop = model
    with pytest.raises(ValueError, match="contain itself"):
        model.loop = model


def test_a_buffer_cannot_replace_another_attribute():
    with pytest.raises(AttributeError, match="already has an attribute 'weight'"):
        nn.Linear(2, 2).register_buffer("weight", device(np.zeros(2)))


def test_a_wrong_shape_names_the_layer():
    model = nn.Sequential([("body", nn.Sequential([("fc1", nn.Linear(4, 30)), ("fc2", nn.Linear(20, 10))]))])
    with pytest.raises(ShapeError, match=r"in_features=20.*got \(5, 30\)") as caught:
        model(tensor(np.zeros((5, 4), np.float32)))
    notes = caught.value.__notes__
    assert len(notes) == 1
    assert notes[0].startswith("in layer 'body.fc2' (Linear 20->10), called with Tensor of shape (5, 30), float32")


def test_a_lone_layer_is_named_by_what_it_is():
    with pytest.raises(ShapeError) as caught:
        nn.Conv2d(1, 8, 3)(tensor(np.zeros((5, 4), np.float32)))
    assert caught.value.__notes__[0].startswith("in layer Conv2d 1->8, 3x3, called with Tensor of shape (5, 4)")


def test_a_call_without_input_says_so():
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        nn.ReLU()()
    assert caught.value.__notes__ == ["in layer ReLU, called with nothing. Its forward takes (x)"]
