"""The formulas of ops and layers, composed of sums, products, powers, exponentials and logarithms alone.

They overflow where the ops do not, and are slow. Derivatives of the ops are compared with theirs, to any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

import minidl.functional as F
from tests.arrays import device, host


def constant(values: Any) -> Any:
    """A raw array of float64 on the backend under test."""
    return device(np.asarray(values, np.float64))


def kept(x: Any, condition: Callable[[Any], Any]) -> Any:
    """x where the condition holds for its values, else 0; as a product with ones and zeros."""
    return x * constant(condition(host(x)))


def by_its_matrix(function: Callable[..., Any]) -> Callable[..., Any]:
    """A linear function as a product with the matrix of what it makes of unit vectors (and what it makes of 0)."""

    def formula(*xs: Any) -> Any:
        zeros = [np.zeros(x.shape) for x in xs]
        offset = host(function(*map(device, zeros)))
        total = constant(offset.reshape(-1))
        for i, x in enumerate(xs):
            columns = []
            for place in np.ndindex(x.shape):
                unit = np.zeros(x.shape)
                unit[place] = 1
                moved = [unit if j == i else zero for j, zero in enumerate(zeros)]
                columns.append((host(function(*map(device, moved))) - offset).reshape(-1))
            total = total + F.sum(constant(np.stack(columns, axis=1)) * x.reshape(-1), axis=1)
        return total.reshape(offset.shape)

    return formula


# ---- elementwise


def sigmoid(x: Any) -> Any:
    return 1 / (1 + F.exp(-x))


def tanh(x: Any) -> Any:
    power = F.exp(2 * x)
    return (power - 1) / (power + 1)


def erf(x: Any) -> Any:
    """Its power series, for |x| < 2."""
    terms = [(-1) ** n / math.factorial(n) / (2 * n + 1) * x ** (2 * n + 1) for n in range(30)]
    return sum(terms[1:], terms[0]) * (2 / math.sqrt(math.pi))


def arctan(x: Any) -> Any:
    """The integral of x / (1 + x^2 t^2) from t = 0 to 1, by Gauss's rule."""
    places, weights = np.polynomial.legendre.leggauss(60)
    return sum(
        w / 2 * x / (1 + x * x * ((t + 1) / 2) ** 2) for t, w in zip(places.tolist(), weights.tolist(), strict=True)
    )


def gelu(x: Any) -> Any:
    return x * (1 + erf(x / math.sqrt(2))) / 2


def tanh_gelu(x: Any) -> Any:
    return x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def absolute(x: Any) -> Any:
    return x * constant(np.sign(host(x)))


def relu(x: Any) -> Any:
    return kept(x, lambda a: a > 0)


def leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    return relu(x) - relu(-x) * slope


def elu(x: Any, alpha: float = 1.0) -> Any:
    return relu(x) + kept(alpha * (F.exp(x) - 1), lambda a: a < 0)


def limited(x: Any, low: float, high: float) -> Any:
    inside = kept(x, lambda a: (a > low) & (a < high))
    return inside + constant(np.where(host(x) <= low, low, np.where(host(x) >= high, high, 0)))


def larger(x: Any, y: Any) -> Any:
    return y + relu(x - y)


# ---- along axes


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    total = F.sum(x, axis, keepdims)
    return total * (math.prod(total.shape) / math.prod(x.shape))


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return mean((x - mean(x, axis, True)) ** 2, axis, keepdims)


def normalized(x: Any, axis: Any, eps: float = 1e-5) -> Any:
    return (x - mean(x, axis, True)) / (var(x, axis, True) + eps) ** 0.5


def norm(x: Any, p: float, axis: Any = None) -> Any:
    return F.sum(absolute(x) ** p, axis) ** (1 / p)


