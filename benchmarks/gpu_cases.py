"""What is timed on a GPU: training steps of networks and single operations, each in PyTorch and in minidl.

A step computes and returns its loss on the device, for which nobody has waited. With `small` everything has tiny sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import DEEP, HIDDEN, MLP, VOCABULARY

Step = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One thing that is timed.

    Attributes:
        name, about: for the tables.
        batch: what a step is made of, images or sequences, to say how many a second.
        torch, minidl: make the step in one of the two; `small` asks for tiny sizes.
        target: the ratio to PyTorch's time that minidl aims at, without and with graph capture.
        graph: whether the step is that of a network, which `md.GraphedStep` can capture.
    """

    name: str
    about: str
    batch: int
    torch: Callable[[bool], Step]
    minidl: Callable[[bool], Step]
    target: tuple[float, float]
    graph: bool = True


def torch_device() -> str:
    """Where PyTorch computes: on the GPU, unless this is a smoke test."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def on_gpu(array: Any, requires_grad: bool = False) -> Any:
    """A minidl Tensor with the values, on the GPU."""
    import minidl as md
    from minidl import backend

    return md.Tensor(backend.to_device(array, "cupy"), requires_grad=requires_grad)


# ---- training steps


def _data(shape: tuple[int, ...], classes: int, integers: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    inputs = rng.integers(0, integers, shape) if integers else rng.standard_normal(shape, dtype=np.float32)
    return inputs, rng.integers(0, classes, shape if integers else shape[0])


def _weights(parameters: list[Any]) -> list[Any]:
    """Weights N(0, 1 / inputs) and small biases, alike for both libraries, whatever they would start from."""
    rng = np.random.default_rng(0)
    shapes = [tuple(parameter.shape) for parameter in parameters]
    scales = [0.01 if len(shape) == 1 else np.prod(shape[1:]) ** -0.5 for shape in shapes]
    return [rng.standard_normal(s, dtype=np.float32) * np.float32(c) for s, c in zip(shapes, scales, strict=True)]


def torch_training(build: Callable[[], Any], data: tuple[Any, Any]) -> Step:
    """A step of plain SGD in PyTorch."""
    import torch

    device = torch_device()
    model = build().to(device)
    with torch.no_grad():
        parameters = list(model.parameters())
        for parameter, weight in zip(parameters, _weights(parameters), strict=True):
            parameter.copy_(torch.from_numpy(weight))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, labels = (torch.from_numpy(array).to(device) for array in data)
    labels = labels.reshape(-1)

    def step() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    step.model = model  # type: ignore[attr-defined]
    return step


def minidl_training(build: Callable[[], Any], data: tuple[Any, Any]) -> Step:
    """A step of plain SGD in minidl."""
    import minidl as md

    model = build()
    parameters = list(model.parameters())
    with md.no_grad():
        for parameter, weight in zip(parameters, _weights(parameters), strict=True):
            parameter[...] = on_gpu(weight)
    optimizer = md.optim.SGD(model, lr=0.01)
    inputs, labels = (on_gpu(array) for array in data)

    def loss_of(scores: Any, labels: Any) -> Any:
        scores = scores[0] if isinstance(scores, tuple) else scores
        return md.functional.cross_entropy(scores.reshape(-1, scores.shape[-1]), labels.reshape(-1))

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    step.model = model  # type: ignore[attr-defined]
    step.parts = (model, optimizer, loss_of, inputs, labels)  # type: ignore[attr-defined]
    return step


def _torch_models() -> dict[str, Callable[[], Any]]:
    from torch import nn

    from benchmarks.peers import with_torch

    def alexnet() -> Any:
        return nn.Sequential(
            nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5),
            nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1, groups=2),
            nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(), nn.Linear(9216, 4096), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 1000),
        )  # fmt: skip

    return {
        "mlp": lambda: with_torch._mlp(MLP, nn.ReLU),
        "deep": lambda: with_torch._mlp(DEEP, nn.Sigmoid),
        "lenet": with_torch._lenet,
        "quick": with_torch._cifar10_quick,
        "alexnet": alexnet,
        "lstm": with_torch._CharRNN,
    }


def _minidl_models() -> dict[str, Callable[[], Any]]:
    import minidl as md

    return {
        "mlp": lambda: md.models.mlp(MLP, activation="relu"),
        "deep": lambda: md.models.mlp(DEEP, activation="sigmoid"),
        "lenet": md.models.lenet,
        "quick": md.models.cifar10_quick,
        "alexnet": md.models.alexnet,
        "lstm": lambda: md.models.char_rnn(VOCABULARY, HIDDEN),
    }


def network(
    name: str, model: str, about: str, shape: tuple[int, ...], classes: int, target: tuple[float, float]
) -> Case:
    """The case of a network on a batch of `shape`; of the LSTM the numbers are characters."""

    def data(small: bool) -> tuple[Any, Any]:
        return _data((2, *shape[1:]) if small else shape, classes, VOCABULARY if model == "lstm" else 0)

    return Case(
        name, about, shape[0],
        lambda small: torch_training(_torch_models()[model], data(small)),
        lambda small: minidl_training(_minidl_models()[model], data(small)), target,
    )  # fmt: skip


# ---- single operations


def chain(name: str, length: int) -> Case:
    """x*a + b, again and again on 8 numbers: what an operation costs."""

    def run(y: Any, a: Any, b: Any, count: int) -> Any:
        for _ in range(count):
            y = y * a + b
        return y.sum()

    def step_of(x: Any, a: Any, b: Any, small: bool) -> Step:
        def step() -> Any:
            x.grad = a.grad = b.grad = None
            loss = run(x, a, b, 10 if small else length)
            loss.backward()
            return loss.detach()

        return step

    def torch_step(small: bool) -> Step:
        import torch

        return step_of(
            *(torch.full((8,), v, device=torch_device(), requires_grad=True) for v in (1.0, 0.999, 1e-3)), small
        )

    def minidl_step(small: bool) -> Step:
        return step_of(*(on_gpu(np.full(8, v, np.float32), True) for v in (1.0, 0.999, 1e-3)), small)

    return Case(name, f"{length:,} times x*a + b on 8 numbers", 1, torch_step, minidl_step, (2.0, 2.0), graph=False)


def convolution(name: str, shape: tuple[int, ...], weight: tuple[int, ...], padding: int) -> Case:
    """One convolution, forward and backward with the gradients of input, weight and bias."""

    def arrays(small: bool) -> list[Any]:
        rng = np.random.default_rng(0)
        sizes = ((2, *shape[1:]) if small else shape, weight, weight[:1])
        return [rng.standard_normal(size, dtype=np.float32) * np.float32(0.1) for size in sizes]

    def torch_step(small: bool) -> Step:
        import torch

        x, w, b = (torch.from_numpy(array).to(torch_device()).requires_grad_() for array in arrays(small))

        def step() -> Any:
            x.grad = w.grad = b.grad = None
            y = torch.nn.functional.conv2d(x, w, b, padding=padding)
            loss = (y * y).mean()
            loss.backward()
            return loss.detach()

        return step

    def minidl_step(small: bool) -> Step:
        import minidl as md

        x, w, b = (on_gpu(array, True) for array in arrays(small))

        def step() -> Any:
            x.grad = w.grad = b.grad = None
            y = md.functional.conv2d(x, w, b, padding=padding)
            loss = (y * y).mean()
            loss.backward()
            return loss.detach()

        return step

    about = f"convolution {weight[1]} -> {weight[0]}, {weight[2]}x{weight[3]}, padding {padding}, of {shape}"
    return Case(name, about, shape[0], torch_step, minidl_step, (1.5, 1.5), graph=False)


LAUNCHES, ARITHMETIC = (2.0, 1.0), (1.5, 1.5)
CASES = (
    network("mlp", "mlp", "MLP 784-256-128-10, batch 64", (64, 784), 10, LAUNCHES),
    network("deep", "deep", "MLP 784, 20 x 64 with sigmoid, 10, batch 64", (64, 784), 10, LAUNCHES),
    network("lenet", "lenet", "LeNet, batch 64", (64, 1, 28, 28), 10, LAUNCHES),
    network("lenet1024", "lenet", "LeNet, batch 1,024", (1024, 1, 28, 28), 10, ARITHMETIC),
    network("quick", "quick", "cifar10_quick, batch 100", (100, 3, 32, 32), 10, ARITHMETIC),
    network("alexnet", "alexnet", "AlexNet at 227x227, batch 256", (256, 3, 227, 227), 1000, ARITHMETIC),
    network("lstm", "lstm", "LSTM of 128 units, 32 sequences of 50 characters", (32, 50), VOCABULARY, LAUNCHES),
    chain("chain", 1000),
    convolution("Ca", (64, 20, 12, 12), (50, 20, 5, 5), 0),
    convolution("Cb", (100, 32, 16, 16), (32, 32, 5, 5), 2),
    convolution("Cc", (32, 64, 32, 32), (64, 64, 3, 3), 1),
)
