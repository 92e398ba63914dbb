"""The layers that HIPS autograd and MyGrad do not have, as formulas; `np` is the library's own copy of NumPy."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.workloads import EPS, GROUPS, HEADS, HIDDEN, TIME, WIDTH, Workload


def layer_norm(np: Any, x: Any, weight: Any, bias: Any) -> Any:
    """weight (x - m) / sqrt(v + eps) + bias, m and v over the last axis."""
    return _normalised(np, x, -1) * weight + bias


def group_norm(np: Any, x: Any, weight: Any, bias: Any) -> Any:
    """m and v over each image's groups of channels."""
    grouped = np.reshape(x, (x.shape[0], GROUPS, -1))
    return np.reshape(_normalised(np, grouped, -1), x.shape) * _channels(weight) + _channels(bias)


def batch_norm(np: Any, x: Any, weight: Any, bias: Any) -> Any:
    """m and v over all axes but that of the channels."""
    return _normalised(np, x, (0, 2, 3)) * _channels(weight) + _channels(bias)


def block(np: Any, x: Any, *parameters: Any) -> Any:
    """The block of a Transformer: attention and a network, each added to its input and normalised (post-norm)."""
    w_in, b_in, w_out, b_out, w1, b1, w2, b2, g1, s1, g2, s2 = parameters
    rows = np.reshape(x, (-1, WIDTH))
    projected = np.reshape(np.matmul(rows, w_in.T) + b_in, (*x.shape[:2], 3, HEADS, WIDTH // HEADS))
    q, k, v = (np.transpose(projected[:, :, i], (0, 2, 1, 3)) for i in range(3))
    scores = np.matmul(q / math.sqrt(WIDTH // HEADS), np.transpose(k, (0, 1, 3, 2)))
    weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    weights = weights / np.sum(weights, axis=-1, keepdims=True)
    found = np.reshape(np.transpose(np.matmul(weights, v), (0, 2, 1, 3)), (-1, WIDTH))
    rows = layer_norm(np, rows + (np.matmul(found, w_out.T) + b_out), g1, s1)
    inside = np.maximum(np.matmul(rows, w1.T) + b1, 0)
    return np.reshape(layer_norm(np, rows + (np.matmul(inside, w2.T) + b2), g2, s2), x.shape)


def gru(np: Any, sigmoid: Any, rows: Any, weight_hh: Any, bias_hh: Any, h: Any) -> list[Any]:
    """The hidden states after each step; rows (T, N, 3 H): what the inputs add to the gates r, z and n."""
    hiddens = []
    for t in range(TIME):
        from_input, from_state = rows[t], np.matmul(h, weight_hh.T) + bias_hh
        r, z = (sigmoid(from_input[:, a] + from_state[:, a]) for a in (slice(HIDDEN), slice(HIDDEN, 2 * HIDDEN)))
        n = np.tanh(from_input[:, 2 * HIDDEN :] + r * from_state[:, 2 * HIDDEN :])
        h = n + z * (h - n)
        hiddens.append(h)
    return hiddens


LAYERS = {"LN": layer_norm, "GN": group_norm, "BN": batch_norm, "Att": block}


def layer_of(np: Any, workload: Workload) -> Any:
    """The layer of a workload, as a function of x and the parameters."""
    return lambda *arrays: LAYERS[workload.name](np, *arrays)


def _normalised(np: Any, x: Any, axis: Any) -> Any:
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=axis, keepdims=True) + EPS)


def _channels(a: Any) -> Any:
    return a.reshape((-1, 1, 1))
