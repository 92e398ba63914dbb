"""What a method remembers of a parameter has its shape, its device and, but for float16, its dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.errors import DTypeError, ShapeError
from minidl.optim import AdamW, TrustRatio
from minidl.optim.trained import check_direction, check_shape, gradient_of, slot_dtype, slots_beside
from tests.arrays import device, host, tensor
from tests.optim.test_optimizer import METHODS, every_method
from tests.optim.trajectories import Pair, give


def test_slots_are_zeros_at_first_and_kept_then() -> None:
    w, old = device(np.ones((2, 3), np.float16)), device(np.full((2, 3), 7, np.float32))
    slots = slots_beside(w, {"steps": 3, "old": old}, ("old", "new"), w.shape, slot_dtype(w.dtype), "w")
    assert slots["old"] is old
    assert slots["new"].dtype == np.float32
    np.testing.assert_array_equal(host(slots["new"]), np.zeros((2, 3)))
    assert [slot_dtype(np.dtype(d)) for d in ("float16", "float32", "float64")] == ["float32", "float32", "float64"]


def test_a_slot_that_does_not_fit_is_named() -> None:
    w = device(np.ones(3, np.float32))
    with pytest.raises(DTypeError, match="'w' is now float32, but its v is float64"):
        slots_beside(w, {"v": device(np.ones(3))}, ("v",), w.shape, w.dtype, "w")
    with pytest.raises(ShapeError, match=r"'w' is now of shape \(3,\), but its v is of \(2,\)"):
        slots_beside(w, {"v": device(np.ones(2, np.float32))}, ("v",), w.shape, w.dtype, "w")


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((2, 3), True),
        ((1, 3), True),
        ((3,), True),
        ((), True),
        ((2, 1), True),
        ((3, 2), False),
        ((2,), False),
        ((1, 2, 3), False),
    ],
)
def test_what_can_be_broadcast_fits(shape: tuple[int, ...], fits: bool) -> None:
    w = tensor(np.ones((2, 3)), requires_grad=True)
    w._grad = md.Tensor(device(np.ones(shape)))
    if fits:
        assert gradient_of("w", w) is w._grad._data
        check_shape("x", device(np.ones(shape)), (2, 3))
        return
    with pytest.raises(ShapeError, match="the gradient of 'w' is of shape"):
        gradient_of("w", w)


def test_a_direction_that_cannot_be_subtracted_is_named() -> None:
    w = device(np.ones(3, np.float32))
    check_direction("Mine", "w", w, device(np.ones(3)))
    with pytest.raises(DTypeError, match="the direction of Mine for 'w' is complex64; expected float32"):
        check_direction("Mine", "w", w, np.ones(3, np.complex64))


# ---- float16


WITH_LAMB = {**METHODS, "lamb": lambda p: AdamW(p, lr=0.1, layer_rate=TrustRatio())}


@pytest.mark.parametrize("method", WITH_LAMB.values(), ids=WITH_LAMB.keys())
def test_float16_is_computed_in_float32_and_rounded_once(method: Any) -> None:
    """The squares of small gradients, and eps, are 0 in float16: what is divided by their root was NaN."""
    half, single = (tensor(np.ones(4, dtype), requires_grad=True) for dtype in ("float16", "float32"))
    half_optimizer, single_optimizer = method([half]), method([single])
    for gradients in ([0.0, 2e-4, 6e-8, -3.0], [0.0, 0.0, 1e-3, 6e4]):
        give(half, gradients)
        single.data, single.grad = tensor(host(half).astype("float32"))._data, tensor(host(half.grad).astype("float32"))
        half_optimizer.step()
        single_optimizer.step()
        assert half.dtype == np.float16
        np.testing.assert_array_equal(host(half), host(single).astype("float16"))
        assert host(half)[0] == host(single).astype("float16")[0]
    for slot in half_optimizer.slots:
        assert half_optimizer.state["parameter0"][slot].dtype == np.float32


@every_method
def test_a_model_may_change_between_float16_and_float32(method: Any) -> None:
    model = Pair("float16")
    optimizer = method(model)
    for dtype in ("float16", "float32", "float16"):
        model.to(dtype=dtype)
        for p in model.parameters():
            give(p, np.full(p.shape, 0.5))
        optimizer.step()
    assert optimizer.step_count == 3
