"""The errors minidl raises, and the words it uses for the things they are about.

Every message says what was expected, what came, and what to do. The classes keep Python's own families, so
`except ValueError` catches a shape error as it would NumPy's.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any


class ShapeError(ValueError):
    """Shapes that do not fit together."""


class AxisError(ShapeError, IndexError):
    """An axis that the array does not have; an IndexError too, as NumPy's and PyTorch's are."""


class DTypeError(TypeError):
    """A dtype an operation cannot use."""


class DeviceError(TypeError):
    """Arrays that live on different devices, or a device that is not there."""


class GraphError(RuntimeError):
    """A backward pass that cannot be walked: freed graph, overwritten values, nothing to differentiate."""


def printable(text: str, keep: str = "") -> str:
    r"""`text` with what no terminal or page should be sent written out, such as `\x1b` for Escape.

    That is every character that is not printed (control characters, and what cannot be encoded, as a file name may hold
    it), except those in `keep`.
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def describe(value: object) -> str:
    """Name a value the way an error message should: `Tensor 'fc1.weight' of shape (3, 4), float32, numpy`."""
    shape = getattr(value, "shape", None)
    if shape is None:
        return repr(value) if isinstance(value, (bool, int, float, str, type(None))) else type(value).__name__
    name = getattr(value, "name", None)
    label = f"{type(value).__name__} {name!r}" if isinstance(name, str) else type(value).__name__
    home = "cupy" if type(getattr(value, "_data", value)).__module__.startswith("cupy") else "numpy"
    return f"{label} of shape {tuple(shape)}, {getattr(value, 'dtype', '?')}, {home}"


def takes(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's positional parameters, `self` included; () if they are not known."""
    code = getattr(function, "__code__", None)
    return () if code is None else code.co_varnames[: code.co_argcount]


def meant_by(name: str, written: Iterable[str]) -> str | None:
    """The first of some names that somebody may have written for `name`, such as foward for forward, if one is there.

    It differs in capitals, underscores or an s at the end, or by one letter more, less or other, or two exchanged.
    """
    return next((other for other in written if other != name and _alike(_letters(other), _letters(name))), None)


def _letters(name: str) -> str:
    return name.lower().replace("_", "").rstrip("s")


def _alike(one: str, other: str) -> bool:
    """Whether one word becomes the other by at most one slip of the pen."""
    if len(one) > len(other):
        one, other = other, one
    first = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    rest, other_rest = one[first:], other[first:]
    return (
        rest == other_rest[1:]  # a letter more
        or (len(one) == len(other) and rest[1:] == other_rest[1:])  # another letter
        or (len(one) == len(other) and rest[1::-1] + rest[2:] == other_rest)  # two letters exchanged
    )


def warn(message: str) -> None:
    """Warn (UserWarning) about the line of the user's program that called minidl, however far inside it is found."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith("minidl."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
