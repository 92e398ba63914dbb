"""A folder that one process holds while it works there, so that no two write to it at the same time.

The sign is a file, running.json, with the process, its machine, and a count that goes up each second. It works on any
disk that several machines share, and after any crash: a file whose process is gone, or whose count stands still, was
left behind, and the next process takes the folder over. A process that was only asleep (a closed laptop) and finds its
folder taken over has lost it and ends.

The file also says how far the work is, and a file beside it asks whoever holds the folder to end soon.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from minidl.files.reading import parse_json, read_bytes

FILE = "running.json"
BEAT = 1.0  # seconds from one count to the next
PATIENCE = 15.0  # seconds without a new count after which a process is taken for gone
POLL = 0.1


class BusyError(ValueError):
    """Another process works in the folder."""


class LostError(OSError):
    """Another process has taken the folder over."""


class UnwritableError(OSError):
    """The folder cannot be written to."""


class Hold:
    """Holds a folder, as a context manager. The folder is made if it is missing.

    Args:
        folder: which.
        wait: whether to wait until nobody holds it, instead of raising a BusyError.

    Raises:
        BusyError: another process holds it.
        UnwritableError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, wait: bool = False) -> None:
        self._path = folder / FILE
        self._wait = wait
        self._token = os.urandom(8).hex()
        self._iteration = 0
        self._beats = 0
        self._state = ""  # "lost", or "stop": asked to end
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Hold:
        with writing_to(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take()
        with suppress(RuntimeError):  # where the system starts no thread: then nobody else is expected to come
            self._thread = threading.Thread(target=self._beat_until_the_end, daemon=True)
            self._thread.start()
        return self

    def _take(self) -> None:
        """Make the folder ours, when nobody has it or whoever had it is gone."""
        while not self._begin():
            found = _content(self._path)
            if found is None:
                continue  # it was given up just now
            if _is_abandoned(self._path, found):
                self._clear_away(found)
            elif not self._wait:
                who = _parsed(found)
                name, _, _ = str(who.get("host", "?")).partition(" ")  # without the space of process numbers
                raise BusyError(
                    f"{self._path.parent} is being worked on by process {who.get('pid', '?')} on {name}: wait for it, "
                    f"or stop it"
                )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()
        for part in (self._stop_sign, self._part):
            with suppress(OSError):
                part.unlink(missing_ok=True)
        if self._is_ours():
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def at(self, iteration: int) -> None:
        """Note how far the work is.

        Raises:
            KeyboardInterrupt: somebody has asked the work to end (`ask_to_stop`).
            LostError: the folder was taken over.
        """
        self._iteration = iteration
        if self._state == "stop":
            raise KeyboardInterrupt
        if self._state == "lost":
            raise LostError(f"{self._path.parent} was taken over by another process")

    @property
    def _part(self) -> Path:
        return self._path.with_name(f".{FILE}.{self._token}.part")

    @property
    def _stop_sign(self) -> Path:
        return _stop_sign(self._path.parent, self._token)

    def _text(self) -> bytes:
        about = {"token": self._token, "host": _host(), "pid": os.getpid()}
        return json.dumps(about | {"beat": self._beats, "iteration": self._iteration}).encode()

    def _begin(self) -> bool:
        """Whether the file is ours now: whoever makes it has the folder."""
        return _make(self._path, self._text())

    def _clear_away(self, left: bytes) -> None:
        """Remove what was left behind. Of several processes that try, one does: the one that makes a second file.

        Otherwise one could remove what another, who was quicker, has put there since.
        """
        clearing = self._path.with_name(f".{FILE}.clearing")
        if not _make(clearing, self._text()):
            found = _content(clearing)
            if found is not None and _is_abandoned(clearing, found):
                clearing.unlink(missing_ok=True)
            return
        try:
            with suppress(OSError):
                if _content(self._path) == left:
                    for sign in self._path.parent.glob(".stop-*"):
                        sign.unlink(missing_ok=True)
                    self._path.unlink(missing_ok=True)
        finally:
            with suppress(OSError):
                clearing.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        return _parsed(_content(self._path)).get("token") == self._token

    def _beat_until_the_end(self) -> None:
        while not self._ended.wait(BEAT) and self._state != "lost":
            if not self._is_ours():
                self._state = "lost"
            elif self._stop_sign.exists():
                self._state = "stop"
            self._beats += 1
            if self._state != "lost":
                with suppress(OSError):  # a full disk, or (on Windows) somebody reads it: the next beat comes
                    self._part.write_bytes(self._text())
                    os.replace(self._part, self._path)


@contextmanager
def writing_to(folder: Path, remedy: str = "Choose another --out") -> Iterator[None]:
    """What the system refuses in here is told as one error, an UnwritableError: which folder, why, and what to do."""
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise UnwritableError(f"{folder} could not be written to: {why}. {remedy}") from error


def is_left_of_a_hold(name: str) -> bool:
    """Whether a file of this name tells who holds a folder or held it, or asks whoever holds it to end."""
    return name == FILE or name.startswith((f".{FILE}.", ".stop-"))


def iteration_in(folder: Path) -> int | None:
    """How far the process that holds a folder is; None if nobody holds it."""
    found = _parsed(_content(folder / FILE)).get("iteration")
    return found if isinstance(found, int) else None


def ask_to_stop(folder: Path) -> None:
    """Ask the process that holds a folder, wherever it runs, to end: its next `at` raises a KeyboardInterrupt."""
    token = _parsed(_content(folder / FILE)).get("token")
    if isinstance(token, str) and token.isalnum():
        with suppress(OSError):
            _stop_sign(folder, token).touch()


def _make(path: Path, content: bytes) -> bool:
    """Whether the file was made now, and by us: of several who try, one does."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    except PermissionError:
        if sys.platform == "win32" and path.exists():  # it is being removed at this moment
            return False
        raise
    try:
        with open(handle, "wb") as file:
            file.write(content)
    except OSError:  # a full disk
        path.unlink(missing_ok=True)
        raise
    return True


def _stop_sign(folder: Path, token: str) -> Path:
    return folder / f".stop-{token}"


def _content(path: Path) -> bytes | None:
    """What is in the file; None if there is none. (That others replace it while it is read is no error.)"""
    for _ in range(20):
        try:
            return read_bytes(path)
        except FileNotFoundError:
            return None
        except OSError:  # on Windows, where it is being replaced
            time.sleep(POLL)
    return b""


def _parsed(content: bytes | None) -> dict[str, Any]:
    with suppress(ValueError):
        found = parse_json(content or b"", "")
        if isinstance(found, dict):
            return found
    return {}


def _is_abandoned(path: Path, content: bytes, now: Callable[[], float] = time.monotonic) -> bool:
    """Whether the process that wrote the file is gone: at once if that is known, or after watching its count."""
    who = _parsed(content)
    if who.get("host") == _host() and isinstance(who.get("pid"), int) and not _is_alive(who["pid"]):
        return True
    began = now()
    while now() < began + PATIENCE:
        time.sleep(POLL)
        if _content(path) != content:
            return False
    return True


def _host() -> str:
    """The machine; and on Linux the space of its process numbers, of which a machine with containers has several."""
    space = ""
    with suppress(OSError):
        space = f" {os.stat('/proc/self/ns/pid').st_ino}"
    return f"{platform.node()}{space}"


def _is_alive(pid: int) -> bool:
    """Whether there is such a process on this machine; True where that cannot be asked."""
    if sys.platform == "win32" or pid <= 0:  # os.kill(pid, 0) would end it there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
