"""Screen: where the player writes: its width, whether it has colours and block characters, and how lines are fitted."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

from minidl.errors import printable
from minidl.files.output import Steady

Part = str | tuple[str, str]  # a piece of a line: text, or (style, text)
Line = tuple[Part, ...]

NARROW, WIDE, USUAL = 60, 200, 80
SHADES, PLAIN_SHADES = " ░▒▓█", " .:*#"
STYLES = {
    "forward": "34",
    "loss": "35",
    "backward": "31",
    "accumulate": "33",
    "update": "32",
    "strong": "1",
    "quiet": "2",
    "negative": "34",
    "positive": "31",
}


class Screen:
    """A stream to write lines to.

    Everything is fitted to the width, and control characters in it are written out: a program's names and source
    cannot steer the terminal.

    Attributes:
        width: how many columns there are: those of the terminal, or COLUMNS, from 60 to 200; 80 if neither is known.
        colour: whether there are colours: in a terminal, unless NO_COLOR is set.
        shades: the characters of a picture, from the lowest to the highest.

    Args:
        stream: where to write; None: standard output.
        width: the columns, where the stream is not to be asked.
    """

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        self._stream = Steady(sys.stdout if stream is None else stream)
        self.width = min(max(self._columns() if width is None else width, NARROW), WIDE)
        modern = os.name != "nt" or "WT_SESSION" in os.environ
        dumb = os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
        self.colour = self._stream.isatty() and modern and not dumb
        self.shades = SHADES if self._has(SHADES) else PLAIN_SHADES

    def __repr__(self) -> str:
        return f"Screen({self.width} columns{', in colour' if self.colour else ''})"

    def say(self, *parts: Part) -> None:
        """Write one line, or more if it is too long for one."""
        for line in self.fitted(parts):
            self._stream.write(line + "\n")
        self._stream.flush()

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines."""
        for line in lines:
            self.say(*line)

    def fitted(self, parts: Line) -> list[str]:
        """A line as it is written: in one, or folded at its spaces, and further in."""
        clean = [("", printable(p)) if isinstance(p, str) else (p[0], printable(p[1])) for p in parts]
        text = "".join(part for _, part in clean)
        if len(text) <= self.width:
            return ["".join(self._painted(style, part) for style, part in clean).rstrip()]
        indent = min(len(text) - len(text.lstrip()) + 4, self.width // 2)
        return textwrap.wrap(
            text, self.width, subsequent_indent=" " * indent, drop_whitespace=True, break_on_hyphens=False
        )

    def cut(self, text: str, taken: int) -> str:
        """A line of source in what is left of the width when `taken` columns of it are taken."""
        text = printable(text.expandtabs(4))
        room = max(self.width - taken, 8)
        return text if len(text) <= room else text[: room - 3] + "..."

    def _painted(self, style: str, text: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if style and self.colour and text else text

    def _has(self, letters: str) -> bool:
        try:
            letters.encode(self._stream.encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def _columns(self) -> int:
        columns = os.environ.get("COLUMNS", "")
        if columns.isascii() and columns.isdigit() and int(columns[:9]) > 0:
            return int(columns[:9])
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or USUAL
        except (OSError, ValueError, AttributeError):  # no terminal; under WebAssembly (WASI) no such function
            return USUAL
