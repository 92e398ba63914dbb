"""Clipping: gradients made smaller, in place, between backward() and the step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import writes_of
from minidl.checks import real
from minidl.errors import DeviceError, DTypeError, describe
from minidl.nn import Module
from minidl.optim.norms import l2_norm
from minidl.tensors.tensor import Tensor


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients by one factor, so that together they have at most the norm `max_norm`.

    norm = sqrt(sum over all elements of all gradients of g^2);  g <- g min(1, max_norm / (norm + 1e-6))

    Does not wait for the device. As in PyTorch, nothing is raised for a norm that is not finite: with an infinite
    gradient the factor is 0 (its finite elements become 0, its infinite ones NaN), with a NaN every gradient becomes
    NaN. Look at the norm that is returned.

    Args:
        parameters: one parameter or an iterable of them; those without a gradient are passed over.
        max_norm: the largest norm; `math.inf` only measures.

    Returns:
        The norm before clipping, a Tensor of shape () in the gradients' dtype (float32 for float16); 0 if there is no
        gradient.

    Raises:
        ValueError: `max_norm` is negative, NaN or no number.
        DTypeError: something among the parameters is no Tensor.
        DeviceError: the gradients are on several devices.

    Source: torch.nn.utils.clip_grad_norm_; Pascanu, Mikolov, Bengio, arXiv:1211.5063.
    """
    grads = _gradients(parameters)
    if not real(max_norm, "clip_grad_norm_: max_norm") >= 0:
        raise ValueError(f"expected max_norm to be at least 0; got {max_norm!r}")
    if not grads:
        return Tensor(0.0)
    arrays = [grad._data for grad in grads]
    if len(backend.devices_of(arrays)) > 1:
        raise DeviceError("clip_grad_norm_: expected all gradients on one device; clip those of each device apart")
    norm = l2_norm(arrays)
    xp = backend.module_of(arrays[0])
    if max_norm < math.inf:
        factor = xp.minimum(float(max_norm) / (norm + 1e-6), 1.0)
        factors = {dtype: factor.astype(dtype) for dtype in {array.dtype for array in arrays}}
        for grad, array in zip(grads, arrays, strict=True):
            writes_of(grad).announce()
            array *= factors[array.dtype]
            writes_of(grad).bump()
    return Tensor(xp.asarray(norm, dtype=np.result_type(np.float32, *(array.dtype for array in arrays))))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient to [-clip_value, clip_value].

    Args:
        parameters: one parameter or an iterable of them; those without a gradient are passed over.
        clip_value: the largest absolute value.

    Raises:
        ValueError: `clip_value` is negative, NaN or no number.
        DTypeError: something among the parameters is no Tensor.

    Source: torch.nn.utils.clip_grad_value_.
    """
    grads = _gradients(parameters)
    if not real(clip_value, "clip_grad_value_: clip_value") >= 0:
        raise ValueError(f"expected clip_value to be at least 0; got {clip_value!r}")
    for grad in grads:
        array = grad._data
        writes_of(grad).announce()
        backend.module_of(array).clip(array, -float(clip_value), float(clip_value), out=array)
        writes_of(grad).bump()


def _gradients(parameters: Any) -> list[Any]:
    """The gradients there are among `parameters`."""
    if isinstance(parameters, Tensor):
        parameters = [parameters]
    if isinstance(parameters, Module) or not isinstance(parameters, Iterable):
        raise DTypeError(f"expected parameters, such as model.parameters(); got {describe(parameters)}")
    grads = []
    for i, p in enumerate(parameters):
        if not isinstance(p, Tensor):
            raise DTypeError(f"expected parameters, which are Tensors; entry {i} is {describe(p)}")
        if p.grad is not None:
            grads.append(p.grad)
    return grads