def softmax(x: Any, axis: int = -1) -> Any:
    return F.exp(x) / F.sum(F.exp(x), axis, True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    return F.log(softmax(x, axis))


def matmul(x: Any, y: Any) -> Any:
    """(..., n, k) times (k, m)."""
    return F.sum(x[..., None] * y, axis=-2)


def linear(x: Any, weight: Any, bias: Any) -> Any:
    return matmul(x, weight.transpose()) + bias


def attention(query: Any, key: Any, value: Any, bias: Any = 0.0, seen: Any = 1.0) -> Any:
    """Of matrices or stacks of them; `bias` is added to the scores, and only weights where `seen` is 1 count."""
    scores = F.sum(query[..., :, None, :] * key[..., None, :, :], axis=-1) / math.sqrt(query.shape[-1]) + bias
    powers = F.exp(scores) * constant(seen)
    weights = powers / F.sum(powers, -1, True)
    return F.sum(weights[..., None] * value[..., None, :, :], axis=-2)


def self_attention(heads: int) -> Callable[..., Any]:
    """Of x (T, E), with the four parameters of a MultiheadAttention."""

    def formula(x: Any, in_weight: Any, in_bias: Any, out_weight: Any, out_bias: Any) -> Any:
        q, k, v = (
            linear(x, weight, bias).reshape(len(x), heads, -1).swapaxes(0, 1)
            for weight, bias in zip(F.split(in_weight, 3), F.split(in_bias, 3), strict=True)
        )
        return linear(attention(q, k, v).swapaxes(0, 1).reshape(x.shape), out_weight, out_bias)

    return formula


def pre_norm_block(x: Any, *parameters: Any) -> Any:
    """A TransformerEncoderLayer of one head, with silu."""
    of_attention, w1, b1, w2, b2, weight1, bias1, weight2, bias2 = parameters[:4], *parameters[4:]
    x = x + self_attention(1)(layer_norm(x, weight1, bias1), *of_attention)
    h = linear(layer_norm(x, weight2, bias2), w1, b1)
    return x + linear(h * sigmoid(h), w2, b2)


def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
    return normalized(x, -1) * weight + bias


def per_channel(values: Any, x: Any) -> Any:
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def batch_norm(x: Any, weight: Any, bias: Any) -> Any:
    return normalized(x, (0, *range(2, x.ndim))) * per_channel(weight, x) + per_channel(bias, x)


def group_norm(x: Any, groups: int, weight: Any, bias: Any) -> Any:
    z = normalized(x.reshape(len(x), groups, -1), -1).reshape(x.shape)
    return z * per_channel(weight, x) + per_channel(bias, x)


def local_response_norm(x: Any, size: int, alpha: float, beta: float) -> Any:
    """Across the channels of x (N, C, L)."""
    squares, channels = F.pad(x * x, ((0, 0), (size // 2, (size - 1) // 2), (0, 0))), x.shape[1]
    around = [squares[:, k : k + channels] for k in range(size)]
    return x * (1 + alpha / size * sum(around[1:], around[0])) ** -beta


# ---- windows


def at_all_positions(x: Any, kernel: Sequence[int], stride: int, padding: int, dilation: int = 1) -> dict[Any, Any]:
    """{place in the window: what of x (N, C, ...) lies there at all positions}."""
    n = len(kernel)
    padded = F.pad(x, ((0, 0), (0, 0), *[(padding, padding)] * n))
    out = [(length - dilation * (k - 1) - 1) // stride + 1 for length, k in zip(padded.shape[2:], kernel, strict=True)]
    found = {}
    for place in product(*map(range, kernel)):
        starts = [dilation * k for k in place]
        ends = [start + stride * (o - 1) + 1 for start, o in zip(starts, out, strict=True)]
        found[place] = padded[(..., *[slice(s, e, stride) for s, e in zip(starts, ends, strict=True)])]
    return found


def conv(x: Any, weight: Any, bias: Any, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1) -> Any:
    """A sum of products with the shifted x."""
    shifted = at_all_positions(x, weight.shape[2:], stride, padding, dilation)
    filters, channels = weight.shape[:2]
    made = []
    for f in range(filters):
        first = f // (filters // groups) * channels
        terms = [
            seen[:, first + c] * weight[(f, c, *place)] for place, seen in shifted.items() for c in range(channels)
        ]
        made.append(sum(terms[1:], terms[0]) + bias[f])
    return F.stack(made, axis=1)


def conv_transpose(x: Any, weight: Any, bias: Any, stride: int = 1, padding: int = 0) -> Any:
    """Each number of x, times the filters, is added onto its window."""
    kernel, lengths = weight.shape[2:], x.shape[2:]
    whole = [(length - 1) * stride + k for length, k in zip(lengths, kernel, strict=True)]
    total: Any = 0
    for place in product(*map(range, lengths)):
        window = F.sum(x[(slice(None), slice(None), None, *[slice(i, i + 1) for i in place])] * weight, axis=1)
        starts = [i * stride for i in place]
        after = [length - start - k for length, start, k in zip(whole, starts, kernel, strict=True)]
        total = total + F.pad(window, ((0, 0), (0, 0), *zip(starts, after, strict=True)))
    inside = [slice(padding, length - padding) for length in whole]
    return total[(..., *inside)] + per_channel(bias, x)


def max_pool(x: Any, kernel: Sequence[int], stride: int) -> Any:
    first, *others = at_all_positions(x, kernel, stride, 0).values()
    for other in others:
        first = larger(first, other)
    return first


def avg_pool(x: Any, kernel: Sequence[int], stride: int, padding: int = 0) -> Any:
    first, *others = at_all_positions(x, kernel, stride, padding).values()
    return sum(others, first) / math.prod(kernel)


# ---- losses


def binary_cross_entropy(x: Any, t: Any, p: float = 1) -> Any:
    return mean(-p * t * F.log(x) - (1 - t) * F.log(1 - x))


def rounded(x: Any, t: Any, width: float, radius: float, slope: float) -> Any:
    """e^2 / (2 radius) for errors |e| < width, else slope (|e| - width/2)."""
    error = x - t
    near, far = (constant(mask(abs(host(error)))) for mask in (lambda e: e < width, lambda e: e >= width))
    return mean(near * error * error / (2 * radius) + far * slope * (absolute(error) - width / 2))


def cross_entropy(log_p: Any, target: Any, weight: Any, divisor: float) -> Any:
    """Of log-probabilities (N, C) and probabilities."""
    return -F.sum(log_p * target * weight) / divisor


def multi_margin(x: Any, labels: Any, p: int) -> Any:
    own = constant(np.eye(x.shape[1])[labels])
    return mean((relu(1 - F.sum(own * x, axis=1, keepdims=True) + x) * (1 - own)) ** p)


# ---- recurrent time steps


def rnn_step(from_input: Any, h: Any, weight_hh: Any, bias_hh: Any) -> Any:
    return tanh(from_input + linear(h, weight_hh, bias_hh))


def lstm_step(from_input: Any, h: Any, c: Any, weight_hh: Any, bias_hh: Any) -> tuple[Any, Any]:
    size, z = h.shape[1], from_input + linear(h, weight_hh, bias_hh)
    i, f, g, o = (z[:, k * size : (k + 1) * size] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_step(from_input: Any, h: Any, weight_hh: Any, bias_hh: Any) -> Any:
    size, z = h.shape[1], linear(h, weight_hh, bias_hh)
    (r, u, n), (r_h, u_h, n_h) = ([a[:, k * size : (k + 1) * size] for k in range(3)] for a in (from_input, z))
    n = tanh(n + sigmoid(r + r_h) * n_h)
    u = sigmoid(u + u_h)
    return (1 - u) * n + u * h


def through_time(step: Callable[..., Any], states: int) -> Callable[..., Any]:
    """A layer of such steps, from a state of zeros: all hidden states of x (T, N, I)."""

    def formula(x: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any) -> Any:
        state: Any = (constant(np.zeros((x.shape[1], weight_hh.shape[1]))),) * states
        hidden = []
        for t in range(len(x)):
            state = step(linear(x[t], weight_ih, bias_ih), *state, weight_hh, bias_hh)
            state = state if isinstance(state, tuple) else (state,)
            hidden.append(state[0])
        return F.stack(hidden)

    return formula
