"""How one parameter moves in a step: w <- w - t d, in place and in the processor's cache.

A method's formula, its `direction`, goes element by element. So a large parameter is updated block by block: what the
first operation of the formula writes the next one reads from the cache, and what a step needs of memory besides is no
larger than a block, whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minidl.fast.cpu import threads

Direction: TypeAlias = Callable[[dict[str, Any], Any, Any], Any]  # `Optimizer.direction` of some optimizer

TEMPORARIES = 3  # arrays that a formula works with beside the parameter, its gradient and its slots, more or less
SHARED = 16 << 20  # bytes of work from which it pays to let several threads update a parameter


class Move(NamedTuple):
    """The numbers in one parameter's update. Each is a plain number or, on a GPU, a 0-d array.

    Attributes:
        decay: what of w is in g.
        before: what g is multiplied by before the method sees it, s = before * g.
        decoupled: what of w joins the direction.
        after: what the direction is multiplied by.
    """

    decay: float
    before: Any
    decoupled: float
    after: Any


def update(
    direction: Direction, w: Any, gradient: Any, state: dict[str, Any], slots: tuple[str, ...], move: Move
) -> None:
    """w <- w - after * d. The arrays of `state` called `slots`, of w's shape, are brought up to date."""
    each = (2 + len(slots) + TEMPORARIES) * w.itemsize
    arrays = None
    if type(w) is np.ndarray and w.size > threads.per_block(each, w.size):
        arrays = [w, gradient, *[state[slot] for slot in slots]]
    if arrays is None or not all(array.flags.c_contiguous for array in arrays):
        w -= times(directed(direction, w, gradient, state, move), move.after)
        return
    flat = [array.reshape(-1) for array in arrays]
    if each * w.size >= SHARED:
        threads.in_blocks(_update_block, w.size, each, direction, flat, state, slots, move)
    else:
        for block in threads.blocks(0, w.size, each):
            _update_block(block, direction, flat, state, slots, move)


def _update_block(
    block: slice, direction: Direction, flat: list[Any], state: dict[str, Any], slots: tuple[str, ...], move: Move
) -> None:
    w, gradient, *own = [array[block] for array in flat]
    state = {**state, **dict(zip(slots, own, strict=True))}
    w -= times(directed(direction, w, gradient, state, move), move.after)


def directed(direction: Direction, w: Any, gradient: Any, state: dict[str, Any], move: Move) -> Any:
    """d of a parameter, or of a block of it: the method's direction, and the decay that does not go through it."""
    g = gradient + move.decay * w if move.decay else gradient
    d = direction(state, g, times(g, move.before))
    return d + move.decoupled * w if move.decoupled else d


def times(array: Any, factor: Any) -> Any:
    """factor * array in the array's dtype: the array itself where the factor is the plain number 1."""
    if type(factor) is float:  # a Python number never promotes
        return array if factor == 1.0 else array * factor
    return array * factor.astype(array.dtype, copy=False)
