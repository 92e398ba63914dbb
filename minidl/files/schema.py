"""What has to be in a file: tables of the arrays and of the plain data that a kind of file holds.

    ARRAYS = {"steps": Entry(NUMBERS, ("T",)), "loss": Entry(NUMBERS, ("A", "S", "T"))}
    RESULTS = {"seed": int, "looks": [{"iteration": int, "loss": (float, None)}]}

Every file of minidl's own is held to such a table when it is read, so that one written by another version, or by
somebody else, is refused by the name of the entry that differs.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

FLOATS, WHOLE, UNSIGNED, NUMBERS, TEXT = "f", "iu", "u", "fiu", "U"  # kinds of dtype, by NumPy's letters
_KINDS = {
    FLOATS: "floating numbers",
    WHOLE: "whole numbers",
    UNSIGNED: "whole numbers without a sign",
    NUMBERS: "numbers",
    TEXT: "text",
}
_TYPES = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "entries by name",
    None: "null",
}


class Entry(NamedTuple):
    """What one array of a file has to be.

    Attributes:
        kinds: the kinds of dtype it may have: FLOATS, WHOLE, UNSIGNED, NUMBERS or TEXT.
        shape: the length of each axis, a number, or a letter that stands for the same length in all entries; None for
            any shape.
    """

    kinds: str
    shape: tuple[int | str, ...] | None = None


class Header(NamedTuple):
    """What an array in a file is, as its header says."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def check_arrays(found: Mapping[str, Header], expected: Mapping[str, Entry]) -> None:
    """Compare the arrays of a file with a table of what they have to be.

    Raises:
        ValueError: one is missing, unknown, of another dtype, or of a shape that does not fit. The message names it.
    """
    _check_names(found, expected, "array")
    lengths: dict[str, int] = {}
    for name, entry in expected.items():
        dtype, shape = found[name]
        if dtype.kind not in entry.kinds:
            raise ValueError(f"expected {_KINDS[entry.kinds]} as {name!r}; got {dtype}")
        if entry.shape is None:
            continue
        if len(shape) == len(entry.shape):
            for axis, length in zip(entry.shape, shape, strict=True):
                if isinstance(axis, str):
                    lengths.setdefault(axis, length)
        wanted = tuple(lengths.get(axis, axis) if isinstance(axis, str) else axis for axis in entry.shape)
        if wanted != shape:
            written = f"({', '.join(map(str, wanted))}{',' * (len(wanted) == 1)})"  # as Python writes a shape
            raise ValueError(f"expected {name!r} of shape {written}; got {shape}")


def check_plain(found: Any, expected: Any, where: str) -> None:
    """Compare plain data, as JSON gives it, with a table of what it has to be.

    Args:
        found: the data.
        expected: a type (`str`, `bool`, `int`, `float` for any number, `list`, `dict`) or None; a list with what each
            element has to be; a dict with the names that there have to be, and what each entry has to be, or with `str`
            for all names; or a tuple of several of these, of which one has to fit.
        where: how the message begins: the file, and the entry in it.

    Raises:
        ValueError: something differs. The message says where.
    """
    if isinstance(expected, tuple):
        if not any(_fits(found, one) for one in expected):
            raise ValueError(f"{where}: expected {' or '.join(map(_words, expected))}; got {reprlib.repr(found)}")
        return
    if not _is_a(found, _outermost(expected)):
        raise ValueError(f"{where}: expected {_words(expected)}; got {reprlib.repr(found)}")
    if isinstance(expected, list):
        for i, element in enumerate(found):
            check_plain(element, expected[0], f"{where}, {i}")
    elif isinstance(expected, dict):
        if str not in expected:
            try:
                _check_names(found, expected, "entry")
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
        for name, value in found.items():
            check_plain(value, expected[str if str in expected else name], f"{where}, {name}")


def _check_names(found: Mapping[str, Any], expected: Mapping[Any, Any], what: str) -> None:
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    if missing or unknown:
        lacks = f"it has no {what} {missing[0]!r}" if missing else f"its {what} {unknown[0]!r} is not known here"
        raise ValueError(f"{lacks}; expected {', '.join(map(repr, expected))}")


def _fits(found: Any, expected: Any) -> bool:
    try:
        check_plain(found, expected, "")
    except ValueError:
        return False
    return True


def _outermost(expected: Any) -> Any:
    return type(expected) if isinstance(expected, (list, dict)) else expected


def _is_a(found: Any, kind: Any) -> bool:
    if kind is None:
        return found is None
    if isinstance(found, bool):
        return kind is bool
    return isinstance(found, (int, float) if kind is float else kind)


def _words(expected: Any) -> str:
    return _TYPES[_outermost(expected)]
