"""What `md.detect_anomaly` does: it remembers lines, guards what is saved, and stops where a NaN is born."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import FrameType
from typing import Any

from minidl import backend
from minidl.autograd.backward import Walk
from minidl.autograd.diagnosis import users_lines
from minidl.autograd.hooks import RemovableHandle, after_step, before_step
from minidl.autograd.modes import ANOMALY, OBSERVED, ModeChange, mode
from minidl.autograd.nonfinite import (
    all_finite,
    born_in_backward,
    born_in_forward,
    born_in_sum,
    came_in,
    means_it,
    odd_loss,
    odd_update,
)
from minidl.autograd.observing import Observer, always, settle
from minidl.autograd.running import layers_now
from minidl.autograd.variable import Source, Variable, extras_of, writes_of
from minidl.types import ArrayOrTensor


class Anomaly(Observer):
    """The observer of anomaly mode."""

    def after_forward(self, op: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """Remember the user's lines, and guard the saved inputs against writes by any way.

        Raises:
            GraphError: the op has made NaN or infinity of finite numbers.
        """
        layers, odd = layers_now(), None
        if not all_finite(result):
            if all(map(all_finite, inputs)) and not means_it(op) and not _inside_a_backward():
                raise born_in_forward(op, inputs, result, layers)
            odd = came_in(inputs)
        if result._op is not op:
            return
        extras = extras_of(op)
        extras.where, extras.layers, extras.odd = users_lines(), layers, odd
        if not op.saves_inputs or op.inputs is None:
            return
        watched = [Variable.wrap(x) if backend.is_array(x) else x for x in op.inputs]  # raw constants too
        op.inputs = tuple(watched)
        for x in [*inputs, *watched]:
            if isinstance(x, Variable):
                writes_of(x).guard(x._data)

    def before_walk(self, output: Variable, gradient: Any) -> None:
        """Raise a GraphError if the loss is no number."""
        if output._data.size == 1 and not all_finite(output):
            raise odd_loss(output)
        _expected.set(frozenset() if all_finite(gradient) else frozenset({id(output._op)}))

    def before_backward(self, node: Any, grad_out: ArrayOrTensor) -> None:
        """Raise a GraphError where finite gradients have added up to infinity."""
        if not all_finite(grad_out) and id(node) not in _expected.get():
            raise born_in_sum(node, grad_out)

    def after_backward(self, node: Any, grad_out: ArrayOrTensor, input_grads: tuple[Any, ...]) -> None:
        """Raise a GraphError where a finite gradient has become NaN or infinity."""
        odd = [i for i, grad in enumerate(input_grads) if node.needs(i) and not all_finite(grad)]
        if odd and all_finite(grad_out):
            raise born_in_backward(node, odd[0], grad_out, input_grads[odd[0]])
        if odd:
            _expected.set(_expected.get() | {id(node.inputs[i]) for i in odd if isinstance(node.inputs[i], Source)})


# The ids of the nodes that are known to be sent a gradient with NaN or infinity in the running walk.
_expected: ContextVar[frozenset[int]] = ContextVar("minidl_expected_odd", default=frozenset())
always[ANOMALY] = Anomaly()


def _inside_a_backward() -> bool:
    """Whether an op's `backward` is running: infinity on its way to a gradient may be masked there.

    What the gradient itself becomes is looked at afterwards.
    """
    walks = {vars(walk)["run"].__func__.__code__ for walk in (Walk, *Walk.versions)}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_back is not None:
        if frame.f_back.f_code in walks and frame.f_code.co_name == "backward":
            return True
        frame = frame.f_back
    return False


# ---- the optimizers' steps

_finite: ContextVar[frozenset[str]] = ContextVar("minidl_finite_before_step", default=frozenset())


def _look_before(optimizer: Any) -> None:
    """Remember which parameters are finite."""
    if mode.get() & ANOMALY:
        _finite.set(frozenset(name for name, p in optimizer._parameters() if all_finite(p)))


def _look_after(optimizer: Any) -> None:
    """Raise a GraphError if one of them no longer is."""
    if mode.get() & ANOMALY:
        for name, p in optimizer._parameters():
            if name in _finite.get() and not all_finite(p):
                raise odd_update(optimizer, name, p)


_handles: list[tuple[RemovableHandle, RemovableHandle]] = []  # one pair for each block that is entered, in any thread


class detect_anomaly(ModeChange):  # noqa: N801
    """Look for mistakes inside the block, at a price in speed: stop where the first NaN or infinity is born.

    An op that makes NaN or infinity of finite numbers raises a GraphError, which names op, layer, shapes, the place,
    the numbers there and your line; so does a backward that makes it of a finite gradient, a sum of gradients that
    overflows, an optimizer's step that makes a weight NaN or infinite, and `backward()` on a loss that is no number
    (it then came in with an input). What was asked for is none: ops are left alone whose option is infinite, such as a
    mask filled with -inf, or one of whose inputs is.

    Each op remembers the lines of your program that called it, and errors quote them; and each array an op saves is
    copied, so that a write to it by any way (also through a raw array taken before the forward) is found.
    """

    _set = ANOMALY | OBSERVED

    def __enter__(self) -> None:
        super().__enter__()
        _handles.append((RemovableHandle(before_step, _look_before), RemovableHandle(after_step, _look_after)))

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        settle()
        for handle in _handles.pop():
            handle.remove()
