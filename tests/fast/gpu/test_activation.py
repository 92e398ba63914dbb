"""minidl/fast/gpu/activation.py: each activation is one launch, and what its plain lines are."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.gpu import activation
from tests.fast.gpu.kernels.agreement import assert_close, dtypes, launches_of, needs_compiler, numbers, on_device
from tests.fast.gpu.kernels.test_elementwise import OPS

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]


def value_and_gradients(function: Any, x: Any, grad: Any) -> list[Any]:
    """z, dL/dx, and the second derivative as far as there is one."""
    x = md.Tensor(on_device(x), requires_grad=True)
    z = function(x)
    z.backward(md.Tensor(on_device(grad)), retain_graph=True)
    (slope,) = md.grad(z, [x], md.Tensor(on_device(grad)), create_graph=True)
    again = md.grad((slope * slope).sum(), x, allow_unused=True) if slope.requires_grad else None
    return [backend.to_numpy(a._data) for a in (z, x.grad, slope, again) if a is not None]


@dtypes
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("shape", [(5, 7), (0, 3), ()])
def test_fast_and_plain_agree_on_the_device(cupy: ModuleType, name: str, dtype: str, shape: Any) -> None:
    x, grad = numbers(shape, dtype), numbers(shape, dtype, 1)
    found = value_and_gradients(OPS[name], x, grad)
    with md.plain():
        expected = value_and_gradients(OPS[name], x, grad)
    for ours, plain in zip(found, expected, strict=True):
        assert_close(ours, plain)


@pytest.mark.parametrize("name", OPS)
def test_a_launch_each_way(cupy: ModuleType, name: str) -> None:
    x = md.Tensor(on_device(numbers((4, 3), "float32")), requires_grad=True)
    grad = md.Tensor(on_device(numbers((4, 3), "float32", 1)))
    z = OPS[name](x)
    assert type(z._op).__module__ == activation.__name__
    assert len(launches_of(lambda: OPS[name](x))) in (0, 1)
    assert len(launches_of(lambda: z.backward(grad))) in (0, 1)


def test_integers_have_no_kernel(cupy: ModuleType) -> None:
    x = on_device(np.array([-2, 0, 3]))
    for op in (activation.Sigmoid(), activation.ELU(1.0), activation.GELU()):
        assert not op.fits(x)
    np.testing.assert_allclose(backend.to_numpy(F.sigmoid(x)), 1 / (1 + np.exp([2.0, 0, -3])))
