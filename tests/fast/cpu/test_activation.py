"""minidl/fast/cpu/activation.py: the steps of the plain lines, in the memory of the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F


def both_ways(function: Callable[[Any], Any], x: Any, grad: Any) -> list[Any]:
    leaf = md.Tensor(x, requires_grad=True)
    out = function(leaf)
    out.backward(md.Tensor(grad))
    return [out._data, leaf.grad._data]


@pytest.mark.usefixtures("faster_versions")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (7,), (3, 5)])
@pytest.mark.parametrize("function", [F.sigmoid, F.tanh, F.relu], ids=["sigmoid", "tanh", "relu"])
def test_the_bits_are_those_of_the_plain_lines(function: Any, shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = np.asarray(rng.normal(0, 3, shape)).astype(dtype)
    grad = np.asarray(rng.normal(0, 1, shape)).astype(dtype)
    if x.size > 5:
        x.reshape(-1)[:4] = np.inf, -np.inf, np.nan, -200
        grad.reshape(-1)[3:6] = np.inf, np.nan, 0
    for given in (x, x.T, x[..., ::-1] if x.ndim else x):
        before = given.copy()
        found = both_ways(function, given, grad.reshape(given.shape))
        with md.plain():
            expected = both_ways(function, given, grad.reshape(given.shape))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs, strict=True)
        np.testing.assert_array_equal(given, before)


@pytest.mark.usefixtures("faster_versions")
@pytest.mark.parametrize("function", [F.sigmoid, F.tanh, F.relu], ids=["sigmoid", "tanh", "relu"])
def test_a_gradient_that_is_a_view_is_not_written_to(function: Any) -> None:
    x = md.Tensor(np.linspace(-1, 1, 6000, dtype=np.float32), requires_grad=True)
    function(x).sum().backward()  # the sum's gradient is one number, seen 6,000 times
    with md.plain():
        y = md.Tensor(x._data, requires_grad=True)
        function(y).sum().backward()
    np.testing.assert_array_equal(x.grad._data, y.grad._data)
