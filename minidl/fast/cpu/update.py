"""An optimizer's step on the CPU: in place, and in the processor's cache.

A method's formula, its `direction`, works element by element. So a large parameter is updated block by block: what the
first operation of the formula writes the next one reads from the cache, and what a step needs of memory besides is no
larger than a block, whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.autograd.variable import writes_of
from minidl.fast.cpu import threads
from minidl.fast.cpu.usual_step import Update, usual_step
from minidl.fast.step_plan import Ahead, Move, directed, needs_directions, plan, share_memory, times
from minidl.fast.versions import Faster
from minidl.optim.optimizer import Optimizer
from minidl.types import Array

TEMPORARIES = 3  # arrays that a formula works with beside the parameter, its gradient and its slots, more or less
KEPT = 32 << 20  # bytes of directions and slots, of a whole model, that may be kept until a step is made
SHARED = 16 << 20  # bytes of work from which it pays to let several threads update a parameter


class InPlace(Faster, Optimizer):
    """The step in place, large parameters block by block."""

    where = "on the CPU"

    def fits(self) -> bool:
        on_cpu = type(self.layers[0].parameters[0][1]._data) is np.ndarray
        return on_cpu and not (needs_directions(self) and share_memory(self))

    def update_all(self) -> None:
        few = threads.BLOCK // _bytes_each(8, self.slots)  # so many elements are never too many for a block
        ahead = InBlocks(self) if needs_directions(self) else None
        if ahead is None and usual_step(self, few, _update_large):
            return
        plans, seen = plan(self, ahead)
        for layer, (named, weights, gradients, new, moves, directions, layer_state) in zip(seen, plans, strict=True):
            for (name, p), w, g, own, move, d in zip(named, weights, gradients, new, moves, directions, strict=True):
                state = self.state[name]
                if own:
                    state.update(own)
                if d is not None:
                    w -= times(d, move.after)
                else:
                    state["steps"] += 1
                    known = {**state, **layer_state} if layer_state else state
                    if w.size > few and is_large(self, w, g, state):
                        _in_blocks(_update_block, self, w, g, known, move)
                    else:
                        w -= times(directed(self, w, g, known, move), move.after)
                (p._writes or writes_of(p)).bump()
            if layer_state:
                self.layer_state[layer.view.name].update(layer_state)
        self.remember(seen)


def _bytes_each(itemsize: int, slots: tuple[str, ...]) -> int:
    """About how many bytes the update of one element works on."""
    return (2 + len(slots) + TEMPORARIES) * max(4, itemsize)


def is_large(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any]) -> bool:
    """Whether a parameter's update does not fit the cache, and can be made block by block."""
    slots = optimizer.slots
    return (
        type(w) is np.ndarray
        and w.size > threads.per_block(_bytes_each(w.itemsize, slots), w.size)
        and w.size == g.size
        and all(array.flags.c_contiguous for array in (w, g, *[state[slot] for slot in slots]))
    )


def _in_blocks(
    work: Callable[..., None], optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Any, *more: Array
) -> None:
    """`work(optimizer, w, g, state, move, *more)` for blocks of a parameter; threads share a large one out."""
    slots, size = optimizer.slots, w.size
    each = _bytes_each(w.itemsize, slots)
    arrays = {slot: state[slot].reshape(-1) for slot in slots}
    flat = [array.reshape(-1) for array in (w, g, *more)]
    threads.in_blocks(_on_block, size, each, work, optimizer, flat, arrays, state, move, least=SHARED)


def _on_block(
    block: slice,
    work: Callable[..., None],
    optimizer: Optimizer,
    flat: list[Array],
    arrays: dict[str, Array],
    state: dict[str, Any],
    move: Any,
) -> None:
    w, g, *more = [array[block] for array in flat]
    work(optimizer, w, g, {**state, **{slot: array[block] for slot, array in arrays.items()}}, move, *more)


def _update_large(update: Update, optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any]) -> None:
    """update(w, g, state), block by block if that pays."""
    if is_large(optimizer, w, g, state):
        _in_blocks(_update_part, optimizer, w, g, state, update)
    else:
        update(w, g, state)


def _update_part(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], update: Update) -> None:
    update(w, g, state)


def _update_block(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Move) -> None:
    w -= times(directed(optimizer, w, g, state, move), move.after)


class InBlocks(Ahead):
    """Directions computed beforehand, those of large parameters block by block.

    Directions and new slots of a whole model are memory that a step does not take otherwise. Where it is too much,
    those of large parameters are not kept, and a user's formula is trusted not to fail when it is computed again.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        weights = [p._data for layer in optimizer.layers for _, p in layer.parameters]
        self.keeps_all = sum(w.nbytes for w in weights) * (1 + len(optimizer.slots)) <= KEPT

    def keeps(self, optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any]) -> bool:
        return self.keeps_all or not is_large(optimizer, w, g, state)

    def direction(
        self, optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], layer_state: dict[str, Array], move: Move
    ) -> Array:
        if not is_large(optimizer, w, g, state):
            return super().direction(optimizer, w, g, state, layer_state, move)
        for slot in optimizer.slots:
            state[slot] = state[slot].copy()
        out = np.empty(w.shape, np.float32 if move.half else np.result_type(w, g))
        _in_blocks(_direct_block, optimizer, w, g, {**state, **layer_state}, move, out)
        return out


def _direct_block(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Move, out: Array) -> None:
    out[...] = directed(optimizer, w, g, state, move)
