"""What NumPy's functions make of Tensors: np.mean(t), np.stack([t, u]), np.exp(t), and array * t.

NumPy hands such a call over, to `__array_function__`, and that of an elementwise function or an operator to
`__array_ufunc__`. Where minidl has the function it is minidl's that computes, and the result has a history. With the
others NumPy computes from the values; but where a gradient would be lost by that, it is an error that says what to
write.

>>> import numpy as np, minidl as md
>>> w = md.tensor([0.6, 0.8], requires_grad=True)
>>> np.linalg.norm(w).backward()
>>> w.grad
Tensor([0.6, 0.8])
"""

from __future__ import annotations

import inspect
import opcode
import operator
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.autograd.modes import is_grad_enabled
from minidl.autograd.variable import Variable
from minidl.errors import DTypeError, GraphError, describe

# NumPy's elementwise functions, which its operators are too, and minidl's.
UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: F.add,
    np.subtract: F.subtract,
    np.multiply: F.multiply,
    np.divide: F.divide,
    np.power: F.power,
    np.matmul: F.matmul,
    np.positive: operator.pos,
    np.negative: F.negative,
    np.absolute: F.absolute,
    np.sign: F.sign,
    np.exp: F.exp,
    np.log: F.log,
    np.expm1: F.expm1,
    np.log1p: F.log1p,
    np.log2: F.log2,
    np.log10: F.log10,
    np.sqrt: F.sqrt,
    np.square: F.square,
    np.sin: F.sin,
    np.cos: F.cos,
    np.tan: F.tan,
    np.arctan: F.arctan,
    np.tanh: F.tanh,
    np.floor: F.floor,
    np.ceil: F.ceil,
    np.trunc: F.trunc,
    np.floor_divide: F.floor_divide,
    np.remainder: F.remainder,
    np.maximum: F.maximum,
    np.minimum: F.minimum,
    np.equal: F.equal,
    np.not_equal: F.not_equal,
    np.less: F.less,
    np.less_equal: F.less_equal,
    np.greater: F.greater,
    np.greater_equal: F.greater_equal,
    np.logical_and: F.logical_and,
    np.logical_or: F.logical_or,
    np.logical_not: F.logical_not,
    np.bitwise_and: F.bitwise_and,
    np.bitwise_or: F.bitwise_or,
    np.bitwise_xor: F.bitwise_xor,
    np.invert: F.invert,
}
COMPARISONS = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}

# NumPy's other functions, minidl's, and the parameters in NumPy's order. `x=a`: minidl's x is called a there. What
# minidl's function has not, such as `out`, may only be left out.
FUNCTIONS: dict[Any, tuple[Callable[..., Any], str]] = {
    np.sum: (F.sum, "x=a axis dtype out keepdims"),
    np.mean: (F.mean, "x=a axis dtype out keepdims"),
    np.var: (F.var, "x=a axis dtype out ddof keepdims"),
    np.std: (F.std, "x=a axis dtype out ddof keepdims"),
    np.prod: (F.prod, "x=a axis dtype out keepdims"),
    np.ptp: (F.ptp, "x=a axis out keepdims"),
    np.max: (F.max, "x=a axis out keepdims"),
    np.amax: (F.max, "x=a axis out keepdims"),
    np.min: (F.min, "x=a axis out keepdims"),
    np.amin: (F.min, "x=a axis out keepdims"),
    np.cumsum: (F.cumsum, "x=a axis dtype out"),
    np.linalg.norm: (F.norm, "x ord axis keepdims"),
    np.outer: (F.outer, "x=a y=b out"),
    np.dot: (F.dot, "x=a y=b out"),
    np.trace: (F.trace, "x=a offset axis1 axis2 dtype out"),
    np.diagonal: (F.diagonal, "x=a offset axis1 axis2"),
    np.diag: (F.diag, "x=v k"),
    np.tril: (F.tril, "x=m k"),
    np.triu: (F.triu, "x=m k"),
    np.where: (F.where, "condition x y"),
    np.clip: (F.clip, "x=a low=a_min high=a_max out low=min high=max"),
    np.concatenate: (F.concatenate, "tensors=arrays axis out"),
    np.stack: (F.stack, "tensors=arrays axis out"),
    np.vstack: (F.vstack, "tensors=tup dtype casting"),
    np.hstack: (F.hstack, "tensors=tup dtype casting"),
    np.split: (F.split, "x=ary indices_or_sections axis"),
    np.reshape: (F.reshape, "x=a shape=newshape order shape"),
    np.ravel: (F.ravel, "x=a order"),
    np.squeeze: (F.squeeze, "x=a axis"),
    np.expand_dims: (F.expand_dims, "x=a axis"),
    np.broadcast_to: (F.broadcast_to, "x=array shape subok"),
    np.transpose: (F.transpose, "x=a axes"),
    np.swapaxes: (F.swapaxes, "x=a axis1 axis2"),
    np.moveaxis: (F.moveaxis, "x=a source destination"),
    np.flip: (F.flip, "x=m axis"),
    np.roll: (F.roll, "x=a shift axis"),
    np.repeat: (F.repeat, "x=a repeats axis"),
    np.tile: (F.tile, "x=A reps"),
    np.take: (F.take, "x=a indices axis out mode"),
    np.take_along_axis: (F.take_along_axis, "x=arr indices axis"),
    np.sort: (F.sort, "x=a axis kind order stable"),
    np.round: (F.round, "x=a decimals out"),
    np.around: (F.round, "x=a decimals out"),
    np.pad: (F.pad, "x=array pad_width mode"),
    np.copy: (F.copy, "x=a order subok"),
}
USUAL = ("C", "K", "constant", "same_kind", False)  # values of parameters that minidl's functions have not

