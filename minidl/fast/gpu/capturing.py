"""Whether a step is being captured for a GPU, and what it then needs that was made before.

`fast/graph/capture.py` says what a captured step is. Kernels and products of matrices ask here: while one is captured,
they must not make, or wait for, what a replay would miss.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple, Protocol

from minidl.autograd.modes import is_again
from minidl.errors import GraphError
from minidl.types import Array


class Draws(Protocol):
    """The seeds of a captured step's random numbers.

    Attributes:
        live: where the device finds them.
        seeds: those of the next launch.
        draw: gives the next one; None until the step draws.
    """

    live: Array
    seeds: list[int]
    draw: Callable[[], int] | None


class Products(Protocol):
    """What makes a captured step's products of matrices."""

    def product(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """The product x @ y."""
        ...


class Captured(NamedTuple):
    """What a step finds while it is captured, made outside of it.

    Attributes:
        draws: the seeds of its random numbers.
        products: makes its products of matrices.
        arrived: where the warps of a launch count themselves, int32 zeros (1,). Zeros made in the step would be a part
            of it, and not there before its first launch.
    """

    draws: Draws
    products: Products
    arrived: Array


current: ContextVar[Captured | None] = ContextVar("minidl_captured", default=None)


def place_of_seed(seed: int, draw: Callable[[], int]) -> Array | None:
    """In a captured step a float64 array with the seed of one draw, first `seed`, then what `draw` gives; else None.

    Raises:
        GraphError: there is no place left.
    """
    captured = current.get()
    if captured is None:
        return None
    draws = captured.draws
    if is_again() and seed in draws.seeds:  # a function that runs again for its backward: F.checkpoint
        place = draws.seeds.index(seed)
        return draws.live.reshape(-1)[place : place + 1]
    number = len(draws.seeds)
    if number == draws.live.size:
        raise GraphError(f"a captured step may draw random arrays {number} times; this one does it more often")
    draws.seeds.append(seed)
    draws.draw = draw
    return draws.live.reshape(-1)[number : number + 1]
