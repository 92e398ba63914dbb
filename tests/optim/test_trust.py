"""LARS and LAMB, each against a plain loop of its paper's formula."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, models
from minidl.optim import LARS, SGD, AdaGrad, AdamW, LayerView, TrustRatio
from tests.arrays import device, host, tensor
from tests.optim.trajectories import Pair, give, gradient, run, scalar

STEPS = 60


def norm(arrays: Any) -> float:
    return math.sqrt(sum(float((a * a).sum()) for a in arrays))


def path_of(optimizer: Any, parameters: Any) -> Any:
    """The weights after each of STEPS steps; the rate falls halfway."""
    path = []
    for k in range(STEPS):
        if k == STEPS // 2:
            optimizer.lr /= 2
        for p in parameters:
            p.grad = tensor(gradient(host(p), k))
        optimizer.step()
        path.append(np.concatenate([host(p).ravel() for p in parameters]))
    return np.array(path)


def layers_of(model: Pair, norm_scope: str) -> list[list[Any]]:
    """The weights, in groups that share a norm."""
    groups = [[model.first.weight, model.first.bias], [model.second.weight, model.second.bias]]
    return groups if norm_scope == "layer" else [[p] for group in groups for p in group]


def assert_same_path(path: Any, expected: list[Any]) -> None:
    assert np.abs(path[-1] - path[0]).max() > 0.01, "nothing was trained"
    np.testing.assert_allclose(path, np.array(expected), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("norm_scope", ["layer", "tensor"])
def test_sgd_in_caffes_form_with_lars_is_the_papers_algorithm(norm_scope: str) -> None:
    eta, beta, mu, t = 0.05, 0.01, 0.9, 1.0
    model = Pair()
    groups = [[host(p) for p in group] for group in layers_of(model, norm_scope)]
    velocities = [[np.zeros_like(w) for w in group] for group in groups]
    expected = []
    for k in range(STEPS):
        t = t / 2 if k == STEPS // 2 else t
        for ws, vs in zip(groups, velocities, strict=True):
            gs = [gradient(w, k) for w in ws]
            rate = 1.0 if norm(ws) == 0 else eta * norm(ws) / (norm(gs) + beta * norm(ws))
            for w, v, g in zip(ws, vs, gs, strict=True):
                v[...] = mu * v + t * rate * (g + beta * w)
                w -= v
        expected.append(np.concatenate([w for ws in groups for w in ws]))
    rate = LARS(eta, norm_scope)
    optimizer = SGD(model, lr=1.0, momentum=mu, weight_decay=beta, momentum_form="caffe", layer_rate=rate)
    assert_same_path(path_of(optimizer, model.parameters()), expected)


@pytest.mark.parametrize("norm_scope", ["layer", "tensor"])
def test_adamw_with_the_trust_ratio_is_lamb(norm_scope: str) -> None:
    beta1, beta2, eps, decay, t = 0.9, 0.99, 1e-6, 0.1, 0.02
    model = Pair()
    groups = [[host(p) for p in group] for group in layers_of(model, norm_scope)]
    moments = [[(np.zeros_like(w), np.zeros_like(w)) for w in group] for group in groups]
    expected = []
    for k in range(STEPS):
        t = t / 2 if k == STEPS // 2 else t
        for ws, ms in zip(groups, moments, strict=True):
            rs = []
            for w, (m, v) in zip(ws, ms, strict=True):
                g = gradient(w, k)
                m[...] = beta1 * m + (1 - beta1) * g
                v[...] = beta2 * v + (1 - beta2) * g * g
                m_hat, v_hat = m / (1 - beta1 ** (k + 1)), v / (1 - beta2 ** (k + 1))
                rs.append(m_hat / (np.sqrt(v_hat) + eps) + decay * w)
            ratio = 1.0 if norm(ws) == 0 else norm(ws) / norm(rs)
            for w, r in zip(ws, rs, strict=True):
                w -= t * ratio * r
        expected.append(np.concatenate([w for ws in groups for w in ws]))
    rate = TrustRatio(norm_scope)
    optimizer = AdamW(model, lr=0.02, betas=(beta1, beta2), eps=eps, weight_decay=decay, layer_rate=rate)
    assert_same_path(path_of(optimizer, model.parameters()), expected)


def test_lamb_moves_a_layer_by_the_part_t_of_its_norm_whatever_the_gradient() -> None:
    for g in (1e-3, 7.0):
        w = scalar(-4.0)
        assert run(AdamW([w], lr=0.25, layer_rate=TrustRatio()), w, gradients=[g]) == pytest.approx([-5])


@pytest.mark.parametrize("rate", [LARS(), TrustRatio(), LARS(norm_scope="tensor"), TrustRatio("tensor")], ids=repr)
@pytest.mark.parametrize(("weight", "slope"), [(0.0, 2.0), (3.0, 0.0), (0.0, 0.0)])
def test_the_multiplier_is_1_where_a_norm_is_0(rate: Any, weight: float, slope: float) -> None:
    w = scalar(weight, "float32")
    optimizer = SGD([w], lr=0.5, layer_rate=rate)
    assert run(optimizer, w, gradients=[slope]) == [weight - 0.5 * slope]
    report = optimizer.layer_report()["parameter0"]
    assert report.multiplier == 1
    assert report.floored is True


def test_one_tensor_of_norm_0_is_reported_for_its_layer() -> None:
    model = Pair()
    optimizer = SGD(model, lr=0.5, layer_rate=LARS(eta=0.5, norm_scope="tensor"))
    give(model.first.weight, [0, 0])
    give(model.first.bias, [2])
    optimizer.step()
    report = optimizer.layer_report()["first"]
    assert report.tensor_multipliers == pytest.approx((1.0, 0.5 * 0.5 / 2))
    assert report.floored is True


def test_other_norms_are_used_and_reported_as_such() -> None:
    w = scalar(3.0)
    optimizer = SGD([w], lr=0.5, weight_decay=0.1, layer_rate=LARS(eta=0.01))
    (end,) = run(optimizer, w, gradients=[-6])
    rate = 0.01 * 3 / (6 + 0.1 * 3)
    assert end == pytest.approx(3 - 0.5 * rate * (-6 + 0.1 * 3), rel=1e-14)
    report = optimizer.layer_report()["parameter0"]
    assert report.multiplier == pytest.approx(rate)
    assert report.floored is False


def test_where_decays_differ_lars_takes_the_norm_of_all_decay() -> None:
    model = Pair()
    optimizer = SGD(model, lr=1.0, weight_decay=0.5, layer_rate=LARS(eta=0.01)).scale("*.bias", decay=4.0)
    for p in model.parameters():
        give(p, np.full(p.shape, 2))
    optimizer.step()  # the first layer: weight 1, 2 with decay 0.5; bias 0.5 with decay 2
    expected = 0.01 * math.sqrt(1 + 4 + 0.25) / (math.sqrt(12) + math.sqrt(0.25 + 1 + 1))
    assert optimizer.layer_report()["first"].multiplier == pytest.approx(expected)


@pytest.mark.parametrize("rate", [LARS(), TrustRatio()], ids=repr)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_and_infinity_stay_visible(rate: Any) -> None:
    for bad in (math.nan, math.inf):
        w = scalar(1.0)
        assert not math.isfinite(run(SGD([w], lr=0.1, layer_rate=rate), w, gradients=[bad])[0])


def test_float32_stays_float32_also_where_a_norm_is_tiny() -> None:
    w = scalar(2.0, "float32")
    (end,) = run(SGD([w], lr=0.25, layer_rate=TrustRatio()), w, gradients=[1e-30])
    assert w.dtype == np.float32
    assert end == pytest.approx(1.5)


@pytest.mark.parametrize("rate", [LARS(), TrustRatio(), LARS(norm_scope="tensor"), TrustRatio("tensor")], ids=repr)
def test_does_not_wait_for_the_device(rate: Any, standin: ModuleType) -> None:
    with md.using("cupy"):
        model = models.mlp((4, 3, 2))
    for p in model.parameters():
        p.grad = md.Tensor(backend.to_device(np.ones(p.shape, np.float32), "cupy"))
    optimizer = AdamW(model, layer_rate=rate).scale("*.bias", lr=2.0, decay=0.0)
    standin.reset_synchronizations()
    for _ in range(2):
        optimizer.step()
        report = optimizer.raw_report["fc1"]
    assert standin.synchronizations() == ()
    assert backend.device_of(report.multiplier) == backend.device_of(report.floored) == "cupy"
    assert optimizer.layer_report()["fc1"].multiplier > 0


def test_caffes_momentum_and_the_trust_ratio_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="TrustRatio would divide it out"):
        SGD([scalar()], momentum=0.9, momentum_form="caffe", layer_rate=TrustRatio())


def test_refuses_options_that_make_no_sense() -> None:
    for rate in (LARS, TrustRatio):
        with pytest.raises(ValueError, match="norm_scope: expected 'layer' or 'tensor'; got 'network'"):
            rate(norm_scope="network")
    with pytest.raises(ValueError, match="eta"):
        LARS(eta=-1)


def test_a_view_made_by_hand_has_no_decay() -> None:
    w, g = device([3.0, 4.0]), device([0.0, 2.0])
    assert float(host(LARS(eta=1.0)(LayerView("fc", [w], [g], [g], step=0)))) == pytest.approx(2.5)
    assert repr(LARS()) == "LARS(eta=0.001, norm_scope='layer')"
    assert repr(TrustRatio()) == "TrustRatio(norm_scope='layer')"


# ---- layers whose gradient vanishes


def test_a_layer_moves_by_its_part_though_the_multiplier_is_beyond_float32() -> None:
    """||w|| / ||g|| is 1e40 here: as a float32 it is infinite, and infinity times a gradient of 0 is NaN."""
    for method in (
        SGD([scalar()], layer_rate=LARS(eta=1.0)),
        SGD([scalar()], momentum=0.9, layer_rate=LARS(eta=1.0)),
        SGD([scalar()], momentum=0.9, momentum_form="caffe", layer_rate=LARS(eta=1.0)),
        SGD([scalar()], layer_rate=TrustRatio()),
        SGD([scalar()], momentum=0.9, layer_rate=TrustRatio("tensor")),
        AdaGrad([scalar()], layer_rate=LARS(eta=1.0), denominator="layer"),
    ):
        w = tensor(np.array([6e3, 8e3, 0.0], np.float32), requires_grad=True)
        kind = type(method)
        options = {name: getattr(method, name) for name in method.settings if name not in ("lr", "eps")}
        optimizer = kind([w], lr=0.25, layer_rate=method.layer_rate, **options)
        give(w, [-1e-36, 0.0, 0.0])
        optimizer.step()
        assert optimizer.layer_report()["parameter0"].multiplier == pytest.approx(1e40, rel=1e-4)
        moved = host(w) - np.array([6e3, 8e3, 0], np.float32)
        assert np.isfinite(moved).all()
        assert moved[1] == moved[2] == 0
        if kind is SGD:
            assert moved[0] == pytest.approx(2.5e3, rel=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: SGD(model, lr=0.1, momentum=0.9, weight_decay=1e-4, layer_rate=LARS()),
        lambda model: SGD(model, lr=0.1, layer_rate=LARS(norm_scope="tensor")),
        lambda model: SGD(model, lr=0.01, momentum=0.9, layer_rate=TrustRatio()),
        lambda model: AdamW(model, lr=0.01, layer_rate=TrustRatio("tensor")),
    ],
)
def test_fifty_layers_of_sigmoids_stay_finite(make: Any) -> None:
    model = models.mlp((4, *(8,) * 49, 3), activation="sigmoid")
    optimizer = make(model)
    x, labels = tensor(np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)), tensor(np.arange(6) % 3)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
    assert min(report.grad_norm for report in optimizer.layer_report().values()) < 1e-20
    assert all(np.isfinite(host(p)).all() for p in model.parameters())


@pytest.mark.parametrize("rate", [LARS(), TrustRatio()], ids=repr)
def test_a_norm_that_not_even_float64_can_divide_by_counts_as_0(rate: Any) -> None:
    w = scalar(3.0)
    assert run(SGD([w], lr=0.5, layer_rate=rate), w, gradients=[1e-310]) == [3]
    optimizer = SGD([w], lr=0.5, layer_rate=rate)
    run(optimizer, w, gradients=[1e-310])
    assert optimizer.layer_report()["parameter0"].floored is True
