"""What a layer rate may be, and what it may return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.errors import DeviceError, DTypeError, ShapeError
from minidl.optim import SGD, LayerRate, LayerSpecific, LayerView
from tests.arrays import device
from tests.optim.test_layer_rates import two_layers_with_gradients, view_of
from tests.optim.trajectories import run, scalar


def test_tensors_numbers_and_arrays_without_axes_are_all_multipliers() -> None:
    for two in (2, 2.0, np.float32(2), np.array(2), md.tensor(2.0), device(np.float32(2)), [2]):
        w = scalar(1.0, "float32")
        assert run(SGD([w], lr=0.125, layer_rate=lambda view, two=two: two), w, gradients=[1]) == [0.75]
        assert w.dtype == np.float32


@pytest.mark.parametrize(
    ("result", "error", "words"),
    [
        (None, DTypeError, "returned None; expected a number"),
        ("fast", DTypeError, "returned 'fast'"),
        (True, DTypeError, "returned True"),
        (-1.0, ValueError, "returned -1; expected a finite multiplier of at least 0"),
        ([1.0], ShapeError, r"returned 1 multipliers; expected one number, or one for each of the 2 tensors"),
        (np.ones(2), ShapeError, r"returned an array of shape \(2,\)"),
        ([1.0, None], DTypeError, "returned None"),
    ],
)
def test_nonsense_from_a_layer_rate_is_named(result: Any, error: type[Exception], words: str) -> None:
    def my_rate(view: LayerView) -> Any:
        return result

    optimizer = SGD(two_layers_with_gradients(), lr=0.1, layer_rate=my_rate)
    with pytest.raises(error, match=words) as caught:
        optimizer.step()
    assert "my_rate" in str(caught.value)
    assert "layer 'first'" in str(caught.value)


def test_an_array_on_another_device_is_named(standin: Any) -> None:
    with md.using("numpy"):
        w = md.Tensor(np.ones(1), requires_grad=True)
        w.grad = md.Tensor(np.ones(1))
    optimizer = SGD([w], lr=0.1, layer_rate=lambda view: backend.to_device(np.array(1.0), "cupy"))
    with pytest.raises(DeviceError, match="returned a number on cupy; the layer is on numpy"):
        optimizer.step()


def test_what_cannot_be_a_layer_rate_is_refused() -> None:
    with pytest.raises(TypeError, match=r"such as LayerSpecific\(\)"):
        SGD([scalar()], lr=0.1, layer_rate=LayerSpecific)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got 2"):
        SGD([scalar()], lr=0.1, layer_rate=2)  # type: ignore[arg-type]
    rate = LayerRate()
    rate.applies_to = "weights"  # type: ignore[misc]
    with pytest.raises(ValueError, match="'gradient' or 'update'; got 'weights'"):
        SGD([scalar()], lr=0.1, layer_rate=rate)
    with pytest.raises(TypeError, match=r"must define __call__\(view\)"):
        LayerRate()(view_of([1.0]))
