"""minidl/functional/selection.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import (
    SPECIAL,
    check,
    check_against_numpy,
    check_special,
    check_with_numbers,
    examples,
    operand,
    operands,
    shapes,
)
from tests.pytorch import torch

GRID = np.meshgrid(SPECIAL, SPECIAL)


@examples(120)
@given(operands(2))
def test_maximum(xs):
    check(F.maximum, torch.maximum, xs)


@examples(120)
@given(operands(2))
def test_minimum(xs):
    check(F.minimum, torch.minimum, xs)


@examples(4)
@given(operand(shapes(1, 2)))
def test_maximum_and_minimum_with_numbers(x):
    check_with_numbers(F.maximum, torch.maximum, x)
    check_with_numbers(F.minimum, torch.minimum, x)


def test_maximum_and_minimum_of_special_values():
    check_special(F.maximum, torch.maximum, GRID)
    check_special(F.minimum, torch.minimum, GRID)


@examples(120)
@given(operands(3))
def test_where(xs):
    condition, x, y = xs
    mask = condition.values > 0

    def ours(a, b):
        return F.where(device(mask), a, b)

    check(ours, lambda a, b: torch.where(torch.tensor(mask), a, b), [x, y])


@pytest.mark.parametrize("number", [2, 2.5, np.float64(2.5), np.float32(2.5)])
def test_where_with_a_number_on_either_side(number):
    mask = np.array([True, False])
    x = tensor(np.ones(2, np.float32), True)
    for result, slope in ((F.where(device(mask), x, number), [1, 0]), (F.where(device(mask), number, x), [0, 1])):
        assert result.dtype == np.float32
        (grad,) = md.grad(result, [x], device(np.ones(2, np.float32)))
        np.testing.assert_array_equal(host(grad), slope)


def test_where_takes_tensors_numbers_and_lists_as_condition():
    x, y = tensor(np.array([1.0, 2.0])), tensor(np.array([3.0, 4.0]))
    np.testing.assert_array_equal(host(F.where(tensor(np.array([True, False])), x, y)), [1, 4])
    np.testing.assert_array_equal(host(F.where(tensor(np.array([0, 5])), x, y)), [3, 2])
    np.testing.assert_array_equal(host(F.where([True, False], x, y)), [1, 4])
    np.testing.assert_array_equal(host(F.where(True, x, y)), [1, 2])


def test_where_does_not_look_at_the_condition_again():
    mask = device(np.array([True, False]))
    x = tensor(np.ones(2), True)
    y = F.where(mask, x, 0)
    mask[...] = False
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [1, 0])


@pytest.mark.parametrize("limits", [(-1, 1), (0, None), (None, 0.5), (None, None), (1, -1), (-0.5, np.float64(2))])
@examples(15)
@given(operand())
def test_clip(limits, x):
    low, high = limits
    check(
        lambda t: F.clip(t, low, high),
        lambda t: t.clamp(low, high) if limits != (None, None) else t * 1,
        x,
        numeric=limits != (1, -1),
    )


def beside(t, low, high):
    """The limits, one as an array and one as a Tensor, where t is and in its dtype."""
    home = backend.device_of(t._data if isinstance(t, md.Tensor) else t)
    array, other = (backend.to_device(x.astype(t.dtype), home) for x in (low, high))
    return array, md.Tensor(other)


@examples(20)
@given(operands(3))
def test_clip_between_arrays(xs):
    x, low, high = xs
    check(
        lambda t: F.clip(t, *beside(t, low.values, high.values)),
        lambda t: clamp(t, torch.tensor(low.values), torch.tensor(high.values)),
        x,
        numeric=False,
    )


def clamp(x, low, high):
    """PyTorch's gradient fails where the limits have more elements than x, so broadcast first."""
    return torch.broadcast_tensors(x, low, high)[0].clamp(low, high)


def test_clip_of_special_values():
    check_special(lambda t: F.clip(t, -1, 2), lambda t: t.clamp(-1, 2), [SPECIAL])
    check_special(lambda t: F.clip(t, low=0), lambda t: t.clamp(min=0), [SPECIAL])


def test_clip_keeps_what_it_was_given_as_limits():
    low = device(np.zeros(2))
    x = tensor(np.array([-1.0, 1.0]), True)
    y = F.clip(x, low)
    low[...] = 5
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [0, 1])


def test_clip_refuses_limits_that_require_a_gradient():
    with pytest.raises(md.GraphError, match="minimum and maximum"):
        F.clip(tensor(np.ones(2)), tensor(np.zeros(2), True))


def test_clip_of_integers_follows_numpy():
    check_against_numpy(lambda t: F.clip(t, 1, 3), lambda a: np.clip(a, 1, 3), np.arange(5))
    check_against_numpy(lambda t: F.clip(t, 1), lambda a: np.clip(a, 1, None), np.arange(5, dtype=np.uint8))


def test_gradients_that_were_not_chosen_are_exactly_zero():
    x = tensor(np.array([1.0, -1.0]), True)
    infinite = np.array([np.inf, np.inf])
    for y in (F.where(x > 0, x, 0), F.maximum(x, 0), F.clip(x, 0), F.relu(x)):
        (grad,) = md.grad(y, [x], device(infinite))
        np.testing.assert_array_equal(host(grad), [np.inf, 0])


def test_numbers_alone_are_float32_where_a_tensor_chooses() -> None:
    mask = md.Tensor(device(np.array([True, False])))
    for x, y in ((1.0, 2.0), (np.float64(1), 2.0), (1, 2.0)):
        found = F.where(mask, x, y)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(host(found), [1, 2])
    assert F.where(mask, 1, 2).dtype.kind == "i"
    assert (
        F.where(md.Tensor(device(np.ones(2, np.float32))) > 0, md.Tensor(device(np.ones(2))), 0.0).dtype == np.float64
    )
