import pytest

from minidl import nn
from minidl.observe.layers import gradients_of, layers_of


def test_weights_and_biases_are_told_apart_and_gains_are_of_another_kind():
    model = nn.Sequential([("conv", nn.Conv1d(2, 3, 2)), ("norm", nn.BatchNorm1d(3)), ("fc", nn.Linear(4, 2))])
    conv, norm, fc = layers_of(model)
    assert [layer.name for layer in (conv, norm, fc)] == ["conv", "norm", "fc"]
    assert [len(layer.weights) for layer in (conv, norm, fc)] == [1, 1, 1]
    assert [len(layer.biases) for layer in (conv, norm, fc)] == [1, 1, 1]
    assert [layer.kind for layer in (conv, norm, fc)] == ["weight", "gain", "weight"]
    assert not gradients_of(fc.parameters)


def test_units_lie_along_the_channels_of_convolutions_and_the_last_axis_of_the_others():
    conv, fc = layers_of(nn.Sequential([("conv", nn.Conv1d(2, 3, 2)), ("fc", nn.Linear(4, 2))]))
    assert [conv.channels(3), fc.channels(3), fc.channels(2), fc.channels(4)] == [1, -1, -1, 1]


def test_what_has_no_layers_is_refused():
    with pytest.raises(ValueError, match="layers that own parameters"):
        layers_of(nn.Sequential(nn.ReLU()))
    with pytest.raises(TypeError, match="expected a model, a Module"):
        layers_of(3)
