"""minidl/functional/activation.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given

import minidl.functional as F
from tests.arrays import device, host, tensor
from tests.factory import SPECIAL, check, check_against_numpy, check_special, examples, operand

PAIRS = [
    (F.relu, torch.relu),
    (F.sigmoid, torch.sigmoid),
    (F.tanh, torch.tanh),
    (F.softplus, TF.softplus),
    (F.leaky_relu, TF.leaky_relu),
    (lambda t: F.leaky_relu(t, 0.3), lambda t: TF.leaky_relu(t, 0.3)),
    (lambda t: F.leaky_relu(t, 0), lambda t: TF.leaky_relu(t, 0.0)),
    (lambda t: F.leaky_relu(t, 1.5), lambda t: TF.leaky_relu(t, 1.5)),
    (lambda t: F.leaky_relu(t, -0.5), lambda t: TF.leaky_relu(t, -0.5)),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@examples(60)
@given(operand())
def test_activations(ours, theirs, x):
    check(ours, theirs, x)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_special_values(ours, theirs):
    check_special(ours, theirs, [SPECIAL[np.isfinite(SPECIAL)]])
    check_special(ours, theirs, [SPECIAL[3:]])


@pytest.mark.parametrize(
    ("ours", "theirs"), [(F.relu, torch.relu), (F.sigmoid, torch.sigmoid), (F.tanh, torch.tanh), PAIRS[3], PAIRS[4]]
)
def test_infinities_and_nan(ours, theirs):
    check_special(ours, theirs, [np.array([np.inf, -np.inf, np.nan])])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_saturation_without_overflow(dtype):
    x = np.array([-1e4, -800, -90, -17, -12, 12, 17, 90, 800, 1e4], dtype)
    exact = torch.tensor(x.astype(np.float64))
    for ours, theirs in ((F.sigmoid, torch.sigmoid), (F.softplus, TF.softplus), (F.tanh, torch.tanh)):
        got = host(ours(tensor(x)))
        assert got.dtype == dtype
        tiny = {"float16": 6e-8, "float32": 2e-38, "float64": 3e-308}[dtype]
        np.testing.assert_allclose(got, theirs(exact).numpy(), rtol=2 * np.finfo(dtype).eps, atol=tiny)


def test_relu_at_zero_has_slope_zero_and_passes_nan():
    x = tensor(np.array([-0.0, 0.0, np.nan]), True)
    y = F.relu(x)
    y.backward(device(np.ones(3)))
    assert np.isnan(host(y)[2])
    np.testing.assert_array_equal(host(x.grad), [0, 0, 1])


def test_integers():
    check_against_numpy(F.relu, lambda a: np.maximum(a, 0), np.array([-1, 2]))
    check_against_numpy(F.sigmoid, lambda a: 1 / (1 + np.exp(-a.astype(float))), np.array([1, 200], np.uint8))
