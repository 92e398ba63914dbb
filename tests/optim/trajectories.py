"""The same gradients for an optimizer of ours and for one of PyTorch's, and how far apart they end up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidl as md
from minidl.nn import Module, Parameter
from minidl.optim import Optimizer
from tests.arrays import device, host, tensor
from tests.pytorch import torch

SHAPES = ((4, 3), (3,), ())
STEPS = 100


def gradient(weight: Any, k: int) -> Any:
    """Of a convex function of the weight that changes from step to step: small differences do not grow."""
    noise = np.cos(np.arange(weight.size) * 1.7 + k).reshape(weight.shape)
    return (np.tanh(weight) + 0.5 * noise).astype(weight.dtype)


def against_torch(ours: Callable[[Any], Optimizer], theirs: Callable[[Any], Any], dtype: str) -> tuple[Any, Any]:
    """Both trajectories (STEPS, all weights); the rate falls halfway, and one parameter sometimes has no gradient."""
    rng = np.random.default_rng(0)
    starts = [np.asarray(rng.standard_normal(shape), dtype=dtype) for shape in SHAPES]
    parameters = [tensor(start, requires_grad=True) for start in starts]
    references = [torch.nn.Parameter(torch.from_numpy(start.copy())) for start in starts]
    optimizer, reference = ours(parameters), theirs(references)

    paths: tuple[list[Any], list[Any]] = ([], [])
    for k in range(STEPS):
        for i, (p, q) in enumerate(zip(parameters, references, strict=True)):
            idle = i == 1 and k % 7 in (0, 3)  # in the first step too
            p.grad = None if idle else tensor(gradient(host(p), k))
            q.grad = None if idle else torch.from_numpy(np.array(gradient(q.detach().numpy(), k)))
        if k == STEPS // 2:
            optimizer.lr /= 2
            reference.param_groups[0]["lr"] /= 2
        optimizer.step()
        reference.step()
        paths[0].append(np.concatenate([host(p).ravel() for p in parameters]))
        paths[1].append(np.concatenate([q.detach().numpy().ravel() for q in references]))
    return np.array(paths[0]), np.array(paths[1])


def assert_same_path(ours: Callable[[Any], Optimizer], theirs: Callable[[Any], Any], dtype: str) -> None:
    """Equal to 1e-12 in float64; in float32 to what rounding in another order makes of it."""
    path, expected = against_torch(ours, theirs, dtype)
    assert path.dtype == np.dtype(dtype)
    assert np.abs(path[-1] - path[0]).max() > 0.01, "nothing was trained"
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(path, expected, rtol=tolerance, atol=tolerance)


class Pair(Module):
    """Two layers with a weight and a bias each, for gradients given by hand."""

    def __init__(self, dtype: str = "float64") -> None:
        super().__init__()
        self.first = Layer([1.0, 2.0], [0.5], dtype)
        self.second = Layer([3.0, -1.0], [0.0], dtype)


class Layer(Module):
    """A weight of two elements and a bias of one."""

    def __init__(self, weight: Any, bias: Any, dtype: str) -> None:
        super().__init__()
        self.weight = Parameter(device(np.array(weight, dtype)))
        self.bias = Parameter(device(np.array(bias, dtype)))


def give(parameter: md.Tensor, values: Any) -> None:
    """Set a parameter's gradient to `values`, in its dtype."""
    parameter.grad = tensor(np.array(values, dtype=parameter.dtype))


def scalar(value: float = 1.0, dtype: str = "float64") -> md.Tensor:
    """A parameter with one element."""
    return tensor(np.array([value], dtype=dtype), requires_grad=True)


def run(optimizer: Optimizer, w: md.Tensor, gradients: Any, rates: Any = None) -> list[float]:
    """One step for each gradient, at the rate given for it; the weight after each."""
    weights = []
    for k, g in enumerate(gradients):
        if rates is not None:
            optimizer.lr = rates[k]
        give(w, [g])
        optimizer.step()
        weights.append(float(host(w)[0]))
    return weights
