"""minidl/fast/gpu/probabilities.py: one launch each way along the last axis."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.gpu import probabilities
from tests.fast.gpu.kernels.agreement import assert_close, dtypes, launches_of, needs_compiler, numbers, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

both = pytest.mark.parametrize("function", [F.softmax, F.log_softmax])


def value_and_gradients(function: Any, x: Any, grad: Any, axis: int) -> list[Any]:
    x = md.Tensor(on_device(x), requires_grad=True)
    p = function(x, axis)
    p.backward(md.Tensor(on_device(grad)), retain_graph=True)
    (slope,) = md.grad(p, [x], md.Tensor(on_device(grad)), create_graph=True)
    return [backend.to_numpy(a._data) for a in (p, x.grad, slope, md.grad((slope * slope).sum(), x))]


@dtypes
@both
@pytest.mark.parametrize(("shape", "axis"), [((5, 7), -1), ((5, 7), 1), ((5, 7), 0), ((2, 3, 4), 2), ((0, 3), 1)])
def test_fast_and_plain_agree_on_the_device(cupy: ModuleType, function: Any, dtype: str, shape: Any, axis: int) -> None:
    x, grad = numbers(shape, dtype), numbers(shape, dtype, 1)
    found = value_and_gradients(function, x, grad, axis)
    with md.plain():
        expected = value_and_gradients(function, x, grad, axis)
    for ours, plain in zip(found, expected, strict=True):
        assert_close(ours, plain)


@both
@pytest.mark.parametrize("axis", [-1, 1])
def test_a_launch_each_way(cupy: ModuleType, function: Any, axis: int) -> None:
    x = md.Tensor(on_device(numbers((4, 3), "float32")), requires_grad=True)
    grad = md.Tensor(on_device(numbers((4, 3), "float32", 1)))
    p = function(x, axis)
    assert launches_of(lambda: function(x, axis)) in ((), ("softmax_rows",))
    assert launches_of(lambda: p.backward(grad)) in ((), ("softmax_rows_gradient",))


def test_another_axis_and_a_single_number_take_the_plain_lines(cupy: ModuleType) -> None:
    matrix, number = on_device(numbers((4, 3), "float32")), on_device(numbers((), "float32"))
    assert not probabilities.Softmax(0).fits(matrix)
    assert not probabilities.Softmax(-1).fits(number)
    assert not probabilities.Softmax(-1).fits(on_device(np.ones((2, 2), int)))
    with pytest.raises(md.ShapeError, match="from -2 to 1; got 2"):
        F.softmax(matrix, 2)
