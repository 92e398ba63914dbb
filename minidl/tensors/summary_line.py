"""One line about a large tensor: what it is, where its numbers lie, and where it comes from.

    Tensor('fc1.weight' (300, 784) float32, -0.0357 to 0.0357, mean 1.2e-05, ▇████▇██, requires_grad=True)
    Tensor((10000, 1000) float32, ~-5.1 to ~5.03, mean ~0.0011, ~▁▁▄██▄▁▁, finite, op=Mul)

Up to 100,000 numbers all are looked at. Of more every so-manieth is, which '~' marks, and beside it is said, exactly,
whether all are finite. From a GPU only these results are moved.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import backend
from minidl.errors import printable

EXACT = 100_000  # numbers; more are sampled
SAMPLE = 4096
BLOCKS = "▁▂▃▄▅▆▇█"
_PART = 32_768  # numbers at a time: so many stay in the processor's cache


def summary_line(x: Any) -> str:
    """The line for the tensor x, which has at least one number."""
    array = x._data
    about = [f"{x.name!r}"] if x.name else []
    about += [str(tuple(array.shape)), str(array.dtype)] + (["cupy"] if x.device == "cupy" else [])
    parts = [" ".join(about), *_numbers(array)]
    if x._op is not None:
        extras = x._op._extras
        parts.append(f"op={x._op.plain.__name__}")
        if extras is not None and extras.where:
            parts.append(f"at {extras.where.splitlines()[-1].strip()}")
    elif x._requires_grad:
        parts.append("requires_grad=True")
    return f"Tensor({printable(', '.join(parts))})"


def _numbers(array: Any) -> list[str]:
    """Range, mean, histogram, and what is not finite."""
    sampled = array.size > EXACT
    some, about = (_sample(array), "~") if sampled else (array.reshape(-1), "")
    if array.dtype.kind == "b":
        return [f"{about}{float(some.mean()):.3g} of them True"]
    with np.errstate(all="ignore"):
        low, high, mean, nan, infinite, *bins = _statistics(some)
    parts = []
    if low == high:
        parts = [f"{about}all {low:.4g}" if nan + infinite == 0 else f"else {about}all {low:.4g}"]
    elif low < high:
        parts = [f"{about}{low:.4g} to {about}{high:.4g}", f"mean {about}{mean:.4g}", about + _bars(bins)]
    if sampled and array.dtype.kind == "f":
        if finite(array):
            parts.append("finite")
        else:
            parts.append(f"not finite: ~{round(nan * array.size / some.size)} NaN, "
                         f"~{round(infinite * array.size / some.size)} infinite")  # fmt: skip
    else:
        parts += [f"{nan:.0f} NaN"] * (nan > 0) + [f"{infinite:.0f} infinite"] * (infinite > 0)
    return parts


def _sample(array: Any) -> Any:
    """Some of the numbers, at equal distances, which are no multiple of a row's length."""
    stride = max(1, array.size // SAMPLE)
    while math.gcd(stride, array.shape[-1]) > 1:
        stride += 1
    if array.flags.c_contiguous:
        return array.ravel()[::stride]
    places = np.unravel_index(np.arange(0, array.size, stride), array.shape)
    device = backend.device_of(array)
    return array[tuple(backend.to_device(place, device) for place in places)]


def _statistics(some: Any) -> list[float]:
    """Lowest and highest finite number, mean of these, how many are NaN and infinite, and how many lie in each bin."""
    xp = backend.module_of(some)
    some = some.astype(np.float64)
    nan, infinite = xp.isnan(some), xp.isinf(some)
    odd = nan | infinite
    low, high = xp.where(odd, math.inf, some).min(), xp.where(odd, -math.inf, some).max()
    mean = xp.where(odd, 0.0, some).sum() / (~odd).sum()
    width = xp.where(high > low, (high - low) / len(BLOCKS), 1.0)
    bin_of = xp.where(odd, -1.0, xp.minimum(xp.floor((xp.where(odd, low, some) - low) / width), len(BLOCKS) - 1))
    bins = [(bin_of == i).sum() for i in range(len(BLOCKS))]
    found = xp.empty(5 + len(bins), dtype=np.float64)  # they are moved at once
    for i, number in enumerate((low, high, mean, nan.sum(), infinite.sum(), *bins)):
        found[i] = number
    return [float(v) for v in backend.to_numpy(found)]


def _bars(bins: list[float]) -> str:
    """A block for each bin, its height by the number of numbers in it; a space for none."""
    most = max(bins) or 1.0
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int(n / most * len(BLOCKS)))] if n else " " for n in bins)


def finite(array: Any) -> bool:
    """Whether all numbers of a floating array are finite: all are looked at, once."""
    xp = backend.module_of(array)
    if xp is not np:
        return bool(xp.isfinite(array).all())
    if not array.flags.c_contiguous:
        return bool(np.isfinite(array).all())
    flat = array.ravel()
    if array.dtype == np.float16:  # its exponent says it, in whole numbers
        return all(int((part & 0x7FFF).max()) < 0x7C00 for part in _parts(flat.view(np.uint16)))
    # 0 * x is 0, but NaN for what is not finite; a product of vectors reads at the speed of the memory.
    zeros = np.zeros(min(_PART, flat.size), array.dtype)
    with np.errstate(invalid="ignore"):
        return all(bool(part.dot(zeros[: part.size]) == 0) for part in _parts(flat))


def _parts(flat: Any) -> Any:
    return (flat[i : i + _PART] for i in range(0, flat.size, _PART))
