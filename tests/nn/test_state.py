import numpy as np
import pytest

from minidl import backend, nn
from tests.arrays import device, host, tensor
from tests.pytorch import torch


def net():
    return nn.Sequential([("fc1", nn.Linear(4, 3)), ("act1", nn.ReLU()), ("fc2", nn.Linear(3, 2))])


def test_a_state_dict_is_numpy_copies_by_name():
    model = net()
    model.register_buffer("steps", device(np.array(7)))
    state = model.state_dict()
    assert list(state) == ["steps", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]  # as in PyTorch
    assert all(type(array) is np.ndarray for array in state.values())
    state["fc1.weight"][...] = 0
    assert host(model.fc1.weight).any()


def test_a_state_makes_another_model_the_same():
    first, second = net(), net()
    x = tensor(np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32))
    assert host(first(x)).tolist() != host(second(x)).tolist()
    weight = second.fc1.weight
    assert second.load_state_dict(first.state_dict()) == ([], [])
    assert second.fc1.weight is weight
    np.testing.assert_array_equal(host(first(x)), host(second(x)))


def test_a_tied_weight_is_saved_once_and_stays_tied():
    model = nn.Sequential([("a", nn.Linear(2, 2)), ("b", nn.Linear(2, 2))])
    model.b.weight = model.a.weight
    state = model.state_dict()
    assert list(state) == ["a.weight", "a.bias", "b.bias"]
    state["a.weight"] = np.ones((2, 2), np.float32)
    model.load_state_dict(state)
    assert model.b.weight is model.a.weight
    assert host(model.b.weight).tolist() == [[1, 1], [1, 1]]


def test_all_that_does_not_fit_is_listed_and_nothing_is_changed():
    model = net()
    before = model.state_dict()
    state = {
        "fc1.weight": np.ones((4, 3)),
        "fc1.bias": np.ones(3),
        "fc2.bias": np.array(["a", "b"]),
        "fc3.weight": np.ones(2),
        "fc3.bias": np.ones(2),
    }
    with pytest.raises(ValueError, match="does not fit Sequential; nothing was changed") as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    assert "missing from the state: fc2.weight" in message
    assert "not in the model: fc3.weight, fc3.bias" in message
    assert "fc1.weight: the model has shape (3, 4), the state (4, 3)" in message
    assert "fc2.bias: the model has dtype float32, the state <U1" in message
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_strict_false_loads_what_matches_and_tells_the_rest():
    model = net()
    left = host(model.fc2.weight)
    report = model.load_state_dict({"fc1.bias": np.ones(3), "other": np.ones(1)}, strict=False)
    assert report.missing == ["fc1.weight", "fc2.weight", "fc2.bias"]
    assert report.unexpected == ["other"]
    assert host(model.fc1.bias).tolist() == [1, 1, 1]
    np.testing.assert_array_equal(host(model.fc2.weight), left)


def test_strict_false_does_not_excuse_a_wrong_shape():
    with pytest.raises(ValueError, match=r"fc1.bias: the model has shape \(3,\), the state \(4,\)"):
        net().load_state_dict({"fc1.bias": np.ones(4)}, strict=False)


def test_numbers_take_the_models_dtype_and_device():
    model = nn.Linear(2, 1)
    model.load_state_dict({"weight": np.array([[1, 2]]), "bias": tensor(np.array([0.5]))})
    assert model.weight.dtype == np.float32
    assert model.weight.device == backend.current()
    assert host(model(tensor(np.ones((1, 2), np.float32)))).tolist() == [[3.5]]


def test_complex_numbers_and_ragged_lists_are_refused():
    model = nn.Linear(2, 1, bias=False)
    with pytest.raises(ValueError, match="weight: the model has dtype float32, the state complex128"):
        model.load_state_dict({"weight": np.ones((1, 2), complex)})
    with pytest.raises(ValueError, match="weight: expected an array of numbers; got list"):
        model.load_state_dict({"weight": [[1.0], [1.0, 2.0]]})


def test_a_state_is_a_dict():
    with pytest.raises(TypeError, match="expected a dict of arrays by name; got list"):
        net().load_state_dict([np.ones(2)])


def test_a_pytorch_state_of_the_same_names_can_be_loaded():
    theirs = torch.nn.Sequential()
    theirs.add_module("fc1", torch.nn.Linear(4, 3))
    theirs.add_module("act1", torch.nn.ReLU())
    theirs.add_module("fc2", torch.nn.Linear(3, 2))
    model = net()
    model.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(host(model(tensor(x))), expected, rtol=1e-5, atol=1e-6)


def test_loading_between_forward_and_backward_is_noticed():
    model = net()
    loss = model(tensor(np.ones((1, 4), np.float32), requires_grad=True)).sum()
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


class Tied(nn.Module):
    def __init__(self, lib):
        super().__init__()
        self.a, self.b = lib.Linear(3, 3), lib.Linear(3, 3)
        self.b.weight = self.a.weight


def test_a_tied_weight_comes_from_pytorch_under_both_its_names():
    theirs = torch.nn.Module()
    theirs.a, theirs.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    theirs.b.weight = theirs.a.weight
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    assert "b.weight" in state
    model = Tied(nn)
    model.load_state_dict(state)
    np.testing.assert_array_equal(host(model.b.weight), state["a.weight"])
    del state["a.weight"]
    Tied(nn).load_state_dict(state)
    with pytest.raises(ValueError, match=r"b.weight: is tied to a.weight in the model, and has other values"):
        model.load_state_dict({**state, "a.weight": np.zeros((3, 3), np.float32)})


def test_a_module_that_is_there_twice_comes_from_pytorch_under_both_its_names():
    def network(lib):
        layer, norm = lib.Linear(3, 3), lib.BatchNorm1d(3)
        return lib.Sequential(layer, norm, layer, norm)

    theirs, model = network(torch.nn), network(nn)
    theirs[1].running_mean[0] = torch.nan
    model.load_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(host(model[2].weight), theirs[0].weight.detach().numpy())
    assert np.isnan(host(model[3].running_mean)[0])
    assert list(model.state_dict()) == [name for name in theirs.state_dict() if name[0] in "01"]


def test_the_order_of_the_state_is_pytorchs():
    def network(lib):
        return lib.Sequential(lib.Conv2d(1, 2, 3), lib.BatchNorm2d(2), lib.Linear(2, 2), lib.BatchNorm1d(2))

    assert list(network(nn).state_dict()) == list(network(torch.nn).state_dict())
