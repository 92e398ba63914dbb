"""minidl/functional/exponential.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import minidl as md
import minidl.functional as F
from tests.arrays import host, tensor
from tests.factory import SPECIAL, check, check_against_numpy, check_limits, check_special, examples, operand
from tests.pytorch import torch


@examples(80)
@given(operand())
def test_exp(x):
    check(F.exp, torch.exp, x)


@examples(80)
@given(operand(low=0.125, high=8))
def test_log(x):
    check(F.log, torch.log, x, slack=4)


@examples(80)
@given(operand(low=0.125, high=8))
def test_sqrt(x):
    check(F.sqrt, torch.sqrt, x, slack=4)


@examples(80)
@given(operand())
def test_erf(x):
    check(F.erf, torch.erf, x)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(F.exp, torch.exp), (F.log, torch.log), (F.sqrt, torch.sqrt), (F.erf, torch.erf)]
)
def test_special_values(ours, theirs):
    check_special(ours, theirs, [SPECIAL])
    check_special(ours, theirs, [np.array([1e-4, 6e4, -6e4, 11.0, 12.0])])


@pytest.mark.parametrize(("ours", "theirs"), [(F.exp, np.exp), (F.log, np.log), (F.sqrt, np.sqrt)])
def test_integers_follow_numpy(ours, theirs):
    check_against_numpy(ours, theirs, np.array([1, 2, 5], np.int64))
    check_against_numpy(ours, theirs, np.array([1, 2, 5], np.int32))


def test_the_slope_of_sqrt_at_zero_does_not_reach_what_was_cut_off():
    x = tensor(np.array([-1.0, 4.0]), True)
    F.sum(F.sqrt(F.relu(x))).backward()
    np.testing.assert_array_equal(host(x.grad), [0, 0.25])


def test_erf_at_infinity_and_far_from_zero_has_slopes_of_0():
    check_limits(F.erf, (-1, 0, 0), (1, 0, 0))


def test_erf_of_integers_is_float64():
    check_against_numpy(F.erf, lambda a: torch.erf(torch.tensor(a, dtype=torch.float64)).numpy(), np.array([0, 1, -2]))


def test_gradcheck_agrees():
    x = tensor(np.array([0.3, 1.7, 2.9]), True)
    assert md.gradcheck(F.exp, [x])
    assert md.gradcheck(F.log, [x])
    assert md.gradcheck(F.sqrt, [x])
    assert md.gradgradcheck(F.exp, [x])
    assert md.gradgradcheck(F.log, [x])
    assert md.gradgradcheck(F.sqrt, [x])
    assert md.gradcheck(F.erf, [x])
    assert md.gradgradcheck(F.erf, [x])


@pytest.mark.parametrize(
    ("ours", "theirs"), [(F.log1p, torch.log1p), (F.log2, torch.log2), (F.log10, torch.log10), (F.square, torch.square)]
)
@examples(40)
@given(operand(low=0.125, high=8))
def test_other_logarithms_and_square(ours, theirs, x):
    check(ours, theirs, x, slack=4)


@examples(40)
@given(operand())
def test_expm1(x):
    check(F.expm1, torch.expm1, x, slack=4)


OTHERS = [
    (F.expm1, torch.expm1, np.expm1),
    (F.log1p, torch.log1p, np.log1p),
    (F.log2, torch.log2, np.log2),
    (F.log10, torch.log10, np.log10),
    (F.square, torch.square, np.square),
]


@pytest.mark.parametrize(("ours", "theirs", "numpys"), OTHERS)
def test_special_values_of_the_others(ours, theirs, numpys):
    check_special(ours, theirs, [SPECIAL])
    check_special(ours, theirs, [np.array([1e-4, 1e-3])])
    check_against_numpy(ours, numpys, np.array([1, 2, 5]))


def test_small_numbers_do_not_vanish_beside_1():
    x = tensor(np.array([1e-12]))
    np.testing.assert_allclose(host(F.expm1(x)), [1e-12], rtol=1e-9)
    np.testing.assert_allclose(host(F.log1p(x)), [1e-12], rtol=1e-9)
