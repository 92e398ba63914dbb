import gc
import pickle
import weakref

import numpy as np
import pytest

from minidl import nn
from minidl.errors import DTypeError
from minidl.tensors.tensor import Tensor
from tests.arrays import device, host, tensor


def test_a_parameter_is_a_leaf_that_requires_a_gradient():
    p = nn.Parameter(device(np.ones((2, 3), np.float32)))
    assert p.requires_grad
    assert p.is_leaf
    assert (p.owner, p.name) == (None, None)


def test_an_op_on_a_parameter_gives_a_plain_tensor():
    p = nn.Parameter([1.0, 2.0])
    assert type(p * 2) is Tensor


def test_a_parameter_of_integers_is_refused_unless_it_is_frozen():
    with pytest.raises(DTypeError, match="floating"):
        nn.Parameter(device(np.arange(3)))
    assert not nn.Parameter(device(np.arange(3)), requires_grad=False).requires_grad


def test_it_knows_its_owner_and_its_dotted_name():
    layer = nn.Linear(2, 3)
    assert layer.weight.owner is layer
    assert layer.weight.name == "weight"
    model = nn.Sequential([("body", nn.Sequential([("fc1", layer)]))])
    assert layer.weight.name == "body.fc1.weight"
    assert model.named_parameters()[0][0] == "body.fc1.weight"


def test_the_first_owner_keeps_it_and_gives_it_up_when_it_drops_it():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    assert second.weight.owner is first
    shared = first.weight
    del first.weight
    assert shared.owner is None
    assert second.parameters()[0] is shared
    assert shared.owner is second


def test_a_kept_parameter_does_not_keep_its_model_alive():
    gc.collect()
    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        gone = weakref.ref(model)
        weight = model[0].weight
        model(tensor(np.ones((1, 2), np.float32))).sum().backward()
        del model
        assert gone() is None
        assert weight.owner is None
    finally:
        gc.enable()


def test_its_name_is_given_by_the_model_alone():
    p = nn.Parameter([1.0], name="scale")
    assert p.name == "scale"
    model = nn.Module()
    model.factor = p
    assert p.name == "factor"
    with pytest.raises(AttributeError, match="place in the model"):
        p.name = "other"


def test_it_shows_itself_as_a_parameter():
    layer = nn.Linear(1, 2, init=nn.init.zeros_)
    text = repr(layer.weight)
    assert text.startswith("Parameter([[0.],\n           [0.]]")
    assert "name='weight'" in text


def test_it_can_be_pickled():
    p = nn.Parameter(np.array([1.0, 2.0], np.float32))
    q = pickle.loads(pickle.dumps(p))
    assert type(q) is nn.Parameter
    assert q.requires_grad
    np.testing.assert_array_equal(host(q), [1.0, 2.0])
