"""What a student computed beside what was expected: the first difference, in words."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.tensors.tensor import Tensor

NUMBERS = "biufc"


def plain(value: Any) -> Any:
    """Tensors as NumPy arrays, on the host, also inside of tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return value.numpy()
    if backend.is_array(value):
        return backend.to_numpy(value)
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
    1e-12. A number may be a Python number, a NumPy scalar or an array of shape (); arrays must have the same dtype, and
    a list is no array. A list may stand for a tuple, and an array for a list of its rows.
    """
    of = f"{name}: " if name else ""
    if computed is None and expected is not None and not name:
        return f"None came, {_named(expected)} was expected: is a `return` missing?"
    if isinstance(expected, Mapping):
        return _difference_of_dicts(computed, expected, rtol, of)
    if isinstance(expected, (list, tuple)):
        return _difference_of_sequences(computed, expected, rtol, name, of)
    if not is_numbers(expected):
        return "" if _equal(computed, expected) else f"{of}{_came(computed)}, {_named(expected)} was expected"
    if not is_numbers(computed):
        return f"{of}{_came(computed)}, {_named(expected)} was expected{_of_a_list(computed, expected, rtol)}"
    return _difference_of_numbers(np.asarray(computed), np.asarray(expected), rtol, of)


def another_kind(computed: Any, expected: Any) -> str:
    """What came, if it is of another kind than the number, the list or the dict that was expected; else empty."""
    if isinstance(expected, Mapping):
        if not isinstance(computed, Mapping) or set(computed) != set(expected):
            return _difference_of_dicts(computed, expected, 0.0, "")
        found = ((key, another_kind(computed[key], item)) for key, item in expected.items())
        return next((f"{key}: {words}" for key, words in found if words), "")
    if not is_numbers(expected) or np.ndim(expected) or isinstance(expected, (bool, np.bool_)):
        return ""
    if isinstance(computed, str):
        return f"the text {computed!r} came, a number was expected (which has no quotes around it)"
    if isinstance(computed, (bool, np.bool_, Mapping)) or callable(computed):
        return f"{_came(computed)}, a number was expected"
    if isinstance(computed, tuple) and len(computed) == 2:
        return f"{computed} came, one number was expected (which has a point: 1.5, not 1,5)"
    if isinstance(computed, (list, tuple)) or np.ndim(computed):
        return f"{_came(computed)}, one number was expected"
    return ""


def narrowed(computed: Any, expected: Any, rtol: float) -> tuple[str, Any, Any]:
    """The first part of two values that differs: which one, what was computed, what was expected.

    Of tuples, lists and dicts that is one item, or an item of an item; of anything else, all of it, and the name "".
    """
    if isinstance(expected, Mapping) and isinstance(computed, Mapping) and set(computed) == set(expected):
        parts = [(str(key), computed[key], item) for key, item in expected.items()]
    elif isinstance(expected, (list, tuple)) and isinstance(computed, (list, tuple)) and len(computed) == len(expected):
        pairs = enumerate(zip(computed, expected, strict=True), 1)
        parts = [(f"number {i} of {len(expected)}", a, b) for i, (a, b) in pairs]
    else:
        parts = []
    for name, a, b in parts:
        if difference(a, b, rtol):
            inner, a, b = narrowed(a, b, rtol)
            return (f"{name}, {inner}" if inner else name), a, b
    return "", computed, expected


def is_numbers(value: Any) -> bool:
    """Whether it is a number, a NumPy scalar or an array of numbers."""
    return (
        isinstance(value, (bool, int, float, complex, np.generic, np.ndarray))
        and np.asarray(value).dtype.kind in NUMBERS
    )


def _equal(computed: Any, expected: Any) -> bool:
    """Whether two values that are no numbers are the same; False if they cannot be compared."""
    if isinstance(computed, np.ndarray) or isinstance(expected, np.ndarray):
        same_kind = isinstance(computed, np.ndarray) and isinstance(expected, np.ndarray)
        return same_kind and np.array_equal(computed, expected)
    try:
        return bool(computed == expected)
    except Exception:  # an == of the student's own
        return False


def _of_a_list(computed: Any, expected: Any, rtol: float) -> str:
    """For a list with the right numbers: that only the array is missing."""
    if not isinstance(computed, (list, tuple)):
        return ""
    try:
        array = np.array(computed, dtype=np.asarray(expected).dtype)
    except (TypeError, ValueError):
        return ""
    return (
        "; its numbers are right, np.array(...) makes an array of it" if not difference(array, expected, rtol) else ""
    )


def _came(value: Any) -> str:
    """Begin a sentence with what came."""
    if inspect.isgenerator(value):
        return "a generator came (from a `yield`, or from round brackets about a `for`)"
    if inspect.isroutine(value):
        return f"the function {getattr(value, '__name__', '')} itself came, it was not called"
    return f"{_named(value)} came"


def _named(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}{'' if is_numbers(value) else f' and dtype {value.dtype}'}"
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    try:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    except Exception:  # a repr of the student's own
        return f"a {type(value).__name__}"
    return text if len(text) < 60 else f"a {type(value).__name__}"


def _difference_of_dicts(computed: Any, expected: Mapping[Any, Any], rtol: float, of: str) -> str:
    if not isinstance(computed, Mapping):
        return f"{of}{_came(computed)}, a dict with the keys {list(expected)} was expected"
    if set(computed) != set(expected):
        return f"{of}the keys are {list(computed)}, expected were {list(expected)}"
    found = (difference(computed[key], item, rtol, f"{of}{key}") for key, item in expected.items())
    return next((text for text in found if text), "")


def _difference_of_sequences(computed: Any, expected: Sequence[Any], rtol: float, name: str, of: str) -> str:
    if isinstance(computed, np.ndarray) and computed.ndim and len(computed) == len(expected):
        computed = list(computed)
    if not isinstance(computed, (list, tuple)):
        return f"{of}{_came(computed)}, {_named(expected)} was expected"
    if len(computed) != len(expected):
        came = "1 value" if len(computed) == 1 else f"{len(computed)} values"
        return f"{of}{came} came, {len(expected)} were expected"
    kind = f"{name}, number" if name else "number"
    pairs = enumerate(zip(computed, expected, strict=True), 1)
    found = (difference(a, b, rtol, f"{kind} {i} of {len(expected)}") for i, (a, b) in pairs)
    return next((text for text in found if text), "")


def _difference_of_numbers(computed: np.ndarray, expected: np.ndarray, rtol: float, of: str) -> str:
    if computed.ndim and not expected.ndim:
        return f"{of}{_named(computed)} came, one number was expected"
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
        wide = np.complex128 if "c" in (computed.dtype.kind, expected.dtype.kind) else np.float64
        wrong = ~(same | (np.abs(np.subtract(computed, expected, dtype=wide)) <= allowed))
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
    if isinstance(expected, Mapping) and isinstance(computed, Mapping) and set(computed) == set(expected):
        wrong = {key: item for key, item in expected.items() if difference(computed[key], item, rtol)}
        slips = {usual_slip(computed[key], item, rtol) for key, item in wrong.items()}
        return f"{', '.join(map(str, wrong))}: {slips.pop()}" if len(slips) == 1 and "" not in slips else ""
    if isinstance(expected, (list, tuple)) and isinstance(computed, (list, tuple)) and len(computed) == len(expected):
        if len(expected) > 1 and not difference(list(reversed(computed)), list(expected), rtol):
            return "these are the right values in the reverse order"
        if _are_the_same_in_some_order(computed, expected, rtol):
            return "these are the right values in another order"
        for a, b in zip(computed, expected, strict=True):
            if difference(a, b, rtol):
                return usual_slip(a, b, rtol)
        return ""
    if not (is_numbers(computed) and is_numbers(expected)):
        return ""
    a, b = np.asarray(computed), np.asarray(expected)
    if a.ndim == b.ndim == 2 and a.shape == b.shape[::-1] and not difference(a.T, b, rtol):
        return "this is the transpose of what was expected"
    if a.dtype.kind == b.dtype.kind == "f" and a.dtype != b.dtype and not difference(a.astype(b.dtype), b, 1e-4):
        return (
            f"the numbers are right. What is computed of {b.dtype} is to be {b.dtype}: np.zeros_like(x) takes the "
            "dtype of x, np.zeros(shape) makes float64"
        )
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


def _are_the_same_in_some_order(computed: Sequence[Any], expected: Sequence[Any], rtol: float) -> bool:
    """Whether each of the expected values is among the computed ones, each once."""
    left = list(computed)
    for item in expected:
        at = next((i for i, value in enumerate(left) if not difference(value, item, rtol)), None)
        if at is None:
            return False
        del left[at]
    return True
