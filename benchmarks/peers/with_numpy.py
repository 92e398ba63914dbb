"""The workloads in NumPy alone: forward and backward written by hand for just this network, nothing general."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import Step
from benchmarks.peers.numpy_blocks import (
    batch_norm,
    block,
    cross_entropy,
    group_norm,
    layer_norm,
    softmax_cross_entropy,
)
from benchmarks.peers.numpy_layers import AvgPool, Conv, Dense, Flatten, MaxPool, ReLU, Sigmoid
from benchmarks.workloads import CHAIN, HIDDEN, TIME, VOCABULARY, Arrays, Workload


def descend(params: Any, grads: Any, rate: float) -> None:
    """Plain SGD, in place."""
    for param, grad in zip(params, grads, strict=True):
        grad *= rate
        param -= grad


def _mlp(given: Arrays, activation: type) -> list[Any]:
    layers: list[Any] = []
    for weight, bias in _pairs(given.weights):
        layers += [Dense(weight, bias), activation()]
    return layers[:-1]


def _lenet(given: Arrays) -> list[Any]:
    c1, c2, f1, f2 = _pairs(given.weights)
    return [
        Conv(*c1), MaxPool(2, 2), Conv(*c2), MaxPool(2, 2), Flatten(), Dense(_channels_last(f1[0], 50), f1[1]),
        ReLU(), Dense(*f2),
    ]  # fmt: skip


def _cifar10_quick(given: Arrays) -> list[Any]:
    c1, c2, c3, f1, f2 = _pairs(given.weights)
    return [
        Conv(*c1, 2), MaxPool(3, 2), ReLU(), Conv(*c2, 2), ReLU(), AvgPool(3, 2), Conv(*c3, 2), ReLU(), AvgPool(3, 2),
        Flatten(), Dense(_channels_last(f1[0], 64), f1[1]), Dense(*f2),
    ]  # fmt: skip


def _pairs(weights: list[Any]) -> list[tuple[Any, ...]]:
    return list(zip(weights[::2], weights[1::2], strict=True))


def _channels_last(weight: Any, channels: int) -> Any:
    """The weights behind a flattened image (C, H, W), for one that is (H, W, C)."""
    size = round((weight.shape[1] / channels) ** 0.5)
    image = weight.reshape(-1, channels, size, size).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(image).reshape(weight.shape)


def _training(make: Callable[[Arrays], list[Any]]) -> Callable[[Workload], Step]:
    """From the layers, what makes the training step."""

    def prepare(workload: Workload) -> Step:
        given = workload.arrays()
        layers, labels = make(given), given.labels
        inputs = given.inputs if given.inputs.ndim == 2 else np.ascontiguousarray(given.inputs.transpose(0, 2, 3, 1))

        def step() -> float:
            x = inputs
            for layer in layers:
                x = layer.forward(x)
            loss, grad = softmax_cross_entropy(x, labels)
            for i in range(len(layers) - 1, -1, -1):
                grad = layers[i].backward(grad, i > 0)
            for layer in layers:
                descend(layer.params, layer.grads, workload.rate)
            return loss

        return step

    return prepare


def _convolution(workload: Workload) -> Step:
    """Arrays come as all peers get them, (N, C, H, W), and go through channels-last memory, the copy included."""
    given = workload.arrays()
    layer = Conv(*given.weights, workload.padding)
    grad_out = given.labels.transpose(0, 2, 3, 1)

    def step() -> tuple[Any, ...]:
        y = layer.forward(given.inputs.transpose(0, 2, 3, 1))
        dx = layer.backward(np.ascontiguousarray(grad_out), True)
        return y.transpose(0, 3, 1, 2), dx.transpose(0, 3, 1, 2), layer.weight_grad(), layer.grads[1]

    return step


def _chain(workload: Workload) -> Step:
    given = workload.arrays()
    x, (a, b) = given.inputs, given.weights

    def step() -> tuple[Any, ...]:
        values = [x]
        for _ in range(CHAIN):
            values.append(values[-1] * a + b)
        grad, grad_a, grad_b = np.ones_like(x), np.zeros_like(a), np.zeros_like(b)
        for value in values[-2::-1]:
            grad_b += grad
            grad_a += grad * value
            grad *= a
        return values[-1], grad, grad_a, grad_b

    return step


def _lstm(workload: Workload) -> Step:
    """Gates of all steps in one array; one-hot inputs are looked up, not multiplied; one product gives each dL/dW."""
    given = workload.arrays()
    weight_ih, weight_hh, bias_ih, bias_hh, weight, bias = params = given.weights
    inputs, labels = given.inputs.T.copy(), given.labels.T.reshape(-1)
    batch, size = inputs.shape[1], HIDDEN
    gates = np.empty((TIME, batch, 4 * size), np.float32)  # i, f, g, o
    hidden, cell = (np.zeros((TIME + 1, batch, size), np.float32) for _ in "hc")
    bent = np.empty((TIME, batch, size), np.float32)  # tanh(c)
    one_hot = np.eye(VOCABULARY, dtype=np.float32)[inputs].reshape(-1, VOCABULARY)
    sigmoids = (slice(2 * size), slice(3 * size, 4 * size))

    def step() -> float:
        np.take(weight_ih.T + (bias_ih + bias_hh), inputs, axis=0, out=gates)
        back = weight_hh.T
        for t in range(TIME):
            z = gates[t]
            z += hidden[t] @ back
            for part in sigmoids:
                s = z[:, part]
                np.negative(s, out=s)
                np.exp(s, out=s)
                s += 1
                np.reciprocal(s, out=s)
            i, f, g, o = (z[:, k * size : (k + 1) * size] for k in range(4))
            np.tanh(g, out=g)
            np.multiply(f, cell[t], out=cell[t + 1])
            cell[t + 1] += i * g
            np.tanh(cell[t + 1], out=bent[t])
            np.multiply(o, bent[t], out=hidden[t + 1])
        rows = hidden[1:].reshape(-1, size)
        scores = rows @ weight.T
        scores += bias
        loss, grad = softmax_cross_entropy(scores, labels)
        grads = [grad.T @ rows, grad.sum(axis=0)]
        from_output = (grad @ weight).reshape(TIME, batch, size)
        dh, dc = np.zeros((batch, size), np.float32), np.zeros((batch, size), np.float32)
        for t in range(TIME - 1, -1, -1):
            z = gates[t]
            i, f, g, o = (z[:, k * size : (k + 1) * size] for k in range(4))
            dh += from_output[t]
            dc += dh * o * (1 - bent[t] ** 2)
            di, df, dg = dc * g * i * (1 - i), dc * cell[t] * f * (1 - f), dc * i * (1 - g * g)
            do = dh * bent[t] * o * (1 - o)
            dc *= f
            i[...], f[...], g[...], o[...] = di, df, dg, do  # the gates are not needed any more
            dh = z @ weight_hh
        flat = gates.reshape(-1, 4 * size)
        of_bias = flat.sum(axis=0)
        before = [flat.T @ one_hot, flat.T @ hidden[:-1].reshape(-1, size), of_bias, of_bias.copy()]
        descend(params, before + grads, workload.rate)
        return loss

    return step


def _gru(workload: Workload) -> Step:
    """What the state adds to r and z is added to the inputs' part, in one array with n's, which is kept apart."""
    given = workload.arrays()
    weight_ih, weight_hh, bias_ih, bias_hh, weight, bias = params = given.weights
    inputs, labels = given.inputs.T.copy(), given.labels.T.reshape(-1)
    batch, size = inputs.shape[1], HIDDEN
    gates = np.empty((TIME, batch, 3 * size), np.float32)  # r, z, n; on the way back their gradients
    hidden = np.zeros((TIME + 1, batch, size), np.float32)
    from_state = np.empty((TIME, batch, 3 * size), np.float32)
    one_hot = np.eye(VOCABULARY, dtype=np.float32)[inputs].reshape(-1, VOCABULARY)

    def step() -> float:
        np.take(weight_ih.T + bias_ih, inputs, axis=0, out=gates)
        back = weight_hh.T
        for t in range(TIME):
            added = np.matmul(hidden[t], back, out=from_state[t])
            added += bias_hh
            s = gates[t, :, : 2 * size]
            s += added[:, : 2 * size]
            np.negative(s, out=s)
            np.exp(s, out=s)
            s += 1
            np.reciprocal(s, out=s)
            r, z, n = (gates[t, :, k * size : (k + 1) * size] for k in range(3))
            n += r * added[:, 2 * size :]
            np.tanh(n, out=n)
            np.subtract(hidden[t], n, out=hidden[t + 1])
            hidden[t + 1] *= z
            hidden[t + 1] += n
        rows = hidden[1:].reshape(-1, size)
        scores = rows @ weight.T
        scores += bias
        loss, grad = softmax_cross_entropy(scores, labels)
        grads = [grad.T @ rows, grad.sum(axis=0)]
        from_output = (grad @ weight).reshape(TIME, batch, size)
        dh = np.zeros((batch, size), np.float32)
        for t in range(TIME - 1, -1, -1):
            r, z, n = (gates[t, :, k * size : (k + 1) * size] for k in range(3))
            of_state = from_state[t]
            dh += from_output[t]
            dn = dh * (1 - z) * (1 - n * n)
            dz = dh * (hidden[t] - n) * z * (1 - z)
            dr = dn * of_state[:, 2 * size :] * r * (1 - r)
            np.multiply(dn, r, out=of_state[:, 2 * size :])
            dh *= z
            r[...], z[...], n[...] = dr, dz, dn  # the gates are not needed any more
            of_state[:, :size], of_state[:, size : 2 * size] = dr, dz
            dh += of_state @ weight_hh
        flat, flat_state = gates.reshape(-1, 3 * size), from_state.reshape(-1, 3 * size)
        before = [
            flat.T @ one_hot, flat_state.T @ hidden[:-1].reshape(-1, size), flat.sum(axis=0), flat_state.sum(axis=0),
        ]  # fmt: skip
        descend(params, before + grads, workload.rate)
        return loss

    return step


STEPS = {
    "W1": _training(lambda given: _mlp(given, ReLU)),
    "W2": _training(lambda given: _mlp(given, Sigmoid)),
    "W3": _training(_lenet),
    "W4": _training(_cifar10_quick),
    "W5": _chain,
    "Ca": _convolution,
    "Cb": _convolution,
    "Cc": _convolution,
    "LSTM": _lstm,
    "GRU": _gru,
    "LN": layer_norm,
    "GN": group_norm,
    "BN": batch_norm,
    "CE": cross_entropy,
    "Att": block,
}
