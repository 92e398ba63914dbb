"""Values in words, the same in every process; and whether a function or a class is a user's own."""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import time
from collections import deque
from collections.abc import Iterable
from itertools import islice
from numbers import Number
from pathlib import PurePath
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from minidl import backend
from minidl.data import Loader
from minidl.data.dataset import checksum
from minidl.optim import Optimizer
from minidl.optim.schedule import Schedule
from minidl.tensors.tensor import Tensor
from minidl.training.instructions import checksum_of, is_installed

ITEMS = 2000  # of a list, those in its members counted
_BYTES = 2**22  # of an array
_DEEP = 5  # lists within lists
_LONG = 100  # letters
_AGE = 1e7  # seconds, in which a program has been started
_BEGUN = time.perf_counter()


def plain_text(value: Any) -> str | None:
    """A value in words, if it is plain: numbers, texts, arrays and lists of such, and what is not the user's own."""
    return None if (text := _text(value, [ITEMS])) is None else short(text)


def short(text: str) -> str:
    """A long text as its beginning and a checksum."""
    return text if len(text) <= _LONG else f"{text[: _LONG // 2]}... ({checksum_of(text)})"


def _text(value: Any, left: list[int], depth: int = 0) -> str | None:
    """As `plain_text`, at full length. `left` has one number: how many members of lists are still looked at."""

    def joined(parts: Iterable[Any], first: str, last: str, in_order: bool = True) -> str | None:
        texts = []
        for part in parts:
            left[0] -= 1
            if left[0] < 0:
                break
            text = _text(part, left, depth + 1)
            if text is None:
                return None
            texts.append(text)
        return f"{first}{', '.join(texts if in_order else sorted(texts))}{last}"

    if isinstance(value, Tensor):
        if value.requires_grad:  # it is learned
            return type(value).__name__
        value = value._data
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        value = value.item()
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, float) and _is_now(value):
        return "a time"
    if value is None or isinstance(value, (str, bytes, Number, range, np.dtype, type(...))):
        return repr(value)
    if backend.is_array(value):
        return f"{value.dtype} {tuple(value.shape)} {checksum(_part_of(value))}"
    if isinstance(value, PurePath):  # where it lies is not a setting
        return repr(value.name)
    if depth > _DEEP:
        return type(value).__name__
    if isinstance(value, slice):
        return joined((value.start, value.stop, value.step), "slice(", ")")
    if isinstance(value, (list, tuple, deque)):
        return joined(value, "(" if len(value) <= ITEMS else f"{len(value)} (", ")")
    if isinstance(value, (set, frozenset)):
        if len(value) > ITEMS:
            return f"{len(value)} members"
        return joined(value, "{", "}", in_order=False)
    if isinstance(value, dict):
        pairs = [(joined((key,), "", ": "), joined((part,), "", "")) for key, part in islice(value.items(), ITEMS)]
        if any(None in pair for pair in pairs):
            return None
        texts = sorted(f"{key}{part}" for key, part in pairs)
        return f"{len(value) if len(value) > ITEMS else ''}{{{', '.join(texts)}}}"
    if isinstance(value, (Optimizer, Schedule, Loader)):
        return type(value).__name__
    followed = isinstance(value, (MethodType, functools.partial)) or is_wrapper(value)
    if callable(value) and not followed and not is_own(value) and not is_own(type(value)):
        return getattr(value, "__name__", None)
    return None


def _is_now(number: float) -> bool:
    """Whether it is what a clock has shown in this process, as `start = time.time()`: no setting."""
    since_boot = _BEGUN <= number <= time.perf_counter() and not number.is_integer()
    return since_boot or 0 <= time.time() - number < _AGE


def _part_of(array: Any) -> Any:
    """The array, or of a large one every second row, and so on, until it is small enough to be looked at."""
    while array.nbytes > _BYTES:
        longest = max(range(array.ndim), key=lambda axis: array.shape[axis])
        array = array[(slice(None),) * longest + (slice(None, None, 2),)]
    return array


def name_of(thing: Any) -> str:
    """The name of a function, class or module; of another object that of its class."""
    name = getattr(thing, "__name__", None)
    return name if isinstance(name, str) else type(thing).__name__


def is_wrapper(value: Any) -> bool:
    """Whether it is a function that calls another, as `functools.wraps` notes it."""
    return "__wrapped__" in getattr(value, "__dict__", ())


# ---- what is whose


def is_minidls(thing: Any) -> bool:
    """Whether a function or a class is minidl's."""
    module = thing.__globals__.get("__name__") if isinstance(thing, FunctionType) else getattr(thing, "__module__", "")
    return f"{module}.".startswith("minidl.")  # a function may have got the `__module__` of one that it wraps


def is_own(thing: Any) -> bool:
    """Whether a function, class or module is neither minidl's, nor Python's, nor of an installed package."""
    if is_minidls(thing):
        return False
    if isinstance(thing, FunctionType):
        return not is_installed(thing.__code__.co_filename)
    return isinstance(thing, (type, ModuleType)) and _is_written_here(thing)


@functools.lru_cache(1024)
def _is_written_here(thing: type | ModuleType) -> bool:
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    if name.split(".")[0] in ("minidl", *(sys.stdlib_module_names - {"__main__"})):
        return False
    try:
        return not is_installed(inspect.getfile(thing))
    except (TypeError, OSError):  # typed in
        return True
