"""worker: what a process does that makes batches for another one (see processes.py)."""

from __future__ import annotations

import math
import pickle
import signal
import traceback
from typing import Any, NamedTuple

import numpy as np

from minidl.data.making import order_of

ALIGNED = 64  # bytes: a multiple of it is where an array in a slot begins
WHAT = "Loader(processes=True)"
HOW_TO_SEND = (
    "Define its functions and classes at the top of a module that can be imported, not inside a function or in a "
    "notebook; or let threads make the batches, processes=False"
)


class Epoch(NamedTuple):
    """What decides the batches of an epoch."""

    seed: int
    shuffle: bool
    number: int


class RemoteError(Exception):
    """Where an error came up in another process, in words: the cause of that error here."""

    def __str__(self) -> str:
        return f"in a process of the Loader:\n{self.args[0]}"


class Slot:
    """Memory for a batch, filled from its beginning."""

    def __init__(self, memory: Any) -> None:
        self._bytes = np.frombuffer(memory, np.uint8)
        self._filled = 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array in the next of the memory; one elsewhere if it does not fit."""
        here = self._next(shape, dtype)
        return np.empty(shape, dtype) if here is None else here

    def place_of(self, array: Any) -> tuple[int, int, Any, tuple[int, ...]] | None:
        """(where it begins, its bytes, dtype, shape) of an array, which is copied here if need be; None if it can't."""
        if not isinstance(array, np.ndarray) or array.dtype.hasobject:
            return None
        begin = self._begin(array)
        if begin is None:
            here = self._next(array.shape, array.dtype)
            if here is None:
                return None
            here[...] = array
            begin = self._begin(here)
        return None if begin is None else (begin, array.nbytes, array.dtype, array.shape)

    def _next(self, shape: tuple[int, ...], dtype: Any) -> Any | None:
        begin, size = -(-self._filled // ALIGNED) * ALIGNED, math.prod(shape) * np.dtype(dtype).itemsize
        if begin + size > len(self._bytes):
            return None
        self._filled = begin + size
        return self._bytes[begin : begin + size].view(dtype).reshape(shape)

    def _begin(self, array: Any) -> int | None:
        """Where an array lies here, in one piece; None if it does not."""
        begin: int = array.__array_interface__["data"][0] - self._bytes.__array_interface__["data"][0]
        inside = begin >= 0 and begin + array.nbytes <= len(self._bytes)
        return begin if inside and array.flags.c_contiguous else None


def work(pipe: Any, slots: list[Any]) -> None:
    """Make the batches that are asked for through the pipe, until its other end is closed.

    First comes the Making, then, as often as wanted, (epoch, number of the batch, number of a slot or None). Each is
    answered by ("slot", places), ("pipe", layouts) and the bytes of each array, ("objects", arrays), or
    ("error", (exception, where)).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program
    try:
        try:
            making, failure = pipe.recv(), None
        except (EOFError, OSError):
            raise
        except Exception as error:  # a class that this process does not find
            making, failure = None, error
        epoch = order = None
        while True:
            asked, number, slot = pipe.recv()
            try:
                if failure is not None:
                    raise TypeError(
                        f"{WHAT}: the data set or the transform cannot be made again in another process: {failure}. "
                        f"{HOW_TO_SEND}"
                    )
                if asked != epoch:
                    order = order_of(len(making.source), asked.shuffle, asked.seed, asked.number)
                    epoch = asked
                memory = None if slot is None else Slot(slots[slot])
                empty = np.empty if memory is None else memory.empty
                arrays = making.batch(asked.seed, asked.number, order, number, empty)
            except BaseException as error:
                pipe.send(("error", (_sendable(error), "".join(traceback.format_exception(error)))))
            else:
                _answer(pipe, arrays, memory)
                del arrays
    except (EOFError, OSError):  # who asked has ended, or wants no more
        return


def _answer(pipe: Any, arrays: tuple[Any, ...], memory: Slot | None) -> None:
    places = None if memory is None else [memory.place_of(array) for array in arrays]
    if places is not None and None not in places:
        pipe.send(("slot", places))
    elif any(not isinstance(array, np.ndarray) or array.dtype.hasobject for array in arrays):
        pipe.send(("objects", arrays))
    else:
        pipe.send(("pipe", [(array.dtype, array.shape) for array in arrays]))
        for array in arrays:
            if array.nbytes:
                pipe.send_bytes(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _sendable(error: BaseException) -> BaseException:
    """The error, if another process can make it again; else one that says as much."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        said = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", []):
            said.add_note(note)
        return said
    return error
