"""The updates of the optimizers: all parameters of a model in one launch, or one for each 30.

The plain versions are the optimizers' own lines (`direction` of each, and `Optimizer` around it), which on CuPy launch
about ten kernels for each parameter. The kernels are in `updates.cu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.fast.gpu.kernels.launch import THREADS, check_device, kernel, kernels_for

SOURCE = "updates.cu"
METHODS = ("sgd", "adam", "rmsprop", "adagrad")
NUMBERS = 6  # for each tensor: before, after, decay, decoupled, p, q
_MOST, _PIECE = 30, 2048  # as in the source

_POINTERS = ("weight", "gradient", "first", "second", "third", "multiplier")
TENSORS = np.dtype(
    [
        *[(name, "u8", _MOST) for name in _POINTERS],
        ("number", "f8", (_MOST, NUMBERS)),
        ("size", "i8", _MOST),
        ("first_block", "i4", _MOST + 1),
        ("end", "i4"),  # what makes the size a multiple of 8
    ]
)
CONSTANTS = np.dtype([("c", "f8", 4)])
TABLE = np.dtype([("number", "f8", _MOST * NUMBERS)])


def can_update(arrays: Sequence[Any]) -> bool:
    """Whether the kernels take these arrays, weights or slots: on a device, of one floating dtype, in C order."""
    return bool(arrays) and kernels_for(*arrays) and all(array.flags.c_contiguous for array in arrays)


def update(
    method: str,
    constants: Sequence[float],
    weights: Sequence[Any],
    gradients: Sequence[Any],
    slots: Sequence[Sequence[Any]],
    multipliers: Sequence[Any],
    numbers: Any,
    live: Any = None,
) -> None:
    """Make one step, in place: w <- w - after (d + decoupled w), with d the method's direction.

    d is made of g = gradient + decay w and of s = before * multiplier * g, as `Optimizer` says.

    Args:
        method: one of `METHODS`.
        constants: sgd: momentum, 1 for Nesterov's step or 0; adam: beta1, beta2, eps; rmsprop: alpha, eps, momentum, 1
            if centered or 0; adagrad: eps.
        weights, gradients: arrays of one dtype.
        slots: for each weight what the method remembers of it: sgd: the velocity, if there is momentum; adam: both
            moments; rmsprop: the mean square, the velocity, the mean gradient, with None for what there is not;
            adagrad: the squares.
        multipliers: for each weight a 0-d float64 array on the device, or None for 1.
        numbers: float64 (weights, 6), a NumPy array: before, after, decay, decoupled, and two of the method's: sgd: how
            much of s enters the velocity; adam: 1 - beta1^k and 1 - beta2^k.
        live: the same on the device, read instead of `numbers` when the launch runs: for a step that is captured once
            and made again with other rates.
    """
    for array in (*weights, *gradients):
        check_device(array)
    xp, dtype = module_of(weights[0]), weights[0].dtype.name
    run = kernel(xp, SOURCE, method, dtype)
    fixed = np.zeros((), CONSTANTS)
    fixed["c"][: len(constants)] = constants
    gradients = [xp.ascontiguousarray(gradient) for gradient in gradients]
    for start in range(0, len(weights), _MOST):
        some = slice(start, start + _MOST)
        tensors, blocks = _described(weights[some], gradients[some], slots[some], multipliers[some], numbers[some])
        if blocks:
            run((blocks,), (THREADS,), (tensors, fixed, None if live is None else live[some]))


def put_numbers(live: Any, numbers: Any) -> None:
    """Write a table for `update` to the device. It travels as a launch's parameter: nobody waits, nothing to keep."""
    run = kernel(module_of(live), SOURCE, "put_numbers", "float64")
    for start in range(0, len(numbers), _MOST):
        some = numbers[start : start + _MOST]
        table = np.zeros((), TABLE)
        table["number"][: some.size] = some.reshape(-1)
        run((1,), (_MOST * NUMBERS,), (live[start : start + _MOST], table, np.int32(some.size)))


def _described(
    weights: Sequence[Any], gradients: Sequence[Any], slots: Sequence[Any], multipliers: Sequence[Any], numbers: Any
) -> tuple[Any, int]:
    """The source's `struct Tensors`, and how many blocks there are."""
    tensors, count = np.zeros((), TENSORS), len(weights)
    tensors["weight"][:count] = [w.data.ptr for w in weights]
    tensors["gradient"][:count] = [g.data.ptr for g in gradients]
    tensors["multiplier"][:count] = [0 if m is None else m.data.ptr for m in multipliers]
    for i, name in enumerate(_POINTERS[2:5]):
        tensors[name][:count] = [0 if len(own) <= i or own[i] is None else own[i].data.ptr for own in slots]
    sizes = np.array([w.size for w in weights])
    tensors["number"][:count] = numbers
    tensors["size"][:count] = sizes
    ends = np.cumsum(-(-sizes // _PIECE))
    tensors["first_block"][1 : count + 1] = ends
    return tensors, int(ends[-1])
