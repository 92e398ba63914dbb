"""minidl/functional/arranging.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import axes_of, check, check_against_numpy, examples, operand, shapes
from tests.pytorch import torch


def rearranged(ours, theirs, x):
    """Check `ours` against a function of NumPy's that only moves (or repeats) numbers, or puts zeros between them."""
    places = np.array(theirs(np.arange(1, x.values.size + 1).reshape(x.values.shape)))

    def reference(t):
        return torch.cat([t.new_zeros(1), t.reshape(-1)])[torch.tensor(places.copy())]

    check(ours, reference, x, mixed=False)
    check_against_numpy(ours, theirs, np.arange(x.values.size).reshape(x.values.shape))


@examples(60)
@given(operand(), st.data())
def test_flip(x, data):
    axis = data.draw(axes_of(x.values.ndim).filter(lambda a: x.values.ndim or a is None))
    rearranged(lambda t: F.flip(t, axis), lambda a: np.flip(a, axis), x)


@examples(80)
@given(operand(shapes(min_dims=1)), st.integers(-5, 5), st.data())
def test_roll(x, shift, data):
    axis = data.draw(st.one_of(st.none(), st.integers(-x.values.ndim, x.values.ndim - 1)))
    rearranged(lambda t: F.roll(t, shift, axis), lambda a: np.roll(a, shift, axis), x)


def test_roll_along_several_axes():
    x = np.arange(12).reshape(3, 4)
    check_against_numpy(lambda t: F.roll(t, (1, -2), (0, 1)), lambda a: np.roll(a, (1, -2), (0, 1)), x)
    check_against_numpy(lambda t: F.roll(t, 1, (0, 1)), lambda a: np.roll(a, 1, (0, 1)), x)
    with pytest.raises(md.ShapeError, match="one shift for each axis"):
        F.roll(x, (1, 2, 3), (0, 1))


@examples(60)
@given(operand(), st.data())
def test_moveaxis(x, data):
    n = x.values.ndim
    number = data.draw(st.integers(0, n))
    some = st.permutations(range(n)).map(lambda order: tuple(order[:number]))
    source, destination = data.draw(some), data.draw(some)
    rearranged(lambda t: F.moveaxis(t, source, destination), lambda a: np.moveaxis(a, source, destination), x)


def test_moving_axes_that_do_not_fit():
    x = np.ones((2, 3))
    assert F.moveaxis(x, 0, -1).shape == (3, 2)
    with pytest.raises(md.ShapeError, match="as many places as axes"):
        F.moveaxis(x, (0, 1), 0)
    with pytest.raises(IndexError):
        F.moveaxis(x, 2, 0)


@examples(60)
@given(operand(shapes(min_dims=1)), st.data())
def test_repeat(x, data):
    axis = data.draw(st.one_of(st.none(), st.integers(-x.values.ndim, x.values.ndim - 1)))
    length = x.values.size if axis is None else x.values.shape[axis]
    several = st.lists(st.integers(0, 2), min_size=length, max_size=length).filter(bool)
    repeats = data.draw(st.one_of(st.integers(0, 3), several) if length else st.integers(0, 3))
    rearranged(lambda t: F.repeat(t, repeats, axis), lambda a: np.repeat(a, repeats, axis), x)


def test_repeating_as_often_as_cannot_be():
    for repeats in ([1, 2], -1):
        with pytest.raises(md.ShapeError, match="expected one number of at least 0, or 3 of them for axis 0"):
            F.repeat(tensor(np.ones(3)), repeats, 0)


