"""minidl/fast/cpu/exponential.py: erf in blocks."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import exponential


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (7,), (3, 5)])
def test_blocks_make_what_the_plain_lines_make(monkeypatch: pytest.MonkeyPatch, dtype: str, shape: object) -> None:
    monkeypatch.setattr(exponential, "BLOCK", 4)
    x = np.asarray(np.random.default_rng(0).normal(0, 3, shape)).astype(dtype)
    for given in (x, x.T, x[..., ::-1] if x.ndim else x):
        before = given.copy()
        found = F.erf(given)
        with md.plain():
            np.testing.assert_array_equal(found, F.erf(given), strict=True)
        np.testing.assert_array_equal(given, before)
