"""Derivatives of orders 1 to 4 of every op and every layer are those of its formula, composed of elementary ops.

Two ways to build one function must agree however often it is differentiated. (Against PyTorch this could not be tested:
in version 2.13 its own layer_norm, batch_norm and instance_norm are wrong from the third derivative on,
https://github.com/pytorch/pytorch/issues/175754 and 186256.) The elementary ops themselves, exp, log, sin and powers,
have derivatives that everybody knows. A function, a layer or an op class that no example reaches fails.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.autograd.function import Function
from minidl.nn.positions import sinusoids
from tests.arrays import device, host, tensor
from tests.derivatives import formulas as f
from tests.derivatives.formulas import by_its_matrix, constant

ORDERS = 4
TOLERANCE = 1e-8  # relative to the largest number of a derivative


class Example(NamedTuple):
    """A function of Tensors, its formula, and the arrays they are called on; a layer's parameters are handed on too."""

    function: Callable[..., Any]
    formula: Callable[..., Any]
    arrays: tuple[Any, ...]


def numbers(*shape: int, low: float = -1.5, high: float = 1.5, seed: int = 0) -> Any:
    """Numbers from low to high in any order, none near 0 nor near another; other ones for another seed."""
    count = math.prod(shape)
    spread = np.linspace(low, high, count) + 0.013 + 0.007 * seed
    return np.random.default_rng(seed + count).permutation(spread).reshape(shape)


def positive(*shape: int, seed: int = 0) -> Any:
    return numbers(*shape, low=0.3, high=1.9, seed=seed)


def probabilities(*shape: int, seed: int = 0) -> Any:
    return numbers(*shape, low=0.1, high=0.85, seed=seed)


# ---- the functions

X, Y, P, Q = numbers(2, 3), numbers(2, 3, seed=5), positive(2, 3), probabilities(2, 3)
ROW = numbers(3, seed=1)
SEQUENCE, IMAGE = numbers(2, 2, 5), numbers(1, 2, 4, 3)
LABELS, WEIGHT = np.array([2, 0]), np.array([0.5, 2.0, 1.0])
ONE_HOT = np.eye(3)[LABELS]
SMOOTHED = 0.8 * ONE_HOT + 0.2 / 3
MASK = X > 0
SEEN = np.array([[True, False], [True, True], [False, True]])  # by three queries of two keys
STEP = numbers(2, 2), numbers(2, 2, seed=4)  # a state, and a second one


def unary(function: Any, formula: Any, x: Any = X, **options: Any) -> Example:
    return Example(lambda t: function(t, **options), formula, (x,))


def linear_in(function: Any, *arrays: Any) -> Example:
    return Example(function, by_its_matrix(function), arrays)


def step(function: Any, numpys: Any, *arrays: Any) -> Example:
    """A function that is constant wherever it has a slope."""
    return Example(function, lambda *xs: sum(x * 0 for x in xs) + constant(numpys(*[host(x) for x in xs])), arrays)


def sorted_rows(x: Any) -> Any:
    places = np.argsort(host(x), axis=1)
    return F.sum(x[:, None, :] * constant(np.eye(x.shape[1])[places]), axis=-1)


def seeded(function: Any) -> Any:
    """A function that draws the same random numbers each time."""

    def drawing(x: Any) -> Any:
        md.seed(7)
        return function(x)

    return drawing


def widest() -> str:
    """A dtype that holds every float64."""
    return "longdouble" if backend.current() == "numpy" else "float64"


def gates(count: int) -> tuple[Any, ...]:
    return numbers(2, 2 * count), STEP[0], numbers(2 * count, 2, seed=2), numbers(2 * count, seed=3)


