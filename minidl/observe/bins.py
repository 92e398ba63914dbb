"""Bins for numbers of any size: as fine near 1e-30 as near 1.

A positive number is m 2^e with 1/2 <= m < 1. Each octave, the numbers with the same e, is cut into 4 bins of equal
width, so that a bin is 25% wide at most (of its lower edge). With the exponent `top` of the largest number in an array,
40 octaves are counted below 2^top, which are twelve decades; what is smaller is in the lowest bin. Negative numbers
have bins of their own. From left to right: from the largest negative to the smallest, then from the smallest positive
to the largest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

QUANTITIES = ("pre_activation", "activation", "output_gradient", "weight_gradient")
OCTAVES, PARTS = 40, 4
SIDE = OCTAVES * PARTS  # bins of one sign
BINS = 2 * SIDE
SAMPLE = 1 << 16  # of more numbers than this, evenly spaced ones are counted


def counted(numbers: Any) -> tuple[Any, float, float]:
    """How many of `numbers` are in each bin, the exponent `top`, and which part of them is exactly 0.

    Args:
        numbers: a NumPy array of any shape. Zeros are in no bin, nor is what is not finite.

    Returns:
        counts (BINS,), top (NaN if there is nothing to count), zeros (NaN if `numbers` is empty).
    """
    flat = numbers.reshape(-1)
    if not flat.size:
        return np.zeros(BINS, dtype=np.uint32), np.nan, np.nan
    zeros = float((flat == 0).mean())
    if flat.size > SAMPLE:
        stride = -(-flat.size // SAMPLE)
        while math.gcd(stride, flat.size) > 1:  # or it would meet the same units in every sample
            stride += 1
        flat = flat[::stride]
    flat = flat[np.isfinite(flat) & (flat != 0)]
    if not flat.size:
        return np.zeros(BINS, dtype=np.uint32), np.nan, zeros
    mantissa, exponent = np.frexp(abs(flat.astype(np.float64)))
    top = int(exponent.max())
    octave = exponent - top + OCTAVES - 1
    part = ((mantissa - 0.5) * 2 * PARTS).astype(np.int64)
    place = np.where(octave < 0, 0, octave * PARTS + part)
    place = np.where(flat < 0, SIDE - 1 - place, SIDE + place)
    return np.bincount(place, minlength=BINS).astype(np.uint32), float(top), zeros


def edges(top: float) -> Any:
    """(SIDE + 1,) the edges of the bins of one sign as log10 of their size, the smallest first."""
    octave, part = np.divmod(np.arange(SIDE + 1), PARTS)
    return (top - OCTAVES + octave) * np.log10(2.0) + np.log10(1 + part / PARTS)
