"""Small networks and training loops that the tests of recorders and figures share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from minidl import models, nn
from minidl.observe import FlowRecording, GradientFlow
from minidl.optim import SGD
from tests.arrays import device, host, tensor

CLASSES = 3


def batch(seed: int = 0, size: int = 8, features: int = 5) -> tuple[md.Tensor, Any]:
    """Inputs and labels."""
    rng = np.random.default_rng(seed)
    return tensor(rng.normal(size=(size, features)).astype(np.float32)), device(rng.integers(0, CLASSES, size))


def small(hidden: int = 2, activation: str = "sigmoid", seed: int = 0) -> nn.Sequential:
    """5 - 4 - ... - 4 - 3."""
    md.seed(seed)
    return models.mlp((5,) + (4,) * hidden + (CLASSES,), activation=activation)


def train(
    model: Any, optimizer: Any, steps: int, each: Callable[[int], None] = lambda step: None, first: int = 0
) -> list[float]:
    """A plain loop; returns the losses."""
    losses = []
    for step in range(first, first + steps):
        x, y = batch(step)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        each(step)
        optimizer.step()
        losses.append(loss.item())
    return losses


def recorded(model: Any = None, steps: int = 4, lr: float = 0.1, **options: Any) -> FlowRecording:
    """A recording of a short training."""
    model = small() if model is None else model
    optimizer = SGD(model, lr=lr, **options)
    with GradientFlow(model, optimizer) as flow:
        train(model, optimizer, steps)
    return flow.recording


def rms(array):
    return np.sqrt(np.mean(host(array).astype(np.float64) ** 2))


def norm(*arrays):
    return np.sqrt(sum((host(a).astype(np.float64) ** 2).sum() for a in arrays))
