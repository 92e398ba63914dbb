"""minidl/fast/cpu/exponential.py: erf and GELU in blocks, on one thread and on several."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import exponential


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (7,), (3, 5)])
def test_blocks_make_what_the_plain_lines_make(
    monkeypatch: pytest.MonkeyPatch, threads: int, dtype: str, shape: object
) -> None:
    monkeypatch.setattr(exponential, "BLOCK", 4)
    x = np.asarray(np.random.default_rng(0).normal(0, 3, shape)).astype(dtype)
    for given in (x, x.T, x[..., ::-1] if x.ndim else x):
        before = given.copy()
        found = F.erf(given)
        with md.plain():
            np.testing.assert_array_equal(found, F.erf(given), strict=True)
        np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (7,), (3, 5)])
def test_gelu_in_blocks_is_gelu_to_the_last_bit(
    monkeypatch: pytest.MonkeyPatch, threads: int, dtype: str, shape: object
) -> None:
    monkeypatch.setattr(exponential, "BLOCK", 4)
    rng = np.random.default_rng(0)
    x, g = (np.asarray(rng.normal(0, 3, shape)).astype(dtype) for _ in "xg")
    if x.size > 3:
        x.flat[:4] = np.nan, np.inf, -np.inf, -0.0
    for array, grad_out in ((x, g), (x.T, g.T), (x.T.copy(), g.T)):
        found = value_and_gradient(array, grad_out)
        with md.plain():
            expected = value_and_gradient(array, grad_out)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def value_and_gradient(array: np.ndarray, grad_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = md.tensor(array, requires_grad=True, device="numpy")
    y = F.gelu(x)
    y.backward(md.Tensor(grad_out))
    assert x.grad is not None
    return y.numpy(), x.grad.numpy()
