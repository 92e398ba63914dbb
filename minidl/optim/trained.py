"""What a step needs to know of one parameter: weight, gradient, rates, and what the method remembers of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.autograd.writes import WriteCount
from minidl.backend import device_of, is_writable, module_of
from minidl.errors import DeviceError, DTypeError, ShapeError
from minidl.tensors.tensor import Tensor
from minidl.types import Array, DType, Shape


class Trained(NamedTuple):
    """A parameter that takes part in a step.

    Attributes:
        name: the parameter's name.
        weight: its raw array w.
        gradient: its raw gradient, on the same device.
        lr: t, the base rate with the parameter's own `scale`.
        decay: the weight decay with the parameter's own `scale`.
        state: its entry in `Optimizer.state`.
        writes: the WriteCount of the gradient.
    """

    name: str
    weight: Array
    gradient: Array
    lr: float
    decay: float
    state: dict[str, Any]
    writes: WriteCount


def takes_part(p: Tensor) -> bool:
    """Whether a step updates the parameter: it has a gradient and is not frozen."""
    return p._grad is not None and p._requires_grad


def gradient_of(name: str, p: Tensor) -> Array:
    """The raw gradient of a parameter that has one.

    Raises:
        DeviceError: it is on another device than the parameter.
        ShapeError: it cannot be broadcast to the parameter's shape.
    """
    gradient, weight = p._grad._data, p._data  # type: ignore[union-attr]
    if type(gradient) is not type(weight) and device_of(gradient) != device_of(weight):
        raise DeviceError(
            f"parameter {name!r} is on {device_of(weight)} and its gradient on {device_of(gradient)}: call zero_grad() "
            f"after .to(), and then backward()"
        )
    if gradient.shape != weight.shape:
        check_shape(f"the gradient of {name!r}", gradient, weight.shape)
    return gradient


def check_writable(name: str, weight: Array) -> None:
    """Raise a ValueError if a parameter's array cannot be written to, before a step has changed anything."""
    if not is_writable(weight):
        raise ValueError(
            f"parameter {name!r} is a read-only array, which a step cannot update: give it one of its own, p.data = "
            f"p.data.copy(), or freeze it, p.requires_grad = False"
        )


def check_shape(what: str, array: Array, shape: Shape) -> None:
    """Raise a ShapeError unless `array` can be broadcast to `shape`."""
    fewer_axes = len(array.shape) <= len(shape)
    if not fewer_axes or any(n not in (1, m) for n, m in zip(array.shape[::-1], shape[::-1], strict=False)):
        raise ShapeError(f"{what} is of shape {tuple(array.shape)}; expected the parameter's, {tuple(shape)}")


def check_direction(method: str, name: str, w: Array, d: Array) -> None:
    """Raise unless a method's direction d can be subtracted from the parameter w."""
    if d.shape != w.shape:
        check_shape(f"the direction of {method} for {name!r}", d, w.shape)
    if d.dtype != w.dtype and not np.can_cast(d.dtype, w.dtype, "same_kind"):
        raise DTypeError(f"the direction of {method} for {name!r} is {d.dtype}; expected {w.dtype}")


def slot_dtype(dtype: DType) -> DType:
    """The dtype in which a method remembers things of a parameter of `dtype`: float32 for float16, else the same."""
    return np.result_type(dtype, np.float32)


def slots_beside(
    like: Array, state: dict[str, Any], slots: tuple[str, ...], shape: Shape, dtype: DType, name: str
) -> dict[str, Array]:
    """The arrays of `state` called `slots`, zeros for those that are not there yet.

    Args:
        like: an array on the device where they must be.
        shape, dtype: what they must have.
        name: whose they are, for the error.

    Raises:
        DeviceError, DTypeError, ShapeError: one of those that are there is not as it must be.
    """
    found = {}
    for slot in slots:
        if slot not in state:
            found[slot] = module_of(like).zeros(shape, dtype=dtype)
            continue
        found[slot] = array = state[slot]
        if type(array) is not type(like) and device_of(array) != device_of(like):
            raise DeviceError(
                f"{name!r} is on {device_of(like)}, but its {slot} is on {device_of(array)}: build the optimizer after "
                f".to(), or call optimizer.to({device_of(like)!r})"
            )
        if array.dtype != dtype:
            raise DTypeError(
                f"{name!r} is now {like.dtype}, but its {slot} is {array.dtype}: build the optimizer after "
                f"model.to(dtype=...)"
            )
        if array.shape != shape:
            raise ShapeError(
                f"{name!r} is now of shape {tuple(shape)}, but its {slot} is of {tuple(array.shape)}: build the "
                f"optimizer after the parameter has its shape"
            )
    return found
