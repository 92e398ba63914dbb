"""minidl: a deep-learning framework to read, to step through, and to plot gradients with.

    import minidl as md
    import minidl.functional as F

    x = md.tensor([1.0, 2.0], requires_grad=True)
    F.sum(x * x).backward()
    x.grad                                  # Tensor([2., 4.])

Every operation is a function of `minidl.functional`; layers are in `md.nn`, optimizers and layer rates in `md.optim`,
data in `md.data`, networks in `md.models`. `md.observe` and `md.plot` record and draw.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from minidl import backend, fast, functional, nn, optim
from minidl.autograd.anomaly import detect_anomaly
from minidl.autograd.function import Function
from minidl.autograd.modes import enable_grad, is_grad_enabled, no_grad, plain
from minidl.backend import seed, use, using
from minidl.derivatives.gradients import grad, gradcheck, gradgradcheck
from minidl.derivatives.higher_order import hessian, hvp, jacobian, jvp, vjp
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError
from minidl.examples.reading import add_examples
from minidl.fast.cpu.threads import get_num_threads, set_num_threads
from minidl.fast.process import tune_unless_forbidden
from minidl.functional import (  # noqa: F401 - the ops that NumPy has too: md.exp(x) is F.exp(x)
    abs,
    absolute,
    add,
    all,
    allclose,
    any,
    arctan,
    argmax,
    argmin,
    argsort,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    broadcast_to,
    ceil,
    clip,
    concatenate,
    copy,
    cos,
    cumsum,
    diag,
    diagonal,
    divide,
    dot,
    einsum,
    equal,
    exp,
    expand_dims,
    expm1,
    flip,
    floor,
    floor_divide,
    greater,
    greater_equal,
    hstack,
    invert,
    isclose,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    moveaxis,
    multiply,
    negative,
    not_equal,
    outer,
    pad,
    power,
    prod,
    ptp,
    ravel,
    remainder,
    repeat,
    reshape,
    roll,
    round,
    sign,
    sin,
    sort,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    subtract,
    sum,
    swapaxes,
    take,
    take_along_axis,
    tan,
    tanh,
    tile,
    trace,
    transpose,
    tril,
    triu,
    trunc,
    var,
    vstack,
    where,
)
from minidl.habits.answers import missing_name
from minidl.tensors.creation import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    permutation,
    rand,
    randint,
    randn,
    tensor,
    zeros,
    zeros_like,
)
from minidl.tensors.tensor import Tensor
from minidl.version import __version__

if TYPE_CHECKING:
    from minidl import check, data, models
    from minidl.derivatives import curvature
    from minidl.fast.graph.step import GraphedStep
    from minidl.files.weights import load, save
    from minidl.functional import ops
    from minidl.stepper.breakpoints import break_on
    from minidl.stepper.recorder import record
    from minidl.stepper.walking import walk
    from minidl.training.evaluation import evaluate
    from minidl.training.loop import fit

# What a first program does not need is loaded when it is first asked for, so that `import minidl` stays quick.
_LAZY = {
    "GraphedStep": "minidl.fast.graph.step",
    "break_on": "minidl.stepper.breakpoints",
    "check": "minidl.check",
    "curvature": "minidl.derivatives.curvature",
    "data": "minidl.data",
    "evaluate": "minidl.training.evaluation",
    "files": "minidl.files",
    "fit": "minidl.training.loop",
    "load": "minidl.files.weights",
    "models": "minidl.models",
    "observe": "minidl.observe",
    "ops": "minidl.functional.ops",
    "plot": "minidl.plot",
    "record": "minidl.stepper.recorder",
    "save": "minidl.files.weights",
    "stepper": "minidl.stepper",
    "training": "minidl.training",
    "walk": "minidl.stepper.walking",
}

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
    "break_on",
    "check",
    "curvature",
    "data",
    "detect_anomaly",
    "enable_grad",
    "evaluate",
    "eye",
    "fast",
    "fit",
    "full",
    "full_like",
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
    "linspace",
    "load",
    "models",
    "nn",
    "no_grad",
    "observe",
    "ones",
    "ones_like",
    "ops",
    "optim",
    "permutation",
    "plain",
    "plot",
    "rand",
    "randint",
    "randn",
    "record",
    "save",
    "seed",
    "set_num_threads",
    "stepper",
    "tensor",
    "training",
    "use",
    "using",
    "vjp",
    "walk",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise missing_name(__name__, name)
    module = importlib.import_module(_LAZY[name])
    found = module if _LAZY[name].endswith(f".{name}") else getattr(module, name)
    globals()[name] = found
    add_examples({name: found}, "minidl")
    return found


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "minidl")
tune_unless_forbidden()