# What these tell of an array has no gradient: truth values, places, shapes, texts. Some save it in a file.
WITHOUT_GRADIENT = {
    np.any, np.all, np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isin, np.isfinite, np.isinf, np.isnan,
    np.isposinf, np.isneginf, np.isreal, np.isrealobj, np.iscomplexobj, np.signbit, np.logical_xor,
    np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.argpartition, np.argwhere, np.lexsort,
    np.nonzero, np.flatnonzero, np.count_nonzero, np.searchsorted, np.digitize,
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.shares_memory, np.may_share_memory,
    np.array2string, np.array_repr, np.array_str, np.save, np.savez, np.savez_compressed, np.savetxt,
}  # fmt: skip
ATTRIBUTES = {np.shape: "shape", np.ndim: "ndim", np.size: "size"}
LIKE = {np.zeros_like, np.ones_like, np.empty_like, np.full_like}  # of the first argument they take shape and dtype
WRITING = {np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}  # into the first argument

# What to write instead of functions that minidl has not.
INSTEAD: dict[Any, str] = {
    np.inner: "F.sum(x * y, axis=-1)",
    np.vdot: "F.sum(x * y)",
    np.tensordot: 'F.einsum("ij,kj->ik", x, y)',
    np.kron: 'F.einsum("ij,kl->ikjl", x, y)',
    np.reciprocal: "1 / x",
    np.hypot: "F.sqrt(x * x + y * y)",
    np.arctan2: "F.arctan(x / y)",
    np.float_power: "x**y",
    np.exp2: "2**x",
    np.cbrt: "F.sign(x) * F.absolute(x) ** (1 / 3)",
    np.sinh: "(F.exp(x) - F.exp(-x)) / 2",
    np.cosh: "(F.exp(x) + F.exp(-x)) / 2",
    np.logaddexp: "F.logsumexp(F.stack([x, y]), axis=0)",
    np.rint: "F.round(x)",
    np.heaviside: "(x > 0).astype(x.dtype)",
    np.nan_to_num: "F.where(F.isnan(x), 0, x)",
    np.average: "F.mean(x, axis=0)",
    np.nanmean: "F.mean(x[~F.isnan(x)])",
    np.nansum: "F.sum(x[~F.isnan(x)])",
    np.median: "F.sort(x.ravel())[x.size // 2]",
    np.cumprod: "F.exp(F.cumsum(F.log(x), axis=0))",
    np.diff: "x[..., 1:] - x[..., :-1]",
    np.append: "F.concatenate([x.ravel(), y.ravel()])",
    np.delete: "F.concatenate([x[:1], x[2:]])",
    np.insert: "F.concatenate([x[:1], y[:1], x[1:]])",
    np.column_stack: "F.stack([x[0], y[0]], axis=1)",
    np.dstack: "F.stack([x, y], axis=2)",
    np.array_split: "F.split(x, [1])",
    np.fliplr: "F.flip(x, axis=1)",
    np.flipud: "F.flip(x, axis=0)",
    np.rot90: "F.flip(x.T, axis=0)",
    np.atleast_1d: "x.reshape(-1)",
    np.atleast_2d: "x.reshape(1, -1)",
    np.broadcast_arrays: "F.broadcast_to(x, y.shape)",
    np.meshgrid: "F.broadcast_to(x[0], (3, 3)), F.broadcast_to(y[0][:, None], (3, 3))",
    np.copyto: "t = md.zeros(2, 3); t[...] = x",
}