FUNCTIONS: dict[str, list[Example]] = {
    # arithmetic
    "add": [linear_in(F.add, X, ROW)],
    "subtract": [linear_in(F.subtract, X, ROW)],
    "negative": [linear_in(F.negative, X)],
    "multiply": [Example(F.multiply, lambda x, y: ((x + y) ** 2 - (x - y) ** 2) / 4, (X, ROW))],
    "divide": [Example(F.divide, lambda x, y: x * y**-1, (X, positive(3)))],
    "power": [
        Example(F.power, lambda x, y: F.exp(y * F.log(x)), (P, ROW)),
        unary(lambda t: F.power(1.7, t), lambda y: F.exp(y * math.log(1.7))),
        unary(lambda t: F.power(t, 3), lambda x: x * x * x),
        unary(lambda t: F.power(t, -2.5), lambda x: F.exp(-2.5 * F.log(x)), P),
        unary(lambda t: F.power(t, 0), lambda x: x * 0 + 1),
    ],
    "absolute": [unary(F.absolute, f.absolute)],
    "sign": [unary(F.sign, lambda x: x * 0 + constant(np.sign(host(x))))],
    "sqrt": [unary(F.sqrt, lambda x: x**0.5, P)],
    "erf": [unary(F.erf, f.erf)],
    "expm1": [unary(F.expm1, lambda x: F.exp(x) - 1)],
    "log1p": [unary(F.log1p, lambda x: F.log(1 + x), P)],
    "log2": [unary(F.log2, lambda x: F.log(x) / math.log(2), P)],
    "log10": [unary(F.log10, lambda x: F.log(x) / math.log(10), P)],
    "square": [unary(F.square, lambda x: x * x)],
    "arctan": [unary(F.arctan, f.arctan)],
    "tan": [unary(F.tan, lambda x: F.sin(x) / F.cos(x), Q)],
    # rounding
    "floor": [step(F.floor, np.floor, X)],
    "ceil": [step(F.ceil, np.ceil, X)],
    "trunc": [step(F.trunc, np.trunc, X)],
    "round": [step(lambda x: F.round(x, 1), lambda x: np.round(x, 1), X)],
    "floor_divide": [step(F.floor_divide, np.floor_divide, X, P)],
    "remainder": [Example(F.remainder, lambda x, y: x - y * constant(np.floor(host(x) / host(y))), (X, P))],
    # activations
    "relu": [unary(F.relu, f.relu)],
    "leaky_relu": [unary(F.leaky_relu, lambda x: f.leaky_relu(x, 0.2), negative_slope=0.2)],
    "prelu": [Example(F.prelu, lambda x, w: f.leaky_relu(x, w), (X, ROW))],
    "elu": [unary(F.elu, lambda x: f.elu(x, 0.7), alpha=0.7)],
    "selu": [unary(F.selu, lambda x: f.elu(x, 1.6732632423543772) * 1.0507009873554805)],
    "hardtanh": [unary(F.hardtanh, lambda x: f.limited(x, -1, 1))],
    "sigmoid": [unary(F.sigmoid, f.sigmoid)],
    "tanh": [unary(F.tanh, f.tanh)],
    "softsign": [unary(F.softsign, lambda x: x / (1 + f.absolute(x)))],
    "softplus": [unary(F.softplus, lambda x: F.log(1 + F.exp(x)))],
    "silu": [unary(F.silu, lambda x: x * f.sigmoid(x))],
    "gelu": [unary(F.gelu, f.gelu), unary(F.gelu, f.tanh_gelu, approximate="tanh")],
    # choosing
    "where": [linear_in(lambda x, y: F.where(device(MASK), x, y), X, ROW)],
    "maximum": [Example(F.maximum, f.larger, (X, Y))],
    "minimum": [Example(F.minimum, lambda x, y: -f.larger(-x, -y), (X, Y))],
    "clip": [unary(F.clip, lambda x: f.limited(x, -0.5, 0.9), low=-0.5, high=0.9)],
    # run again in the backward
    "checkpoint": [unary(lambda x: F.checkpoint(lambda h: F.sin(h) * h, x), lambda x: F.sin(x) * x)],
    "checkpoint_sequential": [
        unary(lambda x: F.checkpoint_sequential([F.sin, F.exp], 2, x), lambda x: F.exp(F.sin(x)))
    ],
    # shapes
    "reshape": [linear_in(lambda x: F.reshape(x, (3, 2)), X)],
    "flatten": [linear_in(F.flatten, X)],
    "squeeze": [linear_in(F.squeeze, numbers(2, 1, 3))],
    "expand_dims": [linear_in(lambda x: F.expand_dims(x, 1), X)],
    "broadcast_to": [linear_in(lambda x: F.broadcast_to(x, (2, 3)), ROW)],
    "transpose": [linear_in(F.transpose, X)],
    "swapaxes": [linear_in(lambda x: F.swapaxes(x, 0, 1), X)],
    "concatenate": [linear_in(lambda x, y: F.concatenate([x, y], axis=1), X, Y)],
    "stack": [linear_in(lambda x, y: F.stack([x, y], axis=1), X, Y)],
    "split": [linear_in(lambda x: F.split(x, [1], axis=1)[1], X)],
    "ravel": [linear_in(F.ravel, X)],
    "moveaxis": [linear_in(lambda x: F.moveaxis(x, 0, 1), X)],
    "flip": [linear_in(lambda x: F.flip(x, axis=1), X)],
    "roll": [linear_in(lambda x: F.roll(x, 1, axis=1), X)],
    "repeat": [linear_in(lambda x: F.repeat(x, 2, axis=1), X)],
    "tile": [linear_in(lambda x: F.tile(x, (2, 2)), X)],
    "take": [linear_in(lambda x: F.take(x, device(np.array([0, 0, 2])), axis=1), X)],
    "take_along_axis": [linear_in(lambda x: F.take_along_axis(x, device(np.array([[0, 0], [2, 1]])), axis=1), X)],
    "sort": [unary(F.sort, sorted_rows)],
    "vstack": [linear_in(lambda x, y: F.vstack([x, y]), X, ROW)],
    "hstack": [linear_in(lambda x, y: F.hstack([x, y]), X, Y)],
    "diagonal": [linear_in(F.diagonal, X)],
    "diag": [linear_in(F.diag, ROW)],
    "trace": [linear_in(F.trace, X)],
    "tril": [linear_in(F.tril, X)],
    "triu": [linear_in(F.triu, X)],
    "pad": [linear_in(lambda x: F.pad(x, ((1, 0), (0, 2)), constant_values=0.5), X)],
    "astype": [linear_in(lambda x: F.astype(x, widest()).astype("float64"), X)],
    "copy": [linear_in(F.copy, X)],
    "to_device": [linear_in(lambda x: F.to_device(x, md.Tensor(device(X)).device), X)],
    "getitem": [
        linear_in(lambda x: F.getitem(x, (slice(None), 1)), X),
        linear_in(lambda x: F.getitem(x, device(np.array([1, 0, 1]))), X),
    ],
    "setitem": [
        linear_in(lambda x, y: F.setitem(x, (slice(None), 1), y), X, numbers(2)),
        linear_in(lambda x, y: F.setitem(x, device(np.array([1, 1])), y), X, Y),
    ],
    "embedding": [
        linear_in(lambda w: F.embedding(device(np.array([0, 2, 0])), w, padding_idx=1), numbers(3, 2)),
    ],
    # along axes
    "sum": [linear_in(lambda x: F.sum(x, axis=0), X)],
    "mean": [linear_in(lambda x: F.mean(x, axis=1), X)],
    "cumsum": [linear_in(lambda x: F.cumsum(x, axis=1), X)],
    "var": [unary(lambda x: F.var(x, axis=1, ddof=1), lambda x: f.var(x, 1) * 1.5)],
    "std": [unary(lambda x: F.std(x, axis=1, ddof=1), lambda x: (f.var(x, 1) * 1.5) ** 0.5)],
    "prod": [unary(lambda x: F.prod(x, axis=1), lambda x: x[:, 0] * x[:, 1] * x[:, 2])],
    "ptp": [unary(lambda x: F.ptp(x, axis=1), lambda x: sorted_rows(x)[:, 2] - sorted_rows(x)[:, 0])],
    "max": [unary(F.max, lambda x: F.sum(f.kept(x, lambda a: a == a.max(1, keepdims=True)), axis=1), axis=1)],
    "min": [unary(F.min, lambda x: F.sum(f.kept(x, lambda a: a == a.min(1, keepdims=True)), axis=1), axis=1)],
    "logsumexp": [unary(F.logsumexp, lambda x: F.log(F.sum(F.exp(x), axis=1)), axis=1)],
    "norm": [
        unary(lambda x: F.norm(x, axis=1), lambda x: f.norm(x, 2, 1)),
        unary(lambda x: F.norm(x, 3, axis=1), lambda x: f.norm(x, 3, 1)),
        unary(lambda x: F.norm(x, 0.5, axis=1), lambda x: f.norm(x, 0.5, 1)),
        unary(lambda x: F.norm(x, 1, axis=1), lambda x: F.sum(f.absolute(x), axis=1)),
        unary(F.norm, lambda x: f.norm(x, 2)),
    ],
    "softmax": [unary(F.softmax, f.softmax), unary(F.softmax, lambda x: f.softmax(x, 0), axis=0)],
    "log_softmax": [unary(F.log_softmax, f.log_softmax), unary(F.log_softmax, lambda x: f.log_softmax(x, 0), axis=0)],
    # products
    "matmul": [
        Example(F.matmul, f.matmul, (X, numbers(3, 2))),
        Example(F.matmul, f.matmul, (numbers(2, 2, 3), numbers(3, 2))),
        Example(F.matmul, lambda x, y: F.sum(x * y), (ROW, numbers(3, seed=8))),
    ],
    "dot": [Example(F.dot, f.matmul, (X, numbers(3, 2)))],
    "einsum": [
        Example(lambda x, y: F.einsum("ij,jk->ik", x, y), f.matmul, (X, numbers(3, 2))),
        Example(
            lambda x, y, z: F.einsum("ij,jk,k->i", x, y, z),
            lambda x, y, z: F.sum(f.matmul(x, y) * z, axis=1),
            (X, numbers(3, 2), numbers(2)),
        ),
    ],
    "outer": [Example(F.outer, lambda x, y: x[:, None] * y, (ROW, numbers(2)))],
    "linear": [
        Example(F.linear, f.linear, (X, numbers(2, 3, seed=1), numbers(2))),
        Example(F.linear, lambda x, w: f.linear(x, w, 0), (X, numbers(2, 3, seed=1))),
    ],
    # windows
    "conv1d": [
        Example(
            lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=2, dilation=2),
            lambda x, w, b: f.conv(x, w, b, 2, 2, 2),
            (SEQUENCE, numbers(2, 2, 2), numbers(2)),
        )
    ],
    "conv2d": [
        Example(
            lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2),
            lambda x, w, b: f.conv(x, w, b, padding=1, groups=2),
            (IMAGE, numbers(2, 1, 2, 2), numbers(2)),
        )
    ],
    "conv_transpose1d": [
        Example(
            lambda x, w, b: F.conv_transpose1d(x, w, b, stride=2, padding=1),
            lambda x, w, b: f.conv_transpose(x, w, b, 2, 1),
            (numbers(1, 2, 3), numbers(2, 2, 3), numbers(2)),
        )
    ],
    "conv_transpose2d": [
        Example(F.conv_transpose2d, f.conv_transpose, (numbers(1, 1, 2, 2), numbers(1, 2, 2, 2), numbers(2)))
    ],
    "max_pool1d": [unary(lambda x: F.max_pool1d(x, 3, 2), lambda x: f.max_pool(x, (3,), 2), SEQUENCE)],
    "max_pool2d": [unary(lambda x: F.max_pool2d(x, 2, 1), lambda x: f.max_pool(x, (2, 2), 1), IMAGE)],
    "avg_pool1d": [unary(lambda x: F.avg_pool1d(x, 3, 2, 1), lambda x: f.avg_pool(x, (3,), 2, 1), SEQUENCE)],
    "avg_pool2d": [unary(lambda x: F.avg_pool2d(x, 2, 1), lambda x: f.avg_pool(x, (2, 2), 1), IMAGE)],
    "adaptive_avg_pool1d": [linear_in(lambda x: F.adaptive_avg_pool1d(x, 3), SEQUENCE)],
    "adaptive_avg_pool2d": [linear_in(lambda x: F.adaptive_avg_pool2d(x, 2), IMAGE)],
    "adaptive_max_pool1d": [unary(lambda x: F.adaptive_max_pool1d(x, 4), lambda x: f.max_pool(x, (2,), 1), SEQUENCE)],
    "adaptive_max_pool2d": [
        unary(lambda x: F.adaptive_max_pool2d(x, (3, 2)), lambda x: f.max_pool(x, (2, 2), 1), IMAGE)
    ],
    "global_avg_pool": [linear_in(F.global_avg_pool, IMAGE)],
    # normalisation
    "batch_norm": [
        Example(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), f.batch_norm, (X, P[0], ROW)),
        Example(
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
            f.batch_norm,
            (numbers(2, 2, 3), positive(2), numbers(2)),
        ),
        unary(
            lambda x: F.batch_norm(x, constant(ROW), constant(P[0])),
            lambda x: (x - constant(ROW)) / constant(P[0] + 1e-5) ** 0.5,
        ),
    ],
    "layer_norm": [
        Example(lambda x, w, b: F.layer_norm(x, (3,), w, b), f.layer_norm, (X, P[0], ROW)),
        unary(lambda x: F.layer_norm(x, (2, 3)), lambda x: f.normalized(x, (1, 2)), numbers(2, 2, 3)),
    ],
    "group_norm": [
        Example(
            lambda x, w, b: F.group_norm(x, 2, w, b),
            lambda x, w, b: f.group_norm(x, 2, w, b),
            (numbers(2, 4, 2), positive(4), numbers(4)),
        )
    ],
    "local_response_norm": [
        unary(
            lambda x: F.local_response_norm(x, 3, alpha=0.5, beta=0.75),
            lambda x: f.local_response_norm(x, 3, 0.5, 0.75),
            numbers(2, 4, 2),
        ),
        unary(
            lambda x: F.local_response_norm(x, 3, alpha=0.5, within_channel=True),
            lambda x: x * (1 + 0.5 * f.avg_pool(x * x, (3, 3), 1, 1)) ** -0.75,
            IMAGE,
        ),
    ],
    "dropout": [linear_in(seeded(F.dropout), X)],
    "dropout1d": [linear_in(seeded(F.dropout1d), SEQUENCE)],
    "dropout2d": [linear_in(seeded(F.dropout2d), IMAGE)],
    # losses
    "mse_loss": [
        Example(F.mse_loss, lambda x, t: f.mean((x - t) ** 2), (X, Y)),
        Example(
            lambda x, t, w: F.mse_loss(x, t, weight=w),
            lambda x, t, w: F.sum(w * (x - t) ** 2) / F.sum(w),
            (X, Y, P),
        ),
    ],
    "l1_loss": [Example(F.l1_loss, lambda x, t: f.mean(f.absolute(x - t)), (X, Y))],
    "smooth_l1_loss": [
        Example(lambda x, t: F.smooth_l1_loss(x, t, beta=0.5), lambda x, t: f.rounded(x, t, 0.5, 0.5, 1), (X, Y))
    ],
    "huber_loss": [
        Example(lambda x, t: F.huber_loss(x, t, delta=0.5), lambda x, t: f.rounded(x, t, 0.5, 1, 0.5), (X, Y))
    ],
    "binary_cross_entropy": [Example(F.binary_cross_entropy, f.binary_cross_entropy, (Q, probabilities(2, 3, seed=2)))],
    "binary_cross_entropy_with_logits": [
        Example(F.binary_cross_entropy_with_logits, lambda x, t: f.binary_cross_entropy(f.sigmoid(x), t), (X, Q)),
        Example(
            lambda x, t: F.binary_cross_entropy_with_logits(x, t, pos_weight=3.0),
            lambda x, t: f.binary_cross_entropy(f.sigmoid(x), t, 3.0),
            (X, Q),
        ),
    ],
    "kl_div": [
        Example(F.kl_div, lambda x, t: f.mean(t * (F.log(t) - x)), (X, Q)),
        Example(lambda x, t: F.kl_div(x, t, log_target=True), lambda x, t: f.mean(F.exp(t) * (t - x)), (X, -P)),
    ],
    "cross_entropy": [
        unary(
            lambda x: F.cross_entropy(x, device(LABELS)),
            lambda x: f.cross_entropy(f.log_softmax(x), constant(ONE_HOT), 1, 2),
        ),
        unary(
            lambda x: F.cross_entropy(x, device(LABELS), label_smoothing=0.2),
            lambda x: f.cross_entropy(f.log_softmax(x), constant(SMOOTHED), 1, 2),
        ),
        unary(
            lambda x: F.cross_entropy(x, device(LABELS), device(WEIGHT), label_smoothing=0.2),
            lambda x: f.cross_entropy(f.log_softmax(x), constant(SMOOTHED), constant(WEIGHT), WEIGHT[LABELS].sum()),
        ),
        Example(
            lambda x, t: F.cross_entropy(x, t, device(WEIGHT)),
            lambda x, t: f.cross_entropy(f.log_softmax(x), t, constant(WEIGHT), 2),
            (X, Q),
        ),
    ],
    "nll_loss": [linear_in(lambda x: F.nll_loss(x, device(LABELS), device(WEIGHT)), X)],
    "hinge_loss": [
        unary(
            lambda x: F.hinge_loss(x, device(np.sign(Y))),
            lambda x: f.mean(f.relu(1 - constant(np.sign(Y)) * x)),
        )
    ],
    "multi_margin_loss": [
        unary(lambda x, p=p: F.multi_margin_loss(x, device(LABELS), p), lambda x, p=p: f.multi_margin(x, LABELS, p))
        for p in (1, 2)
    ],
    "scaled_dot_product_attention": [
        Example(F.scaled_dot_product_attention, f.attention, (X, Y, numbers(2, 2), numbers(2, 2, seed=1))),
        Example(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            lambda q, k, v: f.attention(q, k, v, seen=np.tri(2)),
            (SEQUENCE[..., :2], X[:, :2], Y),
        ),
        Example(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, device(SEEN)),
            lambda q, k, v: f.attention(q, k, v, seen=SEEN),
            (numbers(3, 2), X[:, :2], Y),
        ),
    ],
    # recurrent time steps
    "rnn_step": [Example(F.rnn_step, f.rnn_step, gates(1))],
    "lstm_step": [
        Example(
            lambda z, h, w, b, c: F.concatenate(F.lstm_step(z, h, c, w, b)),
            lambda z, h, w, b, c: F.concatenate(f.lstm_step(z, h, c, w, b)),
            (*gates(4), STEP[1]),
        )
    ],
    "gru_step": [Example(F.gru_step, f.gru_step, gates(3))],
}
EVERYBODY_KNOWS = {  # the derivatives of orders 1 to 4
    "exp": (F.exp, [np.exp] * 4),
    "log": (F.log, [lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4]),
    "sin": (F.sin, [np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin]),
    "cos": (F.cos, [lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin, np.cos]),
    "power": (
        lambda x: F.power(x, 2.5),
        [
            lambda x: 2.5 * x**1.5,
            lambda x: 3.75 * x**0.5,
            lambda x: 1.875 * x**-0.5,
            lambda x: -0.9375 * x**-1.5,
        ],
    ),
}
WITHOUT_GRADIENT = {
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
    *("logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "write_item"),
    *("argmax", "argmin", "argsort", "any", "all", "isnan", "isinf", "isfinite", "isclose", "allclose", "one_hot"),
}

# ---- the layers: the formula is handed x and the layer's parameters

LAYERS: dict[str, tuple[Callable[[], Any], Callable[..., Any], Any]] = {
    "Linear": (lambda: nn.Linear(3, 2), f.linear, X),
    "Embedding": (
        lambda: nn.Sequential(nn.Linear(3, 2), Looked(nn.Embedding(3, 2))),
        lambda x, w, b, table: f.linear(x, w, b) * table[np.array([2, 0])],
        X,
    ),
    "Conv1d": (lambda: nn.Conv1d(2, 2, 3, padding=1), lambda x, w, b: f.conv(x, w, b, padding=1), SEQUENCE),
    "Conv2d": (lambda: nn.Conv2d(2, 1, 2, stride=2), lambda x, w, b: f.conv(x, w, b, 2), IMAGE),
    "ConvTranspose1d": (
        lambda: nn.ConvTranspose1d(2, 2, 2, stride=2),
        lambda x, w, b: f.conv_transpose(x, w, b, 2),
        numbers(1, 2, 3),
    ),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(1, 2, 2), f.conv_transpose, numbers(1, 1, 2, 2)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), f.batch_norm, numbers(4, 3)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2), f.batch_norm, IMAGE),
    "LayerNorm": (lambda: nn.LayerNorm(3), f.layer_norm, X),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), lambda x, w, b: f.group_norm(x, 2, w, b), numbers(2, 4, 2)),
    "LocalResponseNorm": (
        lambda: nn.LocalResponseNorm(3, alpha=0.5),
        lambda x: f.local_response_norm(x, 3, 0.5, 0.75),
        numbers(2, 4, 2),
    ),
    "PReLU": (nn.PReLU, f.leaky_relu, X),
    "RNN": (lambda: First(nn.RNN(2, 2)), f.through_time(f.rnn_step, 1), numbers(2, 2, 2)),
    "LSTM": (lambda: First(nn.LSTM(2, 2)), f.through_time(f.lstm_step, 2), numbers(2, 2, 2)),
    "GRU": (lambda: First(nn.GRU(2, 2)), f.through_time(f.gru_step, 1), numbers(2, 2, 2)),
    "RNNCell": (lambda: Once(nn.RNNCell(2, 2)), f.through_time(f.rnn_step, 1), numbers(1, 2, 2)),
    "LSTMCell": (lambda: Once(nn.LSTMCell(2, 2)), f.through_time(f.lstm_step, 2), numbers(1, 2, 2)),
    "GRUCell": (lambda: Once(nn.GRUCell(2, 2)), f.through_time(f.gru_step, 1), numbers(1, 2, 2)),
    "MultiheadAttention": (
        lambda: First(SelfAttention(nn.MultiheadAttention(4, 2))),
        f.self_attention(2),
        numbers(2, 4),
    ),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(3, 1, 2, dropout=0.0, activation=F.silu, norm_first=True),
        f.pre_norm_block,
        X,
    ),
    "LearnedPositions": (lambda: nn.LearnedPositions(3, 2), lambda x, w: x + w, X),
    "SinusoidalPositions": (lambda: nn.SinusoidalPositions(3, 2), lambda x: x + constant(sinusoids(2, 3)), X),
    "Residual": (
        lambda: nn.Residual(nn.Sequential(nn.Linear(3, 3), nn.Tanh())),
        lambda x, w, b: x + f.tanh(f.linear(x, w, b)),
        X,
    ),
}
BY_THEIR_FUNCTION = {  # layers that have no parameters, and call one function
    *("ReLU", "LeakyReLU", "ELU", "SELU", "SiLU", "GELU", "Hardtanh", "Sigmoid", "Tanh", "Softsign", "Softplus"),
    *("Softmax", "LogSoftmax", "Dropout", "Dropout1d", "Dropout2d", "Flatten", "Reshape", "Identity"),
    *("MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d", "GlobalAvgPool"),
    *("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d"),
    *("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "HingeLoss"),
    *("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"),
}
NO_LAYERS = {"Module", "ModuleDict", "ModuleList", "Sequential", "Parameter", "init"}


class First(nn.Module):
    """The first of a layer's results."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: md.Tensor) -> Any:
        return self.layer(x)[0]


class SelfAttention(nn.Module):
    """Attention of x to itself."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: md.Tensor) -> Any:
        return self.attention(x, x, x)


class Once(nn.Module):
    """A cell, for the one time step of x (1, N, I)."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: md.Tensor) -> Any:
        state = self.cell(x[0])
        return (state[0] if isinstance(state, tuple) else state)[None]


class Looked(nn.Module):
    """x times two rows of an embedding."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, x: md.Tensor) -> Any:
        return x * self.embedding(device(np.array([2, 0])))


# ---- the tests


def derivatives(function: Callable[..., Any], leaves: list[md.Tensor], orders: int = ORDERS) -> list[Any]:
    """The value; the gradients of a weighted sum of sin(value); those of a weighted sum of their squares; and so on.

    Sines and squares, so that the derivatives of linear functions depend on x too. The last ones are not recorded, as
    in an ordinary backward: faster versions have lines of their own for those.
    """
    value = function(*leaves)
    total = F.sum(F.sin(value) * constant(numbers(*value.shape, seed=11)))
    found = [[host(value)]]
    for order in range(1, orders + 1):
        grads = md.grad(total, leaves, create_graph=order < orders, allow_unused=True)
        slopes = [md.zeros(*x.shape, dtype="float64") if g is None else g for g, x in zip(grads, leaves, strict=True)]
        found.append([host(slope) for slope in slopes])
        along = [F.sum(slope * slope * constant(numbers(*slope.shape, seed=order))) for slope in slopes]
        total = sum(along[1:], along[0])
    return found


def compare(function: Callable[..., Any], formula: Callable[..., Any], leaves: list[md.Tensor]) -> None:
    found, expected = derivatives(function, leaves), derivatives(formula, leaves)
    for order, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            size = np.abs(b).max(initial=1e-3)
            np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * size, err_msg=f"order {order}, input {i}")


