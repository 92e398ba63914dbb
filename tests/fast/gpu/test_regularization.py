"""minidl/fast/gpu/regularization.py: dropout draws its mask in one launch, also in a captured step."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.graph import capture
from tests.fast.gpu.kernels.agreement import dtypes, launches_of, needs_compiler, numbers, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

FORMS = pytest.mark.parametrize(
    ("function", "shape"), [(F.dropout, (6, 5)), (F.dropout1d, (6, 5, 3)), (F.dropout2d, (6, 5, 2, 3)), (F.dropout, ())]
)


@dtypes
@FORMS
@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_fast_and_plain_drop_the_same(cupy: ModuleType, function: Any, shape: Any, dtype: str, p: float) -> None:
    def value_and_gradients() -> list[Any]:
        md.seed(5)
        x = md.Tensor(on_device(numbers(shape, dtype)), requires_grad=True)
        z = function(x, p)
        z.backward(md.Tensor(on_device(numbers(shape, dtype, 1))), retain_graph=True)
        (slope,) = md.grad((z * z).sum(), [x], create_graph=True)
        return [backend.to_numpy(a._data) for a in (z, x.grad, slope, md.grad(slope.sum(), x))]

    found = value_and_gradients()
    with md.plain():
        expected = value_and_gradients()
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, plain, strict=True)


def test_a_launch_each_way(cupy: ModuleType) -> None:
    x = md.Tensor(on_device(numbers((8, 6), "float32")), requires_grad=True)
    grad = md.Tensor(on_device(numbers((8, 6), "float32", 1)))
    z = F.dropout(x)
    assert launches_of(lambda: F.dropout(x)) in ((), ("dropout",))
    assert launches_of(lambda: z.backward(grad)) in ((), ("minidl_dropped",))


@FORMS
def test_each_replay_of_a_captured_step_drops_others(cupy: ModuleType, function: Any, shape: Any) -> None:
    x = on_device(np.ones(shape or (40,), np.float32))
    md.seed(3)
    expected = [backend.to_numpy(function(x, 0.5)) for _ in range(3)]
    md.seed(3)
    graph, z = capture.captured(lambda: function(x, 0.5))
    for plain in expected:
        graph.launch()
        np.testing.assert_array_equal(backend.to_numpy(z), plain)
