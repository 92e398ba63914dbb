"""Numbers in words for captions: "1.6% of its weights", "a factor of 20,000"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def part_words(part: float) -> str:
    """A part of something: "1.6%", "0.001%", "1 part in 20,000,000"; "nothing" for 0, "an unknown part" for NaN."""
    if np.isnan(part):
        return "an unknown part"
    if part == 0:
        return "nothing"
    if part >= 1e-5:
        return f"{positional(100 * part)}%"
    if part < 1e-12:
        return "less than 1 part in 1,000,000,000,000"
    return f"1 part in {positional(1 / part, 1)}"


def factor_words(factor: float) -> str:
    """A ratio of at least 1: "2.3", "20,000", "10^19"."""
    if not np.isfinite(factor):
        return "more than 10^308" if factor > 0 else "unknown"
    return positional(factor) if factor < 1e7 else f"10^{np.log10(factor):.0f}"


def positional(value: float, digits: int = 2) -> str:
    """A positive number with so many significant digits and without an exponent: 0.0016, 20,000."""
    rounded = float(f"{value:.{digits - 1}e}")
    if rounded >= 1000:
        return f"{rounded:,.0f}"
    return np.format_float_positional(rounded, trim="-")


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: "", "a", "a and b", "a, b and c"."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
