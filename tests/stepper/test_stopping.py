"""A method that stops at its first line computes what it computed, and is shown with its own lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from minidl.functional.arithmetic import Mul
from minidl.stepper.stopping import stopping


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[FrameType]:
    """The frames in which `breakpoint()` was called."""
    found: list[FrameType] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: found.append(sys._getframe(1)))
    return found


def offset() -> Any:
    base = 10

    class Sums:
        __hidden = 5

        def plain(self, x: int, *more: int, times: int = 2) -> int:
            """The sum."""
            return (x + sum(more) + base + self.__hidden) * times  # the first line

        def parent(self) -> str:
            return super().__repr__()[:1] + __class__.__name__  # type: ignore[name-defined]

    return Sums


def test_it_is_the_same_function_with_its_own_lines(frames: list[FrameType]) -> None:
    cls = offset()
    seen: list[Any] = []
    method = stopping(cls.plain, lambda *arguments: not seen.append(arguments[1:]))
    assert method(cls(), 1, 2, 3) == cls().plain(1, 2, 3) == 42
    assert method(cls(), 1, times=1) == 16
    assert seen == [(1, 2, 3), (1,)]
    assert frames[0].f_code.co_filename == __file__
    assert frames[0].f_code.co_name == "plain"
    assert frames[0].f_locals["x"] == 1
    assert method.__qualname__ == cls.plain.__qualname__


def test_super_and_class_are_found(frames: list[FrameType]) -> None:
    cls = offset()
    assert stopping(cls.parent, lambda *arguments: True)(cls()) == "<Sums"
    assert len(frames) == 1


def test_it_stops_on_the_def_so_that_the_next_line_is_the_first(frames: list[FrameType]) -> None:
    lines: list[int] = []

    def reached(*arguments: Any) -> bool:
        return True

    method = stopping(Mul.forward, reached)

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename == Mul.forward.__code__.co_filename:
            lines.append(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert method(Mul(), 2, 3) == 6
    finally:
        sys.settrace(before)
    first = Mul.forward.__code__.co_firstlineno
    assert set(lines) == {first, first + 1}


def typed() -> Callable[..., Any]:
    space: dict[str, Any] = {}
    exec("def double(self, x):\n    return 2 * x\n", space)
    return space["double"]


def test_without_source_it_stops_just_before(frames: list[FrameType]) -> None:
    assert stopping(typed(), lambda *arguments: True)(None, 4) == 8
    assert frames[0].f_code.co_name == "stop_before"
    assert stopping(typed(), lambda *arguments: False)(None, 4) == 8
    assert len(frames) == 1
