"""minidl/fast/gpu/response.py: kernels across channels; within channels the scale is kept as on the CPU."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast import response as kept
from minidl.fast.gpu import response
from tests.fast.gpu.kernels.agreement import assert_close, dtypes, needs_compiler, numbers, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]


@dtypes
@pytest.mark.parametrize("within_channel", [False, True])
def test_fast_and_plain_agree(cupy: ModuleType, within_channel: bool, dtype: str) -> None:
    def run() -> list[Any]:
        x = md.Tensor(on_device(numbers((2, 5, 4, 3), dtype)), requires_grad=True)
        y = F.local_response_norm(x, 3, alpha=0.5, within_channel=within_channel)
        y.backward(md.Tensor(on_device(numbers(y.shape, dtype, 1))))
        return [backend.to_numpy(y._data), backend.to_numpy(x.grad._data)]

    found = run()
    with md.plain():
        expected = run()
    for ours, plain in zip(found, expected, strict=True):
        assert_close(ours, plain)


@pytest.mark.parametrize("within_channel", [False, True])
def test_each_has_a_version_of_its_own(cupy: ModuleType, within_channel: bool) -> None:
    x = md.Tensor(on_device(numbers((2, 5, 4, 3), "float32")), requires_grad=True)
    op = F.local_response_norm(x, 3, within_channel=within_channel)._op
    assert type(op) is (kept if within_channel else response).LocalResponse
