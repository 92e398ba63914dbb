"""What all losses share: the target is brought beside the input and checked, the losses become one number.

Whether values are in range is looked at on the CPU only: on a GPU the program would have to wait for them.
"""

from __future__ import annotations

import math

import numpy as np

from minidl.autograd.function import Function
from minidl.autograd.odd_operands import refuse_nothing, refuse_several
from minidl.autograd.variable import Variable
from minidl.backend import at_hand, device_of, is_array, module_of
from minidl.checks import choice
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError, describe, warn
from minidl.functional.arithmetic import Mul
from minidl.functional.broadcasting import sum
from minidl.functional.counting import divisions, noted
from minidl.functional.reduction import mean
from minidl.types import Array, ArrayOrTensor, Shape, TensorLike

REDUCTIONS = ("mean", "sum", "none")


def reduced(name: str, loss: TensorLike, reduction: str) -> TensorLike:
    """The mean or the sum of `loss`, or itself for "none". The mean of no numbers is NaN."""
    choice(reduction, f"{name}: reduction", REDUCTIONS)
    if reduction == "sum":
        return noted(sum(loss), reduction, None)
    asked = divisions()
    if reduction == "mean" and asked is not None and asked.parts:
        return noted(mean(loss), reduction, loss.size)
    return mean(loss) if reduction == "mean" else loss


class Weigh(Mul):
    """z = x y, but 0 where x is 0 and y infinite: what does not count costs nothing, however bad it is.

    0 times infinity would be NaN. The gradients are those of a product.
    """

    __slots__ = ()

    def forward(self, x: Array, y: Array) -> Array:
        return module_of(x, y).where((x == 0) & (abs(y) == math.inf), 0, x * y)


def weigh(weight: TensorLike, x: TensorLike) -> ArrayOrTensor:
    """weight * x, elementwise with broadcasting, but 0 where a weight is 0 beside an infinite x. NaN stays."""
    return Weigh()(weight, x)


def raw(x: TensorLike) -> TensorLike:
    """The array in a Tensor; anything else as it is."""
    return x.shown() if isinstance(x, Variable) else x


def on_one_device(
    name: str, input: TensorLike, other: TensorLike, what: str = "target"
) -> tuple[TensorLike, TensorLike]:
    """Each as a Tensor or an array: a list or number goes where the other one is (floats in the other's dtype)."""
    one, two = raw(input), raw(other)
    if type(one) is type(two) and is_array(one):
        return input, other
    beside = next((x for x in (one, two) if is_array(x)), None)
    pair: list[TensorLike] = []
    for x in (input, other):
        if not is_array(raw(x)):
            refuse_nothing(name, x)
            refuse_several(name, x)
            x = np.asarray(x)
            if beside is not None and beside.dtype.kind == x.dtype.kind == "f":
                x = x.astype(beside.dtype)
            x = module_of(beside).asarray(x)
        pair.append(x)
    if device_of(raw(pair[0])) != device_of(raw(pair[1])):
        raise DeviceError(
            f"{name}: expected input and {what} on one device; got {describe(input)} and {describe(other)}. "
            f"Move one with .to('numpy') or .to('cupy')"
        )
    return pair[0], pair[1]


def matched(name: str, input: TensorLike, other: TensorLike, what: str = "target") -> tuple[TensorLike, TensorLike]:
    """`input` and `other` on one device and of one shape; integers beside floats in the dtype of these."""
    input, other = on_one_device(name, input, other, what)
    if input.shape != other.shape:
        hint = ". reshape() one of them" if input.size == other.size else ""
        if other.dtype.kind in "iu" and other.shape == input.shape[:-1]:
            hint = f". For labels of classes there is cross_entropy, or F.one_hot(labels, {input.shape[-1]})"
        raise ShapeError(
            f"{name}: expected input and {what} of one shape; got {tuple(input.shape)} and {tuple(other.shape)}{hint}"
        )
    return input, other.astype(input.dtype) if input.dtype.kind == "f" != other.dtype.kind else other


def comparable(name: str, input: TensorLike, target: TensorLike) -> tuple[TensorLike, TensorLike]:
    """As `matched`, to subtract or multiply them: integers beside floats in the dtype of these, on either side; two
    arrays of integers in float64, for in uint8 0 - 1 is 255.
    """
    input, target = matched(name, input, target)
    if input.dtype.kind == "f":
        return input, target
    if target.dtype.kind == "f":
        return input.astype(target.dtype), target
    return input.astype(np.float64), target.astype(np.float64)


def check_floating(name: str, what: str, x: TensorLike) -> None:
    """Refuse integers and booleans."""
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: expected floating {what}; got {x.dtype}. Convert: .astype('float32')")


def check_probabilities(name: str, what: str, x: TensorLike, remedy: str = "") -> None:
    """Refuse numbers that do not lie from 0 to 1."""
    values = raw(x)
    if at_hand(values) and values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"{name}: expected {what} from 0 to 1; got values from {values.min():g} to {values.max():g}{remedy}"
        )


def check_sides(name: str, target: TensorLike) -> None:
    """Refuse targets other than -1 and 1."""
    values = raw(target)
    if at_hand(values) and ((values != 1) & (values != -1)).any():
        raise ValueError(
            f"{name}: expected targets of -1 and +1; got values from {values.min():g} to {values.max():g}. "
            f"Labels of 0 and 1 become these by 2 * target - 1"
        )


def constant(name: str, what: str, value: TensorLike, input: TensorLike, shape: Shape) -> Array | None:
    """Weights as a raw array of their own, broadcast to `shape`, in the input's dtype; None if there are none."""
    if value is None:
        return None
    if isinstance(value, Variable) and value._requires_grad:
        raise GraphError(f"{name} takes its {what} as a constant; got one that requires a gradient: detach() it")
    array = raw(on_one_device(name, input, value, what)[1])
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{name}: expected {what} as numbers; got {array.dtype}")
    array = array.astype(input.dtype)
    try:
        return module_of(array).broadcast_to(array, shape)
    except ValueError as error:
        raise ShapeError(f"{name}: expected {what} of shape {shape}; got {array.shape}") from error


def warn_after(x: TensorLike, op: type[Function], message: str) -> None:
    """Warn the caller of a loss if `x` is the result of `op`."""
    if isinstance(x, Variable) and isinstance(x._op, op):
        warn(message)
