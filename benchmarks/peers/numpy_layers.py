"""Layers by hand in NumPy, without an engine: what a good programmer writes who wants speed and knows the network.

Images are channels-last, (N, H, W, C). A convolution works in blocks of images: the windows of a block, copied into
the rows of a matrix that stays in the cache, times the weights as a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

BLOCK = 2 << 20  # bytes of the matrix of windows


class Layer:
    """`forward` gives the output. `backward` leaves the weights' gradients in `grads` and returns dL/dx, if wanted."""

    params: Sequence[Any] = ()
    grads: Sequence[Any] = ()


class Dense(Layer):
    """y = x W^T + b."""

    def __init__(self, weight: Any, bias: Any) -> None:
        self.params, self.grads = [weight, bias], [np.empty_like(weight), np.empty_like(bias)]

    def forward(self, x: Any) -> Any:
        self.x = x
        y = x @ self.params[0].T
        y += self.params[1]
        return y

    def backward(self, grad: Any, wanted: bool) -> Any:
        np.matmul(grad.T, self.x, out=self.grads[0])
        np.add.reduce(grad, axis=0, out=self.grads[1])
        return grad @ self.params[0] if wanted else None


class ReLU(Layer):
    """max(x, 0), in the memory of x."""

    def forward(self, x: Any) -> Any:
        self.y = np.maximum(x, 0, out=x)
        return self.y

    def backward(self, grad: Any, wanted: bool) -> Any:
        grad *= self.y > 0
        return grad


class Sigmoid(Layer):
    """1 / (1 + exp(-x)), in the memory of x."""

    def forward(self, x: Any) -> Any:
        y = np.negative(x, out=x)
        np.exp(y, out=y)
        y += 1
        self.y = np.reciprocal(y, out=y)
        return y

    def backward(self, grad: Any, wanted: bool) -> Any:
        grad *= self.y
        grad *= 1 - self.y
        return grad


class Flatten(Layer):
    """Each image as a row."""

    def forward(self, x: Any) -> Any:
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad: Any, wanted: bool) -> Any:
        return grad.reshape(self.shape)


class Conv(Layer):
    """A convolution with stride 1. Weights come as (F, C, K, K) and are kept as (K K C, F)."""

    def __init__(self, weight: Any, bias: Any, padding: int = 0) -> None:
        self.filters, self.channels, self.k, _ = weight.shape
        self.padding = padding
        matrix = np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, self.filters))
        self.params, self.grads = [matrix, bias], [np.empty_like(matrix), np.empty_like(bias)]

    def weight_grad(self) -> Any:
        """dL/dW as (F, C, K, K)."""
        return self.grads[0].reshape(self.k, self.k, self.channels, self.filters).transpose(3, 2, 0, 1)

    def forward(self, x: Any) -> Any:
        self.padded = padded(x, self.padding)
        y = correlate(self.padded, self.k, self.params[0])
        y += self.params[1]
        return y

    def backward(self, grad: Any, wanted: bool) -> Any:
        _, height, width, filters = grad.shape
        np.add.reduce(grad.reshape(-1, filters), axis=0, out=self.grads[1])
        same = wanted and 2 * self.padding == self.k - 1
        dx = np.zeros_like(self.padded) if wanted and not same else None
        self.grads[0][...] = 0
        for part, windows in blocks(self.padded, self.k):
            rows = grad[part].reshape(-1, filters)
            self.grads[0] += windows.T @ rows
            if dx is not None:
                np.matmul(rows, self.params[0].T, out=windows)
                columns = windows.reshape(-1, height, width, self.k, self.k, self.channels)
                for i in range(self.k):
                    for j in range(self.k):
                        dx[part, i : i + height, j : j + width] += columns[:, :, :, i, j]
        if dx is not None:
            p = self.padding
            return dx[:, p : dx.shape[1] - p, p : dx.shape[2] - p]
        if not same:
            return None
        weights = self.params[0].reshape(self.k, self.k, self.channels, filters)[::-1, ::-1]
        flipped = np.ascontiguousarray(weights.transpose(0, 1, 3, 2)).reshape(-1, self.channels)
        return correlate(padded(grad, self.padding), self.k, flipped)


