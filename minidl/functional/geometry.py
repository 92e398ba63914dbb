"""How windows lie on inputs with one or two spatial axes: sequences (N, C, L) and images (N, C, H, W).

Convolution and pooling share this: what options may be, where the windows stand, and what lies under them. Kernels,
strides, paddings, dilations and lengths are tuples with one number for each spatial axis.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from minidl.backend import module_of
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.products import one_dtype_expected
from minidl.types import Array, Shape, TensorLike

Sizes: TypeAlias = tuple[int, ...]  # one number for each spatial axis
Size: TypeAlias = int | tuple[int, ...]  # how a user may write them: one number for all axes, or one for each

# How errors speak of inputs with one, or two, spatial axes: one of them, its layout, the kernel, the axes.
WORDS = {
    1: ("sequence", "(N, C, L)", "K", ("length",)),
    2: ("image", "(N, C, H, W)", "KH, KW", ("height", "width")),
}


@dataclass(slots=True)
class Window:
    """A window at all of its positions on an input.

    Along an axis it sees `kernel` places, `dilation` apart. It begins `padding` places before the input, and moves on
    by `stride`, so that at position i it sees places i * stride - padding + k * dilation, for k from 0 to kernel - 1.

    Attributes:
        kernel, stride, padding, dilation: of the window.
        size: the lengths of the input.
        out: how many positions there are, which are the lengths of the output.
    """

    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    size: Sizes
    out: Sizes

    def places(self) -> Iterator[tuple[slice, ...]]:
        """For each place in the window, row by row: the part of the padded input that lies there at all positions."""
        axes = zip(self.kernel, self.dilation, self.out, self.stride, strict=True)
        along = [[slice(k * d, k * d + (o - 1) * s + 1, s) for k in range(count)] for count, d, o, s in axes]
        return product([slice(None)], [slice(None)], *along)  # all images and all channels of each

    def padded_size(self) -> Sizes:
        """The lengths of the input with its padding, as far as a window sees."""
        axes = zip(self.kernel, self.dilation, self.out, self.stride, self.size, self.padding, strict=True)
        return tuple([max((o - 1) * s + (k - 1) * d + 1, size + p) for k, d, o, s, size, p in axes])

    def padded(self, x: Array, value: float = 0) -> Array:
        """x (N, C, *size) with its padding, which is filled with `value`."""
        padded = module_of(x).full((*x.shape[:2], *self.padded_size()), value, dtype=x.dtype)
        self.cropped(padded)[...] = x
        return padded

    def cropped(self, padded: Array) -> Array:
        """The input inside its padding: a view."""
        inside = [slice(p, p + size) for p, size in zip(self.padding, self.size, strict=True)]
        return padded[:, :, *inside]


@dataclass(slots=True)
class Geometry:
    """How the window of a convolution moves, whatever the input: stride, zero padding, dilation, groups of channels."""

    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int

    @classmethod
    def of(cls, n: int, stride: Size, padding: Size, dilation: Size, groups: int) -> Geometry:
        """From what the user gave for n spatial axes."""
        step, border = per_axis(stride, n, "stride", 1), per_axis(padding, n, "padding", 0)
        return cls(step, border, per_axis(dilation, n, "dilation", 1), *per_axis(groups, 1, "groups", 1))

    def reach(self, kernel: Sizes) -> Sizes:
        """How many places it is from the first to the last that a window sees, both counted."""
        return tuple([d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True)])

    def positions(self, size: Sizes, kernel: Sizes) -> Sizes:
        """How many positions the window has along each axis of an input of these lengths."""
        out = []
        what, _, _, axes = WORDS[len(size)]
        for length, reach, p, s, axis in zip(size, self.reach(kernel), self.padding, self.stride, axes, strict=True):
            if length + 2 * p < reach:
                raise ShapeError(
                    f"the window reaches over {reach} but the {what} with its padding has only {length + 2 * p} in "
                    f"{axis}"
                )
            out.append((length + 2 * p - reach) // s + 1)
        return tuple(out)

    def window(self, size: Sizes, kernel: Sizes, out: Sizes | None = None) -> Window:
        """The window on an input of these lengths, at as many positions as fit, or at `out`."""
        out = out or self.positions(size, kernel)
        return Window(kernel, self.stride, self.padding, self.dilation, size, out)


def per_axis(value: Any, n: int, name: str, minimum: int) -> Sizes:
    """The number `value` once for each of n axes, or the n numbers it holds; whole and at least `minimum`."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    try:
        numbers = tuple(map(operator.index, given))
    except TypeError:  # one of them is no whole number
        numbers = ()
    if len(numbers) != n or min(numbers) < minimum or bool in map(type, given):
        several = "" if n == 1 else ", or two of them"
        raise ShapeError(f"{name}: expected a whole number of at least {minimum}{several}; got {value!r}")
    return numbers


def borders(value: Any, n: int, stride: Sizes, name: str) -> Sizes | str:
    """What the `padding` of a convolution may be: whole numbers, 'valid' (none), or 'same'."""
    if not isinstance(value, str):
        return per_axis(value, n, name, 0)
    if value not in ("same", "valid"):
        raise ShapeError(f"{name}: expected a whole number of at least 0, 'same' or 'valid'; got {value!r}")
    if value == "same" and any(s != 1 for s in stride):
        raise ShapeError(
            f"{name}: 'same' is not supported for strided convolutions, whose output is smaller than their input; got "
            f"stride {stride}: give the padding as a number"
        )
    return value


