"""The op classes by name: `md.ops.Mul`. For a debugger's `b md.ops.Mul.backward`, and to see what there is.

The functions that students call are in `minidl.functional`; each file there has its ops beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidl.autograd.function import Function
from minidl.errors import meant_by


def _below(cls: type[Function]) -> Iterator[type[Function]]:
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith("minidl.functional."):
            yield subclass
        yield from _below(subclass)


def _all() -> dict[str, type[Function]]:
    return {op.__name__: op for op in _below(Function) if not op.__name__.startswith("_")}


def __getattr__(name: str) -> Any:
    found = _all()
    if name not in found:
        meant = meant_by(name, found)
        raise AttributeError(
            f"there is no op {name!r}{f': did you mean {meant}?' if meant else ''}; dir(md.ops) lists all"
        )
    return found[name]


def __dir__() -> list[str]:
    return sorted(_all())
