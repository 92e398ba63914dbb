"""The workloads in minidl, as a user writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minidl as md
import minidl.functional as F
from benchmarks.peers import Step
from benchmarks.workloads import CHAIN, DEEP, HIDDEN, MLP, VOCABULARY, Workload


def _classification(model: Any, inputs: Any, labels: Any) -> Any:
    return F.cross_entropy(model(inputs), labels)


def _next_character(model: Any, inputs: Any, labels: Any) -> Any:
    scores, _ = model(inputs)
    return F.cross_entropy(scores.reshape(-1, VOCABULARY), labels.reshape(-1))


def training(
    make: Callable[[], Any], workload: Workload, loss_of: Callable[[Any, Any, Any], Any] = _classification
) -> tuple[Any, Any, Step]:
    """The model of a workload, its optimizer, and its training step."""
    given = workload.arrays()
    model = make()
    for parameter, weight in zip(model.parameters(), given.weights, strict=True):
        with md.no_grad():
            parameter[...] = weight
    optimizer = md.optim.SGD(model, lr=workload.rate)
    inputs = md.Tensor(given.inputs)

    def step() -> float:
        loss = loss_of(model, inputs, given.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return model, optimizer, step


def _training(make: Callable[[], Any], loss_of: Callable[[Any, Any, Any], Any]) -> Callable[[Workload], Step]:
    """From a model and its loss, what makes the training step."""
    return lambda workload: training(make, workload, loss_of)[2]


def _convolution(workload: Workload) -> Step:
    given = workload.arrays()
    x, weight, bias = (md.tensor(array, requires_grad=True) for array in (given.inputs, *given.weights))
    grad_out = md.Tensor(given.labels)

    def step() -> tuple[Any, ...]:
        x.grad = weight.grad = bias.grad = None
        y = F.conv2d(x, weight, bias, padding=workload.padding)
        y.backward(grad_out)
        return y.numpy(), x.grad.numpy(), weight.grad.numpy(), bias.grad.numpy()

    return step


def _chain(workload: Workload) -> Step:
    given = workload.arrays()
    x, a, b = (md.tensor(array, requires_grad=True) for array in (given.inputs, *given.weights))

    def step() -> tuple[Any, ...]:
        x.grad = a.grad = b.grad = None
        y = x
        for _ in range(CHAIN):
            y = y * a + b
        y.sum().backward()
        return y.numpy(), x.grad.numpy(), a.grad.numpy(), b.grad.numpy()

    return step


MODELS: dict[str, Callable[[], Any]] = {
    "W1": lambda: md.models.mlp(MLP, activation="relu"),
    "W2": lambda: md.models.mlp(DEEP, activation="sigmoid"),
    "W3": md.models.lenet,
    "W4": md.models.cifar10_quick,
}
STEPS = {
    **{name: _training(make, _classification) for name, make in MODELS.items()},
    "W5": _chain,
    "Ca": _convolution,
    "Cb": _convolution,
    "Cc": _convolution,
    "LSTM": _training(lambda: md.models.char_rnn(VOCABULARY, HIDDEN), _next_character),
}
