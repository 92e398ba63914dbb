"""Where the player's commands come from: a keyboard, a pipe, a notebook's cell, or a list."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Sequence
from contextlib import suppress

from minidl.stepper.screen import Screen

Ask = Callable[[str], str | None]  # asked with a prompt, answers a line, or None: there are no more


def typed(screen: Screen) -> Ask:
    """Lines from standard input, or from a notebook's own `input`. Those of a pipe are written out as if typed."""
    by_hand = sys.stdin is not None and sys.stdin.isatty()
    if by_hand:
        with suppress(ImportError):
            importlib.import_module("readline")  # so that the arrow keys edit the line, and fetch earlier ones
    echoed = by_hand or not isinstance(input, types.BuiltinFunctionType)

    def ask(prompt: str) -> str | None:
        try:
            line = input(prompt)
        except UnicodeDecodeError:
            line = "(no text)"
        except (EOFError, KeyboardInterrupt, OSError, RuntimeError):  # RuntimeError: standard input is closed
            screen.say("")
            return None
        if not echoed:
            screen.say(line)
        return line

    return ask


def given(screen: Screen, commands: str | Sequence[str]) -> Ask:
    """Lines that are there already, written out as if typed."""
    lines = iter(commands.split("\n") if isinstance(commands, str) else commands)

    def ask(prompt: str) -> str | None:
        line = next(lines, None)
        if line is not None:
            screen.say(("strong", prompt), line)
        return line

    return ask
