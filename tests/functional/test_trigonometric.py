"""minidl/functional/trigonometric.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import minidl as md
import minidl.functional as F
from tests.arrays import host, tensor
from tests.factory import SPECIAL, check, check_against_numpy, check_special, examples, operand
from tests.pytorch import torch

PAIRS = [(F.sin, torch.sin), (F.cos, torch.cos), (F.arctan, torch.arctan)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@examples(60)
@given(operand())
def test_sin_cos_and_arctan(ours, theirs, x):
    check(ours, theirs, x)


@examples(60)
@given(operand(low=-1.25, high=1.25))
def test_tan(x):
    check(F.tan, torch.tan, x, slack=16)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_special_values(ours, theirs):
    check_special(ours, theirs, [SPECIAL])
    check_special(ours, theirs, [np.array([1e4, -1e4])], dtypes=["float64", "float32"])


@pytest.mark.parametrize(("ours", "theirs"), [(F.sin, np.sin), (F.cos, np.cos), (F.tan, np.tan), (F.arctan, np.arctan)])
def test_integers_follow_numpy(ours, theirs):
    check_against_numpy(ours, theirs, np.array([0, 1, -5]))


def test_four_derivatives_of_sin_are_sin_again():
    x = tensor(np.array([0.3, -1.2]), True)
    y = F.sin(x)
    for expected in (F.cos, lambda t: -F.sin(t), lambda t: -F.cos(t), F.sin):
        y = md.grad(y.sum(), x, create_graph=True)
        np.testing.assert_allclose(y.detach().numpy(), expected(x).detach().numpy(), rtol=1e-12)


def test_arctan_of_infinity_has_no_slope_at_any_order():
    x = tensor(np.array([np.inf, -np.inf, 1e300]), True)
    y = F.arctan(x)
    for _ in range(3):
        y = md.grad(y.sum(), x, create_graph=True)
        np.testing.assert_array_equal(host(y), 0)
