"""minidl/fast/gpu/sums.py: a sum is one launch, and its gradient none."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.fast.gpu.kernels.agreement import assert_close, dtypes, launches_of, numbers, on_device

OPS = {
    "sum": lambda x: F.sum(x, 1),
    "sum of all": F.sum,
    "mean": lambda x: F.mean(x, (0, 2), keepdims=True),
    "var": lambda x: F.var(x, 0, ddof=1),
    "logsumexp": lambda x: F.logsumexp(x, -1),
    "norm": lambda x: F.norm(x, 2, 1),
}


@dtypes
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 1, 3)])
def test_fast_and_plain_agree(cupy: ModuleType, name: str, dtype: str, shape: Any) -> None:
    def run() -> list[Any]:
        x = md.Tensor(on_device(numbers(shape, dtype)), requires_grad=True)
        y = OPS[name](x)
        y.backward(md.Tensor(on_device(numbers(y.shape, dtype, 1))))
        return [backend.to_numpy(y._data), backend.to_numpy(x.grad._data)]

    found = run()
    with md.plain():
        expected = run()
    for ours, plain in zip(found, expected, strict=True):
        assert_close(ours, plain)


def test_a_sum_is_one_launch_and_its_gradient_is_shown_in_a_view(standin: ModuleType) -> None:
    x = md.Tensor(on_device(np.ones((4, 3), np.float32)), requires_grad=True)
    assert launches_of(lambda: F.sum(x, 0)) == ("sum",)
    op = F.sum(x, 0)._op
    assert op is not None
    grad = on_device(np.array([1, 2, 3], np.float32))
    standin.reset_launches()
    found = op.backward(grad)
    assert standin.launches() == ()
    np.testing.assert_array_equal(backend.to_numpy(found), [[1, 2, 3]] * 4)
