"""The errors minidl raises, and the words it uses for the things they are about.

Every message says what was expected, what came, and what to do. The classes keep Python's own families, so
`except ValueError` catches a shape error as it would NumPy's.
"""

from __future__ import annotations

import sys
import warnings


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


def warn(message: str) -> None:
    """Warn (UserWarning) about the line of the user's program that called minidl, however far inside it is found."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith("minidl."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
