"""minidl/fast/gpu/normalization.py: one kernel each way, which gives what the plain lines give."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.fast.gpu.kernels.agreement import assert_close, dtypes, needs_compiler, numbers, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

OPS = {
    "batch_norm": lambda x, w, b, running: F.batch_norm(x, *running, w, b, training=True),
    "group_norm": lambda x, w, b, running: F.group_norm(x, 2, w, b),
    "layer_norm": lambda x, w, b, running: F.layer_norm(x.transpose(0, 2, 1), 4, w, b),
}


@dtypes
@pytest.mark.parametrize("name", OPS)
def test_fast_and_plain_agree_in_value_gradients_and_running_statistics(
    cupy: ModuleType, name: str, dtype: str
) -> None:
    def run() -> list[Any]:
        tensors = [md.Tensor(on_device(numbers(s, dtype, i)), True) for i, s in enumerate([(3, 4, 5), (4,), (4,)])]
        running = [md.Tensor(on_device(np.full(4, value, dtype))) for value in (0, 1)]
        y = OPS[name](*tensors, running)
        grad = md.Tensor(on_device(numbers(y.shape, dtype, 7)))
        grads = md.grad(y, tensors, grad, retain_graph=True)
        slopes = md.grad(y, tensors, grad, create_graph=True)
        again = md.grad(sum(F.sum(slope * slope) for slope in slopes[1:]), tensors[0])
        return [backend.to_numpy(t._data) for t in (y, *running, *grads, *slopes, again)]

    found = run()
    with md.plain():
        expected = run()
    for ours, plain in zip(found, expected, strict=True):
        assert_close(ours, plain)
