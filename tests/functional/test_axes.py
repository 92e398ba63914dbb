"""minidl/functional/axes.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
from minidl.functional.axes import all_axes, as_shape, one_axis
from tests.factory import examples


@given(st.integers(1, 4), st.data())
@examples(60)
def test_axes_count_from_both_ends(ndim, data):
    axis = data.draw(st.integers(-ndim, ndim - 1))
    assert one_axis(axis, ndim) == list(range(ndim))[axis]
    assert one_axis(np.int64(axis), ndim) == one_axis(axis, ndim)
    assert all_axes(axis, ndim) == (one_axis(axis, ndim),)
    assert all_axes(None, ndim) == tuple(range(ndim))


def test_axes_that_are_not_there():
    assert all_axes(-1, 0) == all_axes((0,), 0) == all_axes(None, 0) == ()
    with pytest.raises(md.ShapeError, match="shape"):
        all_axes(1, 0)
    with pytest.raises(IndexError):
        one_axis(0, 0)
    with pytest.raises(md.DTypeError, match="whole number; got 'x'"):
        one_axis("x", 2)


def test_shapes_are_made_tuples_of_ints():
    assert as_shape(3) == (3,)
    assert as_shape([2, np.int64(3)]) == (2, 3)
    assert all(type(n) is int for n in as_shape((np.int32(2),)))
    with pytest.raises(md.DTypeError, match=r"shape of whole numbers; got \(2.0, 3\)"):
        as_shape((2.0, 3))
