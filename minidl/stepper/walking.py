"""walk: the backward of a loss, one op at a time, each shown as a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.backward import Walk, check_saved, complete, recalled, seed_gradient
from minidl.autograd.hooks import after_backward
from minidl.autograd.modes import OBSERVED, RECORD, mode
from minidl.autograd.passing import checked
from minidl.autograd.variable import Variable
from minidl.autograd.way import by_creation
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.checks import yes_or_no
from minidl.errors import DTypeError, describe, printable
from minidl.stepper.kept import Kept, keep
from minidl.tensors.tensor import Tensor

_SHOWN = 6  # numbers of an array that a line shows


class Step:
    """One op's backward: the gradient that came in, and what went out to each input.

    Attributes:
        op: the op's class, "Mul".
        inputs: for each input what it is called: a leaf's name, or the op that made it.
        gradient: dL/d(output).
        gradients: for each input what the backward sent to it; None where none was wanted.
    """

    def __init__(self, node: Any, grad_out: Any, sent: tuple[Any, ...]) -> None:
        self.op = node.plain.__name__
        self.inputs = tuple([_called(source) for source in node.inputs or sent])
        self.gradient = keep(grad_out)
        self.gradients = tuple([None if grad is None else keep(grad) for grad in sent])

    def __repr__(self) -> str:
        sent = [
            f"{name} {_numbers(grad)}"
            for name, grad in zip(self.inputs, self.gradients, strict=True)
            if grad is not None
        ]
        return f"{self.op}({', '.join(self.inputs)}): {_numbers(self.gradient)} -> {', '.join(sent) or 'nothing'}"


def walk(loss: Tensor, retain_graph: bool = False) -> Iterator[Step]:
    """`loss.backward()`, op by op: a loop over it sees each op's backward, the last op of the forward first.

        for step in md.walk(loss):
            print(step)                # Mul(w, x): 1 -> w [2 3], x [0.5 1]

    When the loop has come to its end, the `.grad`s are filled as by `loss.backward()`; one that is left earlier fills
    none. A 1 that comes in is dL/dL.

    Args:
        loss: a Tensor with a single element and a history.
        retain_graph: keep the graph for another backward.

    Raises:
        GraphError: the loss has no history, or several elements, or its graph was freed.
        DTypeError: it is no Tensor.
    """
    if not isinstance(loss, Tensor):
        raise DTypeError(f"md.walk: expected a loss, a Tensor; got {describe(loss)}")
    return walked(loss, yes_or_no(retain_graph, "walk: retain_graph"))


def walked(loss: Tensor, retain_graph: bool) -> Iterator[Step]:
    """The steps of `walk`. As in `Walk.run`, which says more, the newest op whose gradient is complete comes next."""
    seed = seed_gradient(loss, None, False)
    grads: dict[Any, Any] = {loss._op or loss: seed}
    while grads and (node := max(grads, key=by_creation)).order:
        before, loud = mode.set(mode.get() & ~RECORD), set_errors(SILENT)
        try:
            step = _one(node, grads, retain_graph)
        finally:
            mode.reset(before)
            reset_errors(loud)
        yield step
    Walk.deliver({leaf: grad.copy() for leaf, grad in grads.items()}, seed)
    for hook in list(after_backward.values()):
        hook(loss)


def _one(node: Any, grads: dict[Any, Any], retain_graph: bool) -> Step:
    """The backward of one op: takes its gradient out of `grads`, and adds to those of its inputs."""
    grad_out = complete(node, grads.pop(node), True)
    check_saved(node)
    found = node.plain.backward(
        node, grad_out, *(recalled(node, False) if node.saves_inputs or node.saves_output else ())
    )
    sent = found if type(found) is tuple else (found,)
    if len(sent) != len(node.inputs) or node.foreign or mode.get() & OBSERVED:
        sent = checked(node, grad_out, sent)
    sent = tuple([grad if node.needs(i) else None for i, grad in enumerate(sent)])
    for source, grad in zip(node.inputs, sent, strict=True):
        if grad is not None:
            grads[source] = grads[source] + grad if source in grads else grad
    step = Step(node, grad_out, sent)
    if not retain_graph:
        node.inputs = node._stretch = None
    return step


def _called(source: Any) -> str:
    """What a line calls an input: by its name, or by the op that made it, or by the number that it is."""
    if isinstance(source, Variable):
        return printable(getattr(source, "name", None) or "leaf")
    if hasattr(source, "plain"):
        name = source._extras.name if source._extras is not None else None
        return printable(name or source.plain.__name__.lower())
    if source is None:
        return "data"
    array = source if backend.is_array(source) else np.asarray(source)
    return f"{float(array):g}" if array.ndim == 0 else "data"


def _numbers(kept: Kept) -> str:
    """An array in a line: its numbers if they are few, else its shape and norm."""
    if kept.size > _SHOWN:
        return f"{kept.shape} of norm {kept.norm:.3g}"
    return np.array2string(kept.values, precision=4, separator=" ").replace("\n", "")
