"""What a layer rate is shown: norms that are computed once, and what its multiplier scales."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from minidl.autograd.writes import WriteCount
from minidl.optim import LayerView
from tests.arrays import device, host


def view_of_two(dtype: str = "float32") -> LayerView:
    weights = [device(np.array([2.0, 4.0], dtype)), device(np.array([1.0], dtype))]
    gradients = [device(np.array([3.0, 4.0], dtype)), device(np.array([12.0], dtype))]
    return LayerView("fc", weights, gradients, None, step=3, decays=[0.5, 0.0])


def test_norms_of_each_tensor_and_of_the_layer_are_computed_once() -> None:
    view = view_of_two()
    assert [float(host(norm)) for norm in view.gradient_norms] == [5, 12]
    assert float(host(view.gradient_norm)) == 13
    assert view.gradient_norms is view.gradient_norms


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_the_multiplier_scales_are_the_gradients_with_decay_unless_it_is_said(dtype: str) -> None:
    view = view_of_two(dtype)
    np.testing.assert_array_equal(host(view.direction[0]), [4, 6])
    assert view.direction[0].dtype == ("float32" if dtype == "float16" else dtype)
    np.testing.assert_array_equal(host(view.direction[1]), [12])
    view.direction = [device([1.0])]
    assert len(view.direction) == 1


def test_norms_are_computed_before_a_write_and_only_then() -> None:
    view, counts = view_of_two(), [WriteCount(), WriteCount()]
    view.measure_before(counts)
    view.gradients[1][...] = 5
    assert float(host(view.gradient_norm)) == pytest.approx(50**0.5)  # nobody has said anything
    view = view_of_two()
    view.measure_before(counts)
    counts[1].announce()
    view.gradients[0][...] = 0
    assert float(host(view.gradient_norm)) == 13


def test_who_waits_for_a_write_is_not_kept_alive() -> None:
    view, count = view_of_two(), WriteCount()
    view.measure_before([count])
    ref = weakref.ref(view)
    gc.disable()
    try:
        del view
        assert ref() is None
    finally:
        gc.enable()
    count.announce()