@pytest.mark.parametrize(
    "example", [pytest.param(e, id=f"{name}-{i}") for name, several in FUNCTIONS.items() for i, e in enumerate(several)]
)
def test_a_function_is_its_formula(example: Example) -> None:
    compare(example.function, example.formula, [tensor(a, requires_grad=True) for a in example.arrays])


@pytest.mark.parametrize("name", EVERYBODY_KNOWS)
def test_elementary_functions(name: str) -> None:
    function, known = EVERYBODY_KNOWS[name]
    x = tensor(P, requires_grad=True)
    value = function(x)
    for order, derivative in enumerate(known, 1):
        value = md.grad(F.sum(value), x, create_graph=order < ORDERS)
        np.testing.assert_allclose(host(value), derivative(P), rtol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_its_formula(name: str) -> None:
    make, formula, x = LAYERS[name]
    layer = make().to(dtype="float64")
    for i, parameter in enumerate(layer.parameters()):
        parameter.data[...] = device(numbers(*parameter.shape, seed=20 + i))
    parameters = list(layer.parameters())
    compare(lambda x, *_: layer(x), formula, [tensor(x, requires_grad=True), *parameters])


def test_no_function_and_no_layer_is_forgotten() -> None:
    assert {*FUNCTIONS, *EVERYBODY_KNOWS, *WITHOUT_GRADIENT, "abs"} == set(F.__all__)
    assert {*LAYERS, *BY_THEIR_FUNCTION, *NO_LAYERS} == set(nn.__all__)


def test_no_op_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class of which a node can be is a node somewhere in the examples."""
    record, reached = Function._record, set()

    def noting(self: Any, *args: Any) -> None:
        reached.add(getattr(self, "plain", type(self)))
        record(self, *args)

    monkeypatch.setattr(Function, "_record", noting)
    with md.using("numpy"), md.plain():  # on a device some ops are another one's versions
        for example in itertools.chain(*FUNCTIONS.values()):
            derivatives(example.function, [tensor(a, requires_grad=True) for a in example.arrays], orders=3)
    ops = {op for op in subclasses(Function) if op.__module__.startswith("minidl.functional.")}
    assert {op for op in ops if op.differentiable and hasattr(op, "forward")} - reached == set()


def subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from subclasses(subclass)
