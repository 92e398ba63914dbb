"""The workloads in HIPS autograd: NumPy's functions, and the gradient of a function of all parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy
from autograd import make_vjp, value_and_grad

from benchmarks.peers import Step
from benchmarks.peers.formulas import LAYERS, gru, layer_of
from benchmarks.workloads import CHAIN, HIDDEN, TIME, VOCABULARY, Workload


def _cross_entropy(scores: Any, labels: Any) -> Any:
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    right = shifted[np.arange(len(labels)), labels]
    return np.mean(np.log(np.sum(np.exp(shifted), axis=1))) - np.mean(right)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _mlp(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def scores(params: Any, x: Any) -> Any:
        for i in range(0, len(params) - 2, 2):
            x = activation(np.dot(x, params[i].T) + params[i + 1])
        return np.dot(x, params[-2].T) + params[-1]

    return scores


def _char_rnn(cell: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def scores(params: Any, indices: Any) -> Any:
        weight_ih, weight_hh, bias_ih, bias_hh, weight, bias = params
        one_hot = numpy.eye(VOCABULARY, dtype=numpy.float32)[indices.T].reshape(-1, VOCABULARY)
        rows = np.reshape(np.dot(one_hot, weight_ih.T) + bias_ih, (TIME, len(indices), -1))
        hiddens = cell(rows, weight_hh, bias_hh, numpy.zeros((len(indices), HIDDEN), numpy.float32))
        hidden = np.reshape(np.stack(hiddens, axis=1), (-1, HIDDEN))
        return np.dot(hidden, weight.T) + bias

    return scores


def _lstm(rows: Any, weight_hh: Any, bias_hh: Any, h: Any) -> list[Any]:
    c, hiddens = h, []
    for t in range(TIME):
        z = rows[t] + np.dot(h, weight_hh.T) + bias_hh
        i, f, g, o = (z[:, k * HIDDEN : (k + 1) * HIDDEN] for k in range(4))
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        hiddens.append(h)
    return hiddens


def _gru(*arrays: Any) -> list[Any]:
    return gru(np, _sigmoid, *arrays)


def _training(scores: Callable[[Any, Any], Any]) -> Callable[[Workload], Step]:
    """From the scores of a network, what makes the training step."""

    def prepare(workload: Workload) -> Step:
        given = workload.arrays()
        params, labels = given.weights, given.labels.reshape(-1)
        loss_and_grads = value_and_grad(lambda params: _cross_entropy(scores(params, given.inputs), labels))

        def step() -> float:
            loss, grads = loss_and_grads(params)
            for param, grad in zip(params, grads, strict=True):
                param -= workload.rate * grad
            return float(loss)

        return step

    return prepare


def _chain(workload: Workload) -> Step:
    given = workload.arrays()
    start = (given.inputs, *given.weights)

    def chain(xab: Any) -> Any:
        y, a, b = xab
        for _ in range(CHAIN):
            y = y * a + b
        return y

    def step() -> tuple[Any, ...]:
        vjp, y = make_vjp(chain)(start)
        return (y, *vjp(numpy.ones_like(y)))

    return step


def _layer(workload: Workload) -> Step:
    given = workload.arrays()
    start = (given.inputs, *given.weights)
    forward = layer_of(np, workload)

    def step() -> tuple[Any, ...]:
        vjp, y = make_vjp(lambda arrays: forward(*arrays))(start)
        return (y, *vjp(given.labels))

    return step


def _loss(workload: Workload) -> Step:
    given = workload.arrays()
    loss_and_grad = value_and_grad(lambda x: _cross_entropy(x, given.labels))
    return lambda: loss_and_grad(given.inputs)


STEPS = {
    "W1": _training(_mlp(lambda x: np.maximum(x, 0))),
    "W2": _training(_mlp(_sigmoid)),
    "W5": _chain,
    "LSTM": _training(_char_rnn(_lstm)),
    "GRU": _training(_char_rnn(_gru)),
    **dict.fromkeys(LAYERS, _layer),
    "CE": _loss,
}
