"""Activations on a GPU: one launch each way, where the plain lines would take one for every operator."""

# ruff: noqa: D101 - each class is the op of its name, and says which kernels it is

from __future__ import annotations

from typing import ClassVar

from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.functional import activation, gated
from minidl.types import Array


class _OneLaunchBack(Faster):
    """The gradient is one kernel; the plain forward is one function of CuPy's already.

    Attributes:
        kernel: the name of the forward in `kernels/elementwise.py`; the gradient's is that with `_gradient`.
        options: the attributes of the op that both kernels are handed after their arrays.
    """

    __slots__ = ()
    where = "on a GPU"
    kernel: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()

    def fits(self, x: Array) -> bool:
        return kernels.on_device(x)

    def backward(self, grad_out: Array, saved: Array) -> Array:
        options = [getattr(self, name) for name in self.options]
        return kernels.fused(f"{self.kernel}_gradient", grad_out, saved, *options)


class _OneLaunch(_OneLaunchBack):
    """Forward and gradient are one kernel each."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return kernels.fused(self.kernel, x, *[getattr(self, name) for name in self.options])


class ReLU(_OneLaunchBack, activation.ReLU):
    __slots__ = ()
    kernel = "relu"


class LeakyReLU(_OneLaunch, activation.LeakyReLU):
    __slots__ = ()
    kernel, options = "leaky_relu", ("slope",)


class ELU(_OneLaunch, activation.ELU):
    __slots__ = ()
    kernel, options = "elu", ("alpha",)


class Hardtanh(_OneLaunchBack, activation.Hardtanh):
    __slots__ = ()
    kernel, options = "hardtanh", ("low", "high")


class Sigmoid(_OneLaunch, activation.Sigmoid):
    __slots__ = ()
    kernel = "sigmoid"


class Tanh(_OneLaunchBack, activation.Tanh):
    __slots__ = ()
    kernel = "tanh"


class Softsign(_OneLaunch, activation.Softsign):
    __slots__ = ()
    kernel = "softsign"


class Softplus(_OneLaunch, activation.Softplus):
    __slots__ = ()
    kernel = "softplus"


class SiLU(_OneLaunch, gated.SiLU):
    __slots__ = ()
    kernel = "silu"


class GELU(_OneLaunch, gated.GELU):
    __slots__ = ()
    kernel = "gelu"


class TanhGELU(_OneLaunch, gated.TanhGELU):
    __slots__ = ()
    kernel = "tanh_gelu"
