"""Arrays as text: the numbers of a small one; of a larger one what is said of it, and a small picture of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.stepper.kept import Kept
from minidl.stepper.screen import PLAIN_SHADES
from minidl.types import Shape

NUMBERS = 64  # of an array with more, no numbers are shown
TALL = 8  # nor if they take more lines
ROWS, COLUMNS = 8, 40  # of a picture


def one(kept: Kept, place: tuple[int, ...] = ()) -> str:
    """One number of an array with all its digits, as NumPy prints it; "not kept" if the sample does not hold it."""
    found = kept.at(place)
    return "not kept" if found is None else number(found, kept.dtype)


def number(value: Any, dtype: str) -> str:
    """A number as NumPy prints one of this dtype: the shortest that is read back as the same."""
    return str(np.dtype(dtype).type(value))


def shape_of(shape: Shape, dtype: str) -> str:
    """`(3, 4) float32`."""
    return f"{shape} {dtype}"


def statistics(kept: Kept) -> str:
    """`-0.5 to 1.25, mean 0.1, norm 2.3, 12 zeros`; of all of the array, also where only a sample of it is kept."""
    said = []
    if not math.isnan(kept.low):
        said += [f"{kept.low:.4g} to {kept.high:.4g}", f"mean {kept.mean:.4g}"]
    said.append(f"norm {kept.norm:.4g}")
    said += [f"{kept.zeros} of {kept.size} are 0"] if kept.zeros else []
    said += [f"{kept.nan} NaN"] if kept.nan else []
    said += [f"{kept.infinite} infinite"] if kept.infinite else []
    return ", ".join(said)


def array_lines(kept: Kept, width: int, shades: str = PLAIN_SHADES) -> list[str]:
    """The numbers of an array as NumPy prints them, rounded, if they are few; else its statistics and a picture."""
    if kept.size == 0:
        return ["[] (it has no elements)"]
    if kept.size <= NUMBERS and not kept.sampled:
        lines = numbers(kept.values, width)
        if len(lines) <= TALL:
            return lines
    if kept.values.dtype.kind not in "fiub":
        return [f"{kept.size} elements of {kept.dtype}"]
    return [statistics(kept), *picture(kept, width, shades)]


def numbers(values: Any, width: int) -> list[str]:
    """An array as NumPy prints it, with four digits after the point, or three or two if so the rows stay whole."""
    rows = math.prod(values.shape[:-1])
    for precision in (4, 3, 2):
        lines = _printed(values, width, precision)
        if len([line for line in lines if line]) <= rows:
            return lines
    return _printed(values, width, 4)


def _printed(values: Any, width: int, precision: int) -> list[str]:
    text = np.array2string(
        values, max_line_width=width, precision=precision, suppress_small=False, separator=" ", threshold=NUMBERS + 1,
        sign="-", floatmode="maxprec", formatter={},
    )  # fmt: skip
    return text.split("\n")


def picture(kept: Kept, width: int, shades: str) -> list[str]:
    """Two axes of an array, a character for a number: the lowest is blank, the highest full; `?` is NaN or infinite.

    Of an array with more axes it is the part in which the number farthest from 0 lies.
    """
    values, where = kept.values, ""
    if values.ndim > 2:
        sizes = np.abs(np.nan_to_num(values.astype(np.float64)))
        at = np.unravel_index(int(sizes.argmax()), sizes.shape)[:-2]
        values = values[at]
        part_of = [str(axis[i]) for axis, i in zip(kept.places(), at, strict=False)]
        where = f"[{', '.join(part_of)}] of it: "
    grid = values.reshape(1, -1) if values.ndim < 2 else values
    rows, columns = _every(grid.shape[0], ROWS), _every(grid.shape[1], min(COLUMNS, width - 4))
    shown = grid[np.ix_(rows, columns)].astype(np.float64)
    part = "" if shown.size == math.prod(kept.shape[-2:]) else f", {shown.shape[0]} x {shown.shape[1]} numbers of it"
    low, high = _ends(shown)
    if low == high and np.isfinite(shown).all():
        return [f"({where}all {low:.4g}{part})"]
    legend = f"({where}'{shades[0]}' {low:.4g} to '{shades[-1]}' {high:.4g}{part})"
    return [f"|{''.join(_shade(x, low, high, shades) for x in row)}|" for row in shown] + [legend]


def _every(n: int, most: int) -> Sequence[int]:
    """Which of n rows to show, evenly thinned out if there are more than `most`."""
    return range(n) if n <= most else [int(i) for i in np.linspace(0, n - 1, most)]


def _ends(shown: Any) -> tuple[float, float]:
    finite = shown[np.isfinite(shown)]
    return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)


def _shade(x: float, low: float, high: float, shades: str) -> str:
    if not math.isfinite(x):
        return "?"
    if low == high:  # beside some that are no numbers
        return shades[len(shades) // 2]
    # Half of each before the difference is taken: high - low may be more than the largest number there is.
    return shades[min(len(shades) - 1, int((x / 2 - low / 2) / (high / 2 - low / 2) * len(shades)))]
