"""An optimizer's step on the CPU: in place, and in the processor's cache.

The plain lines (`Optimizer.update_all`) compute all of a step before they write anything, so that a step that fails has
changed nothing, and hold as much memory as the model for that. Here `plan` does everything that can fail: it checks all
arrays and asks all layer rates. Then `write` does the rest in place.

A method's formula, its `direction`, works element by element. So a large parameter is updated block by block: what the
first operation of the formula writes the next one reads from the cache, and what a step needs of memory besides is no
larger than a block, whatever the size of the model.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl.autograd.function import writes_of
from minidl.backend import is_array, module_of
from minidl.fast.cpu import threads
from minidl.fast.versions import Faster
from minidl.functional.precision import widened
from minidl.optim.layer_rates import Uniform
from minidl.optim.layer_view import LayerView
from minidl.optim.optimizer import UNSCALED, Optimizer
from minidl.optim.report import Seen
from minidl.optim.trained import check_direction, gradient_of, slot_dtype, slots_beside
from minidl.tensors.tensor import Tensor
from minidl.types import Array

TEMPORARIES = 3  # arrays that a formula works with beside the parameter, its gradient and its slots, more or less
SHARED = 16 << 20  # bytes of work from which it pays to let several threads update a parameter
LEAST, MOST = 1e-37, 1e38  # between them float32 holds a number with all its digits


class Move(NamedTuple):
    """The numbers in one parameter's update. Each is a plain number or, on a GPU, a 0-d array.

    Attributes:
        decay: what of w is in g.
        before: what g is multiplied by before the method sees it, s = before * g; None stands for 1.
        decoupled: what of w joins the direction.
        after: what the direction is multiplied by.
        half: whether some array is float16, so that the rest is to be computed in float32.
    """

    decay: float
    before: Any
    decoupled: float
    after: Any
    half: bool


class Planned(NamedTuple):
    """What is to be done to one layer. Each of the lists has an entry for each parameter that takes part.

    Attributes:
        named: the parameters with their names.
        weights, gradients: their raw arrays.
        new: what will be new in the method's state of each: slots that were not there, or all of it where d is known.
        moves: the numbers of the updates.
        directions: the parameter's d, if it had to be known beforehand, else None.
        layer_state: what the method will remember of the layer.
    """

    named: list[tuple[str, Tensor]]
    weights: list[Array]
    gradients: list[Array]
    new: list[dict[str, Any] | None]
    moves: list[Move]
    directions: list[Array | None]
    layer_state: dict[str, Array]


class InPlace(Faster, Optimizer):
    """The step in place."""

    where = "on the CPU"

    def fits(self) -> bool:
        return type(self.layers[0].parameters[0][1]._data) is np.ndarray and not would_see_updates(self)

    def update_all(self) -> None:
        write(self, *plan(self))


def would_see_updates(optimizer: Optimizer) -> bool:
    """Whether some parameter's update depends on weights that another one's has written before.

    So it is where two share memory, and the update depends on weights at all. The plain lines compute all updates from
    what the weights are before the step.
    """
    if not optimizer.weight_decay and optimizer._applies_to == "gradient":
        return False
    arrays = [p._data for layer in optimizer.layers for _, p in layer.parameters]
    return len({id(a if a.base is None else a.base) for a in arrays}) < len(arrays)


# ---- all of a step that can fail


def plan(optimizer: Optimizer) -> tuple[list[Planned], list[Seen]]:
    """What is to be done to each layer in the coming step, and what to keep for the report."""
    plans, seen = [], []
    slots, state, scales = optimizer.slots, optimizer.state, optimizer.scales
    usual, uniform = _move(optimizer, "", 1.0), type(optimizer.layer_rate) is Uniform
    ahead = optimizer._applies_to == "update" or not _is_ours(optimizer)
    for layer in optimizer.layers:
        named, weights, gradients, new, writes, half = [], [], [], [], [], False
        for name, p in layer.parameters:
            grad = p._grad
            if grad is not None and p._requires_grad:
                w, g = p._data, grad._data
                if type(g) is not type(w) or g.shape != w.shape:
                    gradient_of(name, p)  # an error, or it can be broadcast
                if w.itemsize == 2 or g.itemsize == 2:
                    half = True
                named.append((name, p))
                weights.append(w)
                gradients.append(g)
                new.append(_missing(state[name], slots, w, name) if slots else None)
                writes.append(grad._writes or writes_of(grad))
        if not named:
            continue
        decays = [_move(optimizer, name, 1.0).decay for name, _ in named] if scales else [usual.decay] * len(named)
        view = LayerView(layer.name, weights, gradients, None, optimizer.step_count, decays)
        multipliers = optimizer.multipliers("gradient", view)
        layer_state = optimizer.layer_state_after(layer, view)
        if uniform and not scales and not half:
            moves = [usual] * len(named)
        else:
            moves = [_move(optimizer, name, m, half) for (name, _), m in zip(named, multipliers, strict=True)]
        planned = Planned(named, weights, gradients, new, moves, [None] * len(named), layer_state)
        if ahead:
            planned, multipliers = _with_directions(optimizer, planned, view, multipliers)
        plans.append(planned)
        seen.append(Seen(view, multipliers, optimizer.lr, writes))
    return plans, seen


def _is_ours(optimizer: Optimizer) -> bool:
    """Whether the method's formula is minidl's, which fails for no numbers, and not a user's, which may."""
    return type(optimizer).direction.__module__.startswith("minidl.optim.")


