"""The same program gives the same numbers on the GPU and on the CPU, up to rounding.

For single ops `tests/factory.py` compares every value and gradient of a device with NumPy's. Here whole models train:
from one seed they have the same weights on both, and after steps still nearly so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.optim import SGD, Adam, LayerSpecific
from tests.arrays import host

pytestmark = pytest.mark.gpu

CLOSE = 2e-4  # of the largest: float32 through some twenty layers and three steps, where rounding is amplified

RNG = np.random.default_rng(3)


def images(*shape: int) -> Any:
    return RNG.standard_normal(shape, dtype=np.float32)


MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "mlp": (lambda: md.models.mlp((64, 32, 10), activation="relu"), images(6, 64)),
    "lenet": (md.models.lenet, images(4, 1, 28, 28)),
    "cifar10_quick": (md.models.cifar10_quick, images(3, 3, 32, 32) * 50),
    "cifar10_full": (md.models.cifar10_full, images(3, 3, 32, 32) * 50),
    "alexnet_32": (lambda: md.models.alexnet_32(10), images(2, 3, 32, 32)),
    "digits_conv": (md.models.digits_conv, images(4, 1, 8, 8)),
    "resnet": (lambda: md.models.resnet_cifar(8), images(4, 3, 32, 32)),
    "char_rnn": (lambda: md.models.char_rnn(12, 16), RNG.integers(0, 12, (3, 7))),
    "char_transformer": (lambda: md.models.char_transformer(12, 16, 2, 2, 8), RNG.integers(0, 12, (3, 7))),
    "char_rnn of GRUs": (lambda: md.models.char_rnn(12, 16, cell="gru"), RNG.integers(0, 12, (3, 7))),
}


def trained(build: Callable[[], Any], inputs: Any, backend_name: str, make: Callable[[Any], Any]) -> dict[str, Any]:
    """Losses, gradients and weights after three steps on one batch. Dropout, which a GPU draws itself, is off."""
    with md.using(backend_name):
        md.seed(0)
        model = build()
        optimizer = make(model)
        for module in model.modules():
            if isinstance(module, md.nn.Dropout):
                module.eval()
        x = md.Tensor(inputs).to(backend_name)
        losses = []
        for _ in range(3):
            scores = model(x)
            scores = scores[0] if isinstance(scores, tuple) else scores
            scores = scores.reshape(-1, scores.shape[-1])
            labels = md.Tensor(np.arange(len(scores)) % scores.shape[1]).to(backend_name)
            loss = F.cross_entropy(scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        assert all(p.device == backend_name for p in model.parameters())
        found = {f"loss {i}": host(loss) for i, loss in enumerate(losses)}
        for name, parameter in model.named_parameters():
            found |= {f"{name}.grad": host(parameter.grad), name: host(parameter)}
        return found


@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_alike_on_both(name: str) -> None:
    build, inputs = MODELS[name]
    rate = 1e-4 if name.startswith("cifar") else 0.01

    def optimizer(model: Any) -> Any:
        return SGD(model, lr=rate, momentum=0.9, weight_decay=1e-4, layer_rate=LayerSpecific())

    _assert_close(trained(build, inputs, "cupy", optimizer), trained(build, inputs, "numpy", optimizer))


def test_adam_trains_alike_on_both() -> None:
    build, inputs = MODELS["mlp"]

    def optimizer(model: Any) -> Any:
        return Adam(model, lr=1e-3)

    _assert_close(trained(build, inputs, "cupy", optimizer), trained(build, inputs, "numpy", optimizer))


def _assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        scale = max(float(np.abs(value).max()), 1e-6)
        np.testing.assert_allclose(found[name], value, rtol=CLOSE, atol=CLOSE * scale, err_msg=name)
