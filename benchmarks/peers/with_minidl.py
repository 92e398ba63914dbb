"""The workloads in minidl, as a user writes them, in words that its older builds know too (`with_old.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minidl as md
import minidl.functional as F
from benchmarks.peers import Step
from benchmarks.workloads import CHAIN, DEEP, EPS, GPT, GROUPS, HEADS, HIDDEN, MLP, VOCABULARY, WIDE, WIDTH, Workload


def _classification(model: Any, inputs: Any, labels: Any) -> Any:
    return F.cross_entropy(model(inputs), labels)


def _next_character(model: Any, inputs: Any, labels: Any) -> Any:
    scores, _ = model(inputs)
    return F.cross_entropy(scores.reshape(-1, VOCABULARY), labels.reshape(-1))


def _next_characters(model: Any, inputs: Any, labels: Any) -> Any:
    return F.cross_entropy(model(inputs).reshape(-1, VOCABULARY), labels.reshape(-1))


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


def layer(forward: Callable[..., Any]) -> Callable[[Workload], Step]:
    """From forward(workload, x, *parameters), what goes there and back."""

    def prepare(workload: Workload) -> Step:
        given = workload.arrays()
        leaves = [md.tensor(array, requires_grad=True) for array in (given.inputs, *given.weights)]
        grad_out = md.Tensor(given.labels)

        def step() -> tuple[Any, ...]:
            for leaf in leaves:
                leaf.grad = None
            y = forward(workload, *leaves)
            y.backward(grad_out)
            return (y.numpy(), *(leaf.grad.numpy() for leaf in leaves))

        return step

    return prepare


def _block(workload: Workload) -> Step:
    given = workload.arrays()
    block = md.nn.TransformerEncoderLayer(WIDTH, HEADS, WIDE, dropout=0.0, batch_first=True)
    for parameter, weight in zip(block.parameters(), given.weights, strict=True):
        with md.no_grad():
            parameter[...] = weight
    x, grad_out = md.tensor(given.inputs, requires_grad=True), md.Tensor(given.labels)
    leaves = (x, *block.parameters())

    def step() -> tuple[Any, ...]:
        for leaf in leaves:
            leaf.grad = None
        y = block(x)
        y.backward(grad_out)
        return (y.numpy(), *(leaf.grad.numpy() for leaf in leaves))

    return step


def _cross_entropy(workload: Workload) -> Step:
    given = workload.arrays()
    x = md.tensor(given.inputs, requires_grad=True)

    def step() -> tuple[Any, ...]:
        x.grad = None
        loss = F.cross_entropy(x, given.labels)
        loss.backward()
        return loss.numpy(), x.grad.numpy()

    return step


def _conv2d(workload: Workload, x: Any, weight: Any, bias: Any) -> Any:
    return F.conv2d(x, weight, bias, padding=workload.padding)


def _layer_norm(_: Workload, x: Any, weight: Any, bias: Any) -> Any:
    return F.layer_norm(x, weight.shape, weight, bias, EPS)


def _group_norm(_: Workload, x: Any, weight: Any, bias: Any) -> Any:
    return F.group_norm(x, GROUPS, weight, bias, EPS)


def _batch_norm(_: Workload, x: Any, weight: Any, bias: Any) -> Any:
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=EPS)


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
    **dict.fromkeys(("Ca", "Cb", "Cc"), layer(_conv2d)),
    "LSTM": _training(lambda: md.models.char_rnn(VOCABULARY, HIDDEN), _next_character),
    "GRU": _training(lambda: md.models.char_rnn(VOCABULARY, HIDDEN, cell="gru"), _next_character),
    "GPT": _training(lambda: md.models.char_transformer(VOCABULARY, **GPT), _next_characters),
    "LN": layer(_layer_norm),
    "GN": layer(_group_norm),
    "BN": layer(_batch_norm),
    "CE": _cross_entropy,
    "Att": _block,
}
