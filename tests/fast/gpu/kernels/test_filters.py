"""To a row for each filter and back: the kernels compute what `swapaxes`, `sum` and `+` do on NumPy."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.backend import module_of
from minidl.fast.gpu.kernels import filters
from tests.cupy_standin import kernels as standin_kernels
from tests.fast.gpu.kernels.agreement import (
    assert_close,
    both,
    dtypes,
    few,
    launches_of,
    needs_compiler,
    numbers,
    on_device,
)

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

shapes = st.one_of(
    st.tuples(*[st.integers(0, 5)] * 2, st.integers(1, 70)),
    st.tuples(*[st.integers(1, 4)] * 2, *[st.integers(1, 9)] * 2),
)


def side_by_side(grad: Any) -> Any:
    """Kernel or plain version, whichever the array asks for."""
    if not isinstance(grad, np.ndarray):
        return filters.side_by_side(grad, summed=True)
    rows = grad.swapaxes(0, 1).reshape((grad.shape[1], grad.shape[0] * math.prod(grad.shape[2:])))
    return np.ascontiguousarray(rows), rows.astype(np.float64).sum(axis=1).astype(grad.dtype)


def by_image(rows: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    """Kernel or plain version, whichever the arrays ask for."""
    y = module_of(rows).empty(shape, dtype=rows.dtype)
    if not isinstance(rows, np.ndarray):
        filters.by_image(rows, bias, y)
        return y
    y[...] = rows.reshape((shape[1], shape[0], *shape[2:])).swapaxes(0, 1)
    return y if bias is None else y + bias.reshape((-1, *[1] * (len(shape) - 2)))


@few(60)
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32", "float64"]), piece=st.sampled_from([1, 7, 64, 2048]))
def test_kernel_and_plain_version_agree(cupy: ModuleType, shape: Any, dtype: str, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "PIECE", piece)
        (rows, sums), (expected, expected_sums) = both(side_by_side, numbers(shape, dtype))
        biases = (None, numbers(shape[1:2], dtype, 1))
        there = [both(by_image, rows, bias, shape) for bias in biases]
    np.testing.assert_array_equal(rows, expected, strict=True)
    assert_close(sums, expected_sums)
    for (found,), (plain,) in there:
        np.testing.assert_array_equal(found, plain, strict=True)


@dtypes
def test_32_threads_copy_side_by_side(cupy: ModuleType, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_kernels, "threads_in_a_warp", 32)
    for piece in (50, 2048):
        monkeypatch.setattr(filters, "PIECE", piece)
        for shape in [(9, 3, 4, 4), (70, 2, 1), (3, 5, 7), (2, 2, 31), (2, 3, 32), (3, 2, 9, 9), (2, 1, 50, 50)]:
            (rows, sums), (expected, expected_sums) = both(side_by_side, numbers(shape, dtype))
            np.testing.assert_array_equal(rows, expected, strict=True)
            assert_close(sums, expected_sums)
            (found,), (plain,) = both(by_image, rows, numbers(shape[1:2], dtype, 1), shape)
            np.testing.assert_array_equal(found, plain, strict=True)


def test_launches(cupy: ModuleType) -> None:
    grad = on_device(numbers((2, 3, 4, 4), "float32"))
    assert launches_of(lambda: filters.side_by_side(grad, summed=False)) in ((), ("side_by_side",))
    assert launches_of(lambda: filters.side_by_side(grad, summed=True)) in ((), ("side_by_side", "sums_of_rows"))
    rows, sums = filters.side_by_side(grad, summed=True)
    assert launches_of(lambda: filters.by_image(rows, sums, grad)) in ((), ("by_image",))


def test_many_float16_are_summed_in_double(cupy: ModuleType) -> None:
    """Each alone would be lost beside the sum, from 2048 on."""
    (_, sums), _ = both(side_by_side, np.ones((100, 2, 9, 9), np.float16))
    assert sums.tolist() == [8100, 8100]