def _move(optimizer: Optimizer, name: str, m: Any, half: bool = False) -> Move:
    """The numbers for a parameter with the multiplier m of its gradient."""
    scale = optimizer.scales.get(name, UNSCALED)
    rate, decay = optimizer.lr * scale.lr, optimizer.weight_decay * scale.decay
    before, after = (product(m, rate), 1.0) if optimizer.rate_inside else (m, rate)
    if type(before) is float and before == 1.0:
        before = None
    in_gradient, in_direction = (0.0, decay) if optimizer.decoupled_decay else (decay, 0.0)
    return Move(in_gradient, before, in_direction, after, half)


def product(a: Any, b: Any) -> Any:
    """a * b, of two plain numbers at most the largest there is."""
    factor = a * b
    return sys.float_info.max if type(factor) is float and factor == math.inf else factor


def _missing(own: dict[str, Any], slots: tuple[str, ...], w: Array, name: str) -> dict[str, Array] | None:
    """The slots that are not there yet, or None; those that are there are known to fit the parameter."""
    dtype = w.dtype if w.itemsize > 2 else slot_dtype(w.dtype)
    for slot in slots:
        array = own.get(slot)
        if type(array) is not type(w) or array.dtype != dtype or array.shape != w.shape:
            found = slots_beside(w, own, slots, w.shape, dtype, name)  # an error, or zeros
            return {slot: array for slot, array in found.items() if slot not in own}
    return None


def _with_directions(
    optimizer: Optimizer, planned: Planned, view: LayerView, multipliers: list[Any]
) -> tuple[Planned, list[Any]]:
    """The plan of a layer whose directions have to be known before anything is written, and its multipliers.

    A rate for the update looks at them, and a formula that is a user's may fail. A direction is kept until it is used,
    with copies of the slots. Of a large parameter on the CPU that is memory which a step does not take otherwise: there
    the direction is computed again, in place, and a user's formula is trusted.
    """
    asked = optimizer._applies_to == "update"
    new, kept, directions = [], [], []
    for i, (name, p) in enumerate(planned.named):
        own, w, g, move = optimizer.state[name], planned.weights[i], planned.gradients[i], planned.moves[i]
        state = {**own, **(planned.new[i] or {}), "steps": own["steps"] + 1}
        if is_large(optimizer, w, g, state):
            new.append(planned.new[i])
            kept.append(None)
            if asked:
                directions.append(_direction_only(optimizer, w, g, {**state, **planned.layer_state}, move))
        else:
            state = {key: value.copy() if is_array(value) else value for key, value in state.items()}
            d = directed(optimizer, w, g, {**state, **planned.layer_state}, move)
            check_direction(type(optimizer).__name__, name, p, d)
            new.append(state)
            kept.append(d)
            directions.append(d)
    planned = planned._replace(new=new, directions=kept)
    if not asked:
        return planned, multipliers
    view.direction = directions
    multipliers = optimizer.multipliers("update", view)
    view.direction = ()
    pairs = zip(planned.moves, multipliers, strict=True)
    return planned._replace(moves=[move._replace(after=product(move.after, m)) for move, m in pairs]), multipliers


