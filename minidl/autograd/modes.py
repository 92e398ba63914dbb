"""Modes: `no_grad`, `enable_grad` and `plain`, as context managers and as decorators.

The mode belongs to the running thread or async task (a `ContextVar`), so a thread that evaluates under `no_grad`
does not stop another from training.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

RECORD, ANOMALY, PLAIN, OBSERVED, AGAIN = 1, 2, 4, 8, 16  # the mode is a sum of these
_START = RECORD + (PLAIN if os.environ.get("MINIDL_PLAIN", "0") not in ("", "0") else 0)
mode: ContextVar[int] = ContextVar("minidl_mode", default=_START)
current_mode = mode.get  # bound once, for every op asks

# What every block that is entered found, by the object in the `with` line: one object may serve several threads.
_entered: ContextVar[dict[int, tuple[int, ...]]] = ContextVar("minidl_entered", default={})  # noqa: B039 - never written to

_F = TypeVar("_F", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """Whether operations on Tensors that require a gradient are recorded now."""
    return bool(mode.get() & RECORD)


def is_again() -> bool:
    """Whether what runs now ran before, and runs once more for a backward: `functional.checkpoint`.

    What was counted or averaged then is not counted once more.
    """
    return bool(mode.get() & AGAIN)


class ModeChange:
    """What all have in common: they set some bits of the mode, clear others, and put the mode back on leaving."""

    _set = 0
    _clear = 0

    def __init__(self, *without_brackets: object) -> None:
        if without_brackets:
            raise TypeError(f"write @md.{type(self).__name__}() with brackets, or `with md.{type(self).__name__}():`")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __enter__(self) -> None:
        found, entered = mode.get(), _entered.get()
        _entered.set({**entered, id(self): (*entered.get(id(self), ()), found)})  # it may be entered inside itself
        mode.set(found & ~self._clear | self._set)

    def __exit__(self, *exception: object) -> None:
        entered = dict(_entered.get())
        *outer, found = entered.pop(id(self))
        _entered.set({**entered, id(self): tuple(outer)} if outer else entered)
        own = self._set | self._clear
        mode.set(mode.get() & ~own | found & own)  # what else was set inside the block stays

    def __call__(self, function: _F) -> _F:
        """Use as a decorator: `@md.no_grad()`. A generator function has the mode while it runs, not in between."""
        if inspect.isgeneratorfunction(function):
            return self._around_generator(function)  # type: ignore[return-value]
        if inspect.iscoroutinefunction(function):
            return self._around_coroutine(function)  # type: ignore[return-value]
        if inspect.isasyncgenfunction(function):
            raise TypeError(
                f"an asynchronous generator cannot be decorated: write `with md.{type(self).__name__}():` around the "
                f"computations inside {function.__name__}, but around no yield"
            )

        @functools.wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return in_mode  # type: ignore[return-value]

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def in_mode(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return await function(*args, **kwargs)

        return in_mode

    def _around_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            running = function(*args, **kwargs)
            resume, value = running.send, None
            while True:
                try:
                    with type(self)():
                        produced = resume(value)
                except StopIteration as end:
                    return end.value
                try:
                    resume, value = running.send, (yield produced)
                except GeneratorExit:
                    with type(self)():
                        running.close()
                    raise
                except BaseException as error:  # thrown in by the caller: the generator decides
                    resume, value = running.throw, error

        return in_mode


class no_grad(ModeChange):  # noqa: N801 - reads as the statement it is, as in PyTorch
    """Record nothing inside the block (or the decorated function): results do not require a gradient."""

    _clear = RECORD


class enable_grad(ModeChange):  # noqa: N801
    """Record inside the block, also within `no_grad`."""

    _set = RECORD


class plain(ModeChange):  # noqa: N801
    """Run nothing but plain lines inside the block: every op its own, never a faster version; the backward walk too.

    What a debugger then steps through is what the files of `functional/`, `nn/` and `optim/` say. It is slower, and the
    results may differ in the last digits. With `MINIDL_PLAIN=1` in the environment a whole program runs so.
    """

    _set = PLAIN
