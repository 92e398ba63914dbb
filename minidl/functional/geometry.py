"""How windows lie on inputs with one or two spatial axes: sequences (N, C, L) and images (N, C, H, W).

What convolution and pooling share. Kernels, strides, paddings and sizes are tuples with one number for each axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minidl.checks import is_whole
from minidl.errors import ShapeError

Sizes = tuple[int, ...]  # one number for each spatial axis

# How errors speak of inputs with one, or two, spatial axes: one of them, its layout, the kernel, the axes.
WORDS = {
    1: ("sequence", "(N, C, L)", "K", ("length",)),
    2: ("image", "(N, C, H, W)", "KH, KW", ("height", "width")),
}


def per_axis(value: Any, n: int, name: str, minimum: int) -> Sizes:
    """The number `value` once for each of n axes, or the n numbers it holds; whole and at least `minimum`."""
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    if len(numbers) != n or not all(is_whole(number, minimum) for number in numbers):
        several = "" if n == 1 else ", or two of them"
        raise ShapeError(f"{name}: expected a whole number of at least {minimum}{several}; got {value!r}")
    return tuple([int(number) for number in numbers])


def borders(value: Any, n: int, stride: Sizes, name: str) -> Sizes | str:
    """What `padding` may be: whole numbers, 'valid' (none), or 'same', an output as large as the input."""
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


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the window moves over the input: stride, zero padding, dilation, and groups of channels."""

    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int

    @classmethod
    def of(cls, n: int, stride: Any, padding: Any, dilation: Any, groups: Any) -> Geometry:
        """From what the user gave for n spatial axes."""
        step, border = per_axis(stride, n, "stride", 1), per_axis(padding, n, "padding", 0)
        return cls(step, border, per_axis(dilation, n, "dilation", 1), *per_axis(groups, 1, "groups", 1))

    def reach(self, kernel: Sizes) -> Sizes:
        """From the first to the last place that a window sees."""
        return tuple([d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True)])

    def positions(self, sizes: Sizes, kernel: Sizes) -> Sizes:
        """How many positions the window has along each axis of an input of these sizes."""
        out = []
        what, _, _, axes = WORDS[len(sizes)]
        for size, reach, p, s, axis in zip(sizes, self.reach(kernel), self.padding, self.stride, axes, strict=True):
            if size + 2 * p < reach:
                raise ShapeError(
                    f"the window reaches over {reach} but the {what} with its padding has only {size + 2 * p} in {axis}"
                )
            out.append((size + 2 * p - reach) // s + 1)
        return tuple(out)
