"""Gradients by finite differences, on plain arrays: what every check of a gradient compares with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

STEP = 1e-6


def by_differences(function: Callable[..., Any], grad_out: Any, inputs: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
    """dL/dx of every input x, where L = sum(grad_out * function(*inputs)).

    Each number of each input is moved up and down by a small step h: dL/dx = (L(x + h) - L(x - h)) / (2 h). The inputs
    are arrays of float64.
    """
    arrays = [np.array(x, dtype=np.float64) for x in inputs]

    def loss() -> float:
        return float(np.sum(np.asarray(grad_out) * function(*arrays)))

    gradients = []
    for array in arrays:
        gradient = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            before = array[place]
            step = STEP * max(1.0, abs(float(before)))
            array[place] = before + step
            up = loss()
            array[place] = before - step
            down = loss()
            array[place] = before
            gradient[place] = (up - down) / (2 * step)
        gradients.append(gradient)
    return tuple(gradients)
