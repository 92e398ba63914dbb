"""Two devices are never mixed silently, and computing on one never waits for it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend

MIXED: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "matmul": lambda a, b: a @ b,
    "linear": lambda a, b: F.linear(a, b),
    "maximum": lambda a, b: F.maximum(a, b),
    "where": lambda a, b: F.where(a > 0, a, b),
    "concatenate": lambda a, b: F.concatenate([a, b]),
    "setitem": lambda a, b: F.setitem(a, slice(None), b),
    "compare": lambda a, b: a > b,
    "power": lambda a, b: a**b,
    "mse_loss": lambda a, b: F.mse_loss(a, b),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("first", ["numpy", "cupy"])
def test_mixing_devices_names_both_operands(name: str, first: str, standin: ModuleType) -> None:
    values = np.ones((2, 2))
    a = md.Tensor(backend.to_device(values, first), requires_grad=True, name="weight")
    b = md.Tensor(backend.to_device(values, "cupy" if first == "numpy" else "numpy"), name="batch")
    with pytest.raises(md.DeviceError) as caught:
        MIXED[name](a, b)
    for words in ("one device", "'weight'", "'batch'", "numpy", "cupy", ".to("):
        assert words in str(caught.value)


def test_computing_on_the_device_never_waits_for_it(standin: ModuleType) -> None:
    with md.using("cupy"):
        x = md.Tensor(backend.to_device(np.ones((4, 3), np.float32), "cupy"))
        labels = md.Tensor(backend.to_device(np.array([0, 1, 0, 1]), "cupy"))
        w = md.Tensor(backend.to_device(np.ones((2, 3), np.float32), "cupy"), requires_grad=True)
        standin.reset_synchronizations()
        hidden = F.dropout(F.relu(F.linear(x, w)), 0.5)
        loss = F.cross_entropy(hidden, labels) + (w * w).sum() * 0.1 + F.logsumexp(w) + w.var() + F.clip(w, 0, 1).max()
        loss.backward()
        with md.no_grad():
            w -= 0.1 * w.grad
        assert standin.synchronizations() == ()
        assert w.grad.device == "cupy"


def test_an_index_on_the_device_for_a_tensor_on_the_host_is_named(standin: ModuleType) -> None:
    x, index = md.Tensor(np.ones(3)), backend.to_device(np.array([0, 1]), "cupy")
    with pytest.raises(md.DeviceError, match=r"GetItem: the index .* cupy lives elsewhere.*\.to\('numpy'\)"):
        x[md.Tensor(index)]
    standin.reset_synchronizations()
    assert x.to("cupy")[np.array([0, 1])].device == "cupy"
    assert standin.synchronizations() == ()


def test_a_gradient_belongs_on_the_device_of_its_tensor(standin: ModuleType) -> None:
    x = md.Tensor(backend.to_device(np.ones(3), "cupy"), requires_grad=True, name="weight")
    with pytest.raises(md.DeviceError, match=r"'weight'.* must be on its device; got numpy: use \.to\(\)"):
        x.grad = md.Tensor(np.ones(3))
    y = md.Tensor(np.ones(3), requires_grad=True)
    x.grad, y.grad = md.Tensor(backend.to_device(np.ones(3), "cupy")), md.Tensor(np.ones(3))
    with pytest.raises(md.DeviceError, match="all gradients on one device"):
        md.optim.clip_grad_norm_([x, y], 1.0)


def test_an_array_of_a_gpu_that_is_not_in_use_reaches_no_kernel(standin: ModuleType, monkeypatch: Any) -> None:
    if not hasattr(standin.cupy, "RawModule"):
        pytest.skip("kernels without a GPU need a C++ compiler")
    x = md.Tensor(backend.to_device(np.ones((2, 3), np.float32), "cupy"), requires_grad=True)
    image = md.Tensor(backend.to_device(np.ones((1, 1, 4, 4), np.float32), "cupy"))
    x.grad = md.Tensor(backend.to_device(np.ones((2, 3), np.float32), "cupy"))
    optimizer = md.optim.SGD([x])
    monkeypatch.setattr(standin.cupy.cuda.Device, "id", 1)  # all arrays say 0
    for call in (lambda: F.softmax(x), lambda: F.max_pool2d(image, 2), optimizer.step):
        with pytest.raises(md.DeviceError, match=r"is on cupy:0, and cupy:1 is in use.*cupy\.cuda\.Device\(0\)"):
            call()
