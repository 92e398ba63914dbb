"""Moving a model to another device or dtype."""

import numpy as np
import pytest

from minidl import nn
from minidl.errors import DeviceError, DTypeError
from tests.arrays import device, host, tensor


def test_to_converts_parameters_gradients_and_buffers_in_place():
    model = nn.Linear(2, 2)
    model.register_buffer("count", device(np.array([3])))
    model.register_buffer("mean", device(np.zeros(2, np.float32)))
    model(tensor(np.ones((1, 2), np.float32))).sum().backward()
    weight = model.weight
    assert model.to(dtype="float64") is model
    assert model.weight is weight
    assert [weight.dtype, weight.grad.dtype, model.mean.dtype] == [np.dtype(np.float64)] * 3
    assert model.count.dtype.kind == "i"
    model(tensor(np.ones((1, 2)))).sum().backward()
    np.testing.assert_allclose(host(weight.grad), np.full((2, 2), 2.0))


def test_to_moves_everything_to_the_device():
    model = nn.Linear(2, 2)
    model.register_buffer("mean", device(np.zeros(2, np.float32)))
    model(tensor(np.ones((1, 2), np.float32))).sum().backward()
    model.to("numpy")
    assert {model.weight.device, model.weight.grad.device, model.mean.device} == {"numpy"}
    model.to(tensor([1.0]).device)
    assert {x.device for x in (model.weight, model.weight.grad, model.mean)} == {tensor([1.0]).device}


def test_moving_to_where_it_is_leaves_a_live_graph_alone():
    model = nn.Linear(2, 2)
    loss = model(tensor(np.ones((1, 2), np.float32), requires_grad=True)).sum()
    model.to(model.weight.device)
    loss.backward()
    assert model.weight.grad is not None


def test_an_unknown_device_or_an_integer_dtype_moves_nothing():
    model = nn.Linear(2, 2)
    before = model.weight._data
    with pytest.raises(DeviceError, match="tpu"):
        model.to("tpu")
    with pytest.raises(DTypeError, match="floating"):
        model.to(dtype=int)
    assert model.weight._data is before


@pytest.mark.parametrize("convert", [lambda m: m.double(), lambda m: m.to(np.float64), lambda m: m.to("float64")])
def test_a_dtype_may_stand_first(convert):
    model = convert(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    assert {x.dtype for x in (*model.parameters(), model[1].running_mean)} == {np.dtype("float64")}
    assert model[1].num_batches_tracked.dtype == np.int64
    assert model.half()[0].weight.dtype == np.float16
    assert model.float()[0].weight.dtype == np.float32
    with pytest.raises(DeviceError, match="expected a backend out of numpy, cupy; got 'cuda'"):
        model.to("cuda")
