"""minidl/functional/ordering.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import check, check_against_numpy, examples, operand, shapes
from tests.pytorch import torch


@st.composite
def along(draw, **limits):
    """An operand with axes, and one of them."""
    x = draw(operand(draw(shapes(min_dims=1, **limits)), distinct=False))
    return x, draw(st.integers(-x.values.ndim, x.values.ndim - 1))


@examples(60)
@given(along(min_side=1), st.booleans())
def test_argmax_and_argmin_follow_numpy(drawn, keepdims):
    x, axis = drawn
    for ours, theirs in ((F.argmax, np.argmax), (F.argmin, np.argmin)):
        for which in (axis, None):
            check_against_numpy(
                lambda t, f=ours, a=which: f(t, a, keepdims),
                lambda v, f=theirs, a=which: f(v, a, keepdims=keepdims),
                x.values,
            )


def test_places_have_no_gradient_and_come_of_raw_arrays_raw():
    x = tensor([3.0, 1.0], True)
    for function in (F.argmax, F.argmin, F.argsort):
        assert not function(x).requires_grad
        assert backend.is_array(function(device([3.0, 1.0])))
    assert (x.argmax().item(), x.argmin().item(), x.argsort().tolist()) == (0, 1, [1, 0])
    assert F.argmax(tensor(np.array(3.0)), 0).item() == 0
    with pytest.raises(md.ShapeError):
        F.argmax(tensor(np.ones((0,))))
    with pytest.raises(IndexError, match="from -1 to 0; got 1"):
        F.argmax(x, 1)


@examples(80)
@given(along())
def test_sort(drawn):
    x, axis = drawn
    check(lambda t: F.sort(t, axis), lambda t: torch.sort(t, dim=axis, stable=True).values, x, numeric=False)
    check(lambda t: F.sort(t, None), lambda t: torch.sort(t.flatten(), stable=True).values, x, numeric=False)


@examples(20)
@given(operand(st.sampled_from([(5,), (2, 3), (3, 1, 2)]), distinct=True))
def test_the_slope_of_sort_is_that_of_finite_differences(x):
    check(F.sort, lambda t: torch.sort(t).values, x)


@examples(40)
@given(along())
def test_argsort_follows_numpy_and_leaves_equal_ones_as_they_stand(drawn):
    x, axis = drawn
    for which in (axis, None):
        check_against_numpy(
            lambda t, a=which: F.argsort(t, a), lambda v, a=which: np.argsort(v, a, kind="stable"), x.values
        )


def test_nan_comes_last():
    assert F.argsort(tensor([np.nan, 1.0, -np.inf])).tolist() == [2, 1, 0]
    assert F.sort(tensor(np.array(2.0))).tolist() == [2.0]


@examples(60)
@given(along(min_side=1), st.data())
def test_take_along_axis(drawn, data):
    x, axis = drawn
    shape = list(x.values.shape)
    length = shape[axis]
    shape[axis] = data.draw(st.integers(0, 4))
    places = np.random.default_rng(data.draw(st.integers(0, 1000))).integers(0, length, shape)
    check(
        lambda t: F.take_along_axis(t, device(places), axis),
        lambda t: torch.take_along_dim(t, torch.tensor(places), axis),
        x,
    )


def test_what_the_places_of_argmax_find():
    x = tensor([[1.0, 5.0], [7.0, 2.0]], True)
    found = F.take_along_axis(x, x.argmax(1, keepdims=True), axis=1)
    np.testing.assert_array_equal(host(found), [[5], [7]])
    found.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [[0, 1], [1, 0]])
    assert F.take_along_axis(x, device([3, 0]), axis=None).tolist() == [2.0, 1.0]


def test_indices_that_do_not_fit():
    x = tensor(np.ones((2, 3)))
    with pytest.raises(md.DTypeError, match="expected integers as indices"):
        F.take_along_axis(x, device(np.ones((2, 1))), 1)
    with pytest.raises(md.ShapeError, match="expected indices with 2 axes"):
        F.take_along_axis(x, device([0]), 1)
    if backend.current() == "numpy":
        with pytest.raises(IndexError):
            F.take_along_axis(x, np.array([[3], [0]]), 1)
