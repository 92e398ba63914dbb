"""Whether a step is being recorded for a GPU (`graphs.py`), and what it then needs that was made before."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

if TYPE_CHECKING:
    from minidl.fast.graph.capture import Draws, Graph
    from minidl.fast.graph.cublas import Cublas


class Recording(NamedTuple):
    """What work finds outside of its recording.

    Attributes:
        draws: the seeds of its random numbers.
        products: makes its products of matrices.
        arrived: where the warps of a launch count themselves, int32 zeros (1,). Zeros made while recording would be a
            part of it, and not there before its first launch.
    """

    draws: Draws
    products: Cublas
    arrived: Any


current: ContextVar[Recording | None] = ContextVar("minidl_recording", default=None)
graphs: WeakSet[Graph] = WeakSet()  # all that there are, for the account of memory
