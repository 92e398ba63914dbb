"""The workloads in PyTorch, as a user writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import Step
from benchmarks.workloads import CHAIN, DEEP, EPS, GPT, GROUPS, HEADS, HIDDEN, MLP, VOCABULARY, WIDE, WIDTH, Workload


def _mlp(sizes: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(1, len(sizes)):
        layers += [nn.Linear(sizes[i - 1], sizes[i]), activation()]
    return nn.Sequential(*layers[:-1])


def _lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def _cifar10_quick() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU(),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Flatten(), nn.Linear(1024, 64), nn.Linear(64, 10),
    )  # fmt: skip


class _CharRNN(nn.Module):
    """One-hot characters, a recurrent layer, and a dense layer to one score a character."""

    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.register_buffer("one_hot", torch.eye(VOCABULARY))
        self.rnn = cell(VOCABULARY, HIDDEN, batch_first=True)
        self.fc = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, indices: Any) -> Any:
        return self.fc(self.rnn(self.one_hot[indices])[0]).reshape(-1, VOCABULARY)


class _CharTransformer(nn.Module):
    """Characters and their positions, pre-norm blocks in which each looks back, and one score a character."""

    def __init__(self, width: int, depth: int, heads: int, context: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, VOCABULARY)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(context))

    def forward(self, indices: Any) -> Any:
        x = self.embedding(indices) + self.positions.weight[: indices.shape[1]]
        for block in self.blocks:
            x = block(x, src_mask=self.mask, is_causal=True)
        return self.fc(self.norm(x)).reshape(-1, VOCABULARY)


def training(make: Callable[[], nn.Module], workload: Workload) -> tuple[nn.Module, Any, Step]:
    """The model of a workload, its optimizer, and its training step."""
    given = workload.arrays()
    model = make()
    for parameter, weight in zip(model.parameters(), given.weights, strict=True):
        parameter.data = torch.from_numpy(weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=workload.rate)
    inputs, labels = torch.from_numpy(given.inputs), torch.from_numpy(given.labels).reshape(-1)

    def step() -> float:
        loss = functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, optimizer, step


def _training(make: Callable[[], nn.Module]) -> Callable[[Workload], Step]:
    """From a model, what makes the training step."""
    return lambda workload: training(make, workload)[2]


def _leaves(*arrays: Any) -> list[Any]:
    return [torch.from_numpy(array).requires_grad_() for array in arrays]


def _layer(forward: Callable[..., Any]) -> Callable[[Workload], Step]:
    """From forward(workload, x, *parameters), what goes there and back."""

    def prepare(workload: Workload) -> Step:
        given = workload.arrays()
        leaves = _leaves(given.inputs, *given.weights)
        grad_out = torch.from_numpy(given.labels)

        def step() -> tuple[Any, ...]:
            for leaf in leaves:
                leaf.grad = None
            y = forward(workload, *leaves)
            y.backward(grad_out)
            return (y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves))

        return step

    return prepare


def _block(workload: Workload) -> Step:
    given = workload.arrays()
    block = nn.TransformerEncoderLayer(WIDTH, HEADS, WIDE, dropout=0.0, batch_first=True)
    for parameter, weight in zip(block.parameters(), given.weights, strict=True):
        parameter.data = torch.from_numpy(weight)
    (x,) = _leaves(given.inputs)
    leaves = (x, *block.parameters())
    grad_out = torch.from_numpy(given.labels)

    def step() -> tuple[Any, ...]:
        for leaf in leaves:
            leaf.grad = None
        y = block(x)
        y.backward(grad_out)
        return (y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves))

    return step


def _cross_entropy(workload: Workload) -> Step:
    given = workload.arrays()
    (x,) = _leaves(given.inputs)
    labels = torch.from_numpy(given.labels)

    def step() -> tuple[Any, ...]:
        x.grad = None
        loss = functional.cross_entropy(x, labels)
        loss.backward()
        return loss.detach().numpy(), x.grad.numpy()

    return step


def _conv2d(workload: Workload, x: Any, weight: Any, bias: Any) -> Any:
    return functional.conv2d(x, weight, bias, padding=workload.padding)


def _layer_norm(_: Workload, x: Any, weight: Any, bias: Any) -> Any:
    return functional.layer_norm(x, weight.shape, weight, bias, EPS)


def _group_norm(_: Workload, x: Any, weight: Any, bias: Any) -> Any:
    return functional.group_norm(x, GROUPS, weight, bias, EPS)


def _batch_norm(_: Workload, x: Any, weight: Any, bias: Any) -> Any:
    return functional.batch_norm(x, None, None, weight, bias, training=True, eps=EPS)


def _chain(workload: Workload) -> Step:
    given = workload.arrays()
    x, a, b = _leaves(given.inputs, *given.weights)

    def step() -> tuple[Any, ...]:
        x.grad = a.grad = b.grad = None
        y = x
        for _ in range(CHAIN):
            y = y * a + b
        y.sum().backward()
        return y.detach().numpy(), x.grad.numpy(), a.grad.numpy(), b.grad.numpy()

    return step


MODELS: dict[str, Callable[[], nn.Module]] = {
    "W1": lambda: _mlp(MLP, nn.ReLU),
    "W2": lambda: _mlp(DEEP, nn.Sigmoid),
    "W3": _lenet,
    "W4": _cifar10_quick,
}
STEPS = {
    **{name: _training(make) for name, make in MODELS.items()},
    "W5": _chain,
    **dict.fromkeys(("Ca", "Cb", "Cc"), _layer(_conv2d)),
    "LSTM": _training(lambda: _CharRNN(nn.LSTM)),
    "GRU": _training(lambda: _CharRNN(nn.GRU)),
    "GPT": _training(lambda: _CharTransformer(**GPT)),
    "LN": _layer(_layer_norm),
    "GN": _layer(_group_norm),
    "BN": _layer(_batch_norm),
    "CE": _cross_entropy,
    "Att": _block,
}
