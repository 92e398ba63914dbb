"""What can fail in a step is done before it writes; numbers that a dtype cannot hold lose nothing."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.autograd.modes import PLAIN, mode
from minidl.fast.step_plan import Ahead, needs_directions, plan, product, share_memory, times
from minidl.optim import SGD, AdamW, LayerSpecific, TrustRatio
from tests.arrays import device, host, tensor
from tests.optim.test_optimizer import METHODS, every_method
from tests.optim.trajectories import Pair, give


class Mine(SGD):
    """A method of a user's."""

    def direction(self, state: dict[str, Any], gradient: Any, scaled: Any) -> Any:
        return super().direction(state, gradient, scaled) * 2


def test_a_product_with_a_factor_beyond_the_dtype_is_rounded_once() -> None:
    tiny = device(np.array([1e-36, 0, -3e-30], np.float32))
    np.testing.assert_allclose(host(times(tiny, 1e40)), np.array([1e4, 0, -3e10]), rtol=1e-6)
    np.testing.assert_array_equal(host(times(tiny, device(np.array(1e40)))), host(times(tiny, 1e40)))
    large = device(np.array([1e36, 0], np.float32))
    np.testing.assert_allclose(host(times(large, 1e-42)), np.array([1e-6, 0]), rtol=1e-6)
    for factor in (1.0, 0.0, 0.3, device(np.array(0.3))):
        assert times(tiny, factor).dtype == np.float32
    assert times(tiny, 1.0) is tiny
    assert np.isnan(host(times(tiny, math.nan))).all()


def test_a_product_of_two_factors_is_finite() -> None:
    assert product(2.0, 3.0) == 6
    assert product(1e300, 1e300) == sys.float_info.max
    assert math.isnan(product(math.nan, 2.0))


def test_what_has_to_know_its_directions_beforehand() -> None:
    assert not needs_directions(SGD(Pair(), layer_rate=LayerSpecific()))
    assert needs_directions(AdamW(Pair(), layer_rate=TrustRatio()))
    assert needs_directions(Mine(Pair()))


@every_method
def test_a_plan_changes_nothing(method: Any) -> None:
    model = Pair()
    optimizer = method(model)
    for p in model.parameters():
        give(p, np.full(p.shape, 0.5))
    before = [host(p) for p in model.parameters()]
    plan(optimizer)
    plan(optimizer, Ahead())
    assert all(state == {"steps": 0} for state in optimizer.state.values())
    for p, w in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(host(p), w)


def trained(make: Any, shared: bool, plain: bool) -> list[Any]:
    """Weights and state after three steps, with plain lines or without."""
    rng, token = np.random.default_rng(0), mode.set(mode.get() | PLAIN if plain else mode.get())
    try:
        params = [tensor(rng.standard_normal((3, 4)).astype(np.float32), requires_grad=True) for _ in range(3)]
        if shared:
            params[2].data = params[0]._data
        optimizer = make(params)
        for _ in range(3):
            for p in params:
                p.grad = tensor(rng.standard_normal(p.shape).astype(np.float32))
            optimizer.step()
        return [host(p) for p in params] + [np.array(x) for x in optimizer.state_dict().values()]
    finally:
        mode.reset(token)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        *METHODS.values(),
        lambda p: Mine(p, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda p: AdamW(p, lr=0.1, weight_decay=0.1, layer_rate=TrustRatio()),
    ],
    ids=[*METHODS, "mine", "lamb"],
)
def test_every_version_of_a_step_is_the_plain_one(make: Any, shared: bool) -> None:
    """Also where two parameters are one array, which is updated twice."""
    for ours, expected in zip(trained(make, shared, False), trained(make, shared, True), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=1e-6)


def test_parameters_that_are_one_array_or_views_of_one_share_memory() -> None:
    a, b = tensor(np.ones(4), requires_grad=True), tensor(np.ones(4), requires_grad=True)
    assert not share_memory(SGD([a, b]))
    b.data = a._data
    assert share_memory(SGD([a, b]))
    base = device(np.ones((2, 4)))
    assert share_memory(SGD([md.Tensor(row, requires_grad=True) for row in base]))
