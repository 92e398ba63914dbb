"""Clipping is PyTorch's, and does not wait for the device."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.errors import DTypeError
from minidl.optim import clip_grad_norm_, clip_grad_value_
from tests.arrays import host, tensor
from tests.pytorch import torch


def parameters_with(*gradients: Any, dtype: str = "float64") -> tuple[list[md.Tensor], list[Any]]:
    """Ours and PyTorch's parameters with these gradients (None: without)."""
    ours, theirs = [], []
    for g in gradients:
        array = np.zeros(2, dtype) if g is None else np.array(g, dtype)
        p, q = tensor(np.zeros_like(array), requires_grad=True), torch.nn.Parameter(torch.zeros(array.shape))
        q.data = torch.from_numpy(np.zeros_like(array))
        if g is not None:
            p.grad, q.grad = tensor(array), torch.from_numpy(array.copy())
        ours.append(p)
        theirs.append(q)
    return ours, theirs


def assert_same_gradients(ours: Any, theirs: Any, rtol: float = 1e-12) -> None:
    for p, q in zip(ours, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            assert host(p.grad).dtype == q.grad.numpy().dtype
            np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=rtol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("max_norm", [0, 1, 2.5, 12.9, 13.1, 1e9, math.inf])
def test_the_norm_is_clipped_as_in_pytorch(max_norm: float, dtype: str) -> None:
    ours, theirs = parameters_with([3.0, 4.0], None, [[12.0], [0.0]], dtype=dtype)  # norm 13
    norm = clip_grad_norm_(ours, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert norm.shape == ()
    assert norm.dtype == np.dtype(dtype)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-6)
    assert_same_gradients(ours, theirs, rtol=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_spreads_as_in_pytorch(bad: float) -> None:
    ours, theirs = parameters_with([3.0, bad], [1.0])
    with np.errstate(invalid="ignore"):
        norm = clip_grad_norm_(ours, 1.0)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    assert norm.item() == pytest.approx(expected.item(), nan_ok=True)
    assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("clip_value", [0, 0.5, 100])
def test_values_are_clipped_as_in_pytorch(clip_value: float) -> None:
    ours, theirs = parameters_with([3.0, -0.25], None, [[-1.0], [math.inf]])
    clip_grad_value_(ours, clip_value)
    torch.nn.utils.clip_grad_value_(theirs, clip_value)
    assert_same_gradients(ours, theirs)


def test_tiny_and_half_precision_gradients_have_a_norm() -> None:
    ours, _ = parameters_with([3e-25, 4e-25], dtype="float32")
    assert clip_grad_norm_(ours, 1.0).item() == pytest.approx(5e-25, rel=1e-6)
    np.testing.assert_allclose(host(ours[0].grad), np.array([3e-25, 4e-25], "float32"), rtol=1e-6)
    ours, _ = parameters_with([6e4, 6e4], dtype="float16")
    norm = clip_grad_norm_(ours, 1.0)
    assert norm.dtype == np.float32
    assert norm.item() == pytest.approx(math.hypot(6e4, 6e4), rel=1e-3)
    np.testing.assert_allclose(host(ours[0].grad), [0.7071, 0.7071], rtol=2e-3)


def test_one_parameter_a_generator_or_none_at_all() -> None:
    ours, _ = parameters_with([3.0, 4.0])
    assert clip_grad_norm_(ours[0], 1.0).item() == pytest.approx(5)
    assert clip_grad_norm_((p for p in ours), 1.0).item() == pytest.approx(1)
    assert clip_grad_norm_([], 1.0).item() == 0
    clip_grad_value_(ours[0], 0.1)
    np.testing.assert_array_equal(host(ours[0].grad), [0.1, 0.1])


def test_a_graph_that_saved_the_gradient_notices() -> None:
    x = tensor([2.0, 3.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    penalty = (x.grad**2).sum()
    clip_grad_norm_([x], 1.0)
    with pytest.raises(md.GraphError, match="overwritten"):
        penalty.backward()
    x.grad = None


def test_does_not_wait_for_the_device(standin: ModuleType) -> None:
    w = md.Tensor(backend.to_device(np.ones(3), "cupy"), requires_grad=True)
    w.grad = md.Tensor(backend.to_device(np.full(3, 2.0), "cupy"))
    norm = clip_grad_norm_([w], 1.0)
    clip_grad_value_([w], 0.5)
    assert standin.synchronizations() == ()
    assert norm.item() == pytest.approx(math.sqrt(12))
    np.testing.assert_array_equal(host(w.grad), [0.5] * 3)


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_refuses_what_makes_no_sense(clip: Any) -> None:
    for limit in (-1.0, math.nan):
        with pytest.raises(ValueError, match="at least 0"):
            clip(parameters_with([1.0])[0], limit)
    for limit in ("1.0", True, None):
        with pytest.raises(ValueError, match="expected a number; got"):
            clip(parameters_with([1.0])[0], limit)
    with pytest.raises(DTypeError, match="entry 0 is 'w'"):
        clip(["w"], 1.0)
    with pytest.raises(DTypeError, match=r"such as model.parameters\(\); got Linear"):
        clip(md.nn.Linear(2, 1), 1.0)
    with pytest.raises(DTypeError, match=r"such as model.parameters\(\); got 1.0"):
        clip(1.0, parameters_with([1.0])[0])  # the other way round
