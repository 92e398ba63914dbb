"""minidl/functional/products.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import host, tensor
from tests.factory import check, check_against_numpy, examples, operand
from tests.pytorch import TF, torch


@st.composite
def factors(draw):
    """Two operands that can be multiplied: vectors, matrices, and batches of them that broadcast."""
    side = st.sampled_from([2, 3, 4, 1, 0])
    n, k, m = draw(side), draw(side), draw(side)
    batch = draw(st.lists(st.sampled_from([2, 3, 1]), max_size=2))
    x_batch = [1 if draw(st.booleans()) else length for length in batch][draw(st.integers(0, len(batch))) :]
    y_batch = [1 if draw(st.booleans()) else length for length in batch][draw(st.integers(0, len(batch))) :]
    x_shape = (k,) if draw(st.sampled_from([False, False, True])) else (*x_batch, n, k)
    y_shape = (k,) if draw(st.sampled_from([False, False, True])) else (*y_batch, k, m)
    return [draw(operand(x_shape)), draw(operand(y_shape))]


@examples(240)
@given(factors())
def test_matmul(xs):
    check(F.matmul, torch.matmul, xs, slack=2)


@examples(60)
@given(st.tuples(operand(), operand()))
def test_outer(xs):
    check(F.outer, lambda x, y: torch.outer(x.reshape(-1), y.reshape(-1)), xs)


def test_outer_follows_numpy():
    check_against_numpy(F.outer, np.outer, np.arange(6).reshape(2, 3), np.arange(2.0))
    np.testing.assert_array_equal(host(F.outer([1, 2], 3)), [[3], [6]])


def test_matmul_of_integers_follows_numpy():
    check_against_numpy(F.matmul, np.matmul, np.arange(6).reshape(2, 3), np.arange(3))


def test_matmul_is_the_operator_from_both_sides():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(host(tensor(a) @ tensor(b)), a @ b)
    np.testing.assert_array_equal(host(tensor(a) @ b.tolist()), a @ b)
    np.testing.assert_array_equal(host(a.tolist() @ tensor(b)), a @ b)


def test_float16_products_are_added_up_in_float32():
    x = tensor(np.ones((2, 5000), np.float16), True)
    y = F.matmul(x, tensor(np.ones((5000, 1), np.float16)))
    assert y.dtype == np.float16
    np.testing.assert_array_equal(host(y), 5000)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.ones((2, 3)), np.ones((2, 3)), r"x.shape\[-1\] == y.shape\[-2\]; got 3 != 2"),
        (np.ones(3), np.ones(2), r"y.shape\[0\]; got 3 != 2"),
        (np.ones((2, 2, 3)), np.ones((3, 3, 2)), r"MatMul failed.*\(2, 2, 3\).*\(3, 3, 2\)"),
        (np.ones((2, 3)), np.array(1.0), "single number"),
        (np.ones((2, 3)), 2.0, "single number"),
    ],
)
def test_matmul_of_what_does_not_fit(x, y, words):
    with pytest.raises(md.ShapeError, match=words):
        F.matmul(tensor(x), y if isinstance(y, float) else tensor(y))


@st.composite
def layers(draw):
    """Input, weight and bias of a dense layer."""
    side = st.sampled_from([2, 3, 4, 1, 0])
    features_in, features_out = draw(side), draw(side)
    leading = draw(st.lists(st.sampled_from([2, 3, 1, 0]), max_size=3))
    return [
        draw(operand((*leading, features_in))),
        draw(operand((features_out, features_in))),
        draw(operand((features_out,))),
    ]


@examples(160)
@given(layers())
def test_linear(xs):
    check(F.linear, TF.linear, xs, mixed=False, slack=2)
    check(F.linear, TF.linear, xs[:2], mixed=False, numeric=False, slack=2)


def test_linear_of_a_large_float16_batch():
    x, weight, bias = (tensor(np.ones(s, np.float16), True) for s in ((5000, 2), (3, 2), (3,)))
    F.linear(x, weight, bias).backward(tensor(np.ones((5000, 3), np.float16)))
    np.testing.assert_array_equal(host(bias.grad), 5000)
    np.testing.assert_array_equal(host(weight.grad), 5000)


@pytest.mark.parametrize(
    ("x", "weight", "bias", "words"),
    [
        ((2, 3), (4, 2), None, r"in_features=2\).*got \(2, 3\)"),
        ((), (4, 2), None, r"in_features=2.*got \(\)$"),
        ((3, 1, 2, 2), (4, 4), None, r"got \(3, 1, 2, 2\): nn.Flatten\(\) makes rows of it$"),
        ((2, 3), (3,), None, r"weight of shape \(out_features, in_features\); got \(3,\)"),
        ((2, 3), (4, 3), (3,), r"bias of shape \(4,\); got \(3,\)"),
        ((2, 3), (4, 3), (1, 4), r"bias of shape \(4,\)"),
    ],
)
def test_linear_of_what_does_not_fit(x, weight, bias, words):
    with pytest.raises(md.ShapeError, match=words):
        F.linear(tensor(np.ones(x)), tensor(np.ones(weight)), None if bias is None else tensor(np.ones(bias)))


def test_linear_of_a_number():
    with pytest.raises(md.ShapeError, match=r"in_features=2.*got \(\)$"):
        F.linear(1.0, tensor(np.ones((4, 2))))


def test_linear_wants_one_dtype():
    x, weight, bias = np.ones((2, 3)), np.ones((4, 3), np.float32), np.ones(4)
    with pytest.raises(md.DTypeError, match=r"one dtype; got float64, float32: for example x.astype\('float32'\)"):
        F.linear(tensor(x), tensor(weight))
    with pytest.raises(md.DTypeError, match="float32, float32, float64"):
        F.linear(tensor(x.astype(np.float32)), tensor(weight), tensor(bias))


@pytest.mark.parametrize(
    ("x", "y"), [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((), (3,)), ((2, 3), ()), ((5, 2, 3), (3, 4))]
)
def test_dot_follows_numpy(x, y):
    arrays = [np.asarray(np.random.default_rng(0).normal(size=shape)) for shape in (x, y)]
    check_against_numpy(F.dot, np.dot, *arrays)
    assert md.gradgradcheck(F.dot, [tensor(a, True) for a in arrays])
    np.testing.assert_array_equal(host(tensor(arrays[0]).dot(tensor(arrays[1]))), host(F.dot(*map(tensor, arrays))))


def test_dot_of_a_stack_is_refused():
    with pytest.raises(md.ShapeError, match="expected y with at most two axes"):
        F.dot(tensor(np.ones((2, 3))), tensor(np.ones((4, 3, 2))))
