"""Tutorial 8: what its text says is so, and its checks know right answers and the usual wrong ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minidl import check


@pytest.fixture
def t08(tutorial):
    return tutorial("08_optimizers")


def test_rates_around_the_largest_stable_one(t08):
    way = dict(zip(t08["three_rates"].names, t08["three_rates"].path, strict=True))
    assert abs(way["t = 0.04"][1, 1]) < 1e-12  # at the bottom of the ravine after one step
    walls = {name: np.abs(path[:, 1]) for name, path in way.items()}
    assert (np.diff(walls["t = 0.077"]) < 0).all()
    assert (np.diff(walls["t = 0.081"]) > 0).all()
    assert (np.diff(np.sign(way["t = 0.081"][:, 1])) != 0).all()  # from wall to wall


def test_steps_grow_as_k_and_as_its_root(t08):
    assert t08["steps_at_25"] == 87
    assert t08["measured_at_100"] == 346
    assert check.t08_steps(t08["measured_at_100"], show=False).passed
    assert 0.95 < t08["slope"]["SGD"] < 1.05
    assert 0.45 < t08["slope"]["momentum"] < 0.65
    assert 20 < t08["momentum_steps"] < 35
    assert t08["counted"]["momentum"][-1] < 0.1 * t08["counted"]["SGD"][-1]
    for k, steps in zip(t08["condition"], t08["counted"]["SGD"], strict=True):
        if k >= 25:
            assert steps == pytest.approx(k / 4 * math.log(1e6), rel=0.02)


def test_forms_of_momentum_part_when_the_rate_changes(t08):
    torch, caffe = np.array(t08["lengths"]["pytorch"]), np.array(t08["lengths"]["caffe"])
    np.testing.assert_allclose(torch[:50], caffe[:50], rtol=1e-12)
    assert torch[49] == pytest.approx(1.0, rel=0.01)
    assert torch[50] == pytest.approx(0.1, rel=0.01)
    assert caffe[50] == pytest.approx(0.91, rel=0.01)
    assert caffe[60] == pytest.approx(0.1 + 0.9 / math.e, rel=0.15)  # about 1 / (1 - mu) = 10 steps late


def test_adam_first_steps(t08):
    assert t08["apart"] < 1e-12
    path = t08["three_methods"].path[list(t08["three_methods"].names).index("Adam")]
    np.testing.assert_allclose(np.abs(path[1] - path[0]), 0.3, rtol=1e-6)
    assert path[:, 0].max() > 0.5  # it overshoots
    assert (1 - 0.9) / math.sqrt(1 - 0.999) == pytest.approx(3.2, rel=0.02)  # without the correction


def test_adam_in_the_turned_ravine(t08):
    straight, turned = t08["counted"], t08["counted_turned"]
    assert straight["SGD"] == turned["SGD"]
    assert straight["momentum"] == turned["momentum"]
    assert len(set(straight["Adam"])) == 1
    assert (np.diff(turned["Adam"]) > 0).all()
    assert turned["Adam"][0] > straight["Adam"][0]
    assert turned["Adam"][-1] > 5 * straight["Adam"][-1]


def test_last_layer_is_the_steepest(t08):
    largest = t08["largest"]
    assert 200 < largest["fc3"] / largest["fc1"] < 3000
    assert largest["fc1"] < largest["fc2"] < largest["fc3"]
    assert 1.0 < 2 / largest["fc3"] < 3.0
    assert t08["rises"][1.0] == 0
    assert t08["rises"][3.0] >= 5


def test_who_moves(t08):
    for name in ("SGD", "momentum"):
        ratio = np.median(t08["uniform"][name].update_ratio, axis=0)
        assert ratio[2] > 5 * ratio[0]
        assert t08["final"][name] > 1.5
    assert abs(t08["final"]["SGD"] - t08["final"]["momentum"]) < 0.4
    adam = t08["uniform"]["Adam"].update_ratio
    assert adam[0].max() < 2 * adam[0].min()
    assert np.median(adam, axis=0).max() < 2 * np.median(adam, axis=0).min()
    assert t08["final"]["Adam"] < 0.5


def test_method_and_layer_rate_are_independent(t08):
    for name in t08["choices"]:
        factor = t08["first"][f"{name}, fc1 x 4"] / t08["first"][name]
        np.testing.assert_allclose(factor, [4, 1, 1], rtol=1e-3)
        assert t08["final"][f"{name}, fc1 x 4"] < 0.8 * t08["final"][name]


def test_tape(t08):
    event = t08["tape"].find(phase="update")[0]
    np.testing.assert_allclose(event.before.values, [0.98, 0.5])
    np.testing.assert_allclose(event.after.values, [0.9504, 0.0], atol=1e-12)
    assert len(t08["slides"]) == 2


# ---- momentum, in students' styles


def momentum_one_line(w, v, grad, lr, mu):
    return w - lr * (mu * v + grad), mu * v + grad


def momentum_on_copies(w, v, grad, lr, mu):
    new_v = v.copy()
    new_v *= mu
    new_v += grad
    new_w = w.copy()
    new_w -= lr * new_v
    return [new_w, new_v]


def momentum_by_loop(w, v, grad, lr, mu):
    new_w, new_v = np.empty_like(w), np.empty_like(v)
    for i in np.ndindex(w.shape):
        new_v[i] = mu * v[i] + grad[i]
        new_w[i] = w[i] - lr * new_v[i]
    return new_w, new_v


@pytest.mark.parametrize("answer", [momentum_one_line, momentum_on_copies, momentum_by_loop])
def test_right_momentum(answer):
    assert check.t08_momentum(answer, show=False).passed


def caffe(w, v, grad, lr, mu):
    velocity = lr * grad + mu * v
    new = w - velocity
    return new, velocity


def forgets(w, v, grad, lr, mu):
    v = grad
    return w - lr * v, v


def old_velocity_returned(w, v, grad, lr, mu):
    new_velocity = grad + mu * v
    w = w - lr * new_velocity
    return w, v


def moves_first(w, v, grad, lr, mu):
    new_w = w - lr * v
    v = mu * v + grad
    return new_w, v


def averaged(w, v, grad, lr, mu):
    average = mu * v + grad * (1.0 - mu)
    return w - average * lr, average


def nesterov(w, v, grad, lr, mu):
    v = mu * v + grad
    return w - lr * (grad + mu * v), v


def without_rate(w, v, grad, lr, mu):
    v = v * mu + grad
    return w - v, v


def uphill(w, v, grad, lr, mu):
    v = mu * v + grad
    return w + lr * v, v


def downhill_velocity(w, v, grad, lr, mu):
    v = mu * v - grad
    return w + lr * v, v


def only_w(w, v, grad, lr, mu):
    return w - lr * (grad + v * mu)


def in_place(w, v, grad, lr, mu):
    v *= mu
    v += grad
    w -= lr * v
    return w, v


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (caffe, "Caffe's form"),
        (forgets, "the velocity forgets"),
        (old_velocity_returned, "the old velocity is returned"),
        (moves_first, "along the old velocity"),
        (averaged, "weighted by 1 - mu"),
        (nesterov, "Nesterov"),
        (without_rate, "lr is forgotten"),
        (uphill, "uphill"),
        (downhill_velocity, "points downhill"),
        (only_w, "return both"),
        (in_place, "instead of changing one"),
        (lambda w, v, grad, lr, mu: (mu * v + grad, w - lr * (mu * v + grad)), "reverse order"),
    ],
)
def test_wrong_momentum(answer, words):
    found = check.t08_momentum(answer, show=False)
    assert not found.passed
    assert words in found.hint


# ---- Adam


def adam_long(w, u, v, k, grad, lr, beta1, beta2, eps):
    u = u + (1 - beta1) * (grad - u)
    v = v + (1 - beta2) * (grad * grad - v)
    u_hat = u / (1 - math.pow(beta1, k))
    v_hat = v / (1 - math.pow(beta2, k))
    return w - lr * u_hat / (v_hat**0.5 + eps), u, v


def adam_by_loop(w, u, v, k, grad, lr, beta1, beta2, eps):
    new = [a.copy() for a in (w, u, v)]
    for i in np.ndindex(w.shape):
        new[1][i] = beta1 * u[i] + (1 - beta1) * grad[i]
        new[2][i] = beta2 * v[i] + (1 - beta2) * grad[i] ** 2
        root = math.sqrt(new[2][i] / (1 - beta2**k))
        new[0][i] -= lr * new[1][i] / (1 - beta1**k) / (root + eps)
    return new


@pytest.mark.parametrize("answer", [adam_long, adam_by_loop])
def test_right_adam(answer):
    assert check.t08_adam(answer, show=False).passed


def raw_means(w, u, v, k, grad, lr, b1, b2, eps):
    u = b1 * u + (1 - b1) * grad
    v = b2 * v + (1 - b2) * grad**2
    return w - lr * u / (eps + v**0.5), u, v


def eps_in_root(w, u, v, k, grad, lr, b1, b2, eps):
    u = b1 * u + (1 - b1) * grad
    v = b2 * v + (1 - b2) * grad**2
    return w - lr * (u / (1 - b1**k)) / ((v / (1 - b2**k)) + eps) ** 0.5, u, v


def rate_forgotten(w, u, v, k, grad, lr, b1, b2, eps):
    u = b1 * u + (1 - b1) * grad
    v = b2 * v + (1 - b2) * grad**2
    return w - (u / (1 - b1**k)) / (np.sqrt(v / (1 - b2**k)) + eps), u, v


def corrected_state(w, u, v, k, grad, lr, b1, b2, eps):
    u = (b1 * u + (1 - b1) * grad) / (1 - b1**k)
    v = (b2 * v + (1 - b2) * grad**2) / (1 - b2**k)
    return w - lr * u / (np.sqrt(v) + eps), u, v


def state_lost(w, u, v, k, grad, lr, b1, b2, eps):
    u = (1 - b1) * grad
    v = (1 - b2) * grad**2
    return w - lr * (u / (1 - b1**k)) / (np.sqrt(v / (1 - b2**k)) + eps), u, v


def swapped(w, u, v, k, grad, lr, b1, b2, eps):
    u = b2 * u + (1 - b2) * grad
    v = b1 * v + (1 - b1) * grad**2
    return w - lr * (u / (1 - b2**k)) / (np.sqrt(v / (1 - b1**k)) + eps), u, v


def no_root(w, u, v, k, grad, lr, b1, b2, eps):
    u = b1 * u + (1 - b1) * grad
    v = b2 * v + (1 - b2) * grad**2
    return w - lr * (u / (1 - b1**k)) / (v / (1 - b2**k) + eps), u, v


def counted_from_zero(w, u, v, k, grad, lr, b1, b2, eps):
    u = b1 * u + (1 - b1) * grad
    v = b2 * v + (1 - b2) * grad**2
    with np.errstate(all="ignore"):
        return w - lr * (u / (1 - b1 ** (k - 1))) / (np.sqrt(v / (1 - b2 ** (k - 1))) + eps), u, v


def promoted(w, u, v, k, grad, lr, b1, b2, eps):
    u = b1 * u + (1 - b1) * grad
    v = b2 * v + (1 - b2) * grad**2
    root = np.sqrt(v) / np.sqrt(1 - b2**k)
    return w - lr * (u / (1 - b1**k)) / (root + eps), u, v


def only_weights(w, u, v, k, grad, lr, b1, b2, eps):
    return adam_long(w, u, v, k, grad, lr, b1, b2, eps)[0]


def written_in_place(w, u, v, k, grad, lr, b1, b2, eps):
    u *= b1
    u += (1 - b1) * grad
    v *= b2
    v += (1 - b2) * grad**2
    return w - lr * (u / (1 - b1**k)) / (np.sqrt(v / (1 - b2**k)) + eps), u, v


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raw_means, "bias correction is missing"),
        (eps_in_root, "inside your root"),
        (rate_forgotten, "lr is forgotten"),
        (corrected_state, "overwritten by the corrected means"),
        (state_lost, "overwritten by this gradient"),
        (swapped, "swapped"),
        (no_root, "root is missing"),
        (counted_from_zero, "k counts from 1"),
        (promoted, "must stay so"),
        (only_weights, "return all three"),
        (written_in_place, "instead of changing one"),
    ],
)
def test_wrong_adam(answer, words):
    found = check.t08_adam(answer, show=False)
    assert not found.passed
    assert words in found.hint


def test_a_missing_square_is_named_though_roots_of_negative_numbers_are_taken():
    def unsquared(w, u, v, k, grad, lr, b1, b2, eps):
        u = b1 * u + (1 - b1) * grad
        v = b2 * v + (1 - b2) * grad
        with np.errstate(invalid="ignore"):
            return w - lr * (u / (1 - b1**k)) / (np.sqrt(v / (1 - b2**k)) + eps), u, v

    assert "square is missing" in check.t08_adam(unsquared, show=False).hint


def test_a_caret_is_no_power():
    def caret(w, u, v, k, grad, lr, b1, b2, eps):
        u = b1 * u + (1 - b1) * grad
        return w - lr * u / (1 - b1 ^ k), u, v

    assert "beta1**k" in check.t08_adam(caret, show=False).hint


# ---- predictions and the explanation


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("t08_largest_rate", 0.04, "0 after one step"),
        ("t08_largest_rate", 2, "the flat direction"),
        ("t08_largest_rate", 25, "this is the curvature"),
        ("t08_steps", 87, "k = 25"),
        ("t08_steps", 174, "root of k"),
        ("t08_steps", 1400, "square of k"),
        ("t08_steps", 692, "loss is a square"),
        ("t08_caffe", 0.1, "PyTorch's form"),
        ("t08_caffe", 0.9, "comes on top"),
        ("t08_caffe", 0.01, "without momentum"),
        ("t08_scaled", 100, "that is SGD"),
        ("t08_scaled", 10, "mean of squares"),
        ("t08_turned", "a", "turning moves no height"),
        ("t08_turned", "c", "at most 1.4"),
        ("t08_turned", "d", "begins anew"),
    ],
)
def test_wrong_predictions(exercise, wrong, words):
    found = getattr(check, exercise)(wrong, show=False)
    assert not found.passed
    assert words in found.hint


@pytest.mark.parametrize(
    ("exercise", "right"),
    [("t08_largest_rate", 0.08), ("t08_steps", 345), ("t08_steps", 350.0), ("t08_caffe", 0.91), ("t08_scaled", 1)],
)
def test_right_predictions(exercise, right):
    assert getattr(check, exercise)(right, show=False).passed
    assert not getattr(check, exercise)(..., show=False).passed


def test_right_reason():
    assert check.t08_turned(" B ", show=False).passed
