"""Setting: an attribute of a layer, an optimizer, a layer rate or a schedule that is checked whenever it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar

T = TypeVar("T")


class Setting(Generic[T]):
    """An attribute whose value is checked when it is written, in `__init__` as ever after.

        class SGD(Optimizer):
            momentum = Setting(share)           # optimizer.momentum = 5 is refused

    The value lies in the object's own `__dict__`, where Python finds it as it finds any other attribute: reading calls
    nothing. If the object has a method `check_settings`, which says what excludes each other, it is called when one of
    several settings is changed; what it refuses is put back. (`__init__` calls it when all of them are there.)

    Args:
        check: check(value, name, *options) returns what is kept, or raises a ValueError or TypeError that begins with
            `name`, such as "SGD: momentum". The functions of `minidl.checks` are such checks.
        options: what else it is given.
    """

    def __init__(self, check: Callable[Concatenate[Any, str, ...], T], *options: Any) -> None:
        self.check, self.options, self.name = check, options, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, owner: Any, value: Any) -> None:
        kept = vars(owner)
        found = self.check(value, f"{type(owner).__name__}: {self.name}", *self.options)
        changed, before = self.name in kept, kept.get(self.name)
        kept[self.name] = found
        if changed and hasattr(owner, "check_settings"):
            try:
                owner.check_settings()
            except (TypeError, ValueError):
                kept[self.name] = before
                raise

    if TYPE_CHECKING:  # what a type checker takes the attribute for; at run time there is no such method

        def __get__(self, owner: Any, kind: Any = None) -> T: ...
