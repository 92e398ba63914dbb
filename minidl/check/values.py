"""Values of the checks: as floats, in float32, in words; and the letter of a choice."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from minidl.check.comparing import plain
from minidl.check.result import shown


def letter_of(answer: str) -> str:
    """The letter of "B", "(b)", "b." and "b) because ..."; any other text as it is, in small letters."""
    text = answer.strip(" \n'\"").lower()
    found = re.fullmatch(r"\(?([a-z])(?:[).:].*)?", text, re.DOTALL)
    return found[1] if found else text


def distance(computed: Any, value: Any) -> float:
    """How far a number is from another; 0 for what is no number."""
    try:
        return float(np.abs(np.subtract(floats(computed), floats(value))).max())
    except (TypeError, ValueError):
        return 0.0


def is_single(case: tuple[Any, ...]) -> bool:
    """Whether an array of a case is float32."""
    return any(getattr(item, "dtype", None) == np.float32 for item in case)


def floats(value: Any) -> Any:
    """Numbers as floats, so that a prediction of 2 is one of 2.0."""
    if isinstance(value, dict):
        return {key: floats(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [floats(item) for item in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return value


def argument_in_words(item: Any) -> str:
    """An argument of a case as a student reads it: small arrays with their numbers, large ones by their shape."""
    value = plain(item)
    if isinstance(value, np.ndarray) and value.size > 12:
        return f"array of shape {value.shape}, {value.dtype}"
    if isinstance(value, np.ndarray) and value.ndim and value.dtype != np.float64:
        return f"{value.tolist() if value.dtype.kind in 'iub' else shown(value)} ({value.dtype})"
    if type(item) is tuple and all(type(number) is int for number in item):
        return str(item)  # a shape, or axes
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return shown(value)


def in_float32(item: Any) -> Any:
    """The same with every float64 array as float32, inside of lists, tuples and dicts too."""
    if isinstance(item, np.ndarray) and item.dtype == np.float64:
        return item.astype(np.float32)
    if type(item) in (list, tuple):
        return type(item)(in_float32(part) for part in item)
    if isinstance(item, dict):
        return {key: in_float32(part) for key, part in item.items()}
    return item


def value_of(solution: Any) -> Any:
    """A value, or what the function computes that stands for it."""
    return solution() if callable(solution) else solution


def without_numbers(hint: str) -> str:
    """A hint, if it holds no number that gives the answer away."""
    return "" if any(letter.isdigit() for letter in hint) else hint
