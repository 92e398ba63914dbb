"""Hooks see gradients pass by, may replace them, and can be taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.autograd.hooks import RemovableHandle
from tests.arrays import device, host, tensor


def test_a_handle_removes_once_and_is_a_context_manager() -> None:
    hooks: dict[int, Any] = {}
    first, second = RemovableHandle(hooks, print), RemovableHandle(hooks, print)
    assert len(hooks) == 2
    first.remove()
    first.remove()
    assert len(hooks) == 1
    with second as same:
        assert same is second
    assert not hooks


def test_a_hook_sees_the_complete_gradient_once() -> None:
    seen = []
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: seen.append(host(grad).tolist()))
    x.register_hook(lambda grad: seen.append(host(grad).tolist()))
    (y * y + 3 * y).sum().backward()
    np.testing.assert_array_equal(seen, [[7, 11], [14, 22]])


def test_what_a_hook_returns_is_used_instead() -> None:
    x = tensor([1.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: grad * 10)
    y.register_hook(lambda grad: grad + 1)  # in order: it gets what the first returned
    y.retain_grad()
    x.register_hook(lambda grad: -grad)
    y.backward()
    assert host(y.grad) == [11]
    assert host(x.grad) == [-22]


def test_a_removed_hook_is_not_called() -> None:
    seen = []
    x = tensor([1.0], requires_grad=True)
    handle = x.register_hook(lambda grad: seen.append(1))
    with x.register_hook(lambda grad: seen.append(2)):
        (x * 2).backward()
    (x * 2).backward()
    handle.remove()
    (x * 2).backward()
    assert seen == [1, 2, 1]


def test_a_hook_may_remove_itself() -> None:
    seen = []
    x = tensor([1.0], requires_grad=True)

    def once(grad: md.Tensor) -> None:
        seen.append(1)
        handle.remove()

    handle = x.register_hook(once)
    x.register_hook(lambda grad: seen.append(2))
    (x * 2).backward()
    (x * 2).backward()
    assert seen == [1, 2, 2]


def test_what_a_hook_writes_changes_its_own_gradient_only() -> None:
    x, y = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    kept = []

    def clip(grad: md.Tensor) -> None:
        grad[...] = 0.5
        kept.append(grad)

    x.register_hook(clip)
    (x + y).backward(device([3.0]))  # Add passes one array on to both
    assert (host(x.grad), host(y.grad)) == (0.5, 3)
    kept[0][...] = 9.0
    assert host(x.grad) == 0.5


def test_a_hook_gets_a_tensor_with_history_under_create_graph() -> None:
    x = tensor(3.0, requires_grad=True)
    seen = []
    y = x * x
    y.register_hook(lambda grad: seen.append(grad) or grad * x)
    slope = md.grad(y, x, create_graph=True)  # x * 2x
    assert host(slope) == 18
    assert host(md.grad(slope, x)) == 12
    assert isinstance(seen[0], md.Tensor)


@pytest.mark.parametrize("leaf", [True, False])
def test_a_hook_that_returns_nonsense_is_told_so(leaf: bool) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    target = x if leaf else y
    with target.register_hook(lambda grad: grad._data), pytest.raises(md.DTypeError, match=r"must return.*Tensor"):
        y.sum().backward(retain_graph=True)
    with (
        target.register_hook(lambda grad: grad.sum()),
        pytest.raises(md.ShapeError, match=r"must return a gradient of shape \(2,\)"),
    ):
        y.sum().backward()
    assert x.grad is None


def test_an_error_in_a_hook_leaves_no_gradient() -> None:
    x, y = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)

    def fail(grad: md.Tensor) -> None:
        raise KeyError("stop")

    y.register_hook(fail)
    with pytest.raises(KeyError):
        (x * y).backward()
    assert x.grad is None
    assert y.grad is None


def test_hooks_and_retain_grad_need_a_gradient_to_come() -> None:
    x = tensor([1.0])
    with pytest.raises(md.GraphError, match="no hook would ever be called"):
        x.register_hook(lambda grad: None)
    with pytest.raises(md.GraphError, match="none to retain"):
        x.retain_grad()


def test_retain_grad_leaves_the_gradient_of_an_intermediate_tensor() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    x.retain_grad()  # a leaf keeps its gradient anyway
    loss = (y * y).sum()
    loss.backward(retain_graph=True)
    np.testing.assert_array_equal(host(y.grad), [4, 8])
    loss.backward()
    np.testing.assert_array_equal(host(y.grad), [8, 16])
    np.testing.assert_array_equal(host(x.grad), [16, 32])


def test_without_retain_grad_an_intermediate_tensor_has_none() -> None:
    x = tensor([1.0], requires_grad=True)
    y = x * 2
    y.backward()
    with pytest.warns(UserWarning, match=r"is the result of an op, Mul, and has no \.grad.*its retain_grad\(\) before"):
        assert y.grad is None


def test_a_hook_lasts_as_long_as_its_graph_not_its_tensor() -> None:
    seen = []
    x = tensor([1.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: seen.append(1))
    z = y + 1
    del y
    z.backward()
    assert seen == [1]


@pytest.mark.parametrize("name", ["softmax", "relu", "batch_norm", "max_pool1d", "cross_entropy"])
def test_a_hook_may_return_another_dtype_and_the_gradient_keeps_its_own(name):
    """As it comes where float32 meets float64; a kernel on a GPU relies on one dtype."""
    ops = {
        "batch_norm": lambda t: F.batch_norm(t, None, None, training=True),
        "max_pool1d": lambda t: F.max_pool1d(t[None], 2),
        "cross_entropy": lambda t: F.cross_entropy(t, tensor(np.array([0, 1, 2, 0]))),
    }
    found = []
    for factor in (tensor(np.array(2.0, np.float64)), 2.0):
        x = tensor(np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32), requires_grad=True)
        y = ops.get(name, getattr(F, name))(x)
        y.register_hook(lambda grad, factor=factor: grad * factor)
        (y * y).sum().backward()
        found.append(host(x.grad))
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
