"""A saddle point of a network's loss, found to rounding, where training can begin.

**The loss.** A network of 16, 8, 8 and 10 units with tanh between the layers, on 300 of the handwritten digits, each
made of 4x4 pixels (means of 2x2 pixels of the 8x8), all in one batch: so no noise of batches kicks a run off the
saddle. In float64:

    L(w) = mean cross-entropy + DECAY/2 |w|^2

The decay is part of the loss, so the gradient that a rule sees is that of L, and is 0 at the saddle.

**The saddle.** Where all 8 units of a hidden layer have equal weights in and equal weights out, they get equal
gradients: from such a point descent never makes them differ. These points form a plane w = E z of 39 dimensions (of
298), and since L does not change if two units of a layer change places, a stationary point of L within the plane is a
stationary point of L (Palais, "The principle of symmetric criticality", Communications in Mathematical Physics 69,
1979). Here it is the minimum of z -> L(E z) that Newton's method finds from a fixed start, until the gradient is below
1e-12. There the network does what it can as if it had one unit in each hidden layer. Much of the error is left, and L
falls along directions in which units become different: the Hessian has 21 negative eigenvalues, 277 positive ones and
none that is 0. The most negative is -0.028, the largest 27: the way down is a thousand times flatter than the walls.
(That units which do the same make stationary points of larger networks: Fukumizu & Amari, "Local minima and plateaus in
hierarchical structures of multilayer perceptrons", Neural Networks 13, 2000.)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from minidl import functional as F
from minidl import models
from minidl.data import DataSplits, digits
from minidl.data.dataset import Dataset
from minidl.derivatives.gradients import grad
from minidl.derivatives.higher_order import hessian
from minidl.nn import Module
from minidl.tensors.tensor import Tensor

SIZES = (16, 8, 8, 10)
ONE_UNIT = (16, 1, 1, 10)  # what a network with equal units amounts to
DECAY = 0.003
EXAMPLES = 300
STILL = 1e-12  # norm of the gradient at the saddle
START = 0  # seed of the point from which Newton's method goes
MOST_STEPS = 200
UP = 1.01  # times the loss at the saddle; above that a run has been thrown up the walls


class Curvature(NamedTuple):
    """How the loss is curved at a point: the ends of the Hessian's spectrum, and how many eigenvalues are negative."""

    smallest: float
    largest: float
    negative: int


@cache
def examples() -> DataSplits:
    """The digits with 4x4 pixels, float64: 300 to train on, and all of `md.data.digits` to validate and to test."""
    parts = digits()
    return DataSplits(_coarse(parts.train, EXAMPLES), _coarse(parts.validation, None), _coarse(parts.test, None))


def _coarse(part: Any, count: int | None) -> Dataset:
    inputs, labels = part[:]
    images = np.asarray(inputs, np.float64)[:count].reshape(-1, 4, 2, 4, 2)
    return Dataset(images.mean(axis=(2, 4)).reshape(-1, 16), labels[:count])


def network() -> Module:
    """The network, with fresh weights, float32."""
    return models.mlp(SIZES, activation="tanh")


def loss_of(model: Module, inputs: Tensor, labels: Any) -> Tensor:
    """L for the weights of a model."""
    return F.cross_entropy(model(inputs), labels) + DECAY / 2 * sum(F.sum(p * p) for p in model.parameters())


def loss_at(w: Tensor) -> Tensor:
    """L for all weights and biases in one vector (298,), in the order of `network().parameters()`."""
    train = examples().train
    hidden, start = Tensor(train.inputs), 0
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(SIZES)):
        hidden = F.tanh(hidden) if layer else hidden
        end = start + fan_in * fan_out
        weight, bias = F.reshape(w[start:end], (fan_out, fan_in)), w[end : end + fan_out]
        hidden = F.linear(hidden, weight, bias)
        start = end + fan_out
    return F.cross_entropy(hidden, train.labels) + DECAY / 2 * F.sum(w * w)


def vector_of(model: Module) -> Any:
    """All weights and biases of a model in one vector."""
    return np.concatenate([p.numpy().ravel() for p in model.parameters()])


def put(model: Module, w: Any) -> None:
    """Give a model the weights and biases in a vector."""
    start = 0
    for p in model.parameters():
        p.data = w[start : start + p.size].reshape(p.shape).astype(p.dtype)
        start += p.size


def gradient_at(w: Any) -> Any:
    """The gradient of L at w."""
    return _value_and_gradient(loss_at, w)[1]


def curvature_at(w: Any) -> Curvature:
    """The spectrum of the exact Hessian of L at w."""
    eigenvalues = np.linalg.eigvalsh(hessian(loss_at, Tensor(w)).numpy())
    return Curvature(float(eigenvalues[0]), float(eigenvalues[-1]), int((eigenvalues < 0).sum()))


def equal_units() -> Any:
    """E, as a choice: `z[equal_units()]` are the weights of the network all of whose hidden units are like z's one."""
    chosen, start = [], 0
    for (few_in, few_out), (fan_in, fan_out) in zip(
        itertools.pairwise(ONE_UNIT), itertools.pairwise(SIZES), strict=True
    ):
        end = start + few_in * few_out
        weight = np.arange(start, end).reshape(few_out, few_in)
        chosen.append(weight.repeat(fan_out // few_out, axis=0).repeat(fan_in // few_in, axis=1).ravel())
        chosen.append(np.arange(end, end + few_out).repeat(fan_out // few_out))
        start = end + few_out
    return np.concatenate(chosen)


@cache
def saddle_point() -> Any:
    """The saddle, (298,): the minimum of L among networks whose hidden units are all equal.

    Newton's method with the absolute values of the Hessian's eigenvalues (so that it goes down, also where the loss is
    curved downwards), no step longer than 1, and half of it until the loss does not rise.

    Raises:
        ArithmeticError: the gradient does not vanish.
    """
    choice = equal_units()

    def within(z: Tensor) -> Tensor:
        return loss_at(z[choice])

    z = 0.5 * np.random.default_rng(START).standard_normal(int(choice.max()) + 1)
    value, gradient = _value_and_gradient(within, z)
    for _ in range(MOST_STEPS):
        if np.linalg.norm(gradient) < STILL:
            return z[choice]
        eigenvalues, vectors = np.linalg.eigh(hessian(within, Tensor(z)).numpy())
        step = -vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(eigenvalues), 1e-6))
        step /= max(1.0, float(np.linalg.norm(step)))
        for _ in range(30):
            new_value, new_gradient = _value_and_gradient(within, z + step)
            if new_value <= value + 1e-14:
                break
            step /= 2
        z, value, gradient = z + step, new_value, new_gradient
    raise ArithmeticError(f"no saddle was found: the gradient's norm is still {np.linalg.norm(gradient):.1e}")


def _value_and_gradient(function: Callable[[Tensor], Tensor], w: Any) -> tuple[float, Any]:
    point = Tensor(w, requires_grad=True)
    value = function(point)
    return value.item(), grad(value, point).numpy()