@examples(60)
@given(operand(), st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_tile(x, reps):
    rearranged(lambda t: F.tile(t, tuple(reps)), lambda a: np.tile(a, tuple(reps)), x)
    with pytest.raises(ValueError, match="tile: reps"):
        F.tile(tensor(x.values), -1)


@examples(40)
@given(operand(shapes(min_dims=1, min_side=1)), st.data())
def test_take(x, data):
    axis = data.draw(st.one_of(st.none(), st.integers(-x.values.ndim, x.values.ndim - 1)))
    length = x.values.size if axis is None else x.values.shape[axis]
    indices = np.array(data.draw(st.lists(st.integers(-length, length - 1), min_size=1, max_size=4)))
    rearranged(lambda t: F.take(t, device(indices), axis), lambda a: np.take(a, indices, axis), x)


@examples(40)
@given(st.lists(operand(st.sampled_from([(2, 3)])), min_size=1, max_size=3))
def test_vstack_and_hstack(xs):
    check(lambda *t: F.vstack(t), lambda *t: torch.vstack(t), xs, numeric=False)
    check(lambda *t: F.hstack(t), lambda *t: torch.hstack(t), xs, numeric=False)


def test_vstack_and_hstack_of_vectors_and_numbers_follow_numpy():
    for arrays in ([np.arange(3), np.arange(3)], [np.array(1), np.array(2)], [np.ones((2, 3)), np.ones((2, 3))]):
        check_against_numpy(lambda *t: F.vstack(t), lambda *a: np.vstack(a), *arrays)
        check_against_numpy(lambda *t: F.hstack(t), lambda *a: np.hstack(a), *arrays)
    for function in (F.vstack, F.hstack):
        with pytest.raises(md.ShapeError):
            function([])


def test_ravel_is_a_view_of_all_numbers():
    x = tensor(np.arange(6.0).reshape(2, 3))
    assert F.ravel(x).tolist() == x.ravel().tolist() == [0, 1, 2, 3, 4, 5]
    assert backend.share_memory(x.ravel().data, x.data)


# ---- matrices


@examples(60)
@given(operand(shapes(min_dims=2)), st.integers(-3, 3), st.data())
def test_diagonal_and_trace(x, offset, data):
    first, second = data.draw(st.permutations(range(x.values.ndim)))[:2]
    rearranged(
        lambda t: F.diagonal(t, offset, first, second), lambda a: np.array(np.diagonal(a, offset, first, second)), x
    )
    check(
        lambda t: F.trace(t, offset, first, second),
        lambda t: torch.diagonal(t, offset, first, second).sum(-1),
        x,
        numeric=False,
    )


@examples(60)
@given(operand(shapes(min_dims=1, max_dims=2)), st.integers(-3, 3))
def test_diag(x, k):
    rearranged(lambda t: F.diag(t, k), lambda a: np.array(np.diag(a, k)), x)


@examples(60)
@given(operand(shapes(min_dims=2)), st.integers(-3, 3))
def test_tril_and_triu(x, k):
    check(lambda t: F.tril(t, k), lambda t: torch.tril(t, k), x)
    check(lambda t: F.triu(t, k), lambda t: torch.triu(t, k), x)


def test_no_matrices():
    for function in (F.diagonal, F.trace, F.tril, F.triu):
        with pytest.raises(md.ShapeError, match="expected at least two axes"):
            function(tensor(np.ones(3)))
    with pytest.raises(md.ShapeError, match="expected a vector or a matrix"):
        F.diag(tensor(np.ones((2, 2, 2))))


def test_methods_are_the_functions():
    x = tensor(np.arange(6.0).reshape(2, 3), True)
    for method, function in (
        (x.diagonal(1), F.diagonal(x, 1)),
        (x.trace(), F.trace(x)),
        (x.repeat(2, axis=0), F.repeat(x, 2, 0)),
        (x.take([0, 2], axis=1), F.take(x, [0, 2], 1)),
    ):
        assert method.requires_grad
        np.testing.assert_array_equal(host(method), host(function))


# ---- labels


def test_one_hot_equals_pytorchs_but_for_its_dtype():
    labels = np.array([[2, 0, 1], [1, 1, 0]])
    for given_labels in (tensor(labels), device(labels)):
        for classes in (-1, 3, 5):
            expected = torch.nn.functional.one_hot(torch.tensor(labels), classes).numpy()
            found = F.one_hot(given_labels, classes)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(host(found), expected)
    assert F.one_hot(tensor(labels), 3, dtype="int64").dtype == np.int64
    assert host(F.one_hot(2, 4)).tolist() == [0, 0, 1, 0]


def test_one_hot_of_what_is_no_label():
    with pytest.raises(md.DTypeError, match="expected whole numbers as labels"):
        F.one_hot(tensor([1.0]), 3)
    if backend.current() == "numpy":
        with pytest.raises(ValueError, match="expected labels from 0 to 2; got 3"):
            F.one_hot([0, 3], 3)