# ---- the rest of it


def write(optimizer: Optimizer, plans: list[Planned], seen: list[Seen]) -> None:
    """Make the planned step."""
    few = threads.BLOCK // _bytes_each(8, optimizer.slots)  # so many elements are never too many for a block
    for layer, (named, weights, gradients, new, moves, directions, layer_state) in zip(seen, plans, strict=True):
        for (name, p), w, g, own, move, d in zip(named, weights, gradients, new, moves, directions, strict=True):
            state = optimizer.state[name]
            if own:
                state.update(own)
            if d is not None:
                w -= times(d, move.after)
            else:
                state["steps"] += 1
                known = {**state, **layer_state} if layer_state else state
                if w.size > few and is_large(optimizer, w, g, state):
                    _in_blocks(_update_block, optimizer, w, g, known, move)
                else:
                    w -= times(directed(optimizer, w, g, known, move), move.after)
            (p._writes or writes_of(p)).bump()
        if layer_state:
            optimizer.layer_state[layer.view.name].update(layer_state)
    optimizer.remember(seen)


def directed(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Move) -> Array:
    """d of a parameter, or of a block of it: `Optimizer.directed`."""
    decay, before, decoupled, _, half = move
    if half:
        w, g = widened(w), widened(g)
    if decay:
        g = g + times(w, decay)
    d = optimizer.direction(state, g, g if before is None else times(g, before))
    return d + times(w, decoupled) if decoupled else d


def times(array: Array, factor: Any) -> Array:
    """factor * array in the array's dtype, computed in float64 only where the factor may be beyond that dtype."""
    if type(factor) is float:  # a Python number does not promote
        if factor == 1.0:
            return array
        if LEAST < factor < MOST or factor == 0.0:
            return array * factor
    result: Array = module_of(array).multiply(array, factor, dtype=np.float64)
    return result.astype(array.dtype, copy=False)


# ---- block by block


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
        and all([array.flags.c_contiguous for array in (w, g, *[state[slot] for slot in slots])])
    )


def _in_blocks(
    work: Callable[..., None], optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Move, *more: Array
) -> None:
    """`work(optimizer, w, g, state, move, *more)` for blocks of a parameter; a large one is shared out among threads."""
    slots, size = optimizer.slots, w.size
    each = _bytes_each(w.itemsize, slots)
    arrays = {slot: state[slot].reshape(-1) for slot in slots}
    flat = [array.reshape(-1) for array in (w, g, *more)]
    if each * size >= SHARED:
        threads.in_blocks(_on_block, size, each, work, optimizer, flat, arrays, state, move)
    else:
        for block in threads.blocks(0, size, each):
            _on_block(block, work, optimizer, flat, arrays, state, move)


def _on_block(
    block: slice,
    work: Callable[..., None],
    optimizer: Optimizer,
    flat: list[Array],
    arrays: dict[str, Array],
    state: dict[str, Any],
    move: Move,
) -> None:
    w, g, *more = [array[block] for array in flat]
    work(optimizer, w, g, {**state, **{slot: array[block] for slot, array in arrays.items()}}, move, *more)


def _update_block(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Move) -> None:
    w -= times(directed(optimizer, w, g, state, move), move.after)


def _direction_only(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Move) -> Array:
    """d of a large parameter; its slots stay as they are."""
    out = np.empty(w.shape, np.float32 if move.half else np.result_type(w, g))
    _in_blocks(_direct_block, optimizer, w, g, state, move, out)
    return out


def _direct_block(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Move, out: Array) -> None:
    out[...] = directed(optimizer, w, g, {**state, **{slot: state[slot].copy() for slot in optimizer.slots}}, move)
