"""The same numbers under another shape: reshape, flatten, squeeze and expand_dims against PyTorch and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import host, tensor
from tests.factory import check, check_against_numpy, examples, operand, shapes
from tests.pytorch import torch


@examples(80)
@given(st.data())
def test_reshape(data):
    x = data.draw(operand())
    lengths = data.draw(st.permutations([*x.values.shape, 1]))
    check(lambda t: F.reshape(t, lengths), lambda t: t.reshape(tuple(lengths)), x)
    check(lambda t: F.reshape(t, tuple(lengths)), lambda t: t.reshape(tuple(lengths)), x, numeric=False)


@examples(20)
@given(operand(shapes(min_side=1)))
def test_reshape_with_one_length_left_open(x):
    check(lambda t: F.reshape(t, -1), lambda t: t.reshape(-1), x)
    check(lambda t: F.reshape(t, (1, -1)), lambda t: t.reshape(1, -1), x, numeric=False)
    assert tensor(x.values).reshape(1, -1).shape == (1, x.values.size)


def test_reshape_shares_memory_as_numpy_does():
    x = tensor(np.arange(6.0))
    assert backend.share_memory(F.reshape(x, (2, 3)).data, x.data)


def test_reshape_refuses_what_does_not_fit():
    x = tensor(np.ones((2, 3)))
    with pytest.raises(md.ShapeError, match=r"Reshape.*\(2, 3\)"):
        F.reshape(x, (4, 2))
    with pytest.raises(md.DTypeError, match="whole numbers"):
        F.reshape(x, (2.0, 3))


@examples(60)
@given(st.data())
def test_flatten(data):
    x = data.draw(operand())
    ndim = x.values.ndim
    start = data.draw(st.integers(-ndim, ndim - 1)) if ndim else 0
    check(lambda t: F.flatten(t, start), lambda t: torch.flatten(t, start), x)


def test_flatten_from_an_axis_that_is_not_there():
    with pytest.raises(md.ShapeError, match="from -2 to 1; got 2"):
        F.flatten(tensor(np.ones((2, 3))), 2)


@examples(60)
@given(st.data())
def test_squeeze_and_expand_dims(data):
    x = data.draw(operand())
    check(F.squeeze, torch.squeeze, x)
    ones = [i for i, n in enumerate(x.values.shape) if n == 1]
    axes = tuple(data.draw(st.lists(st.sampled_from(ones), unique=True))) if ones else ()
    check(lambda t: F.squeeze(t, axes), lambda t: torch.squeeze(t, axes), x, numeric=False)
    axis = data.draw(st.integers(-x.values.ndim - 1, x.values.ndim))
    check(lambda t: F.expand_dims(t, axis), lambda t: torch.unsqueeze(t, axis), x)


@pytest.mark.parametrize("axis", [0, 2, -1, (0, 1), (-1, 0), (1, 3), ()])
def test_new_axes_are_numpys_and_squeeze_takes_them_away(axis):
    x = np.arange(6).reshape(2, 3)
    check_against_numpy(lambda t: F.expand_dims(t, axis), lambda a: np.expand_dims(a, axis), x)
    check_against_numpy(lambda t: F.squeeze(F.expand_dims(t, axis), axis), lambda a: a, x)


def test_axes_that_cannot_be_squeezed_or_added():
    x = tensor(np.ones((2, 1)))
    with pytest.raises(md.ShapeError, match=r"axes of length 1; got axis=0 for shape \(2, 1\)"):
        F.squeeze(x, 0)
    with pytest.raises(md.ShapeError, match="from -2 to 1; got 2"):
        F.squeeze(x, 2)
    with pytest.raises(md.ShapeError, match="from -3 to 2; got 3"):
        F.expand_dims(x, 3)
    with pytest.raises(md.ShapeError, match="each axis once"):
        F.expand_dims(x, (1, -3))


@pytest.mark.parametrize(("start", "end"), [(0, 1), (1, 2), (-3, -2), (2, 2), (0, -1)])
def test_flatten_up_to_an_axis(start, end):
    x = np.arange(24.0).reshape(2, 3, 4)
    expected = torch.flatten(torch.tensor(x), start, end).numpy()
    for found in (F.flatten(tensor(x), start, end), tensor(x).flatten(start, end)):
        np.testing.assert_array_equal(host(found), expected)


def test_flatten_backwards_is_refused():
    with pytest.raises(md.ShapeError, match="expected start_axis before end_axis; got 2 and 0"):
        F.flatten(tensor(np.ones((2, 3, 4))), 2, 0)
