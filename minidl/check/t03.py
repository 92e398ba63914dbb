"""The exercises of tutorial 3: tensors, broadcasting and the product of matrices, backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.check.exercise import Exercise, Implement, Mistake


def _matmul_backward(grad_out: Any, x: Any, w: Any) -> Any:
    return grad_out @ w.T, x.T @ grad_out


def _shapes(rng: np.random.Generator) -> Any:
    for _ in range(3):
        n, i, o = rng.choice(np.arange(2, 7), 3, replace=False)
        yield rng.standard_normal((n, o)), rng.standard_normal((n, i)), rng.standard_normal((i, o))


t03_matmul_backward = Implement(
    "t03_matmul_backward",
    "the gradients of y = x @ w with respect to x and w, given dL/dy",
    _matmul_backward,
    _shapes,
    mistakes=[
        Mistake(
            lambda grad_out, x, w: (grad_out @ w.T, (x.T @ grad_out).T),
            "dL/dw is transposed: it has the shape of w",
        ),
        Mistake(lambda grad_out, x, w: (x.T @ grad_out, grad_out @ w.T), "dL/dx comes first, then dL/dw"),
    ],
    forward=lambda x, w: x @ w,
)

EXERCISES: tuple[Exercise, ...] = (t03_matmul_backward,)
