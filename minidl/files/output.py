"""Standard output and standard error as they may be: closed, full, or unable to write a letter.

A training of hours must not end because `head` has read enough. So what is written here never raises; whoever started
the program learns of it when it ends (`finish`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO
from weakref import WeakKeyDictionary

from minidl.errors import printable

_lost: WeakKeyDictionary[TextIO, Exception] = WeakKeyDictionary()  # streams that failed, and how first


class Steady:
    """A text stream that goes on when the one it writes to fails, or is None: closed from the start.

    What the stream's encoding does not have is written with backslashes.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        """That of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(OSError, ValueError):  # ValueError: it was closed by the program itself
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        """The number of its file; an OSError if it has none."""
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        if self._stream is not None:
            try:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except (OSError, ValueError) as error:
                _lost.setdefault(self._stream, error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if that is possible."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                _lost.setdefault(self._stream, error)


def say(text: str, stream: TextIO | None) -> None:
    """Print lines, at once, with control characters written out: a name in them must not steer the terminal."""
    steady = Steady(stream)
    steady.write(printable(text, keep="\n") + "\n")
    steady.flush()


def finish(stream: TextIO | None) -> Exception | None:
    """Hand on what was written, at the end of a program; returns why something of it is lost, or None.

    The stream then leads nowhere, so that Python, which tries it once more when it ends, has nothing to complain of.
    """
    if stream is None or stream.closed:
        return None
    Steady(stream).flush()
    lost = _lost.pop(stream, None)
    if lost is not None:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
    return lost
