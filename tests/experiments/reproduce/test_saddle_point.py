"""minidl/experiments/reproduce/saddle_point.py: it is a saddle, to rounding, and its Hessian is the loss's."""

import itertools

import numpy as np
import pytest

from minidl.derivatives.higher_order import hessian
from minidl.experiments.reproduce import saddle_point as module
from minidl.experiments.reproduce.saddle_point import (
    DECAY,
    SIZES,
    curvature_at,
    equal_units,
    examples,
    gradient_at,
    loss_at,
    loss_of,
    network,
    put,
    saddle_point,
    vector_of,
)
from minidl.tensors.tensor import Tensor

P = sum(a * b + b for a, b in itertools.pairwise(SIZES))


def loss(w):
    return loss_at(Tensor(w)).item()


def elsewhere(seed=0):
    return 0.5 * np.random.default_rng(seed).standard_normal(P)


@pytest.fixture(scope="module")
def spectrum():
    """Eigenvalues and eigenvectors of the Hessian at the saddle."""
    return np.linalg.eigh(hessian(loss_at, Tensor(saddle_point())).numpy())


# ---- the loss


def test_the_examples_are_the_digits_with_4x4_pixels():
    parts = examples()
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [300, 360, 360]
    assert parts.train.inputs.shape == (300, 16)
    assert parts.train.inputs.dtype == np.float64
    assert min(np.bincount(parts.train.labels)) >= 25


def test_the_loss_of_a_model_is_the_loss_at_its_weights():
    model = network().to(np.float64)
    put(model, elsewhere())
    np.testing.assert_array_equal(vector_of(model), elsewhere())
    train = examples().train
    assert loss_of(model, Tensor(train.inputs), train.labels).item() == pytest.approx(loss(elsewhere()), rel=1e-14)


def test_the_loss_is_cross_entropy_and_half_the_squares():
    """With all weights 0 each class has the probability 1/10."""
    assert loss(np.zeros(P)) == pytest.approx(np.log(10), rel=1e-14)
    w = np.zeros(P)
    w[: 16 * 8] = 2.0  # weights that nothing after them uses
    assert loss(w) == pytest.approx(np.log(10) + DECAY / 2 * 128 * 4, rel=1e-14)


@pytest.mark.parametrize("where", ["at the saddle", "elsewhere"])
def test_gradient_and_hessian_are_those_of_finite_differences(where):
    w = saddle_point() if where == "at the saddle" else elsewhere()
    matrix = hessian(loss_at, Tensor(w)).numpy()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    for seed in range(3):
        u = np.random.default_rng(seed).standard_normal(P)
        u /= np.linalg.norm(u)
        slope = (loss(w + 1e-5 * u) - loss(w - 1e-5 * u)) / 2e-5
        assert gradient_at(w) @ u == pytest.approx(slope, abs=1e-9)
        bend = (gradient_at(w + 1e-5 * u) - gradient_at(w - 1e-5 * u)) / 2e-5
        np.testing.assert_allclose(matrix @ u, bend, atol=1e-8)


# ---- the saddle


def test_the_gradient_vanishes():
    assert np.linalg.norm(gradient_at(saddle_point())) < 1e-12


def test_of_the_298_eigenvalues_21_are_negative_277_positive_and_none_is_0(spectrum):
    values, _ = spectrum
    assert (values < 0).sum() == 21
    assert (values > 0).sum() == 277
    assert np.abs(values).min() > 1e-4
    found = curvature_at(saddle_point())
    assert found == (pytest.approx(values[0]), pytest.approx(values[-1]), 21)
    assert found.smallest == pytest.approx(-0.0284, abs=1e-4)
    assert found.largest == pytest.approx(27.08, abs=0.01)


def test_the_loss_falls_to_both_sides_along_the_most_negative_direction_and_rises_along_the_steepest(spectrum):
    values, vectors = spectrum
    for number in (0, -1):
        up, down = (loss(saddle_point() + sign * 0.01 * vectors[:, number]) for sign in (1, -1))
        bend = (up + down - 2 * loss(saddle_point())) / 0.01**2
        assert bend == pytest.approx(values[number], rel=0.02)


def test_all_units_of_a_hidden_layer_are_equal_and_are_not_the_trivial_zero():
    model = network().to(np.float64)
    put(model, saddle_point())
    first, second, third = (layer.weight.numpy() for _, layer in model.layers())
    for equal in (first, second, second.T, third.T):
        np.testing.assert_array_equal(equal, np.broadcast_to(equal[0], equal.shape))
    assert min(np.linalg.norm(weight) for weight in (first, second, third)) > 1.0
    assert np.linalg.norm(saddle_point()) == pytest.approx(9.41, abs=0.01)


def test_among_networks_with_equal_units_it_is_a_minimum_and_there_are_better_ones_of_unequal_units(spectrum):
    values, vectors = spectrum
    plane = np.zeros((P, equal_units().max() + 1))
    plane[np.arange(P), equal_units()] = 1.0
    matrix = plane.T @ (vectors * values) @ vectors.T @ plane
    assert np.linalg.eigvalsh(matrix).min() > 0
    down = vectors[:, :21]
    np.testing.assert_allclose(plane.T @ down, 0, atol=1e-9)  # units become different


def test_a_search_that_does_not_end_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 2)
    with pytest.raises(ArithmeticError, match="no saddle was found: the gradient's norm is still"):
        saddle_point.__wrapped__()
