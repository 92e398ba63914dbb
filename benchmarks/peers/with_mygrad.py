"""The workloads in MyGrad, as its documentation writes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu, sigmoid, tanh
from mygrad.nnet.layers import conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks.peers import Step
from benchmarks.peers.formulas import LAYERS, gru, layer_of
from benchmarks.workloads import CHAIN, HIDDEN, TIME, VOCABULARY, Workload


def _mlp(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def scores(params: Any, x: Any) -> Any:
        for i in range(0, len(params) - 2, 2):
            x = activation(mg.matmul(x, params[i].T) + params[i + 1])
        return mg.matmul(x, params[-2].T) + params[-1]

    return scores


def _lenet(params: Any, x: Any) -> Any:
    c1, b1, c2, b2, w1, d1, w2, d2 = params
    x = max_pool(conv_nd(x, c1, stride=1) + b1.reshape(1, -1, 1, 1), (2, 2), 2)
    x = max_pool(conv_nd(x, c2, stride=1) + b2.reshape(1, -1, 1, 1), (2, 2), 2)
    x = relu(mg.matmul(x.reshape(len(x), -1), w1.T) + d1)
    return mg.matmul(x, w2.T) + d2


def _char_rnn(cell: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def scores(params: Any, indices: Any) -> Any:
        weight_ih, weight_hh, bias_ih, bias_hh, weight, bias = params
        one_hot = np.eye(VOCABULARY, dtype=np.float32)[indices.T].reshape(-1, VOCABULARY)
        rows = (mg.matmul(one_hot, weight_ih.T) + bias_ih).reshape(TIME, len(indices), -1)
        hiddens = cell(rows, weight_hh, bias_hh, np.zeros((len(indices), HIDDEN), np.float32))
        hidden = mg.stack(hiddens, axis=1).reshape(-1, HIDDEN)
        return mg.matmul(hidden, weight.T) + bias

    return scores


def _lstm(rows: Any, weight_hh: Any, bias_hh: Any, h: Any) -> list[Any]:
    c, hiddens = h, []
    for t in range(TIME):
        z = rows[t] + mg.matmul(h, weight_hh.T) + bias_hh
        i, f, g, o = (z[:, k * HIDDEN : (k + 1) * HIDDEN] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        hiddens.append(h)
    return hiddens


def _gru(*arrays: Any) -> list[Any]:
    return gru(mg, sigmoid, *arrays)


def _training(scores: Callable[[Any, Any], Any]) -> Callable[[Workload], Step]:
    """From the scores of a network, what makes the training step."""

    def prepare(workload: Workload) -> Step:
        given = workload.arrays()
        params, labels = [mg.tensor(array) for array in given.weights], given.labels.reshape(-1)

        def step() -> float:
            loss = softmax_crossentropy(scores(params, given.inputs), labels)
            loss.backward()
            for param in params:
                param.data -= workload.rate * param.grad
                param.null_grad()
            return float(loss.item())

        return step

    return prepare


def _layer(forward_of: Callable[[Workload], Callable[..., Any]]) -> Callable[[Workload], Step]:
    """From what makes a layer's function of x and parameters, what goes there and back."""

    def prepare(workload: Workload) -> Step:
        given = workload.arrays()
        leaves = [mg.tensor(array) for array in (given.inputs, *given.weights)]
        forward = forward_of(workload)

        def step() -> tuple[Any, ...]:
            y = forward(*leaves)
            y.backward(given.labels)
            return (y.data, *(leaf.grad for leaf in leaves))

        return step

    return prepare


def _convolution(workload: Workload) -> Callable[..., Any]:
    def forward(x: Any, weight: Any, bias: Any) -> Any:
        return conv_nd(x, weight, stride=1, padding=workload.padding) + bias.reshape(1, -1, 1, 1)

    return forward


def _loss(workload: Workload) -> Step:
    given = workload.arrays()
    x = mg.tensor(given.inputs)

    def step() -> tuple[Any, ...]:
        loss = softmax_crossentropy(x, given.labels)
        loss.backward()
        return loss.data, x.grad

    return step


def _chain(workload: Workload) -> Step:
    given = workload.arrays()
    x, a, b = (mg.tensor(array) for array in (given.inputs, *given.weights))

    def step() -> tuple[Any, ...]:
        y = x
        for _ in range(CHAIN):
            y = y * a + b
        y.backward(np.ones_like(y.data))
        return y.data, x.grad, a.grad, b.grad

    return step


STEPS = {
    "W1": _training(_mlp(relu)),
    "W2": _training(_mlp(sigmoid)),
    "W3": _training(_lenet),
    "W5": _chain,
    **dict.fromkeys(("Ca", "Cb", "Cc"), _layer(_convolution)),
    "LSTM": _training(_char_rnn(_lstm)),
    "GRU": _training(_char_rnn(_gru)),
    **dict.fromkeys(LAYERS, _layer(partial(layer_of, mg))),
    "CE": _loss,
}