def padded(x: Any, padding: int) -> Any:
    """x in new memory, channels-last, with zeros around."""
    n, height, width, channels = x.shape
    if not padding and x.flags.c_contiguous:
        return x
    out = np.zeros((n, height + 2 * padding, width + 2 * padding, channels), x.dtype)
    out[:, padding : padding + height, padding : padding + width] = x
    return out


@cache
def workspace(shape: tuple[int, ...]) -> Any:
    """The same memory every time: the system takes as long to give new pages as it takes to fill them."""
    return np.empty(shape, np.float32)


def blocks(x: Any, k: int) -> Iterator[tuple[slice, Any]]:
    """For some images at a time which they are, and their windows as rows of a matrix, in memory that is used again."""
    n, height, width, channels = x.shape
    oh, ow = height - k + 1, width - k + 1
    s0, s1, s2, _ = x.strides
    views = as_strided(x, (n, oh, ow, k, k * channels), (s0, s1, s2, s1, x.itemsize))
    size = max(1, min(n, BLOCK // (oh * ow * k * k * channels * x.itemsize)))
    memory = workspace((size, oh, ow, k, k * channels))
    for a in range(0, n, size):
        b = min(a + size, n)
        np.copyto(memory[: b - a], views[a:b])
        yield slice(a, b), memory[: b - a].reshape(-1, k * k * channels)


def correlate(x: Any, k: int, matrix: Any) -> Any:
    """Every window of x times `matrix` (K K C, F)."""
    n, height, width, _ = x.shape
    y = np.empty((n, height - k + 1, width - k + 1, matrix.shape[1]), x.dtype)
    for part, windows in blocks(x, k):
        np.matmul(windows, matrix, out=y[part].reshape(-1, matrix.shape[1]))
    return y


class MaxPool(Layer):
    """The largest of each window; rounds up. The gradient goes to the first of the largest."""

    def __init__(self, k: int, stride: int) -> None:
        self.k, self.stride = k, stride

    def forward(self, x: Any) -> Any:
        self.x = x
        self.windows = _windows(x.shape, self.k, self.stride)
        self.y = x[self.windows[0][0]].copy()  # the first place is there in every window
        for source, target in self.windows[1:]:
            np.maximum(self.y[target], x[source], out=self.y[target])
        return self.y

    def backward(self, grad: Any, wanted: bool) -> Any:
        dx = np.zeros_like(self.x)
        free = np.ones(self.y.shape, bool)
        for source, target in self.windows:
            chosen = self.x[source] == self.y[target]
            chosen &= free[target]
            free[target] ^= chosen
            if self.k == self.stride:
                np.multiply(grad[target], chosen, out=dx[source])
            else:
                dx[source] += grad[target] * chosen
        return dx


class AvgPool(Layer):
    """The mean of each window; rounds up, and counts only what is there."""

    def __init__(self, k: int, stride: int) -> None:
        self.k, self.stride = k, stride

    def forward(self, x: Any) -> Any:
        self.shape = x.shape
        self.windows = _windows(x.shape, self.k, self.stride)
        n, _, _, channels = x.shape
        size = -(-(x.shape[1] - self.k) // self.stride) + 1
        y = np.zeros((n, size, size, channels), x.dtype)
        there = np.minimum(np.arange(size) * self.stride + self.k, x.shape[1]) - np.arange(size) * self.stride
        self.share = (1 / np.multiply.outer(there, there)[..., None]).astype(x.dtype)
        for source, target in self.windows:
            y[target] += x[source]
        y *= self.share
        return y

    def backward(self, grad: Any, wanted: bool) -> Any:
        dx = np.zeros(self.shape, grad.dtype)
        grad *= self.share
        for source, target in self.windows:
            dx[source] += grad[target]
        return dx


def _windows(shape: tuple[int, ...], k: int, stride: int) -> list[tuple[Any, Any]]:
    """For each place in a window the pixels there, and the outputs they belong to; a window may reach beyond x."""
    size = shape[1]
    out = -(-(size - k) // stride) + 1
    found = []
    for i in range(k):
        for j in range(k):
            rows, columns = (min(out, -(-(size - at) // stride)) for at in (i, j))
            source = (slice(None), slice(i, i + rows * stride, stride), slice(j, j + columns * stride, stride))
            found.append((source, (slice(None), slice(rows), slice(columns))))
    return found
