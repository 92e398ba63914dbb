"""Whether a step is being captured for a GPU (`capture.py`), and what it then needs that was made before."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple, Protocol

from minidl.types import Array


class Draws(Protocol):
    """The seeds of a captured step's random numbers (`capture.py`)."""

    live: Array
    seeds: list[int]
    draw: Callable[[], int] | None

    def put(self) -> None:
        """Send the seeds to the device."""
        ...

    def renew(self) -> None:
        """Draw as many again."""
        ...


class Products(Protocol):
    """What makes a captured step's products of matrices (`cublas.py`)."""

    def product(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """The product x @ y."""
        ...

    def finish(self) -> None:
        """Called when the step is captured."""
        ...


class Recording(NamedTuple):
    """What work finds outside of its recording.

    Attributes:
        draws: the seeds of its random numbers.
        products: makes its products of matrices.
        arrived: where the warps of a launch count themselves, int32 zeros (1,). Zeros made while recording would be a
            part of it, and not there before its first launch.
    """

    draws: Draws
    products: Products
    arrived: Array


current: ContextVar[Recording | None] = ContextVar("minidl_recording", default=None)
