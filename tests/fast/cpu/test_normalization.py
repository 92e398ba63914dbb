"""minidl/fast/cpu/normalization.py: the moments are kept, and everything is what the plain lines give."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import normalization as on_cpu
from minidl.functional import normalization as plain
from tests.fast.gpu.kernels.agreement import assert_close, numbers

SHAPES = [(5, 3), (4, 3, 5), (3, 2, 5, 7), (64, 3, 8, 8), (40, 1, 33, 31)]
DTYPES = ["float16", "float32", "float64"]


def last_in_memory(x):
    """x (N, C, ...) with the channels of each pixel side by side in memory, as a fast convolution leaves it."""
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_batch_norm_is_the_plain_one(threads, shape, dtype, affine, channels_last):
    x, grad = numbers(shape, dtype), numbers(shape, dtype, 1)
    if channels_last:
        x, grad = last_in_memory(x), last_in_memory(grad)
    weight, bias = (numbers(shape[1:2], dtype, 2 + i) if there else None for i, there in enumerate(affine))
    results = []
    for op_class in (on_cpu.BatchNorm, plain.BatchNorm):
        running = [np.zeros(shape[1], dtype), np.ones(shape[1], dtype)]
        op = op_class(1e-5, (*running, 0.1))
        op.needed = 7
        y = op.forward(x, weight, bias)
        results.append([y, *running, *op.backward(grad, x, weight, bias)])
        assert op.axis == (0, *range(2, x.ndim))
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected)


def test_a_step_in_the_fast_mode_and_one_in_plain_lines_follow_the_batch_alike():
    x = numbers((16, 3, 4, 4), "float32")
    running = []
    for mode in (md.enable_grad(), md.plain()):
        with md.using("numpy"), mode:
            layer = md.nn.BatchNorm2d(3)
            for _ in range(3):
                F.sum(layer(md.Tensor(x, requires_grad=True)) ** 2).backward()
        running.append((layer.running_mean.numpy(), layer.running_var.numpy()))
    for found, expected in zip(*running, strict=True):
        assert_close(found, expected)


def test_what_is_the_same_for_all_samples_is_spread_over_one():
    x = last_in_memory(numbers((8, 3, 4, 5), "float32"))
    a = numbers((3, 1, 1), "float32", 1)
    found = on_cpu.spread(a, x)
    assert found.shape == (1, 3, 4, 5)
    np.testing.assert_array_equal(found[0], np.broadcast_to(a, (3, 4, 5)))
    assert found.strides[1] == x.strides[1]  # the channels lie side by side here too
    own = numbers((8, 1, 1, 1), "float32")
    assert on_cpu.spread(own, x) is own
