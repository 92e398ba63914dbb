"""minidl: a deep-learning framework to read, to step through, and to plot gradients with.

    import minidl as md
    import minidl.functional as F

    x = md.tensor([1.0, 2.0], requires_grad=True)
    F.sum(x * x).backward()
    x.grad                                  # Tensor([2., 4.])

Every operation is a function of `minidl.functional`; layers are in `md.nn`, optimizers and layer rates in `md.optim`,
data in `md.data`, networks in `md.models`. `md.observe` and `md.plot` record and draw; they are loaded when first used.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from minidl import backend, data, fast, functional, models, nn, optim
from minidl.autograd.function import Function
from minidl.autograd.modes import detect_anomaly, enable_grad, is_grad_enabled, no_grad, plain
from minidl.backend import seed, use, using
from minidl.derivatives import curvature
from minidl.derivatives.gradients import grad, gradcheck, gradgradcheck
from minidl.derivatives.higher_order import hessian, hvp, jacobian, jvp, vjp
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError
from minidl.fast.cpu.threads import get_num_threads, set_num_threads
from minidl.fast.graph.step import GraphedStep
from minidl.fast.process import tune_unless_forbidden
from minidl.files.weights import load, save
from minidl.tensors.creation import arange, full, ones, ones_like, rand, randn, tensor, zeros, zeros_like
from minidl.tensors.tensor import Tensor
from minidl.training.evaluation import evaluate
from minidl.training.loop import fit
from minidl.version import __version__

_LAZY = ("observe", "plot")  # they need matplotlib, or are needed only to look

__all__ = [
    "DTypeError",
    "DeviceError",
    "Function",
    "GraphError",
    "GraphedStep",
    "ShapeError",
    "Tensor",
    "__version__",
    "arange",
    "backend",
    "curvature",
    "data",
    "detect_anomaly",
    "enable_grad",
    "evaluate",
    "fast",
    "fit",
    "full",
    "functional",
    "get_num_threads",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "hessian",
    "hvp",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "load",
    "models",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "plain",
    "rand",
    "randn",
    "save",
    "seed",
    "set_num_threads",
    "tensor",
    "use",
    "using",
    "vjp",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"minidl.{name}")
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])


tune_unless_forbidden()
