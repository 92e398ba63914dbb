"""minidl/functional/probabilities.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import host, tensor
from tests.factory import assert_close, check, check_special, examples, operand
from tests.pytorch import torch

PAIRS = [(F.softmax, torch.softmax), (F.log_softmax, torch.log_softmax)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@examples(120)
@given(st.data())
def test_along_any_axis(ours, theirs, data):
    x = data.draw(operand())
    ndim = max(x.values.ndim, 1)
    axis = data.draw(st.integers(-ndim, ndim - 1))
    check(lambda t: ours(t, axis), lambda t: theirs(t, axis), x, slack=2)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize(
    "row",
    [
        [-np.inf, 0.0, 1.0],
        [-np.inf, -np.inf, 2.0],
        [-np.inf, -np.inf, -np.inf],
        [np.nan, 0.0, 1.0],
        [6e4, -6e4, 0.0],
        [1000.0, 1000.0, 999.0],
    ],
)
def test_special_values(ours, theirs, row):
    check_special(lambda t: ours(t, -1), lambda t: theirs(t, -1), [np.array(row)])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_score_of_infinity_has_all_of_the_probability(axis, dtype):
    """The limit; PyTorch has NaN. Several share it."""
    x = np.array([[np.inf, 0.0, -np.inf], [1.0, np.inf, np.inf]], dtype)
    p = np.array([[1, 0, 0], [0, 0.5, 0.5]])
    with np.errstate(divide="ignore"):
        expected = {F.softmax: p, F.log_softmax: np.log(p)}
    for function, values in expected.items():
        scores = tensor(x if axis else x.T, True)
        result = function(scores, axis)
        assert_close(result, values if axis else values.T, dtype)
        slope = md.grad(result[0].sum() if function is F.softmax else result[0, 0], scores, create_graph=True)
        assert np.isfinite(host(slope)).all()
        assert np.isfinite(host(md.grad((slope * slope).sum(), scores))).all()


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_many_classes_in_float16(ours, theirs):
    x = np.linspace(-2, 2, 100_000).astype(np.float16)
    exact = theirs(torch.tensor(x.astype(np.float64)), 0)
    got = host(ours(tensor(x), 0))
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, exact.numpy(), rtol=1e-3, atol=6e-8)


def test_float16_gradient_over_many_classes():
    x = tensor(np.zeros(5000, np.float16), True)
    F.log_softmax(x)[0].backward()
    expected = np.full(5000, -1 / 5000)
    expected[0] += 1
    assert_close(x.grad, expected, "float16")
    np.testing.assert_allclose(host(x.grad)[1], -1 / 5000, rtol=2e-3)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_an_axis_that_is_not_there(ours, theirs):
    for x in (np.ones((2, 3)), np.ones((0, 3))):
        with pytest.raises(md.ShapeError, match=r"axis.*from -2 to 1; got 2"):
            ours(tensor(x), 2)
        with pytest.raises(IndexError):
            ours(tensor(x), -3)
    with pytest.raises(md.DTypeError, match="whole number"):
        ours(tensor(np.ones(2)), 0.5)
