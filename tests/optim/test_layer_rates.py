"""Layer rates: the layer-specific rule and its options, replayed rates, and functions of the user."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minidl.optim import SGD, Adam, LayerRate, LayerSpecific, LayerView, Replayed, Uniform
from tests.arrays import device, host, tensor
from tests.optim.trajectories import Pair, give, run, scalar

PAPERS_TABLE = {1e-4: 10.21, 1e-3: 7.909, 0.01: 5.615, 0.1: 3.398, 1: 1.693, 10: 1.095, 100: 1.010}


def rule(norm: float) -> float:
    return 1 + math.log(1 + 1 / norm)


def view_of(*gradients: Any, decayed: Any = None, dtype: str = "float64") -> LayerView:
    arrays = [device(np.array(g, dtype)) for g in gradients]
    direction = arrays if decayed is None else [device(np.array(g, dtype)) for g in decayed]
    return LayerView("fc", arrays, arrays, direction, step=0)


def two_layers_with_gradients() -> Pair:
    """Gradient norms 3 (weight sqrt 5, bias 2) and 5 (weight 4, bias 3)."""
    model = Pair()
    give(model.first.weight, [2, 1])
    give(model.first.bias, [2])
    give(model.second.weight, [0, 4])
    give(model.second.bias, [3])
    return model


# ---- the layer-specific rule


@pytest.mark.parametrize(("norm", "multiplier"), PAPERS_TABLE.items())
def test_the_table_of_norms_and_multipliers(norm: float, multiplier: float) -> None:
    found = float(host(LayerSpecific()(view_of([0.6 * norm], [0.8 * norm]))))
    assert f"{found:.4g}" == f"{multiplier:.4g}"
    assert found == pytest.approx(rule(norm), rel=1e-14)


def test_each_layer_gets_the_rate_of_its_own_norm() -> None:
    model = two_layers_with_gradients()
    optimizer = SGD(model, lr=0.1, layer_rate=LayerSpecific())
    optimizer.step()
    np.testing.assert_allclose(host(model.first.weight), np.array([1, 2]) - 0.1 * rule(3) * np.array([2, 1]))
    np.testing.assert_allclose(host(model.first.bias), [0.5 - 0.1 * rule(3) * 2])
    np.testing.assert_allclose(host(model.second.weight), [3, -1 - 0.1 * rule(5) * 4])
    report = optimizer.layer_report()
    assert list(report) == ["first", "second"]
    assert report["first"].grad_norm == pytest.approx(3)
    assert report["first"].multiplier == pytest.approx(rule(3))
    assert report["second"].rate == pytest.approx(0.1 * rule(5))
    assert report["second"].floored is False


def test_a_trajectory_with_caffes_momentum_computed_by_hand() -> None:
    # v <- .5 v + .1 m g with |g| = 1, .5, 2
    w = scalar(1.0)
    v1 = 0.1 * rule(1)
    v2 = 0.5 * v1 + 0.1 * rule(0.5) * -0.5
    v3 = 0.5 * v2 + 0.1 * rule(2) * 2
    optimizer = SGD([w], lr=0.1, momentum=0.5, momentum_form="caffe", layer_rate=LayerSpecific())
    expected = [1 - v1, 1 - v1 - v2, 1 - v1 - v2 - v3]
    np.testing.assert_allclose(run(optimizer, w, gradients=[1, -0.5, 2]), expected, rtol=1e-14)


@pytest.mark.parametrize(("dtype", "at_most"), [("float16", 10.71), ("float32", 88.34), ("float64", 709.4)])
def test_a_gradient_of_zero_has_a_finite_multiplier_that_is_reported_as_floored(dtype: str, at_most: float) -> None:
    w = scalar(1.0, dtype)
    optimizer = SGD([w], lr=0.1, layer_rate=LayerSpecific())
    assert run(optimizer, w, gradients=[0]) == [1]
    report = optimizer.layer_report()["parameter0"]
    assert report.floored is True
    assert report.grad_norm == 0
    assert report.multiplier == pytest.approx(at_most, rel=1e-3)


def test_a_tiny_gradient_keeps_its_norm_and_its_dtype() -> None:
    w = scalar(0.0, "float32")
    optimizer = SGD([w], lr=1.0, layer_rate=LayerSpecific())
    (end,) = run(optimizer, w, gradients=[1e-25])
    assert w.dtype == np.float32
    assert end == pytest.approx(-1e-25 * rule(1e-25), rel=1e-6)
    assert optimizer.layer_report()["parameter0"].floored is False


def test_a_norm_for_each_tensor() -> None:
    model = two_layers_with_gradients()
    optimizer = SGD(model, lr=0.1, layer_rate=LayerSpecific(norm_scope="tensor"))
    optimizer.step()
    np.testing.assert_allclose(host(model.second.weight), [3, -1 - 0.1 * rule(4) * 4])
    np.testing.assert_allclose(host(model.second.bias), [-0.1 * rule(3) * 3])
    report = optimizer.layer_report()["second"]
    assert report.grad_norm == pytest.approx(5)
    assert report.tensor_multipliers == pytest.approx((rule(4), rule(3)))
    assert report.multiplier == pytest.approx((rule(4) + rule(3)) / 2)


def test_a_norm_with_weight_decay_in_it() -> None:
    for norm_of, norm in (("gradient", 1.0), ("gradient+decay", 1.5)):
        w = scalar(1.0)
        optimizer = SGD([w], lr=0.1, weight_decay=0.5, layer_rate=LayerSpecific(norm_of=norm_of))
        assert run(optimizer, w, gradients=[1]) == pytest.approx([1 - 0.1 * rule(norm) * 1.5])
        assert optimizer.layer_report()["parameter0"].grad_norm == pytest.approx(1)
    both = LayerSpecific("tensor", "gradient+decay")(view_of([3.0], [4.0], decayed=([1.0], [2.0])))
    assert [float(m) for m in both] == pytest.approx([rule(1), rule(2)])


def test_the_logarithm_to_base_ten() -> None:
    found = float(host(LayerSpecific(log="10")(view_of([0.01]))))
    assert found == pytest.approx(1 + math.log10(101), rel=1e-14)


@pytest.mark.parametrize("option", ["norm_scope", "norm_of", "log"])
def test_an_unknown_option_is_named(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: expected '.*' or '.*'; got 'network'"):
        LayerSpecific(**{option: "network"})


@pytest.mark.parametrize("method", [SGD, Adam])
def test_infinite_and_nan_gradients_stay_visible(method: Any) -> None:
    for gradient, norm in ((math.inf, math.inf), (math.nan, math.nan)):
        w = scalar(1.0)
        optimizer = method([w], lr=0.1, layer_rate=LayerSpecific())
        with np.errstate(invalid="ignore"):
            (end,) = run(optimizer, w, gradients=[gradient])
        assert not math.isfinite(end)
        assert optimizer.layer_report()["parameter0"].grad_norm == pytest.approx(norm, nan_ok=True)


# ---- the others


def test_uniform_is_the_same_as_no_layer_rate() -> None:
    ends = []
    for rate in (None, Uniform(), Replayed([1, 1, 1]), lambda view: 1):
        w = scalar(1.0)
        ends.append(run(SGD([w], lr=0.1, momentum=0.9, layer_rate=rate), w, gradients=[1, 2, 3]))
    assert ends[0] == ends[1] == ends[2] == ends[3]


def test_replayed_multipliers_are_the_same_for_all_layers() -> None:
    model = two_layers_with_gradients()
    optimizer = SGD(model, lr=0.1, layer_rate=Replayed(np.array([2.0, 0.5])))
    for multiplier in (2.0, 0.5):
        optimizer.step()
        assert {report.multiplier for report in optimizer.layer_report().values()} == {multiplier}
        assert {report.rate for report in optimizer.layer_report().values()} == {0.1 * multiplier}
    with pytest.raises(ValueError, match="holds 2 multipliers, and this is step 3"):
        optimizer.step()
    np.testing.assert_allclose(host(model.second.weight), [3, -1 - 0.1 * 4 * (2 + 0.5)])


@pytest.mark.parametrize("multipliers", [[], [1, math.nan], [math.inf]])
def test_replayed_refuses_what_cannot_be_replayed(multipliers: list[float]) -> None:
    with pytest.raises(ValueError, match="finite multiplier"):
        Replayed(multipliers)


def test_a_function_sees_the_layer() -> None:
    model = two_layers_with_gradients()
    seen = []

    def rate(view: LayerView) -> Any:
        seen.append((view.name, view.step, len(view.params), float(host(view.gradient_norm))))
        np.testing.assert_array_equal(host(view.direction[0]), host(view.gradients[0]) + 0.5 * host(view.params[0]))
        return 1 / view.gradient_norm

    optimizer = SGD(model, lr=0.1, weight_decay=0.5, layer_rate=rate)
    optimizer.step()
    assert seen == [("first", 0, 2, pytest.approx(3)), ("second", 0, 2, pytest.approx(5))]
    assert optimizer.layer_report()["second"].multiplier == pytest.approx(0.2)


class TrustRatio(LayerRate):
    """||w|| / ||update||, tensor by tensor, as in LAMB."""

    applies_to = "update"

    def __call__(self, view: LayerView) -> Any:
        return [abs(w).max() / abs(d).max() for w, d in zip(view.params, view.direction, strict=True)]


def test_a_rate_for_the_update_scales_what_momentum_has_made() -> None:
    # |w| / |v| * v steps by t |w|: a tenth each time, down or up
    w = scalar(1.0)
    optimizer = SGD([w], lr=0.1, momentum=0.5, layer_rate=TrustRatio())
    np.testing.assert_allclose(run(optimizer, w, gradients=[4, 1, -30]), [0.9, 0.81, 0.891], rtol=1e-14)
    np.testing.assert_allclose(host(optimizer.state["parameter0"]["velocity"]), [-28.5])  # without multipliers


def test_a_function_can_ask_to_be_applied_to_the_update() -> None:
    def halve(view: LayerView) -> float:
        return 0.5

    halve.applies_to = "update"  # type: ignore[attr-defined]
    w = scalar(1.0)
    optimizer = SGD([w], lr=0.1, momentum=0.5, momentum_form="caffe", layer_rate=halve)
    np.testing.assert_allclose(run(optimizer, w, gradients=[1, 1]), [0.95, 0.875], rtol=1e-14)
    assert optimizer.layer_report()["parameter0"].rate == 0.05


@pytest.mark.parametrize("huge", [1e39, 1e300])
@pytest.mark.parametrize("method", [SGD, lambda p, **o: SGD(p, momentum=0.9, momentum_form="caffe", **o), Adam])
def test_a_multiplier_or_rate_beyond_float32_makes_no_nan_of_a_gradient_of_0(method: Any, huge: float) -> None:
    for rate, lr in ((Replayed([huge]), 1e-3), (lambda view: huge, 1e10), (None, huge)):
        w = tensor(np.array([1.0, 1.0], np.float32), requires_grad=True)
        give(w, [0.0, 0.0])
        method([w], lr=lr, layer_rate=rate).step()
        np.testing.assert_array_equal(host(w), [1, 1])


def test_what_a_huge_multiplier_makes_of_a_tiny_gradient_is_exact() -> None:
    w = tensor(np.zeros(2, np.float32), requires_grad=True)
    give(w, [2**-120, 0.0])
    SGD([w], lr=1.0, layer_rate=lambda view: 2.0**130).step()
    np.testing.assert_array_equal(host(w), [-1024, 0])
