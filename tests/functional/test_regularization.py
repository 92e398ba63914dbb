"""minidl/functional/regularization.py."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_how_many_are_dropped_and_how_the_others_are_scaled(p, dtype):
    y = F.dropout(tensor(np.ones(100_000, dtype)), p)
    assert y.dtype == dtype
    values = host(y)
    assert set(np.unique(values)) == {0, np.dtype(dtype).type(1 / (1 - p))}
    assert abs((values == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / values.size)  # five standard deviations
    assert abs(values.astype(np.float64).mean() - 1) < 5 * np.sqrt(p / (1 - p) / values.size) + 1e-3


def test_the_backward_uses_the_mask_of_the_forward():
    x = tensor(np.full((50, 20), 3.0), True)
    y = F.dropout(x, 0.3)
    grad = md.grad(y, x, device(np.full((50, 20), 5.0)), create_graph=False)
    np.testing.assert_array_equal(host(grad) / 5, host(y) / 3)


def test_higher_derivatives_use_it_too():
    x = tensor(np.arange(1.0, 21), True)
    y = F.dropout(x, 0.5)
    (first,) = md.grad((y * y).sum(), [x], create_graph=True)
    (second,) = md.grad(first.sum(), [x])
    scale = host(y) / host(x)
    np.testing.assert_allclose(host(second), 2 * scale**2)


def test_each_call_draws_anew_and_a_seed_repeats():
    x = tensor(np.ones(1000, np.float32))
    md.seed(3)
    first, second = host(F.dropout(x)), host(F.dropout(x))
    md.seed(3)
    np.testing.assert_array_equal(host(F.dropout(x)), first)
    assert (first != second).any()


def test_neighbours_are_dropped_independently():
    kept = host(F.dropout(tensor(np.ones((1000, 100))), 0.5)) > 0
    both = (kept[:, 1:] & kept[:, :-1]).mean()
    assert abs(both - 0.25) < 0.01


def test_nothing_happens_in_evaluation_and_at_zero():
    x = tensor(np.ones(10), True)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0) is x
    assert F.dropout(x, 0.0, training=True) is x


def test_everything_is_dropped_at_one():
    x = tensor(np.ones(10), True)
    y = F.dropout(x, 1)
    y.backward(device(np.ones(10)))
    np.testing.assert_array_equal(host(y), 0)
    np.testing.assert_array_equal(host(x.grad), 0)


def test_raw_arrays_and_no_elements():
    y = F.dropout(device(np.ones((3, 4))), 0.5)
    assert backend.is_array(y)
    assert F.dropout(tensor(np.ones((0, 3))), 0.5).shape == (0, 3)
    assert F.dropout(tensor(np.array(1.0)), 0.5).shape == ()


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan, None, "half"])
def test_what_is_no_probability(p):
    with pytest.raises(ValueError, match="dropout: p: expected a number from 0 to 1"):
        F.dropout(tensor(np.ones(2)), p)


CHANNELS = [(F.dropout1d, (200, 50, 3)), (F.dropout2d, (200, 50, 2, 3))]


@pytest.mark.parametrize(("function", "shape"), CHANNELS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_whole_channels_are_dropped_each_for_itself(function, shape, dtype):
    y = function(tensor(np.ones(shape, dtype)), 0.25)
    assert y.dtype == dtype
    assert y.shape == shape
    channels = host(y).reshape(200, 50, -1)
    np.testing.assert_array_equal(channels, np.broadcast_to(channels[:, :, :1], channels.shape))
    kept = channels[:, :, 0] != 0
    np.testing.assert_array_equal(channels[kept], np.dtype(dtype).type(1 / 0.75))
    assert abs((~kept).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / kept.size)
    assert abs((kept[:, 1:] & kept[:, :-1]).mean() - 0.75**2) < 0.03  # independent of the channel beside it,
    assert abs((kept[1:] & kept[:-1]).mean() - 0.75**2) < 0.03  # and of the same one of the next sample


@pytest.mark.parametrize(("function", "shape"), CHANNELS)
def test_dropped_channels_get_no_gradient(function, shape):
    x = tensor(np.full(shape, 3.0), True)
    y = function(x, 0.5)
    (first,) = md.grad((y * y).sum(), [x], create_graph=True)
    (second,) = md.grad(first.sum(), [x])
    np.testing.assert_allclose(host(first), 2 * host(y) ** 2 / 3)
    np.testing.assert_allclose(host(second), 2 * (host(y) / 3) ** 2)


@pytest.mark.parametrize(("function", "shape"), CHANNELS)
def test_channels_in_evaluation_at_zero_at_one_and_of_nothing(function, shape):
    x = tensor(np.ones(shape), True)
    assert function(x, 0.5, training=False) is x
    assert function(x, 0) is x
    np.testing.assert_array_equal(host(function(x, 1)), 0)
    assert backend.is_array(function(device(np.ones(shape))))
    assert function(tensor(np.ones((0, *shape[1:])))).shape == (0, *shape[1:])
    assert function(tensor(np.ones((2, 0, *shape[2:])))).shape == (2, 0, *shape[2:])


@pytest.mark.parametrize("function", [F.dropout1d, F.dropout2d])
def test_channels_that_cannot_be_told_apart(function):
    name, axes = function.__name__, r"\(N, C, L\)" if function is F.dropout1d else r"\(N, C, H, W\)"
    for training in (True, False):
        with pytest.raises(md.ShapeError, match=rf"{name}: expected x of shape {axes}; got Tensor of shape \(2, 3\)"):
            function(tensor(np.ones((2, 3))), training=training)
    with pytest.raises(md.ShapeError, match="got None"):
        function(None)
    with pytest.raises(ValueError, match=f"{name}: p: expected a number from 0 to 1; got 2"):
        function(tensor(np.ones((2, 3, 4))), 2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("drop", [F.dropout, F.dropout1d, F.dropout2d])
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_what_is_dropped_is_0_also_where_it_is_infinite(drop, p, dtype):
    """And so is its gradient: 0 times infinity would be NaN."""
    shape = (40, 5, 2) if drop is F.dropout1d else (40, 5, 2, 2)
    x = tensor(np.full(shape, np.inf, dtype), True)
    z = drop(x, p)
    grad_out = device(np.full(shape, -np.inf, dtype))
    dropped = host(z) == 0
    assert dropped.any()
    assert dropped.all() == (p == 1)
    np.testing.assert_array_equal(host(z), np.where(dropped, 0, np.inf))
    for create_graph in (False, True):
        slope = md.grad(z, x, grad_out, create_graph=create_graph, retain_graph=True)
        np.testing.assert_array_equal(host(slope), np.where(dropped, 0, -np.inf))
        assert slope.dtype == dtype
