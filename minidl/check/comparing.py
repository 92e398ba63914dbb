"""What a student computed beside what was expected: the first difference, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.tensors.tensor import Tensor

NUMBERS = "biufc"


def plain(value: Any) -> Any:
    """Tensors as NumPy arrays, on the host, also inside of tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value) if type(value) in (list, tuple) else list(map(plain, value))
    return value


def copied(value: Any) -> Any:
    """The same values in memory of their own."""
    if isinstance(value, Tensor):
        return Tensor(value.data.copy(), requires_grad=value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return value


def difference(computed: Any, expected: Any, rtol: float, name: str = "") -> str:
    """How `computed` differs from `expected`, both plain; empty if it does not.

    Numbers are equal if they differ by no more than rtol times the largest expected number of their array, or by
    1e-12. A number may be a Python number, a NumPy scalar or an array of shape (); arrays must have the same dtype.
    """
    of = f"{name}: " if name else ""
    if isinstance(expected, Mapping):
        return _difference_of_dicts(computed, expected, rtol, of)
    if isinstance(expected, (list, tuple)):
        return _difference_of_sequences(computed, expected, rtol, name, of)
    if not _is_numbers(expected):
        if computed == expected:
            return ""
        return f"{of}{_named(computed)} came, {_named(expected)} was expected"
    if computed is None:
        return f"{of}None came: is a `return` missing?"
    if not _is_numbers(computed):
        return f"{of}{_named(computed)} came, {_named(expected)} was expected"
    return _difference_of_numbers(np.asarray(computed), np.asarray(expected), rtol, of)


def _is_numbers(value: Any) -> bool:
    return (
        isinstance(value, (bool, int, float, complex, np.generic, np.ndarray))
        and np.asarray(value).dtype.kind in NUMBERS
    )


def _named(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) < 60 else f"a {type(value).__name__}"


def _difference_of_dicts(computed: Any, expected: Mapping[Any, Any], rtol: float, of: str) -> str:
    if not isinstance(computed, Mapping):
        return f"{of}{_named(computed)} came, a dict with the keys {list(expected)} was expected"
    if set(computed) != set(expected):
        return f"{of}the keys are {list(computed)}, expected were {list(expected)}"
    found = (difference(computed[key], item, rtol, f"{of}{key}") for key, item in expected.items())
    return next((text for text in found if text), "")


def _difference_of_sequences(computed: Any, expected: Sequence[Any], rtol: float, name: str, of: str) -> str:
    if isinstance(computed, np.ndarray) and computed.ndim:
        computed = list(computed)
    if not isinstance(computed, (list, tuple)):
        return f"{of}{_named(computed)} came, {_named(expected)} was expected"
    if len(computed) != len(expected):
        return f"{of}{len(computed)} values came, {len(expected)} were expected"
    kind = f"{name}, number" if name else "number"
    pairs = enumerate(zip(computed, expected, strict=True), 1)
    found = (difference(a, b, rtol, f"{kind} {i} of {len(expected)}") for i, (a, b) in pairs)
    return next((text for text in found if text), "")


def _difference_of_numbers(computed: np.ndarray, expected: np.ndarray, rtol: float, of: str) -> str:
    if computed.shape != expected.shape:
        return f"{of}shape {computed.shape} came, {expected.shape} was expected"
    if expected.ndim and computed.dtype != expected.dtype:
        return f"{of}dtype {computed.dtype} came, {expected.dtype} was expected"
    if not expected.size:
        return ""
    with np.errstate(all="ignore"):
        finite = expected[np.isfinite(expected)]
        allowed = rtol * np.abs(finite).max(initial=0.0) + 1e-12
        same = (computed == expected) | (np.isnan(computed) & np.isnan(expected))
        wrong = ~(same | (np.abs(np.subtract(computed, expected, dtype=np.float64)) <= allowed))
    if not wrong.any():
        return ""
    if not expected.ndim:
        return f"{of}{_number(computed)} came, {_number(expected)} was expected"
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = ", ".join(map(str, place))
    return (
        f"{of}{int(wrong.sum())} of {expected.size} numbers differ, the first at [{where}]: "
        f"{_number(computed[place])} came, {_number(expected[place])} was expected"
    )


def _number(value: Any) -> str:
    return f"{value.item():.6g}" if value.dtype.kind == "f" else str(value.item())


def usual_slip(computed: Any, expected: Any, rtol: float) -> str:
    """A slip that shows in the numbers alone: a sign, a factor, a transpose; empty if none is seen."""
    if isinstance(expected, (list, tuple)) and isinstance(computed, (list, tuple)) and len(computed) == len(expected):
        if len(expected) > 1 and not difference(list(reversed(computed)), list(expected), rtol):
            return "these are the right values in the reverse order"
        for a, b in zip(computed, expected, strict=True):
            if difference(a, b, rtol):
                return usual_slip(a, b, rtol)
        return ""
    if not (_is_numbers(computed) and _is_numbers(expected)):
        return ""
    a, b = np.asarray(computed), np.asarray(expected)
    if a.ndim == b.ndim == 2 and a.shape == b.shape[::-1] and not difference(a.T, b, rtol):
        return "this is the transpose of what was expected"
    if a.shape != b.shape or a.dtype.kind != "f" or not b.size or not np.any(b):
        return ""
    if not difference(-a, b, rtol):
        return "the sign is the other one"
    at = np.unravel_index(np.abs(b).argmax(), b.shape)
    with np.errstate(all="ignore"):
        factor = float(a[at]) / float(b[at])
    if np.isfinite(factor) and factor != 0 and not difference((a / factor).astype(a.dtype), b, rtol):
        known = next((f"{n}" for n in range(2, 1000) if abs(factor - n) < 1e-6 * n), "")
        known = known or next((f"1/{n}" for n in range(2, 1000) if abs(factor * n - 1) < 1e-6), "")
        if b.size == 1:  # any two numbers differ by some factor, which would only give the right one away
            return f"this is {known} times what was expected" if known else ""
        return f"all numbers are {known or f'{factor:.4g}'} times what was expected"
    return ""
