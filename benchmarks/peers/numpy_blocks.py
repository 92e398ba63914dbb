"""Normalisation, the loss and a Transformer's block by hand in NumPy: forward and backward, nothing general.

What is as large as the activations is gone through in pieces that stay in the cache: an image, or 128 rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.peers import Step
from benchmarks.workloads import EPS, GROUPS, HEADS, WIDTH, Workload

ROWS = 128


def layer_norm(workload: Workload) -> Step:
    """Over the last axis."""
    given = workload.arrays()
    weight, bias = given.weights
    size = len(weight)
    x, grad_out = given.inputs.reshape(-1, size), given.labels.reshape(-1, size)

    def step() -> tuple[Any, ...]:
        y, z, scale = normalised_rows(x, weight, bias)
        dx, dw, db = rows_backward(grad_out, z, scale, weight)
        return y.reshape(given.inputs.shape), dx.reshape(given.inputs.shape), dw, db

    return step


def normalised_rows(x: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
    """y = weight z + bias, z = (x - m) / s for each row, and 1 / s."""
    y, z, scale = np.empty_like(x), np.empty_like(x), np.empty((len(x), 1), x.dtype)
    for a in range(0, len(x), ROWS):
        part = slice(a, a + ROWS)
        zp, sp = z[part], scale[part]
        np.subtract(x[part], x[part].mean(axis=1, keepdims=True), out=zp)
        np.einsum("ij,ij->i", zp, zp, out=sp[:, 0])
        sp /= x.shape[1]
        sp += EPS
        np.sqrt(sp, out=sp)
        np.reciprocal(sp, out=sp)
        zp *= sp
        np.multiply(zp, weight, out=y[part])
        y[part] += bias
    return y, z, scale


def rows_backward(grad: Any, z: Any, scale: Any, weight: Any) -> tuple[Any, Any, Any]:
    """dL/dx, dL/dweight and dL/dbias."""
    dx, dw, db = np.empty_like(z), np.zeros_like(weight), np.zeros_like(weight)
    ones = np.ones(ROWS, z.dtype)
    memory = np.empty((ROWS, z.shape[1]), z.dtype)
    for a in range(0, len(z), ROWS):
        part = slice(a, a + ROWS)
        g, zp, dp = grad[part], z[part], dx[part]
        product = np.multiply(g, zp, out=memory[: len(g)])
        dw += ones[: len(g)] @ product
        db += ones[: len(g)] @ g
        along = (product @ weight)[:, None] / z.shape[1]
        np.multiply(g, weight, out=dp)
        dp -= dp.mean(axis=1, keepdims=True)
        dp -= np.multiply(zp, along, out=product)
        dp *= scale[part]
    return dx, dw, db


def group_norm(workload: Workload) -> Step:
    """Image by image."""
    given = workload.arrays()
    n, channels = given.inputs.shape[:2]
    x, grad_out = given.inputs.reshape(n, channels, -1), given.labels.reshape(n, channels, -1)
    weight, bias = (a[:, None] for a in given.weights)
    size = x[0].size // GROUPS

    def step() -> tuple[Any, ...]:
        y, z, scale = np.empty_like(x), np.empty_like(x), np.empty((n, GROUPS, 1), x.dtype)
        for xi, yi, zi, si in zip(x, y, z, scale, strict=True):
            rows = zi.reshape(GROUPS, -1)
            groups = xi.reshape(GROUPS, -1)
            np.subtract(groups, groups.mean(axis=1, keepdims=True), out=rows)
            si[:, 0] = 1 / np.sqrt(np.einsum("ij,ij->i", rows, rows) / size + EPS)
            rows *= si
            np.multiply(zi, weight, out=yi)
            yi += bias
        dx, dw, db = np.empty_like(x), np.zeros_like(bias), np.zeros_like(bias)
        for gi, zi, si, di in zip(grad_out, z, scale, dx, strict=True):
            along, total = np.einsum("cp,cp->c", gi, zi)[:, None], gi.sum(axis=1, keepdims=True)
            dw += along
            db += total
            along, total = ((weight * a).reshape(GROUPS, -1).sum(axis=1, keepdims=True) / size for a in (along, total))
            np.multiply(gi, weight, out=di)
            rows = di.reshape(GROUPS, -1)
            rows -= total
            rows -= zi.reshape(GROUPS, -1) * along
            rows *= si
        return y.reshape(given.inputs.shape), dx.reshape(given.inputs.shape), dw[:, 0], db[:, 0]

    return step


def batch_norm(workload: Workload) -> Step:
    """A pass for the mean, one for the variance, one for y; the same back without the mean. Nothing but x is kept."""
    given = workload.arrays()
    n, channels = given.inputs.shape[:2]
    x, grad_out = given.inputs.reshape(n, channels, -1), given.labels.reshape(n, channels, -1)
    weight, bias = (a[:, None] for a in given.weights)
    size = x.size // channels
    memory = np.empty_like(x[0])

    def step() -> tuple[Any, ...]:
        mean = (x.sum(axis=2).sum(axis=0) / size)[:, None]
        squares = np.zeros(channels, x.dtype)
        for xi in x:
            np.subtract(xi, mean, out=memory)
            squares += np.einsum("cp,cp->c", memory, memory)
        scale = 1 / np.sqrt(squares / size + EPS)[:, None]
        y, factor = np.empty_like(x), weight * scale
        for xi, yi in zip(x, y, strict=True):
            np.subtract(xi, mean, out=yi)
            yi *= factor
            yi += bias
        dw, db = np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)
        for gi, xi in zip(grad_out, x, strict=True):
            np.subtract(xi, mean, out=memory)
            dw += np.einsum("cp,cp->c", gi, memory)
            db += gi.sum(axis=1)
        dw *= scale[:, 0]
        dx, along, shift = np.empty_like(x), dw[:, None] * scale / size, db[:, None] / size
        for gi, xi, di in zip(grad_out, x, dx, strict=True):
            np.subtract(xi, mean, out=memory)
            np.multiply(memory, along, out=memory)
            np.subtract(gi, memory, out=di)
            di -= shift
            di *= factor
        return y.reshape(given.inputs.shape), dx.reshape(given.inputs.shape), dw, db

    return step


def cross_entropy(workload: Workload) -> Step:
    """Of the softmax of scores, and its gradient."""
    given = workload.arrays()

    def step() -> tuple[Any, ...]:
        loss, grad = softmax_cross_entropy(given.inputs.copy(), given.labels)
        return np.float32(loss), grad

    return step


def softmax_cross_entropy(scores: Any, labels: Any) -> tuple[float, Any]:
    """The mean loss and its gradient, in the memory of `scores`."""
    rows = np.arange(len(labels))
    scores -= scores.max(axis=1, keepdims=True)
    right = scores[rows, labels]
    np.exp(scores, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    loss = float(np.log(total).mean() - right.mean())
    scores /= total
    scores[rows, labels] -= 1
    scores /= len(labels)
    return loss, scores


def block(workload: Workload) -> Step:
    """Attention in heads, then a network for each position, each added to its input and normalised."""
    given = workload.arrays()
    w_in, b_in, w_out, b_out, w1, b1, w2, b2, g1, s1, g2, s2 = given.weights
    n, steps, _ = given.inputs.shape
    length = WIDTH // HEADS
    x, grad_out = given.inputs.reshape(-1, WIDTH), given.labels.reshape(-1, WIDTH)
    root = np.float32(1 / math.sqrt(length))

    def step() -> tuple[Any, ...]:
        projected = dense(x, w_in, b_in)
        qkv = np.ascontiguousarray(projected.reshape(n, steps, 3, HEADS, length).transpose(2, 0, 3, 1, 4))
        qkv[0] *= root
        q, k, v = qkv
        weights = q @ k.swapaxes(-1, -2)
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        found = (weights @ v).transpose(0, 2, 1, 3).reshape(-1, WIDTH)
        summed = dense(found, w_out, b_out)
        summed += x
        middle, z1, scale1 = normalised_rows(summed, g1, s1)
        inside = dense(middle, w1, b1)
        np.maximum(inside, 0, out=inside)
        summed = dense(inside, w2, b2)
        summed += middle
        y, z2, scale2 = normalised_rows(summed, g2, s2)

        dsum, dg2, ds2 = rows_backward(grad_out, z2, scale2, g2)
        dw2, db2, dinside = dsum.T @ inside, dsum.sum(axis=0), dsum @ w2
        dinside *= inside > 0
        dw1, db1 = dinside.T @ middle, dinside.sum(axis=0)
        dsum += dinside @ w1
        dsum, dg1, ds1 = rows_backward(dsum, z1, scale1, g1)
        dw_out, db_out = dsum.T @ found, dsum.sum(axis=0)
        dfound = (dsum @ w_out).reshape(n, steps, HEADS, length).transpose(0, 2, 1, 3)
        back = np.empty((n, steps, 3, HEADS, length), x.dtype)
        dq, dk, dv = back.transpose(2, 0, 3, 1, 4)
        dv[...] = weights.swapaxes(-1, -2) @ dfound
        dweights = dfound @ v.swapaxes(-1, -2)
        dweights -= np.einsum("nhij,nhij->nhi", dweights, weights)[..., None]
        dweights *= weights
        np.multiply(dweights @ k, root, out=dq)
        dk[...] = dweights.swapaxes(-1, -2) @ q
        rows = back.reshape(-1, 3 * WIDTH)
        dw_in, db_in = rows.T @ x, rows.sum(axis=0)
        dsum += rows @ w_in
        shape = given.inputs.shape
        grads = (dw_in, db_in, dw_out, db_out, dw1, db1, dw2, db2, dg1, ds1, dg2, ds2)
        return y.reshape(shape), dsum.reshape(shape), *grads

    return step


def dense(x: Any, weight: Any, bias: Any) -> Any:
    """x W^T + b."""
    y = x @ weight.T
    y += bias
    return y
