"""minidl/fast/response.py: the scale of the forward is kept for the backward."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.fast import response as fast
from minidl.functional import response as plain
from tests.fast.gpu.kernels.agreement import assert_close, numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("size", "within_channel"), [(1, False), (3, False), (4, False), (3, True)])
def test_it_is_the_plain_one(size, within_channel, dtype):
    x, grad = numbers((2, 5, 4, 3), dtype), numbers((2, 5, 4, 3), dtype, 1)
    results = []
    for op_class in (fast.LocalResponse, plain.LocalResponse):
        op = op_class(size, 1.5, 0.75, 2.0, within_channel)
        y = op.forward(x)
        results.append([y, op.backward(grad, x, y)])
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected)


def test_the_backward_does_not_compute_the_scale_again(monkeypatch):
    op = fast.LocalResponse(3, 1.0, 0.5, 1.0, False)
    x = np.ones((1, 3, 2))
    y = op.forward(x)
    monkeypatch.setattr(fast.LocalResponse, "scale", None)
    assert op.backward(x, x, y).shape == x.shape
