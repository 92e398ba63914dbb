"""What `md.detect_anomaly` does: it remembers lines, guards what is saved, and names where a NaN is born."""

from __future__ import annotations

from typing import Any

from minidl import backend
from minidl.autograd.diagnosis import not_finite, users_lines
from minidl.autograd.modes import ANOMALY, OBSERVED, ModeChange
from minidl.autograd.observing import Observer, always
from minidl.autograd.variable import Variable, extras_of, writes_of
from minidl.types import ArrayOrTensor


class Anomaly(Observer):
    """The observer of anomaly mode."""

    def after_forward(self, op: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """Remember the user's lines, and guard the saved inputs against writes by any way."""
        if result._op is not op:
            return
        extras_of(op).where = users_lines()
        if not op.saves_inputs or op.inputs is None:
            return
        watched = [Variable.wrap(x) if backend.is_array(x) else x for x in op.inputs]  # raw constants too
        op.inputs = tuple(watched)
        for x in [*inputs, *watched]:
            if isinstance(x, Variable):
                writes_of(x).guard(x._data)

    def after_backward(self, node: Any, grad_out: ArrayOrTensor, input_grads: tuple[Any, ...]) -> None:
        """Raise a GraphError where a finite gradient has become NaN or infinity."""
        if _all_finite(grad_out):
            for i, grad in enumerate(input_grads):
                if grad is not None and node.needs(i) and not _all_finite(grad):
                    raise not_finite(node, i)


def _all_finite(grad: ArrayOrTensor) -> bool:
    array = grad._data if isinstance(grad, Variable) else grad
    return bool(backend.module_of(array).isfinite(array).all())


always[ANOMALY] = Anomaly()


class detect_anomaly(ModeChange):  # noqa: N801
    """Look for mistakes inside the block, at a price in speed.

    Each op remembers the lines of your program that called it, and errors quote them; each array an op saves is
    copied, so that a write to it by any way (also through a raw array taken before the forward) is found; and a
    backward that produces a NaN is named.
    """

    _set = ANOMALY | OBSERVED
