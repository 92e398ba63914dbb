"""Forgiving: a stream that goes on when nobody reads any more, for what is only shown beside the work."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Forgiving(io.TextIOBase):
    """Writes to another stream as long as that works, and nothing afterwards: a closed pipe ends the showing only.

    Args:
        stream: the other one; None, as Python has it where there is no standard output, shows nothing.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Show a text, if it can be shown."""
        if self._stream is not None:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:  # a ValueError of a closed stream
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Show what is waiting."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if isinstance(error, UnicodeError):
            raise error
        with suppress(OSError, ValueError, AttributeError):
            # What is still waiting in the stream would be written, and fail again, when Python ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        self._stream = None

    def isatty(self) -> bool:
        """Whether it is shown in a terminal."""
        with suppress(ValueError, AttributeError):
            return bool(self._stream.isatty())
        return False

    def fileno(self) -> int:
        """The number of the other stream, if it has one."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return int(self._stream.fileno())

    def writable(self) -> bool:
        """Always."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the other stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"


@contextmanager
def forgiving_output() -> Iterator[None]:
    """In here standard output and standard error are forgiving: who stops reading them does not stop the work."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Forgiving(before[0]), Forgiving(before[1])
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