def no_batch(x: Any, n: int) -> str:
    """What an error adds for one image without a batch around it, which PyTorch would take."""
    return ": add a batch axis, x[None]" if getattr(x, "ndim", None) == n + 1 else ""


def check_operands(
    x: TensorLike, weight: TensorLike, bias: TensorLike, geometry: Geometry, transposed: bool = False
) -> None:
    """Whether the operands of a convolution, or of a transposed one, fit together.

    The first axis of the weight counts the filters, that of a transposed convolution the channels.

    Raises:
        ShapeError, DTypeError: they do not.
    """
    n, groups = len(geometry.stride), geometry.groups
    first, second = ("channel", "F") if transposed else ("filter", "C")
    if not hasattr(x, "dtype") or not hasattr(weight, "dtype") or not (bias is None or hasattr(bias, "dtype")):
        name = f"conv_transpose{n}d: " if transposed else ""
        operands = (x, weight) if bias is None else (x, weight, bias)
        raise DTypeError(f"{name}expected Tensors or arrays; got {', '.join(map(describe, operands))}")
    if x.ndim != n + 2 or weight.ndim != n + 2:
        _, layout, kernel, _ = WORDS[n]
        raise ShapeError(
            f"expected x {layout} and weight ({first[0].upper()}, {second}/groups, {kernel}); got {x.shape} and "
            f"{weight.shape}{no_batch(x, n)}"
        )
    channels, filters = weight.shape[1] * groups, weight.shape[0]
    if transposed:
        channels, filters = filters, channels
    if x.shape[1] != channels or weight.shape[0] % groups:
        raise ShapeError(
            f"expected an input of {channels} channels for a weight of shape {weight.shape} with groups={groups}, and "
            f"{first}s in a multiple of {groups}; got x {x.shape}"
        )
    if 0 in (weight.shape[0], *weight.shape[2:]):
        least = "x".join("1" * n)
        raise ShapeError(
            f"expected at least one {first} and a window of at least {least}; got a weight of {weight.shape}"
        )
    if bias is not None and bias.shape != (filters,):
        raise ShapeError(f"expected a bias of shape {(filters,)}; got {bias.shape}")
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
        raise DTypeError(one_dtype_expected(x, weight, bias))


def same_size(geometry: Geometry, x: TensorLike, weight: TensorLike) -> tuple[Geometry, Sizes]:
    """With padding "same": the geometry that has it, and as many positions as x has places.

    Half of what a window reaches over beyond one place is padding before x. Of an odd number the rest is after it.
    """
    check_operands(x, weight, None, geometry)
    half = tuple([(reach - 1) // 2 for reach in geometry.reach(weight.shape[2:])])
    return replace(geometry, padding=half), x.shape[2:]


def spatial_lengths(x: TensorLike, n: int) -> Shape:
    """The lengths of x, which is to be pooled, along its n spatial axes."""
    if getattr(x, "ndim", None) != n + 2:
        raise ShapeError(f"pooling: expected an input of shape {WORDS[n][1]}; got {describe(x)}{no_batch(x, n)}")
    return tuple(x.shape[2:])


def pooling_options(
    n: int, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any, prefix: str = ""
) -> tuple[Sizes, Sizes, Sizes]:
    """Kernel, stride and padding of a pooling window along n axes; `prefix` is how errors begin."""
    kernel = per_axis(kernel_size, n, f"{prefix}kernel_size", 1)
    step = kernel if stride is None else per_axis(stride, n, f"{prefix}stride", 1)
    border = per_axis(padding, n, f"{prefix}padding", 0)
    if any(p > k // 2 for p, k in zip(border, kernel, strict=True)):
        raise ShapeError(f"{prefix}padding: expected at most half of kernel_size {kernel}; got {border}")
    if not isinstance(ceil_mode, (bool, np.bool_)):
        raise ValueError(f"{prefix}ceil_mode: expected True or False (there is no dilation here); got {ceil_mode!r}")
    return kernel, step, border


def pooling_window(n: int, x: TensorLike, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any) -> Window:
    """The window of pooling over the n spatial axes of x.

    The number of positions is rounded down, or up with `ceil_mode`; but no window begins beyond input and padding.

    Raises:
        ShapeError: a window does not fit, or x or an option is none.
    """
    size = spatial_lengths(x, n)
    kernel, step, border = pooling_options(n, kernel_size, stride, padding, ceil_mode)
    out = []
    for length, k, s, p in zip(size, kernel, step, border, strict=True):
        span = length + 2 * p - k
        count = (-(-span // s) if ceil_mode else span // s) + 1
        if ceil_mode and (count - 1) * s >= length + p:
            count -= 1
        if length == 0 or count < 1:
            what = "an image" if n == 2 else "a sequence"
            raise ShapeError(f"pooling: a window of {kernel} does not fit {what} of {size} with padding {border}")
        out.append(count)
    return Window(kernel, step, border, (1,) * n, size, tuple(out))
