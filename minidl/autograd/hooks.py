"""Hooks: functions of the user that are called when a gradient (or a layer's output) passes by."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

_ids = itertools.count()

# Called as hook(tensor) when tensor.backward() has filled the `.grad`s: so a recorder learns the loss of a loop that is
# not its own. Process-wide; empty unless something is being recorded.
after_backward: dict[int, Callable[[Any], None]] = {}
# Called as hook(optimizer) around every step of every optimizer, likewise.
before_step: dict[int, Callable[[Any], None]] = {}
after_step: dict[int, Callable[[Any], None]] = {}


class RemovableHandle:
    """Takes a hook away again: by `remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        self._id = next(_ids)
        hooks[self._id] = hook

    def __repr__(self) -> str:
        return f"RemovableHandle({'in place' if self._id in self._hooks else 'removed'})"

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self._id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()
