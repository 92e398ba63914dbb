"""Observers: who watches every op while it runs, forward and backward (the tape, a breakpoint, anomaly mode).

They see, and neither compute nor change anything. The mode (`modes.py`) says whether there are any; where there are
none, nothing is asked and nothing is slower.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from minidl.autograd.modes import OBSERVED, mode
from minidl.autograd.variable import Variable
from minidl.types import ArrayOrTensor


class Observer:
    """What is told to an observer; a subclass defines what it wants to hear of.

    `op` and `node` are the same instance: in the forward it is an op, from then on a node of the graph. Arrays may be
    looked at, not kept: others write into them.
    """

    def before_forward(self, op: Any, inputs: tuple[Any, ...]) -> None:
        """`op` is about to be called on `inputs`: Tensors, arrays and numbers, at least one a Tensor."""

    def after_forward(self, op: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """It has returned `result`, a Tensor; `result._op is op` if a node was left behind."""

    def after_raw(self, op: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """An op was called on arrays alone, as backwards do, and has returned an array."""

    def before_walk(self, output: Variable, gradient: Any) -> None:
        """A backward from `output` was asked for, with `gradient` for dL/d(output); None stands for 1."""

    def before_backward(self, node: Any, grad_out: ArrayOrTensor) -> None:
        """The gradient of the node's output is complete: its backward is about to run."""

    def after_backward(self, node: Any, grad_out: ArrayOrTensor, input_grads: tuple[Any, ...]) -> None:
        """It has returned a gradient for each input; those of inputs that need none (`node.needs(i)`) mean nothing."""


# Those of the running thread or task, as the mode.
_observers: ContextVar[tuple[Observer, ...]] = ContextVar("minidl_observers", default=())
always: dict[int, Observer] = {}  # those of a mode: anomaly mode has one


def observers() -> tuple[Observer, ...]:
    """Those who watch now, in the order in which they came."""
    bits = mode.get()
    return (*_observers.get(), *(observer for bit, observer in always.items() if bits & bit))


def tell(what: str, *seen: Any) -> None:
    """Call the method `what` of every observer."""
    for observer in observers():
        getattr(observer, what)(*seen)


def observed_call(op: Any, inputs: tuple[Any, ...]) -> Any:
    """op(*inputs), with the observers told before and after. What the op itself calls is not observed."""
    watching = observers()
    if not watching:  # the last one left while an op was running, which then put the mode back
        mode.set(mode.get() & ~OBSERVED)
        return op(*inputs)
    tensors = any(isinstance(x, Variable) for x in inputs)
    if tensors:
        for observer in watching:
            observer.before_forward(op, inputs)
    before = mode.set(mode.get() & ~OBSERVED)
    try:
        result = op(*inputs)
    finally:
        mode.reset(before)
    for observer in watching:
        (observer.after_forward if tensors else observer.after_raw)(op, inputs, result)
    return result


def observe(observer: Observer) -> None:
    """Let `observer` watch what this thread or task does from now on."""
    _observers.set((*_observers.get(), observer))
    mode.set(mode.get() | OBSERVED)


def leave(observer: Observer) -> None:
    """Let it watch no more; nothing happens if it does not."""
    _observers.set(tuple(other for other in _observers.get() if other is not observer))
    settle()


def settle() -> None:
    """Let the mode say whether there are observers: after one has left, or a mode that is one."""
    mode.set(mode.get() & ~OBSERVED | OBSERVED * bool(observers()))
