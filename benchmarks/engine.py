"""What an operation costs beyond its arithmetic: minidl beside PyTorch, in one process, in turns.

    python benchmarks/engine.py

Two workloads. A chain of 5,000 `x*a + b` on 8 numbers, all tracked: microseconds an op, forward and backward. And one
training step (forward, softmax cross-entropy, backward, plain SGD) of a network of 20 sigmoid layers of 64 units on a
batch of 64, which is all overhead. Medians over rounds that alternate between the two; only the ratio means anything on
a busy machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import minidl as md
import minidl.functional as F

ROUNDS = 9
CHAIN = 5_000
WARM_UP, STEPS = 5, 40


def chain(x: Any, a: Any, b: Any) -> tuple[float, float]:
    """Microseconds an op, forward and backward."""
    started = time.perf_counter()
    y = x
    for _ in range(CHAIN):
        y = y * a + b
    forward = time.perf_counter()
    y.sum().backward()
    done = time.perf_counter()
    return (forward - started) / (2 * CHAIN) * 1e6, (done - forward) / (2 * CHAIN) * 1e6


def minidl_chain() -> tuple[float, float]:
    """The chain on minidl's tensors."""
    return chain(*(md.tensor(np.full(8, v, np.float32), requires_grad=True) for v in (1.0, 0.99, 0.01)))


def torch_chain() -> tuple[float, float]:
    """The chain on PyTorch's tensors."""
    return chain(*(torch.full((8,), v, requires_grad=True) for v in (1.0, 0.99, 0.01)))


def minidl_network() -> Callable[[Any, Any], float]:
    """One training step of the deep network."""
    md.seed(0)
    model = md.models.mlp((784, *[64] * 20, 10), activation="sigmoid")
    optimizer = md.optim.SGD(model, lr=0.01)

    def step(inputs: Any, labels: Any) -> float:
        loss = F.cross_entropy(model(md.Tensor(inputs)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_network() -> Callable[[Any, Any], float]:
    """The same of PyTorch, from the same weights."""
    md.seed(0)
    weights = md.models.mlp((784, *[64] * 20, 10), activation="sigmoid").parameters()
    layers: list[torch.nn.Module] = []
    for weight, bias in zip(weights[::2], weights[1::2], strict=True):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = torch.tensor(weight.numpy()), torch.tensor(bias.numpy())
        layers += [layer, torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step(inputs: Any, labels: Any) -> float:
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(inputs)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def timed(step: Callable[[Any, Any], float], inputs: Any, labels: Any) -> float:
    """Milliseconds a step."""
    started = time.perf_counter()
    for _ in range(STEPS):
        step(inputs, labels)
    return (time.perf_counter() - started) / STEPS * 1e3


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(2)
    print(f"numpy {np.__version__}, torch {torch.__version__}, minidl {md.__version__}, 2 threads")
    chains = [(minidl_chain(), torch_chain()) for _ in range(ROUNDS)]
    for name, i in (("minidl", 0), ("PyTorch", 1)):
        forward, backward = (statistics.median(pair[i][k] for pair in chains) for k in (0, 1))
        print(f"chain       {name:8} {forward:5.2f} us forward {backward:5.2f} us backward an op")
    print(f"chain       ratio    {statistics.median(sum(m) / sum(t) for m, t in chains):5.2f}")

    rng = np.random.default_rng(0)
    inputs, labels = rng.random((64, 784), dtype=np.float32), rng.integers(0, 10, 64)
    ours, theirs = minidl_network(), torch_network()
    for _ in range(WARM_UP):
        a, b = ours(inputs, labels), theirs(inputs, labels)
    np.testing.assert_allclose(a, b, rtol=1e-4)  # the same computation
    steps = [(timed(ours, inputs, labels), timed(theirs, inputs, labels)) for _ in range(ROUNDS)]
    print(f"20 layers   minidl   {statistics.median(m for m, _ in steps):5.2f} ms a step")
    print(f"20 layers   PyTorch  {statistics.median(t for _, t in steps):5.2f} ms a step")
    print(f"20 layers   ratio    {statistics.median(m / t for m, t in steps):5.2f}")


if __name__ == "__main__":
    main()
