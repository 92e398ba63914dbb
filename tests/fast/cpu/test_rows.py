"""minidl/fast/cpu/rows.py: sums of rows by BLAS, for rows of any length, and blocks that leave nothing out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.fast.cpu import rows
from tests.fast.gpu.kernels.agreement import assert_close, few, numbers

LENGTHS = [1, 2, 255, 256, 1024, 1025, 2048, 5000]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("before", [(1,), (7,), (2, 3)])
def test_sums(before, length, dtype):
    x, y = numbers((*before, length), dtype), numbers((*before, length), dtype, 1)
    assert_close(rows.row_sums(x), x.sum(axis=-1))
    assert_close(rows.row_products(x, y), (x * y).sum(axis=-1))
    if len(before) == 1:
        assert_close(rows.times_vector(x, y[0]), (x * y[0]).sum(axis=-1))


def test_long_rows_lose_nothing_small():
    """One after the other in float32, a million times 0.1 would add up to 100,958."""
    x = np.full((2, 1_000_003), 0.1, "float32")
    np.testing.assert_allclose(rows.row_sums(x), 100_000.3, rtol=3e-6)
    np.testing.assert_allclose(rows.row_products(x, np.ones_like(x)), 100_000.3, rtol=3e-6)


@few(50)
@given(start=st.integers(0, 9), count=st.integers(0, 50), numbers_each=st.sampled_from([1, 7, rows.BLOCK, 9**9]))
def test_blocks_cover_all_rows_once(start, count, numbers_each):
    found = list(rows.blocks(start, start + count, numbers_each))
    assert [i for block in found for i in range(block.start, block.stop)] == list(range(start, start + count))
    assert all((block.stop - block.start) * numbers_each <= max(rows.BLOCK, numbers_each) for block in found)


@pytest.mark.parametrize("length", [3, rows.SHORT])
def test_spread_is_what_broadcasts(length):
    a, memory = numbers((4,), "float32"), np.empty((4, length), "float32")
    found = np.broadcast_to(rows.spread(a, memory), memory.shape)
    np.testing.assert_array_equal(found, np.repeat(a[:, None], length, axis=1))
