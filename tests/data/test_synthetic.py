"""minidl/data/synthetic.py: the points lie where the formulas say, and a network is needed to tell them apart."""

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn, optim
from minidl.data import Dataset, blobs, moons, spirals, xor
from tests.arrays import device

MAKERS = [spirals, moons, xor, blobs]
EVERY = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


@EVERY
@pytest.mark.parametrize("n", [1, 10, 101])
def test_every_set_is_a_balanced_dataset(make, n):
    data = make(n)
    assert isinstance(data, Dataset)
    assert data.inputs.shape == (n, 2)
    assert (data.inputs.dtype, data.labels.dtype) == (np.float32, np.int64)
    counts = np.bincount(data.labels, minlength=3 if make is blobs else 2)
    assert counts.max() - counts.min() <= 1


@EVERY
def test_the_seed_alone_decides(make):
    backend.seed(1)
    before = backend.random_state()
    first, second = make(50, seed=3), make(50, seed=3)
    np.testing.assert_array_equal(first.inputs, second.inputs)
    assert backend.random_state() == before
    assert (make(50, seed=4).inputs != first.inputs).all()


def test_spirals_wind_around_the_middle():
    data = spirals(3000, classes=3, noise=0, turns=2.0)
    x, y = data.inputs.astype(np.float64).T
    radius = np.hypot(x, y)
    assert 0.1 <= radius.min() < 0.11
    assert 0.99 < radius.max() <= 1.0001
    angle = 2 * np.pi * (2.0 * radius + data.labels / 3)
    np.testing.assert_allclose(np.cos(angle) * radius, x, atol=1e-5)
    np.testing.assert_allclose(np.sin(angle) * radius, y, atol=1e-5)


def test_moons_are_two_half_circles():
    data = moons(2000, noise=0)
    x, y = data.inputs.T
    upper = data.labels == 0
    np.testing.assert_allclose(np.hypot(x[upper], y[upper]), 1, rtol=1e-5)
    np.testing.assert_allclose(np.hypot(1 - x[~upper], 0.5 - y[~upper]), 1, rtol=1e-5)
    assert y[upper].min() >= 0
    assert y[~upper].max() <= 0.5


def test_xor_is_one_where_the_signs_differ():
    data = xor(101, noise=0)
    np.testing.assert_array_equal(np.abs(data.inputs), 1)
    np.testing.assert_array_equal(data.labels, data.inputs.prod(axis=1) < 0)
    assert len(np.unique(data.inputs, axis=0)) == 4


def test_blobs_lie_around_their_centers():
    centers = np.array([[0.0, 5, 9], [8, -2, 1]])
    data = blobs(8000, centers, std=0.5, features=3)
    for k in range(2):
        members = data.inputs[data.labels == k]
        np.testing.assert_allclose(members.mean(axis=0), centers[k], atol=0.05)
        np.testing.assert_allclose(members.std(axis=0), 0.5, atol=0.05)
    assert np.abs(blobs(600, centers=300, std=0, features=4).inputs).max() <= 10


@pytest.mark.parametrize("make", [spirals, moons, xor])
def test_noise_is_a_standard_deviation(make):
    noise = make(5000, noise=0.3).inputs - make(5000, noise=0).inputs
    np.testing.assert_allclose(noise.std(axis=0), 0.3, rtol=0.05)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.02)


def accuracy_after_training(model, train, test, steps):
    """Full batches and Adam: the share of test points told right."""
    model = model.to(backend.current())
    optimizer = optim.Adam(model, lr=0.02)
    inputs, labels = md.Tensor(device(train.inputs)), device(train.labels)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return md.evaluate(model, test).accuracy


@pytest.mark.parametrize(
    ("make", "linear_at_most"), [(spirals, 0.75), (xor, 0.80), (moons, 0.95)], ids=["spirals", "xor", "moons"]
)
def test_a_network_learns_what_a_linear_model_cannot(make, linear_at_most):
    train, test = make(300, seed=1), make(300, seed=2)
    network = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 2))
    assert accuracy_after_training(network, train, test, steps=250) > 0.97
    assert accuracy_after_training(nn.Linear(2, 2), train, test, steps=250) < linear_at_most


def test_blobs_need_no_more_than_a_linear_model():
    train, test = blobs(400, centers=[[-4.0, 0], [4, 0], [0, 5]]).split(200, 200)
    assert accuracy_after_training(nn.Linear(2, 3), train, test, steps=150) > 0.97


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: spirals(0), "spirals: expected n, the number of points, as a whole number of at least 1; got 0"),
        (lambda: moons(2.0), "moons: expected n"),
        (lambda: xor(4, noise=-1), "xor: expected noise of at least 0; got -1"),
        (lambda: moons(4, noise=float("nan")), "moons: expected noise of at least 0"),
        (lambda: moons(4, noise="a"), "moons: expected noise of at least 0; got 'a'"),
        (lambda: spirals(4, turns=float("nan")), "spirals: expected turns as a number; got nan"),
        (lambda: moons(4, noise=True), "moons: expected noise of at least 0; got True"),
        (lambda: spirals(4, turns="2"), "spirals: expected turns as a number; got '2'"),
        (lambda: blobs(4, std=-1), "blobs: expected std of at least 0"),
        (lambda: spirals(4, classes=1), "expected at least 2 classes; got 1"),
        (lambda: spirals(4, seed=-1), "expected a non-negative integer as the seed; got -1"),
        (lambda: blobs(4, centers=0), "expected at least 1 center and 1 feature; got 0 and 2"),
        (lambda: blobs(4, centers=[1.0, 2.0]), r"expected centers of shape \(K, features\) = \(K, 2\); got \(2,\)"),
        (lambda: blobs(4, centers=[[1.0, 2.0, 3.0]]), r"= \(K, 2\); got \(1, 3\)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
