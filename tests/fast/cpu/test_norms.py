"""The norm on the CPU, block by block."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.autograd.modes import plain
from minidl.fast.cpu import norms
from minidl.optim.norms import l2_norm


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_it_is_the_plain_norm_of_several_blocks(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((50,), (7,), (3, 4), (), (0, 2))]
    monkeypatch.setattr(norms, "BLOCK", 7)
    with plain():
        expected = l2_norm(arrays)
    found = l2_norm(arrays)
    assert found.dtype == np.float64
    assert found.shape == ()
    assert found == pytest.approx(expected, rel=1e-14)
    assert l2_norm([arrays[2].T, arrays[0][::-1]]) == pytest.approx(l2_norm([arrays[2], arrays[0]]), rel=1e-14)


def test_a_square_of_no_block_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norms, "BLOCK", 2)
    assert l2_norm([np.array([3e-200, 0, 0, 4e-200, 0])]) == pytest.approx(5e-200, rel=1e-14, abs=0)
    assert l2_norm([np.array([3e200, 0, 0, 4e200])]) == pytest.approx(5e200, rel=1e-14)
    assert np.isnan(l2_norm([np.array([np.inf, 1, np.nan, 2], np.float32)]))
