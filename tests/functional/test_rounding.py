"""minidl/functional/rounding.py."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given

import minidl as md
import minidl.functional as F
from tests.arrays import host, tensor
from tests.factory import SPECIAL, check, check_against_numpy, check_special, examples, operand, operands
from tests.pytorch import torch

STEPS = [(F.floor, torch.floor), (F.ceil, torch.ceil), (F.trunc, torch.trunc), (F.round, torch.round)]


@pytest.mark.parametrize(("ours", "theirs"), STEPS)
@examples(40)
@given(operand())
def test_steps_have_the_derivative_0(ours, theirs, x):
    check(ours, theirs, x)


@pytest.mark.parametrize(("ours", "theirs"), STEPS)
def test_special_values(ours, theirs):
    check_special(ours, theirs, [SPECIAL])


def test_round_to_digits_follows_numpy():
    x = np.array([0.125, 0.375, 2.5, 3.5, -1.25, 17.0])
    for decimals in (-1, 0, 1, 2):
        check_against_numpy(lambda t, d=decimals: F.round(t, d), lambda a, d=decimals: np.round(a, d), x)
        np.testing.assert_array_equal(host(tensor(x).round(decimals)), np.round(x, decimals))
    assert F.round(tensor(np.array([15, 25])), -1).tolist() == [20, 20]


@examples(80)
@given(operands(2, zero=False))
def test_floor_divide_and_remainder(xs):
    check(F.floor_divide, lambda x, y: torch.div(x, y, rounding_mode="floor"), xs, numeric=False)
    check(F.remainder, torch.remainder, xs, numeric=False)


def test_the_slopes_of_remainder_are_those_of_finite_differences():
    x, y = tensor(np.array([[7.3, -7.3], [2.6, 0.4]]), True), tensor(np.array([2.1, -1.7]), True)
    assert md.gradcheck(F.remainder, [x, y])
    assert md.gradgradcheck(F.remainder, [x, y])


@pytest.mark.parametrize(("ours", "sign"), [(F.floor_divide, operator.floordiv), (F.remainder, operator.mod)])
def test_they_are_operators_from_both_sides(ours, sign):
    x = np.array([7.0, -7.0, 2.5], np.float32)
    for number in (2, 2.5, -3):
        for result, expected in (
            (sign(tensor(x), number), sign(x, number)),
            (sign(number, tensor(x)), sign(number, x)),
        ):
            assert result.dtype == np.float32
            np.testing.assert_array_equal(host(result), expected)
        np.testing.assert_array_equal(host(ours(tensor(x), number)), sign(x, number))


@pytest.mark.parametrize(("ours", "theirs"), [(F.floor_divide, np.floor_divide), (F.remainder, np.remainder)])
def test_integers_follow_numpy(ours, theirs):
    check_against_numpy(ours, theirs, np.array([7, -7, 9]), np.array([2, 2, -4]))
