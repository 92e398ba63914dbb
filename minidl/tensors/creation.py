"""Making tensors: tensor, zeros, ones, full, eye, arange, linspace, and random ones. They live on the current backend.

A shape may be written as one or several lengths or as a tuple: zeros(2, 3), zeros((2, 3)), randn(5).
"""

from __future__ import annotations

from typing import Any, Never

import numpy as np

from minidl import backend
from minidl.checks import yes_or_no
from minidl.errors import DTypeError
from minidl.habits.answers import unknown_option
from minidl.tensors.array import DEFAULT_DTYPE, array_of, as_data
from minidl.tensors.tensor import Tensor

Shape = int | tuple[int, ...]


def tensor(
    data: Any, dtype: Any = None, requires_grad: bool = False, name: str | None = None, device: str | None = None
) -> Tensor:
    """A new tensor with a copy of `data`.

    Args:
        data: an array, a Tensor (whose history stays behind), a number, or nested lists of numbers. Arrays keep their
            dtype; floats in lists become float32, as in PyTorch.
        dtype: another dtype.
        requires_grad: record what is done with it.
        name: what error messages and figures call it.
        device: 'numpy' or 'cupy'; by default where `data` lives, and for lists the current backend.

    Raises:
        DTypeError: `data` is no array of numbers, or a list with Tensors that require a gradient: use `F.stack`.
    """
    # With a dtype asked for, numbers go straight to it: by way of float32 they would lose digits.
    array = as_data(
        array_of(data, dtype) if dtype is not None and isinstance(data, (int, float, list, tuple)) else data
    )
    array = array.astype(dtype or array.dtype, copy=True)
    if device is not None:
        array = backend.to_device(array, device)
    elif not isinstance(data, Tensor) and not backend.is_array(data):
        array = backend.to_device(array, backend.current())
    return Tensor(array, requires_grad, name)


def _made(array: Any, requires_grad: bool) -> Tensor:
    return Tensor(backend.to_device(array, backend.current()), requires_grad)


def _one_shape(lengths: tuple[Any, ...]) -> Any:
    return lengths[0] if len(lengths) == 1 else lengths


def full(
    shape: Shape, fill_value: float, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False, **unknown: Never
) -> Tensor:
    """A tensor of `shape` filled with `fill_value`.

    Raises:
        DTypeError: `fill_value` is no real number, or array of such.
    """
    if unknown:
        raise unknown_option(f"md.full({shape}, {fill_value})", unknown)
    if np.asarray(fill_value).dtype.kind not in "fiub":
        raise DTypeError(f"full: expected a number; got {fill_value!r}")
    return _made(np.full(shape, fill_value, dtype), requires_grad)


def zeros(*shape: Any, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False, **unknown: Never) -> Tensor:
    """A tensor of `shape` filled with 0: zeros(2, 3) or zeros((2, 3))."""
    if unknown:
        raise unknown_option(f"md.zeros{shape}", unknown)
    return full(_one_shape(shape), 0, dtype, requires_grad)


def ones(*shape: Any, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False, **unknown: Never) -> Tensor:
    """A tensor of `shape` filled with 1: ones(2, 3) or ones((2, 3))."""
    if unknown:
        raise unknown_option(f"md.ones{shape}", unknown)
    return full(_one_shape(shape), 1, dtype, requires_grad)


def zeros_like(other: Tensor, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and device of `other`."""
    return Tensor(backend.module_of(other._data).zeros_like(other._data), requires_grad)


def ones_like(other: Tensor, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and device of `other`."""
    return Tensor(backend.module_of(other._data).ones_like(other._data), requires_grad)


def full_like(other: Tensor, fill_value: float, requires_grad: bool = False) -> Tensor:
    """`fill_value` with the shape, dtype and device of `other`."""
    return Tensor(backend.module_of(other._data).full_like(other._data, fill_value), requires_grad)


def eye(
    n: int, m: int | None = None, k: int = 0, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False, **unknown: Never
) -> Tensor:
    """The matrix (n, m) with 1 on its k-th diagonal and 0 elsewhere; square if m is None: then it is the identity."""
    if unknown:
        raise unknown_option(f"md.eye({n})", unknown)
    return _made(np.eye(n, m, k, dtype), requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: Any = None,
    requires_grad: bool = False,
    **unknown: Never,
) -> Tensor:
    """start, start + step, ... below stop; from 0 if only one number is given. Floats make float32."""
    if unknown:
        raise unknown_option(f"md.arange({start})", unknown)
    values = np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype=dtype)
    return _made(values.astype(DEFAULT_DTYPE) if dtype is None and values.dtype.kind == "f" else values, requires_grad)


def linspace(
    start: float,
    stop: float,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = DEFAULT_DTYPE,
    requires_grad: bool = False,
    **unknown: Never,
) -> Tensor:
    """`num` numbers at equal distances from `start` to `stop`, both included unless `endpoint` is False."""
    if unknown:
        raise unknown_option(f"md.linspace({start}, {stop})", unknown)
    return _made(np.linspace(start, stop, num, yes_or_no(endpoint, "linspace: endpoint")).astype(dtype), requires_grad)


def rand(*shape: Any, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False, **unknown: Never) -> Tensor:
    """Uniform numbers in [0, 1) from the host stream that `md.seed` starts: the same on both backends."""
    if unknown:
        raise unknown_option(f"md.rand{shape}", unknown)
    return _made(np.asarray(backend.generator().random(_one_shape(shape))).astype(dtype), requires_grad)


def randn(*shape: Any, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False, **unknown: Never) -> Tensor:
    """Normal numbers (mean 0, standard deviation 1) from the host stream that `md.seed` starts."""
    if unknown:
        raise unknown_option(f"md.randn{shape}", unknown)
    return _made(np.asarray(backend.generator().standard_normal(_one_shape(shape))).astype(dtype), requires_grad)


def randint(low: int, high: int | None = None, size: Shape = (), dtype: Any = np.int64, **unknown: Never) -> Tensor:
    """Whole numbers from `low` to `high` - 1, or from 0 to `low` - 1, from the host stream that `md.seed` starts."""
    if unknown:
        raise unknown_option(f"md.randint({low})", unknown)
    return _made(np.asarray(backend.generator().integers(low, high, size, dtype)), False)


def permutation(n: int) -> Tensor:
    """The whole numbers from 0 to n - 1 in random order, from the host stream that `md.seed` starts."""
    return _made(backend.generator().permutation(n), False)
