"""The usual step on the CPU: one rate for all parameters, and each gradient an array as its weight is.

What is looked at here, of each parameter once, is whether the step is such a one. It then needs no plan: nothing can
fail any more, and nobody is asked for a multiplier. Any other step, and all errors, are `update.py`'s.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, overload

import numpy as np

from minidl.autograd.variable import writes_of
from minidl.autograd.writes import WriteCount, activity
from minidl.fast.cpu import threads
from minidl.fast.cpu.numbers import DTYPES
from minidl.fast.step_plan import LEAST, MOST, Move, directed, move_of
from minidl.optim.layer_rates import Uniform
from minidl.optim.layer_view import LayerView
from minidl.optim.optimizer import Optimizer
from minidl.optim.report import Seen
from minidl.optim.sgd import SGD
from minidl.types import Array, DType

Update = Callable[[Array, Array, dict[str, Any]], None]  # of a weight, or a part of it, with its gradient and state

# What took part of a layer: its name, raw arrays, and the WriteCounts of the gradients.
Layer = tuple[str, list[Array], list[Array], list[WriteCount]]


def usual_step(
    optimizer: Optimizer, few: int, large: Callable[[Update, Optimizer, Array, Array, dict[str, Any]], None]
) -> bool:
    """Make the step and return True, or change nothing and return False if it is not a usual one.

    Args:
        few: a parameter of more elements is updated by `large(update, optimizer, w, g, state)`.
    """
    move = move_of(optimizer, "", 1.0)
    if optimizer.scales or type(optimizer.layer_rate) is not Uniform or optimizer.layer_slots:
        return False
    if type(move.after) is not float or not LEAST < move.after < MOST:
        return False
    # NumPy asks a number of Python's more than an array.
    rates = {dtype: np.asarray(move.after, dtype) for dtype in DTYPES}
    slots, states = optimizer.slots, optimizer.state
    layers: list[Layer] = []
    found: list[tuple[Array, Array, dict[str, Any], WriteCount, Array]] = []
    for layer in optimizer.layers:
        weights: list[Array] = []
        gradients: list[Array] = []
        counts: list[WriteCount] = []
        for name, p in layer.parameters:
            grad = p._grad
            if grad is None or not p._requires_grad:
                continue
            w, g = p._data, grad._data
            if type(w) is not np.ndarray or type(g) is not np.ndarray or w.shape != g.shape or not w.flags.writeable:
                return False
            dtype, state = w.dtype, states[name]
            rate = rates.get(dtype)
            if rate is None or dtype is not g.dtype:
                return False
            for slot in slots:
                kept = state.get(slot)
                if type(kept) is not np.ndarray or kept.dtype is not dtype or kept.shape != w.shape:
                    return False
            found.append((w, g, state, p._writes or writes_of(p), rate))
            weights.append(w)
            gradients.append(g)
            if grad._writes is None and grad._op is None:
                grad._writes = WriteCount()  # as `writes_of`, written out
            counts.append(grad._writes or writes_of(grad))
        if weights:
            layers.append((layer.name, weights, gradients, counts))

    update, descends = update_of(optimizer, move, rates), is_descent(optimizer, move)
    for w, g, state, writes, rate in found:
        state["steps"] += 1
        if descends and w.nbytes <= threads.BLOCK:  # of one temporary array blocks pay from there on
            w -= g * rate
        elif w.size > few:
            large(update, optimizer, w, g, state)
        else:
            update(w, g, state)
        writes.count += 1  # as `bump`, written out
        writes.saved = False
        writes._guards = None
    activity.count += len(found)
    optimizer._last = Remembered(layers, optimizer.lr, optimizer.step_count, move.decay)
    return True


def is_descent(optimizer: Optimizer, move: Move) -> bool:
    """Whether the method is w <- w - t g, and nothing else."""
    return type(optimizer) is SGD and not optimizer.momentum and not move.decay and move.before is None


def update_of(optimizer: Optimizer, move: Move, rates: dict[DType, Array]) -> Update:
    """What the method does to a weight."""

    def update(w: Array, g: Array, state: dict[str, Any]) -> None:
        d = directed(optimizer, w, g, state, move)
        w -= d * rates[d.dtype]

    return update


class Remembered(Sequence[Seen]):
    """What a step leaves behind for the report, made when somebody asks for it."""

    __slots__ = ("__weakref__", "_layers", "_numbers", "_seen")

    def __init__(self, layers: list[Layer], lr: float, step: int, decay: float) -> None:
        self._layers = layers
        self._numbers = lr, step, decay
        self._seen: list[Seen] | None = None
        measure, now = partial(_measure, weakref.ref(self)), False
        for layer in layers:
            for count in layer[3]:
                if count.handed_out:
                    now = True  # it may be written to unseen
                elif count.before_write is not None:
                    count.announce()  # another optimizer's report may wait for the same gradient
                count.before_write = measure
        if now:
            self.measure()

    def measure(self) -> None:
        """Compute the norms of the gradients, one of which may be written to."""
        for seen in self.seen():
            seen.view.gradient_norms  # noqa: B018 - it keeps what it computes

    def seen(self) -> list[Seen]:
        """As `Optimizer.remember` is given it."""
        if self._seen is None:
            lr, step, decay = self._numbers
            self._seen = [
                Seen(
                    LayerView(name, weights, gradients, (), step, [decay] * len(weights)),
                    [1.0] * len(weights),
                    lr,
                    writes,
                )
                for name, weights, gradients, writes in self._layers
            ]
        return self._seen

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Seen]:
        return iter(self.seen())

    @overload
    def __getitem__(self, index: int) -> Seen: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Seen]: ...
    def __getitem__(self, index: int | slice) -> Seen | Sequence[Seen]:
        return self.seen()[index]


def _measure(ref: weakref.ref[Remembered]) -> None:
    remembered = ref()
    if remembered is not None:
        remembered.measure()
