"""What the faster versions of an optimizer's step share: everything that can fail is done before anything is written.

The plain lines (`Optimizer.update_all`) compute all of a step before they write, so that a step that fails has changed
nothing, and hold as much memory as the model for that. `plan` does no more than has to be known beforehand: it checks
all arrays and asks all layer rates.
"""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

import numpy as np

from minidl.autograd.variable import writes_of
from minidl.backend import module_of
from minidl.functional.precision import widened
from minidl.optim.layer_rates import Uniform
from minidl.optim.layer_view import LayerView
from minidl.optim.optimizer import Optimizer
from minidl.optim.report import Seen
from minidl.optim.scales import UNSCALED
from minidl.optim.trained import check_direction, check_writable, gradient_of, slot_dtype, slots_beside
from minidl.tensors.tensor import Tensor
from minidl.types import Array

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


class Ahead:
    """How a version computes directions beforehand: of whole arrays, and all are kept until they are used."""

    def keeps(self, optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any]) -> bool:
        """Whether a parameter's direction is kept; if not, it is computed again, in place, when the step is made."""
        return True

    def direction(
        self, optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], layer_state: dict[str, Array], move: Move
    ) -> Array:
        """d of a parameter; the slots in `state` become new arrays, brought up to date."""
        for slot in optimizer.slots:
            state[slot] = state[slot].copy()
        return directed(optimizer, w, g, {**state, **layer_state} if layer_state else state, move)


def needs_directions(optimizer: Optimizer) -> bool:
    """Whether all directions have to be known before anything may be written.

    A rate for the update looks at a layer's. And a formula that is a user's may fail, which one of minidl's does for no
    numbers.
    """
    return optimizer._applies_to == "update" or not type(optimizer).direction.__module__.startswith("minidl.optim.")


def share_memory(optimizer: Optimizer) -> bool:
    """Whether two of the parameters are one array, or views of one: an update may then depend on the one before it."""
    arrays = [p._data for layer in optimizer.layers for _, p in layer.parameters]
    return len({id(a if a.base is None else a.base) for a in arrays}) < len(arrays)


def plan(optimizer: Optimizer, ahead: Ahead | None = None) -> tuple[list[Planned], list[Seen]]:
    """What is to be done to each layer in the coming step, and what to keep for the report.

    Args:
        ahead: computes all directions beforehand, if that is to be done.
    """
    plans, seen = [], []
    slots, layer_slots, state, scales = optimizer.slots, optimizer.layer_slots, optimizer.state, optimizer.scales
    usual = move_of(optimizer, "", 1.0)
    asked = optimizer._applies_to == "gradient" and type(optimizer.layer_rate) is not Uniform
    for layer in optimizer.layers:
        named, weights, gradients, new, writes, half = [], [], [], [], [], False
        for name, p in layer.parameters:
            grad = p._grad
            if grad is not None and p._requires_grad:
                w, g = p._data, grad._data
                if type(g) is not type(w) or g.shape != w.shape:
                    gradient_of(name, p)  # an error, or it can be broadcast
                if type(w) is np.ndarray and not w.flags.writeable:
                    check_writable(name, w)  # an error
                if w.itemsize == 2 or g.itemsize == 2:
                    half = True
                named.append((name, p))
                weights.append(w)
                gradients.append(g)
                new.append(_missing(state[name], slots, w, name) if slots else None)
                writes.append(grad._writes or writes_of(grad))
        if not named:
            continue
        decays = [move_of(optimizer, name, 1.0).decay for name, _ in named] if scales else [usual.decay] * len(named)
        view = LayerView(layer.name, weights, gradients, None, optimizer.step_count, decays)
        multipliers = optimizer.multipliers("gradient", view) if asked else [1.0] * len(named)
        layer_state = _updated_layer_state(optimizer, layer.name, view) if layer_slots else {}
        if asked or scales or half:
            moves = [move_of(optimizer, name, m, half) for (name, _), m in zip(named, multipliers, strict=True)]
        else:
            moves = [usual] * len(named)
        planned = Planned(named, weights, gradients, new, moves, [None] * len(named), layer_state)
        if ahead is not None:
            planned, multipliers = _with_directions(optimizer, planned, view, multipliers, ahead)
        plans.append(planned)
        seen.append(Seen(view, multipliers, optimizer.lr, writes))
    return plans, seen


def move_of(optimizer: Optimizer, name: str, m: Any, half: bool = False) -> Move:
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
        array: Any = own.get(slot)
        if type(array) is not type(w) or array.dtype != dtype or array.shape != w.shape:
            found = slots_beside(w, own, slots, w.shape, dtype, name)  # an error, or zeros
            return {slot: array for slot, array in found.items() if slot not in own}
    return None


def _updated_layer_state(optimizer: Optimizer, name: str, view: LayerView) -> dict[str, Array]:
    """As `Optimizer.updated_layer_state`, with copies."""
    own, slots = optimizer.layer_state[name], optimizer.layer_slots
    found = slots_beside(view.params[0], own, slots, (), np.dtype(np.float64), name)
    state = {**own, **{slot: array.copy() for slot, array in found.items()}}
    optimizer.see_layer(state, view.direction)
    return state


def _with_directions(
    optimizer: Optimizer, planned: Planned, view: LayerView, multipliers: list[Any], ahead: Ahead
) -> tuple[Planned, list[Any]]:
    """The plan of a layer with directions, and its multipliers."""
    named, weights, gradients, missing, moves, _, layer_state = planned
    asked = optimizer._applies_to == "update"
    new: list[Any] = []
    kept: list[Any] = []
    directions: list[Any] = []
    for (name, _), w, g, zeros, move in zip(named, weights, gradients, missing, moves, strict=True):
        state = {**optimizer.state[name], **(zeros or {})}
        state["steps"] += 1
        keeps = ahead.keeps(optimizer, w, g, state)
        if keeps or asked:
            d = ahead.direction(optimizer, w, g, state, layer_state, move)
            check_direction(type(optimizer).__name__, name, w, d)
            directions.append(d)
        new.append(state if keeps else zeros)
        kept.append(d if keeps else None)
    if asked:
        view.direction = directions
        multipliers = optimizer.multipliers("update", view)
        view.direction = ()
        moves = _scaled(moves, multipliers)
    return Planned(named, weights, gradients, new, moves, kept, layer_state), multipliers


def _scaled(moves: list[Move], multipliers: list[Any]) -> list[Move]:
    """Moves whose directions are also multiplied by the multipliers; most parameters of a layer have the same."""
    made: dict[tuple[int, int], Move] = {}
    for move, m in zip(moves, multipliers, strict=True):
        if (id(move), id(m)) not in made:
            decay, before, decoupled, after, half = move
            made[id(move), id(m)] = Move(decay, before, decoupled, product(after, m), half)
    return [made[id(move), id(m)] for move, m in zip(moves, multipliers, strict=True)]


def directed(optimizer: Optimizer, w: Array, g: Array, state: dict[str, Any], move: Move) -> Array:
    """d of a parameter, or of a part of it: `Optimizer.directed`."""
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
