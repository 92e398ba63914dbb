"""minidl/fast/gpu/likelihood.py: cross entropy of rows is one launch each way."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.gpu.likelihood import CrossEntropyRows
from tests.fast.gpu.kernels.agreement import assert_close, dtypes, needs_compiler, numbers, on_device

pytestmark = needs_compiler


def test_on_a_gpu_cross_entropy_is_one_launch_each_way(standin: ModuleType) -> None:
    logits, labels = (backend.to_device(a, "cupy") for a in (np.ones((6, 4), np.float32), np.arange(6) % 4))
    x = md.Tensor(logits, requires_grad=True)
    F.cross_entropy(x, labels)  # makes the counter
    standin.reset_launches()
    standin.reset_synchronizations()
    loss = F.cross_entropy(x, labels)
    assert standin.launches() == ("astype", "cross_entropy")  # the labels are copied: somebody may write to them
    loss.backward()
    first, *gradient = standin.launches()[2:]  # a launch makes the 1 that the walk starts with
    assert gradient == ["cross_entropy_gradient"], first
    assert standin.synchronizations() == ()


@dtypes
@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 0], [0, -100, 2, -100, 1], [-100] * 5])
def test_fast_and_plain_agree_on_the_device(dtype: str, reduction: str, smoothing: float, labels: list[int]) -> None:
    def value_and_gradients() -> list[Any]:
        x = md.Tensor(on_device(numbers((5, 4), dtype)), requires_grad=True)
        y = on_device(np.array(labels))
        loss = F.cross_entropy(x, y, reduction=reduction, label_smoothing=smoothing)
        loss.backward(retain_graph=True)
        (slope,) = md.grad(loss, [x], create_graph=True)
        return [backend.to_numpy(a._data) for a in (loss, x.grad, slope, md.grad((slope * slope).sum(), x))]

    found = value_and_gradients()
    with md.plain():
        expected = value_and_gradients()
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(plain))
        assert_close(np.nan_to_num(ours), np.nan_to_num(plain))


@pytest.mark.usefixtures("cupy")
def test_what_has_no_kernel_takes_the_plain_lines() -> None:
    labels, scores = on_device(np.array([0, 1])), on_device(numbers((2, 3), "float32"))
    assert CrossEntropyRows(labels, -100, None, "mean").fits(scores)
    assert not CrossEntropyRows(labels, -100, on_device(np.ones(3, np.float32)), "mean").fits(scores)
    assert not CrossEntropyRows(labels, -100, None, "none").fits(scores)
    assert not CrossEntropyRows(labels, -100, None, "mean").fits(on_device(numbers((2, 3, 4), "float32")))
