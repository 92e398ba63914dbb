"""Activations in one launch each: what a GPU computes for a single element.

The plain versions are the ops' own lines in `functional/activation.py` and `functional/gated.py`. On CuPy those would
launch a kernel for each operator, and write every step to memory: the launches are what takes time on small arrays,
the memory on large ones.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of

# name: (arrays, numbers, C++ that sets `result`). All but the result are of type A: float32, float64 of float64 arrays.
OPERATIONS = {
    "dropped": ("x scale", "", "result = scale != 0 ? x * scale : 0"),
    "relu_gradient": ("grad out", "", "result = out != 0 ? grad : 0"),
    "leaky_relu": ("x", "slope", "result = x > 0 ? x : x * slope"),
    "leaky_relu_gradient": ("grad x", "slope", "result = x > 0 ? grad : grad * slope"),
    "elu": ("x", "alpha", "result = x > 0 ? x : alpha * expm1(x)"),
    "elu_gradient": ("grad x", "alpha", "result = x <= 0 ? grad * (alpha * exp(x)) : grad"),
    "hardtanh_gradient": ("grad x", "low high", "result = x > low && x < high ? grad : 0"),
    "sigmoid": ("x", "", "result = 1 / (1 + exp(-x))"),
    "sigmoid_gradient": ("grad out", "", "result = grad * (out * (1 - out))"),
    "tanh_gradient": ("grad out", "", "result = grad * (1 - out * out)"),
    "softsign": ("x", "", "const A size = 1 + fabs(x); result = !isinf(x) ? x / size : x > 0 ? 1 : -1"),
    "softsign_gradient": ("grad x", "", "const A size = 1 + fabs(x); result = grad / size / size"),
    "softplus": ("x", "", "result = (x > 0 ? x : 0) + log1p(exp(-fabs(x)))"),
    "softplus_gradient": ("grad x", "", "result = grad / (1 + exp(-x))"),
    "silu": ("x", "", "const A from = not_below(x); result = from * (1 / (1 + exp(-from)))"),
    "silu_gradient": (
        "grad x",
        "",
        "const A near = limited(x), s = 1 / (1 + exp(-near)); result = grad * (s * (1 + near * (1 - s)))",
    ),
    "gelu": (
        "x",
        "",
        "const A from = not_below(x); result = from * ((A)0.5 + (A)0.5 * erf(from * (A)0.7071067811865476))",
    ),
    "gelu_gradient": (
        "grad x",
        "",
        "const A near = limited(x), below = (A)0.5 + (A)0.5 * erf(near * (A)0.7071067811865476);"
        "const A density = exp((A)-0.5 * near * near) * (A)0.3989422804014327;"
        "result = grad * (below + near * density)",
    ),
    "tanh_gelu": (
        "x",
        "",
        "const A from = not_below(x), twice = (A)1.5957691216057308 * from * (1 + (A)0.044715 * from * from);"
        "result = from * (1 / (1 + exp(-twice)))",
    ),
    "tanh_gelu_gradient": (
        "grad x",
        "",
        "const A near = limited(x), square = near * near;"
        "const A s = 1 / (1 + exp((A)-1.5957691216057308 * near * (1 + (A)0.044715 * square)));"
        "const A slope = (A)1.5957691216057308 * (1 + (A)0.134145 * square);"
        "result = grad * (s * (1 + near * (1 - s) * slope))",
    ),
}

# The x at which `functional/gated.py` computes a formula, also where x is infinite. NaN stays.
LIMITS = """
__device__ A not_below(A x) { return x < -800 ? (A)-800 : x; }
__device__ A limited(A x) { return x < -800 ? (A)-800 : x > 800 ? (A)800 : x; }
"""


def fused(name: str, *args: Any) -> Any:
    """The result of one of the `OPERATIONS` on arrays of a GPU, which broadcast, and numbers."""
    return _kernel(module_of(args[0]), name, args[0].dtype == np.float64)(*args)


@cache
def _kernel(xp: ModuleType, name: str, double: bool) -> Any:
    arrays, numbers, operation = OPERATIONS[name]
    types = [*[("T", array) for array in arrays.split()], *[("float64", number) for number in numbers.split()]]
    parameters = ", ".join(f"{kind} {word}_" for kind, word in types)
    widened = " ".join(f"const A {word} = (A){word}_;" for _, word in types)
    preamble = f"typedef {'double' if double else 'float'} A; {LIMITS}"
    return xp.ElementwiseKernel(parameters, "T result", f"{widened} {operation}", f"minidl_{name}", preamble=preamble)
