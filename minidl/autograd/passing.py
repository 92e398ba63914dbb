"""What happens to a gradient on its way, where somebody asked for it: hooks see it, your own op's are checked.

A walk through a graph without hooks and without ops of your own passes by here only while somebody observes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.accumulation import accumulate, fitted
from minidl.autograd.diagnosis import no_gradient, wrong_gradient, wrong_number_of_gradients
from minidl.autograd.function import Function
from minidl.autograd.modes import OBSERVED, mode
from minidl.autograd.observing import tell
from minidl.autograd.variable import Extras, Variable
from minidl.errors import DeviceError, DTypeError, ShapeError, describe
from minidl.types import ArrayOrTensor


def run_extras(extras: Extras, grad: ArrayOrTensor, retain: bool) -> ArrayOrTensor:
    """Show a passing gradient to the hooks, which may replace it, and to the tensor that retains it.

    Hooks see a copy, which then is the gradient: what a hook writes into it or keeps of it is nobody else's memory.
    Watchers (the recorders of md.observe) are shown the gradient itself, and neither write into it nor keep it.
    """
    if extras.hooks:
        seen = grad.copy() if isinstance(grad, Variable) else Variable.wrap(backend.asarray(grad.copy()))
        for hook in list(extras.hooks.values()):
            replacement = hook(seen)
            if replacement is not None:
                seen = _replacing(replacement, seen)
        grad = seen.copy() if isinstance(grad, Variable) else seen._data.copy()
    for watcher in list(extras.watchers.values()) if extras.watchers else ():
        watcher(grad)
    retained = extras.retained() if retain and extras.retained is not None else None
    if retained is not None:
        accumulate(retained, fitted(retained, grad).copy(), set())
    return grad


def _replacing(replacement: Any, grad: Variable) -> Variable:
    """What a hook returned, if it can stand for `grad`."""
    if not isinstance(replacement, Variable):
        raise DTypeError(
            f"a hook must return the gradient to use instead as a Tensor, or None; got {describe(replacement)}"
        )
    if replacement._data.shape != grad._data.shape:
        raise ShapeError(f"a hook must return a gradient of shape {grad._data.shape}; got {describe(replacement)}")
    if type(replacement._data) is not type(grad._data):
        raise DeviceError(f"a hook must return a gradient on the device it is on; got {describe(replacement)}")
    if replacement._data.dtype == grad._data.dtype:
        return replacement
    fitted: Variable = replacement.astype(grad._data.dtype)
    return fitted


def checked(node: Function, grad_out: ArrayOrTensor, input_grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients that `backward` returned, if there is one for each input; those of your own op copied.

    Raises:
        GraphError: there are more or fewer; your op's is no array of the input's shape, or None for its only input.
    """
    inputs = node.inputs or ()
    if len(input_grads) != len(inputs):
        raise wrong_number_of_gradients(node, input_grads)
    if node.foreign:
        if len(inputs) == 1 and input_grads[0] is None:
            raise no_gradient(node)
        input_grads = tuple([_checked_one(node, i, grad) for i, grad in enumerate(input_grads)])
    if mode.get() & OBSERVED:
        tell("after_backward", node, grad_out, input_grads)
    return input_grads


def _checked_one(node: Function, i: int, grad: Any) -> Any:
    """A copy of the gradient that your op's `backward` returned for input i."""
    if grad is None or not node.needs(i):
        return None
    given = grad
    if isinstance(grad, (int, float, np.generic)) and not isinstance(grad, bool):
        grad = backend.asarray(grad)
    array = grad._data if isinstance(grad, Variable) else grad
    if backend.is_of_subclass(array):
        grad = array = backend.native(array)
    if not backend.is_array(array) or array.shape != node._shapes[i] or array.dtype.kind not in "fiu":
        raise wrong_gradient(node, i, given, node._shapes[i])
    return grad.copy()
