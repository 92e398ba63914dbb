"""On a device where no kernel can be compiled every op with a kernel goes on with its own lines."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.gpu.kernels import library
from minidl.fast.gpu.kernels.elementwise import OPERATIONS
from tests.fast.gpu.kernels.agreement import assert_close, both, dtypes, launched, numbers

LABELS = [0, 2, 1, 2]  # of as many images, each of three channels

OPS = {
    "conv2d": lambda x: F.conv2d(x, x[:2, :, :3, :2], x[:2, 0, 0, 0], stride=(1, 2), padding=1),
    "conv1d": lambda x: F.conv1d(x[:, :, 0], x[:3, :1, 0, :2], groups=3, dilation=2),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, x[:3, :2, :2, :3], stride=2, padding=1),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg_pool1d": lambda x: F.avg_pool1d(x[:, 0], 2),
    "softmax": lambda x: F.log_softmax(F.softmax(x) * 3),
    "cross_entropy": lambda x: F.cross_entropy(x[:, :, 0, 0], LABELS),
    "gelu": lambda x: F.gelu(F.silu(F.elu(x))),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[2:]),
}


@dtypes
@pytest.mark.parametrize("name", OPS)
def test_forward_and_backward(name: str, dtype: str, standin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(standin.cupy, "RawModule", raising=False)  # what CuPy has and the array library need not

    def there_and_back(x: Any) -> Any:
        x = md.Tensor(x, requires_grad=True)
        y = OPS[name](x)
        F.sum(y * y).backward()
        return y._data, x.grad._data

    results, expected = both(there_and_back, numbers((4, 3, 7, 6), dtype))
    assert not set(launched()) & {*library.__all__, *(f"minidl_{name}" for name in OPERATIONS)}
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)
