"""Cross entropy with the softmax kept is the op's own lines, to rounding."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu.classification import CrossEntropy
from minidl.functional import classification


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (64, 1000)])
def test_it_is_the_plain_op(shape: tuple[int, int], reduction: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    scores, labels = (10 * rng.standard_normal(shape)).astype(dtype), rng.integers(0, shape[1], shape[0])
    found = []
    for op in (classification.CrossEntropy(labels, reduction), CrossEntropy(labels, reduction)):
        loss = op.forward(scores)
        grad = op.backward(np.asarray(1.5, dtype), scores)
        again = op.backward(np.asarray(1.5, dtype), scores)  # with retain_graph
        np.testing.assert_array_equal(grad, again)
        found.append((np.asarray(loss), grad))
    for plain, fast in zip(*found, strict=True):
        assert plain.dtype == fast.dtype == dtype
        tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
        np.testing.assert_allclose(fast, plain, rtol=tolerance, atol=tolerance * max(1, np.abs(plain).max()))


def test_scores_are_left_alone_and_large_ones_do_not_overflow() -> None:
    scores = np.array([[1000.0, 0.0], [-1000.0, 0.0]], np.float32)
    before = scores.copy()
    x = md.Tensor(scores, requires_grad=True)
    with md.using("numpy"):
        F.cross_entropy(x, np.array([1, 0])).backward()
    np.testing.assert_array_equal(scores, before)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [[0.5, -0.5], [-0.5, 0.5]])
