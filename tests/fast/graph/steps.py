"""What the tests of captured steps share: a small network, its batches, and the same step made line by line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.optim import LARS, LayerSpecific
from tests.arrays import host
from tests.cupy_standin import kernels as standin_kernels

on_a_device = [
    pytest.mark.skipif(standin_kernels.COMPILER is None, reason="kernels without a GPU need a C++ compiler"),
    pytest.mark.usefixtures("cupy"),
]

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda m: md.optim.SGD(m, lr=0.1),
    "caffe": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, momentum_form="caffe", weight_decay=0.01),
    "layer_specific": lambda m: md.optim.SGD(m, lr=0.05, momentum=0.9, nesterov=True, layer_rate=LayerSpecific()),
    "lars": lambda m: md.optim.SGD(m, lr=0.5, momentum=0.9, weight_decay=0.01, layer_rate=LARS(eta=0.1)),
    "dampening": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, dampening=0.5),
    "adam": lambda m: md.optim.Adam(m, lr=0.01),
    "adamw": lambda m: md.optim.AdamW(m, lr=0.01),
    "rmsprop": lambda m: md.optim.RMSprop(m, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda m: md.optim.AdaGrad(m, lr=0.1),
}


def model(*extra: Any) -> Any:
    md.seed(0)
    # No bias before a batch normalisation: its gradient is 0, but for rounding, which Adam makes steps of.
    layers = md.nn.Linear(6, 8, bias=False), md.nn.BatchNorm1d(8), md.nn.Tanh(), *extra, md.nn.Linear(8, 3)
    return md.nn.Sequential(*layers).to("cupy")


def batches(number: int, size: int = 5) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((size, 6)).astype(np.float32), rng.integers(0, 3, size)) for _ in range(number)]


def on_device(batch: tuple[Any, Any]) -> tuple[Any, ...]:
    return tuple(md.Tensor(backend.to_device(x, "cupy")) for x in batch)


def eager_step(network: Any, optimizer: Any, batch: tuple[Any, Any]) -> Any:
    inputs, labels = on_device(batch)
    loss = F.cross_entropy(network(inputs), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def assert_alike(ours: Any, theirs: Any) -> None:
    for (name, found), (_, expected) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        np.testing.assert_allclose(
            np.asarray(found, np.float64) if not hasattr(found, "get") else host(found),
            np.asarray(expected, np.float64) if not hasattr(expected, "get") else host(expected),
            rtol=2e-4, atol=1e-5, err_msg=name,
        )  # fmt: skip


def eager_and_graphed(make: Callable[[Any], Any], *extra: Any, captured: int = 3) -> Any:
    """(network, optimizer, step) made line by line, and the same captured, after so many equal steps."""
    found = []
    for graphed in (False, True):
        network = model(*[layer() for layer in extra])
        optimizer = make(network)
        md.seed(7)
        step: Any = md.GraphedStep(network, optimizer, warm_up=1) if graphed else None
        if step is None:

            def step(inputs: Any, labels: Any, network: Any = network, optimizer: Any = optimizer) -> Any:
                return eager_step(network, optimizer, (inputs, labels))

        for batch in batches(captured):
            step(*batch)
        found.append((network, optimizer, step))
    return found


def sgd(network: Any) -> Any:
    return md.optim.SGD(network, lr=0.1, momentum=0.9, weight_decay=0.01)
