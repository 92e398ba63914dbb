"""What an option may be: checked here once, for the function that takes it and for the layer that keeps it.

`name` is how the message begins, such as "Linear: in_features". All raise a ValueError and return the value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def is_whole(value: Any, minimum: float = -math.inf) -> bool:
    """Whether `value` is a whole number (True and False are none) of at least `minimum`."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= minimum)


def whole(value: Any, name: str, minimum: float = 1) -> int:
    """A whole number of at least `minimum`."""
    if not is_whole(value, minimum):
        least = "" if minimum == -math.inf else f" of at least {minimum}"
        raise ValueError(f"{name}: expected a whole number{least}; got {value!r}")
    return int(value)


def python_number(value: Any) -> Any:
    """An option as it is, but a scalar of NumPy's as a Python number: that does not make float64 of float32."""
    return value.item() if isinstance(value, np.generic) else value


def number(value: Any, name: str, least: float = -math.inf, most: float = math.inf, above: float = -math.inf) -> Any:
    """A number; if asked for, one from `least` to `most`, or one above `above`. NaN is none."""
    plain = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if plain and least <= value <= most and (above == -math.inf or value > above):
        return python_number(value)
    within = f" from {least} to {most}" if most < math.inf else f" of at least {least}" if least > -math.inf else ""
    raise ValueError(f"{name}: expected a number{within if above == -math.inf else f' above {above}'}; got {value!r}")


def nonnegative(value: Any, name: str) -> float:
    """A finite number of at least 0, as a plain float. Texts and truth values are no numbers."""
    found = real(value, name)
    if not (math.isfinite(found) and found >= 0):
        raise ValueError(f"{name}: expected a finite number of at least 0; got {value!r}")
    return found


def fraction(value: Any, name: str) -> float:
    """A number of at least 0 and below 1, as a plain float."""
    found = real(value, name)
    if not 0 <= found < 1:
        raise ValueError(f"{name}: expected a number of at least 0 and below 1; got {value!r}")
    return found


def share(value: Any, name: str) -> float:
    """A number from 0 to 1, as a plain float."""
    found = real(value, name)
    if not 0 <= found <= 1:
        raise ValueError(f"{name}: expected a number from 0 to 1; got {value!r}")
    return found


def real(value: Any, name: str) -> float:
    """One number, of Python or in an array without axes, as a plain float; also NaN and infinity."""
    # `float` itself reads texts and bytes, and NumPy's texts, truth values and arrays of one element.
    kind = getattr(getattr(value, "dtype", None), "kind", "f")
    known = hasattr(type(value), "__float__") or hasattr(type(value), "__index__")
    if not known or kind not in "iuf" or isinstance(value, bool) or getattr(value, "shape", ()) != ():
        raise ValueError(f"{name}: expected a number; got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}: expected a number; got {value!r}") from error


def yes_or_no(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}: expected True or False; got {value!r}")
    return bool(value)


def choice(value: Any, name: str, allowed: tuple[Any, ...]) -> Any:
    """One of the values `allowed`, of its type."""
    value = value.item() if isinstance(value, np.generic) else value
    for one in allowed:
        if type(value) is type(one) and value == one:
            return value
    raise ValueError(f"{name}: expected {' or '.join(map(repr, allowed))}; got {value!r}")


def limits(min_val: Any, max_val: Any, name: str) -> tuple[Any, Any]:
    """Two numbers, the first not above the second."""
    if number(min_val, f"{name}: min_val") > number(max_val, f"{name}: max_val"):
        raise ValueError(f"{name}: expected min_val <= max_val; got {min_val} and {max_val}")
    return python_number(min_val), python_number(max_val)
