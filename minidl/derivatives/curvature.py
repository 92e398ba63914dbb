"""How curved the loss is: the extreme eigenvalues of its Hessian, layer by layer.

The largest eigenvalue of H = d^2 L / dw^2 limits the rate (gradient descent on a quadratic diverges above
t = 2 / lambda_max); a negative smallest one means that the point is no minimum: the loss falls along that direction.
H is never formed, only multiplied with vectors: H v = d(g . v)/dw, with the gradient g (Pearlmutter, Neural
Computation 6 (1994)).

    loss = F.cross_entropy(model(inputs), labels)
    md.curvature.layer_eigenvalues(loss, model)["fc1"].largest

Two methods, both of nothing but products H v:

* `power_iteration`: v <- H v / |H v| turns towards the eigenvector of the largest |lambda|.
* `lanczos`: the span of v, H v, H^2 v, ... made orthonormal; within it H is a small tridiagonal matrix, whose extreme
  eigenvalues approach those of H from inside, and sooner than the power iteration does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import backend
from minidl.checks import real, whole
from minidl.derivatives.gradients import grad
from minidl.errors import describe
from minidl.examples.reading import add_examples
from minidl.functional import norm
from minidl.nn import Module
from minidl.tensors.tensor import Tensor

__all__ = [
    "Extremes",
    "lanczos",
    "layer_eigenvalues",
    "power_iteration",
]


@dataclass(frozen=True)
class Extremes:
    """The two ends of a symmetric matrix's spectrum, as far as an iteration found them.

    Attributes:
        largest, smallest: the eigenvalues at the upper and at the lower end (not by absolute value).
        residual: the larger |A v - lambda v|_2 of the two, |v| = 1: an eigenvalue lies at most this far away.
        products: how many products A v were needed.
    """

    largest: float
    smallest: float
    residual: float
    products: int


def layer_eigenvalues(
    loss: Tensor,
    model: Module,
    method: str = "lanczos",
    steps: int = 50,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> dict[str, Extremes]:
    """The extreme eigenvalues of each layer's own block of the Hessian, d^2 L / dw_l^2, with all its parameters w_l.

    Args:
        loss: a single number that was computed by `model` and can be differentiated twice. Its graph is kept.
        model: whose layers; parameters that are frozen, or that the loss does not depend on, are left out.
        method: "lanczos" or "power".
        steps: the largest number of products H v for each layer ("power": for each end). With Lanczos as many as the
            layer has parameters give the whole spectrum.
        tolerance: stop when `residual` is below this part of the largest absolute eigenvalue found.
        seed: of the vector that the iteration starts from.

    Returns:
        For each layer by name its `Extremes`.

    Raises:
        ValueError: an unknown method, or a number out of its range.
        GraphError: the loss is no single number, or has no history.
    """
    if method not in ("lanczos", "power"):
        raise ValueError(f"layer_eigenvalues: expected method to be 'lanczos' or 'power'; got {method!r}")
    if not isinstance(model, Module):
        raise TypeError(f"layer_eigenvalues: expected a model; got {describe(model)}")
    layers = [(name, [p for _, p in own if p.requires_grad]) for name, _, own in model.layer_parameters()]
    parameters = [p for _, own in layers for p in own]
    gradients = grad(loss, parameters, create_graph=True, allow_unused=True)
    gradient_of = {id(p): g for p, g in zip(parameters, gradients, strict=True) if g is not None}

    found: dict[str, Extremes] = {}
    for name, own in layers:
        block = [p for p in own if id(p) in gradient_of]
        if not block:
            continue
        multiply = _HessianBlock(block, [gradient_of[id(p)] for p in block])
        start = _random_vector(sum(p.size for p in block), block[0], seed)
        run = lanczos if method == "lanczos" else _both_ends_by_power
        found[name] = run(multiply, start, steps, tolerance)
    return found


class _HessianBlock:
    """v -> H v for one layer: v holds its parameters one after the other, in float64."""

    def __init__(self, parameters: list[Any], gradients: list[Tensor]) -> None:
        self.parameters = parameters
        self.gradients = gradients

    def __call__(self, v: Any) -> Any:
        xp = backend.module_of(v)
        pieces, start = [], 0
        for p in self.parameters:
            pieces.append(Tensor(v[start : start + p.size].reshape(p.shape).astype(p.dtype)))
            start += p.size
        live = [(g, piece) for g, piece in zip(self.gradients, pieces, strict=True) if g.requires_grad]
        if not live:  # the gradient is constant: a linear loss
            return xp.zeros_like(v)
        outputs, vectors = [g for g, _ in live], [piece for _, piece in live]
        products = grad(outputs, self.parameters, vectors, retain_graph=True, allow_unused=True)
        flat = [
            xp.zeros(p.size) if h is None else h._data.reshape(-1).astype(np.float64)
            for p, h in zip(self.parameters, products, strict=True)
        ]
        return xp.concatenate(flat)


def power_iteration(
    multiply: Callable[[Any], Any], start: Any, steps: int = 50, tolerance: float = 1e-3
) -> tuple[float, Any, float, int]:
    """The eigenvalue of largest absolute value of a symmetric matrix A, by v <- A v / |A v|_2.

    The error falls by |lambda_2 / lambda_1| a step; it starts from `start`, which must not be orthogonal to the
    eigenvector (a random vector is not).

    Args:
        multiply: v -> A v, on float64 vectors (n,).
        start: a vector that is not 0.
        steps: how many products at most.
        tolerance: stop when |A v - lambda v| <= tolerance |lambda|.

    Returns:
        lambda (the Rayleigh quotient v . A v), the unit vector v, the residual |A v - lambda v|, and the products made.

    Raises:
        ValueError: `start` is 0 or not finite, or a number is out of its range.
    """
    xp = backend.module_of(start)
    v = start / _length(start, steps, tolerance)
    for k in range(1, steps + 1):
        product = multiply(v)
        eigenvalue = float(xp.dot(v, product))
        residual = float(norm(product - eigenvalue * v))
        length = float(norm(product))
        if k == steps or not residual > tolerance * abs(eigenvalue) or length == 0:
            break
        v = product / length
    return eigenvalue, v, residual, k


def _both_ends_by_power(multiply: Callable[[Any], Any], start: Any, steps: int, tolerance: float) -> Extremes:
    """The power iteration finds one end of the spectrum; that of A - lambda, where this end is 0, finds the other."""
    one, _, residual, products = power_iteration(multiply, start, steps, tolerance)
    distance, _, other_residual, more = power_iteration(lambda v: multiply(v) - one * v, start, steps, tolerance)
    other = one + distance
    return Extremes(max(one, other), min(one, other), max(residual, other_residual), products + more)


def lanczos(multiply: Callable[[Any], Any], start: Any, steps: int = 50, tolerance: float = 1e-3) -> Extremes:
    """The extreme eigenvalues of a symmetric matrix A, by Lanczos' iteration.

    q_1 = start/|start|, and each further q is A times the last one, made orthogonal to all before and of length 1.
    Then T = Q^T A Q is tridiagonal; its eigenvalues theta are the best that the span of Q knows. With T s = theta s,
    the residual |A Q s - theta Q s| is |beta s_k|, the last element of s times the length of the next, not yet
    normalised q. (Made orthogonal twice, to all of them: rounding would bring copies of found eigenvalues otherwise.)

    Args:
        multiply, start: as for `power_iteration`.
        steps: how many products at most; n of them are exact.
        tolerance: stop when both residuals are below this part of the largest |theta|.

    Raises:
        ValueError: as for `power_iteration`.

    Source: Lanczos 1950; Golub & Van Loan, Matrix Computations, ch. 10.
    """
    xp = backend.module_of(start)
    length, steps = _length(start, steps, tolerance), min(steps, start.size)
    basis = xp.zeros((steps, start.size))
    basis[0] = start / length
    diagonal: list[float] = []
    beside: list[float] = []
    for k in range(1, steps + 1):
        known = basis[:k]
        product = multiply(known[-1])
        diagonal.append(float(xp.dot(known[-1], product)))
        for _ in range(2):
            product = product - (known @ product) @ known
        beside.append(float(norm(product)))
        tridiagonal = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
        if not np.isfinite(tridiagonal).all():
            return Extremes(np.nan, np.nan, np.nan, k)
        values, vectors = np.linalg.eigh(tridiagonal)
        residual = float(beside[-1] * np.abs(vectors[-1, [0, -1]]).max())
        if k == steps or residual <= tolerance * np.abs(values).max():
            break
        basis[k] = product / beside[-1]
    return Extremes(float(values[-1]), float(values[0]), residual, k)


def _length(start: Any, steps: int, tolerance: float) -> float:
    """The length of the first vector, with all arguments known to make sense."""
    whole(steps, "steps")
    if not 0 <= real(tolerance, "tolerance") < 1:
        raise ValueError(f"expected a tolerance from 0 to 1; got {tolerance!r}")
    length = float(norm(start))
    if not 0 < length < np.inf:
        raise ValueError(f"expected a start vector that is finite and not 0; its length is {length}")
    return length


def _random_vector(size: int, like: Tensor, seed: int) -> Any:
    return backend.to_device(np.random.default_rng(seed).standard_normal(size), like.device)


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "curvature")