def from_ufunc(tensor: Variable, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """`Tensor.__array_ufunc__`: ufunc(*inputs, **options), where one of the inputs is a Tensor.

    Raises:
        GraphError: a gradient would be lost.
    """
    function = UFUNCS.get(ufunc)
    if function is None or options or method != "__call__":
        return _by_numpy(ufunc, f"np.{ufunc.__name__}", method, inputs, options)
    if ufunc in COMPARISONS:  # NumPy makes an array of its own number on the left, which then would promote
        inputs = tuple([x[()] if type(x) is np.ndarray and x.ndim == 0 else x for x in inputs])
    return function(*inputs)


def from_function(tensor: Variable, function: Any, types: Any, args: Any, options: dict[str, Any]) -> Any:
    """`Tensor.__array_function__`: function(*args, **options), where a Tensor is somewhere among the arguments.

    Raises:
        GraphError: a gradient would be lost.
    """
    if function in ATTRIBUTES and len(args) == 1 and not options:
        return getattr(args[0], ATTRIBUTES[function])
    if function is np.einsum and options.keys() <= {"optimize"}:
        return F.einsum(*args)
    if function in FUNCTIONS:
        known, parameters = FUNCTIONS[function]
        arguments = _arguments(known, parameters, args, options)
        if arguments is not None:
            return known(**arguments)
    name = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
    return _by_numpy(function, name, "__call__", args, options)


def _arguments(known: Callable[..., Any], parameters: str, args: Any, options: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments of a call of NumPy's by minidl's names; None if minidl's function cannot be called with them."""
    ours = {word.rpartition("=")[2]: word.partition("=")[0] for word in parameters.split()}
    arguments = {}
    for name, value in {**dict(zip(ours, args, strict=False)), **options}.items():
        if ours.get(name, name) in _parameters(known):
            arguments[ours.get(name, name)] = value
        elif value is not None and not (isinstance(value, (str, bool)) and value in USUAL):
            return None
    needed = [name for name, p in _parameters(known).items() if p.default is p.empty]
    return arguments if all(name in arguments for name in needed) else None


@cache
def _parameters(function: Callable[..., Any]) -> Any:
    found = inspect.signature(function).parameters
    return {name: p for name, p in found.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def _by_numpy(function: Any, name: str, method: str, args: Any, options: dict[str, Any]) -> Any:
    """What NumPy computes from the values."""
    called = method == "__call__"
    name = name if called else f"{name}.{method}"
    written = [options.get("out"), args[:1] if function in WRITING or method == "at" else None]
    for tensor in _tensors(written):
        raise DTypeError(f"{name} cannot write into {describe(tensor)}; write t[...] = values")
    harmless = called and function in WITHOUT_GRADIENT
    if is_grad_enabled() and not harmless:
        for tensor in _tensors([args[1:] if function in LIKE else args, options]):
            if tensor._requires_grad:
                raise GraphError(
                    f"{name} records nothing: the gradient of {describe(tensor)} would be lost. "
                    f"{_advice(function if called else None, options)}or, for the values alone, "
                    f"{name}({', '.join(_written(args, options))})"
                )
    return getattr(function, method)(*_values(args, harmless), **_values(options, harmless))


def _advice(function: Any, options: dict[str, Any]) -> str:
    """What to write so that the gradient is not lost."""
    if options.get("out") is not None:
        return "An array has no history: write a = a + t, not a += t; "
    known = F.einsum if function is np.einsum else UFUNCS.get(function) or FUNCTIONS.get(function, (None,))[0]
    if known is not None:
        return f"Write F.{known.__name__}({', '.join(_parameters(known))}), which has these arguments only; "
    return f"Write {INSTEAD[function]}; " if function in INSTEAD else "Compose it of functions of minidl.functional; "


def _written(args: Any, options: dict[str, Any]) -> Iterator[str]:
    """The arguments of a call as one writes them: each Tensor as t.numpy()."""
    for name, value in [*(("", value) for value in args), *options.items()]:
        if isinstance(value, Variable):
            text = "t.numpy()"
        elif isinstance(value, (list, tuple)):
            text = f"[{', '.join(_written(value, {}))}]"
        else:
            text = (
                repr(value) if isinstance(value, (int, float, str, type(None))) else getattr(value, "__name__", "...")
            )
        yield f"{name}={text}" if name else text


def _tensors(given: Any) -> Iterator[Any]:
    """All Tensors in lists, tuples and dicts."""
    if isinstance(given, Variable):
        yield given
    elif isinstance(given, (list, tuple, dict)):
        for part in given.values() if isinstance(given, dict) else given:
            yield from _tensors(part)


def _values(given: Any, looked_at: bool) -> Any:
    """The same with NumPy arrays in the place of Tensors; if they are only `looked_at`, nobody can write to them."""
    if isinstance(given, Variable):
        return backend.to_numpy(given.shown()) if looked_at else given.numpy()  # type: ignore[attr-defined]
    if isinstance(given, dict):
        return {name: _values(part, looked_at) for name, part in given.items()}
    if isinstance(given, (list, tuple)):
        parts = [_values(part, looked_at) for part in given]
        return parts if isinstance(given, list) else tuple(parts)
    return given


STORE = opcode.opmap["STORE_SUBSCR"]  # Python's instruction for a[i] = x


def refuse_to_be_stored(tensor: Variable) -> None:
    """Called by `Tensor.__float__` and `__int__`: an error in `array[i] = tensor`, which would lose a gradient.

    NumPy asks the tensor for its number there, as `float(tensor)` does, which means the number. What Python is about to
    do in the user's line tells the two apart.
    """
    if tensor._requires_grad and is_grad_enabled():
        line = sys._getframe(2)
        if line.f_code.co_code[line.f_lasti] == STORE:
            raise GraphError(
                f"array[i] = t: an array has no history, so the gradient of {describe(tensor)} would be lost. Write "
                f"into a tensor, h = md.zeros(shape) and h[i] = t, or if you mean the value alone, array[i] = t.item()"
            )
