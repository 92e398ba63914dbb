import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

from minidl import nn
from tests.arrays import host, tensor


def tied():
    """`late` had the weight first but comes second in the model."""
    late, early = nn.Linear(2, 2), nn.Linear(2, 2)
    early.weight = late.weight
    return nn.Sequential([("early", early), ("late", late)])


def by_pickle(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, by_pickle])
def test_a_copy_has_equal_but_independent_parameters(duplicate):
    model = nn.Sequential([("fc1", nn.Linear(2, 3)), ("fc2", nn.Linear(3, 1))]).eval()
    twin = duplicate(model)
    assert not twin.training
    assert [name for name, _ in twin.named_parameters()] == [name for name, _ in model.named_parameters()]
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert p is not q
        np.testing.assert_array_equal(host(p), host(q))
    nn.init.zeros_(twin.fc1.weight)
    assert host(model.fc1.weight).any()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, by_pickle])
def test_a_copys_parameters_belong_to_the_copys_layers(duplicate):
    model = nn.Sequential([("fc1", nn.Linear(2, 3))])
    twin = duplicate(model)
    assert twin.fc1.weight.owner is twin.fc1
    assert model.fc1.weight.owner is model.fc1
    assert twin.fc1.weight.name == "fc1.weight"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, by_pickle])
def test_tied_weights_stay_tied_under_the_same_owner(duplicate):
    model = tied()
    twin = duplicate(model)
    assert twin.early.weight is twin.late.weight
    assert twin.early.weight.owner is twin.late
    assert list(twin.state_dict()) == list(model.state_dict()) == ["early.bias", "late.weight", "late.bias"]


def test_a_copy_of_a_layer_is_a_model_by_itself():
    model = nn.Sequential([("fc1", nn.Linear(2, 3))])
    layer = copy.deepcopy(model.fc1)
    assert layer.weight.name == "weight"


def test_a_shallow_copy_shares_the_layers_and_takes_nothing_over():
    model = nn.Sequential([("fc1", nn.Linear(2, 3))])
    other = copy.copy(model)
    assert other.fc1 is model.fc1
    other.fc2 = nn.Linear(3, 1)
    assert not hasattr(model, "fc2")
    assert model.fc1.weight.name == "fc1.weight"


def test_gradients_are_copied_and_hooks_are_not():
    layer, calls = nn.Linear(2, 2), []
    layer.register_forward_hook(lambda *a: calls.append(1))
    layer(tensor(np.ones((1, 2), np.float32))).sum().backward()
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(host(twin.weight.grad), host(layer.weight.grad))
    assert twin.weight.grad is not layer.weight.grad
    twin(tensor(np.ones((1, 2), np.float32)))
    assert len(calls) == 1


def test_buffers_and_frozen_parameters_come_along():
    layer = nn.Linear(2, 2).requires_grad_(False)
    layer.register_buffer("mean", np.zeros(2))
    twin = copy.deepcopy(layer)
    assert not twin.weight.requires_grad
    assert [name for name, _ in twin.named_buffers()] == ["mean"]


def test_a_dropped_model_is_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        model = copy.deepcopy(tied())
        model(tensor(np.ones((1, 2), np.float32))).sum().backward()
        gone = [weakref.ref(x) for x in (model, model.early, model.late, model.late.weight)]
        del model
        assert [ref() for ref in gone] == [None] * 4
    finally:
        gc.enable()
