"""Comparisons and logic against PyTorch and NumPy."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import SPECIAL, check_against_numpy, check_value, examples, operands
from tests.pytorch import torch

GRID = np.meshgrid(SPECIAL, SPECIAL)


COMPARISONS = [
    (F.equal, torch.eq, operator.eq),
    (F.not_equal, torch.ne, operator.ne),
    (F.less, torch.lt, operator.lt),
    (F.less_equal, torch.le, operator.le),
    (F.greater, torch.gt, operator.gt),
    (F.greater_equal, torch.ge, operator.ge),
]


@pytest.mark.parametrize(("ours", "theirs", "sign"), COMPARISONS)
@examples(20)
@given(operands(2))
def test_comparisons(ours, theirs, sign, xs):
    check_value(ours, theirs, xs)
    x, y = (tensor(p.values) for p in xs)
    np.testing.assert_array_equal(host(sign(x, y)), sign(xs[0].values, xs[1].values))
    check_value(lambda x: ours(x, 0.5), lambda x: theirs(x, 0.5), xs[0])
    check_value(lambda x: ours(0.5, x), lambda x: theirs(torch.tensor(0.5), x), xs[0])


@pytest.mark.parametrize(("ours", "theirs", "sign"), COMPARISONS)
def test_comparisons_of_special_values_and_integers(ours, theirs, sign):
    np.testing.assert_array_equal(host(ours(*[tensor(g) for g in GRID])), sign(*GRID))
    check_against_numpy(ours, sign, np.arange(4), np.array([[2], [3]], np.uint8))


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint8", "float32"])
@examples(10)
@given(st.data())
def test_logical_functions_are_numpys(dtype, data):
    x, y = (p.values.astype(dtype) for p in data.draw(operands(2, low=0)))
    check_against_numpy(F.logical_and, np.logical_and, x, y)
    check_against_numpy(F.logical_or, np.logical_or, x, y)
    check_against_numpy(F.logical_not, np.logical_not, x)
    if dtype != "float32":
        check_against_numpy(operator.and_, operator.and_, x, y)
        check_against_numpy(operator.or_, operator.or_, x, y)
        check_against_numpy(operator.xor, operator.xor, x, y)
        check_against_numpy(operator.invert, operator.invert, x)
        check_against_numpy(F.bitwise_and, np.bitwise_and, x, y)
        check_against_numpy(F.bitwise_or, np.bitwise_or, x, y)
        check_against_numpy(F.bitwise_xor, np.bitwise_xor, x, y)
        check_against_numpy(F.invert, np.invert, x)


def test_bits_of_floats_are_refused():
    with pytest.raises(md.DTypeError, match="Logical"):
        tensor(np.ones(2)) & tensor(np.ones(2))


@pytest.mark.parametrize("sign", [operator.and_, operator.or_, operator.xor])
@pytest.mark.parametrize("dtype", [bool, np.int64])
def test_bits_of_an_array_or_number_on_the_left(sign, dtype):
    x, y = np.array([0, 1, 0, 1]).astype(dtype), np.array([0, 0, 1, 1]).astype(dtype)
    for left in (device(x), dtype(1), x.dtype.type(1)):
        found = sign(left, tensor(y))
        assert isinstance(found, md.Tensor)
        np.testing.assert_array_equal(host(found), sign(host(left), y))
        np.testing.assert_array_equal(host(sign(tensor(y), left)), sign(host(left), y))


@pytest.mark.parametrize(("ours", "theirs", "sign"), COMPARISONS)
def test_comparisons_with_an_array_or_number_on_the_left(ours, theirs, sign):
    """A number, NumPy's too, takes the tensor's dtype: float32 0.1 equals it."""
    values = np.array([0.0, 0.1, 0.2], np.float32)
    for left in (device(values[::-1].copy()), 0.1, np.float64(0.1), np.float32(0.1)):
        found = sign(left, tensor(values))
        assert isinstance(found, md.Tensor)
        weak = host(left) if backend.is_array(left) else np.float32(left)
        np.testing.assert_array_equal(host(found), sign(weak, values))


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_what_kind_of_number(name, dtype):
    values = np.array([1.0, np.nan, np.inf, -np.inf]) if dtype != "int64" else np.array([0, 1])
    check_against_numpy(getattr(F, name), getattr(np, name), values.astype(dtype))
    assert not getattr(F, name)(tensor(values.astype("float32"), True)).requires_grad


@pytest.mark.parametrize("name", ["any", "all"])
@pytest.mark.parametrize(("shape", "axis"), [((2, 3), None), ((2, 3), 1), ((2, 3), (0, -1)), ((0, 3), 0), ((), None)])
def test_any_and_all_follow_numpy(name, shape, axis):
    values = np.resize([True, False, True, True], shape)
    for keepdims in (False, True):
        ours, theirs = getattr(F, name), getattr(np, name)
        check_against_numpy(lambda t: ours(t, axis, keepdims), lambda v: theirs(v, axis, keepdims=keepdims), values)  # noqa: B023
        found = getattr(tensor(values * 2.5), name)(axis, keepdims)
        np.testing.assert_array_equal(host(found), theirs(values, axis, keepdims=keepdims))


def test_close_numbers():
    x = np.array([1.0, np.inf, np.nan, 1.0, -np.inf, 0.0])
    y = np.array([1.0 + 1e-6, np.inf, np.nan, 1.1, np.inf, 1e-9])
    check_against_numpy(F.isclose, np.isclose, x, y)
    check_against_numpy(lambda a, b: F.isclose(a, b, 0.2, 0), lambda a, b: np.isclose(a, b, 0.2, 0), x, y)
    assert F.allclose(tensor(x[:2]), tensor(y[:2])) is True
    assert F.allclose(tensor(x), device(y)) is False
    assert F.allclose(2.0, tensor([2.0, 2.0])) is True


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool"])
def test_integers_that_are_far_apart_are_not_close(dtype):
    ends = [False, True] if dtype == "bool" else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    x, y = np.array(ends, dtype), np.array(ends[::-1], dtype)
    for a, b in ((x, y), (x, x)):
        np.testing.assert_array_equal(host(F.isclose(tensor(a), tensor(b), atol=0.5)), np.isclose(a, b, atol=0.5))
        assert F.allclose(tensor(a), tensor(b), atol=0.5) == np.allclose(a, b, atol=0.5)
