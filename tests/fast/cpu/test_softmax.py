"""minidl/fast/cpu/softmax.py: powers taken as they are, and only where they must be of x less its maximum."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import rows, softmax
from minidl.functional.attention import AttentionWeights
from tests.fast.gpu.kernels.agreement import assert_close, numbers

SHAPES = [(64, 100), (3, 2000), (2, 40, 64), (5000,)]


def attention(x: Any) -> Any:
    return AttentionWeights(-1)(x)


def value_and_gradient(function: Any, x: Any, plain: bool) -> tuple[Any, Any]:
    with md.using("numpy"), md.plain() if plain else md.enable_grad():
        tensor = md.Tensor(x, requires_grad=True)
        z = function(tensor)
        z.backward(md.Tensor(np.asarray(numbers(z.shape, x.dtype, 1))))
        assert tensor.grad is not None
        return z.numpy(), tensor.grad.numpy()


def assert_it_is_the_plain_op(function: Any, x: Any) -> None:
    before = x.copy()
    for found, expected in zip(*(value_and_gradient(function, x, plain) for plain in (False, True)), strict=True):
        assert_close(found, expected)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax, attention])
@pytest.mark.parametrize(("size", "shift"), [(1, 0), (30, 0), (1, 500), (1, -500), (200, 0)])
@pytest.mark.parametrize("block", [1, 1 << 17])
def test_it_is_the_plain_op(
    threads: int,
    function: Any,
    shape: Any,
    size: int,
    shift: int,
    dtype: str,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows, "BLOCK", block)
    assert_it_is_the_plain_op(function, (size * numbers(shape, "float64") + shift).astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax, attention])
def test_infinity_and_nan(function: Any, dtype: str) -> None:
    x = numbers((80, 60), dtype)
    x[0], x[1, :2], x[2, 5], x[3, 7], x[4, 1:] = -np.inf, np.inf, np.nan, np.inf, -np.inf
    found, expected = (value_and_gradient(function, x, plain) for plain in (False, True))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        known = np.isfinite(theirs)
        np.testing.assert_array_equal(ours[~known], theirs[~known])
        assert_close(ours[known], theirs[known])
    if function is not F.log_softmax:
        assert found[0][4, 0] == 1  # exactly, where there is nothing else


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(64, 100), (3, 2000), (3000, 2)])
@pytest.mark.parametrize(("size", "shift"), [(1, 0), (30, 0), (1, 500), (1, -500), (200, 0)])
def test_cross_entropy_is_the_plain_op(shape: Any, size: int, shift: int, reduction: str, dtype: str) -> None:
    labels = np.random.default_rng(0).integers(0, shape[1], shape[0])
    x = (size * numbers(shape, "float64") + shift).astype(dtype)
    assert_it_is_the_plain_op(lambda t: F.cross_entropy(t, labels, reduction=reduction), x)


def test_cross_entropy_of_infinity_and_nan() -> None:
    labels = np.zeros(80, int)
    for places in ((0, 0), (0, 1), (0, slice(None))):
        for value in (np.inf, -np.inf, np.nan):
            x = numbers((80, 60), "float32")
            x[places] = value
            found, expected = (
                value_and_gradient(lambda t: F.cross_entropy(t, labels), x, plain) for plain in (False, True)
            )
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
                assert_close(np.nan_to_num(ours), np.nan_to_num(theirs))


def test_a_sure_and_right_guess_has_as_exact_a_loss_and_gradient() -> None:
    """Where p_y is nearly 1 neither must be what rounding leaves of a difference."""
    x, labels = numbers((200, 100), "float32"), np.full(200, 3)
    x[:, 3] = 18
    powers = np.exp(x.astype("float64") - 18)
    exact = np.log1p(np.delete(powers, 3, axis=1).sum(axis=1)).sum()
    (loss, grad), (plain, of_plain) = (
        value_and_gradient(lambda t: F.cross_entropy(t, labels, reduction="sum"), x, plain) for plain in (False, True)
    )
    assert abs(loss - exact) <= abs(plain - exact) + 1e-6
    np.testing.assert_allclose(grad[:, 3], of_plain[:, 3], atol=2.5e-7)


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax, attention])
def test_a_node_keeps_its_result_and_no_other_array(function: Any) -> None:
    x = md.Tensor(numbers((256, 1024), "float32"), requires_grad=True)
    function(x)  # the workspace is there from here on
    tracemalloc.start()
    try:
        z = function(x)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1.1 * z.data.nbytes


def test_where_it_fits() -> None:
    op = F.softmax(md.Tensor(np.ones((70, 70), "float32"), requires_grad=True))._op
    assert type(op) is softmax.Softmax
    for other in (np.ones((70, 70), "float16"), np.ones((7, 7)), np.ones((70, 70), int)):
        assert not softmax._fits(other, -1)
    assert not softmax._fits(np.ones((70, 70)), 0)
