"""The backward walk: from a loss back over the recorded nodes, applying the chain rule at each.

The walk visits the nodes in reverse order of creation, which is always an order in which every node is met after all of
its consumers: when a node is reached, the gradients of all of them have been added up. It runs each op's `backward` on
raw arrays, or on Tensors if the gradients themselves shall be differentiable (`create_graph=True`): the same lines of
`backward` serve both. There is no recursion, so depth is limited by memory alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.accumulation import accumulate, fitted, ids_of
from minidl.autograd.diagnosis import explain_backward, overwritten
from minidl.autograd.function import Function
from minidl.autograd.modes import OBSERVED, RECORD, mode
from minidl.autograd.observing import tell
from minidl.autograd.passing import checked, run_extras
from minidl.autograd.variable import Source, Variable
from minidl.autograd.versions import Versioned
from minidl.autograd.way import FREED, Way, by_creation
from minidl.autograd.writes import Stretch, activity
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError, describe
from minidl.types import ArrayOrTensor


class Walk(Versioned):
    """The walk itself; `minidl/fast/walk.py` has the version that usually runs, with the same results bit for bit."""

    @staticmethod
    def run(
        grads: dict[Any, ArrayOrTensor], retain_graph: bool | None, create_graph: bool, way: Way | None = None
    ) -> dict[Any, ArrayOrTensor]:
        """Apply each op's `backward` once, to the sum of the gradients that have reached it.

        Args:
            grads: the outputs, as nodes or leaf Tensors, each with its gradient; it is used up.
            retain_graph: keep the nodes for another walk; they are freed one by one otherwise. None: as create_graph.
            create_graph: the gradients are Tensors, and what is done with them is recorded.
            way: None to visit everything; else only what leads to some targets.

        Returns:
            The gradients of the leaves.

        Raises:
            GraphError: the graph was freed, or a saved array was overwritten since the forward.
        """
        # An infinite slope, as of sqrt at 0, is a result and no reason for a warning.
        before, loud = mode.get(), set_errors(SILENT)
        seen = before & OBSERVED
        mode.set((before & ~RECORD) | (RECORD * create_graph))
        try:
            while grads and (node := max(grads, key=by_creation)).order:  # the newest op, until only leaves are left
                grad_out, saves = grads.pop(node), node.saves_inputs or node.saves_output
                if node._extras or way or node.foreign or seen or grad_out.dtype is not node._dtype:
                    grad_out = complete(node, grad_out, way is None)
                    if way is not None and not way.enters(node, grad_out):
                        continue
                if node.inputs is None or (saves and node._stretch.seen != activity.count):
                    check_saved(node)
                saved = recalled(node, create_graph) if saves else ()
                found = node.plain.backward(node, grad_out, *saved)
                input_grads = found if type(found) is tuple else (found,)
                if len(input_grads) != len(node.inputs) or node.foreign or seen:
                    input_grads = checked(node, grad_out, input_grads)
                for i, source in enumerate(node.inputs):
                    if node.needed >> i & 1 and input_grads[i] is not None and (way is None or source in way.sources):
                        grads[source] = grads[source] + input_grads[i] if source in grads else input_grads[i]
                if not (create_graph if retain_graph is None else retain_graph):
                    node.inputs = node._stretch = None
            return {leaf: grad.copy() for leaf, grad in grads.items()}  # no memory shared
        except Exception as error:
            explain_backward(node, grad_out, error)
            raise
        finally:
            mode.set(before | (mode.get() & OBSERVED))  # somebody may have begun to observe, at a debugger's prompt
            reset_errors(loud)

    @staticmethod
    def deliver(grads: dict[Any, ArrayOrTensor], seed: ArrayOrTensor) -> None:
        """The end of a walk: the leaves' gradients go to their hooks, and are added to their `.grad`."""
        Stretch.end()
        handed_out, loud = ids_of([seed]), set_errors(SILENT)
        try:
            for leaf, grad in grads.items():
                data = leaf._data
                fits = grad.shape == data.shape and grad.dtype is data.dtype and not isinstance(grad, np.generic)
                if leaf._extras is not None or not fits:
                    grads[leaf] = at_leaf(leaf, grad, retain=True)
            for leaf, grad in grads.items():
                if leaf._requires_grad:
                    accumulate(leaf, grad, handed_out)
        finally:
            reset_errors(loud)


def seed_gradient(output: Variable, gradient: Any, create_graph: bool) -> ArrayOrTensor:
    """The gradient a walk starts with: `gradient` checked against `output`, or 1 for a single number.

    Raises:
        GraphError: `output` has no history, or several elements and no gradient.
        ShapeError, DeviceError, DTypeError: `gradient` does not fit.
    """
    if mode.get() & OBSERVED:
        tell("before_walk", output, gradient)
    # The usual case, a loss, before all that can be wrong is looked for.
    if gradient is None and output._requires_grad and output._writes is None and output._data.size == 1:
        gradient = backend.module_of(output._data).empty(output._data.shape, dtype=output._data.dtype)
        gradient.fill(1)
        return output.wrap(gradient) if create_graph else gradient
    data = output.shown()
    if not output._requires_grad:
        raise GraphError(
            f"{describe(output)} does not require a gradient: it was computed under no_grad, from integers, "
            f"detached tensors or arrays, or only from tensors without requires_grad=True"
        )
    if gradient is None:
        if data.size != 1:
            raise GraphError(
                f"backward of {describe(output)}: only a single number has a gradient by itself. Reduce it first, for "
                f"example with .mean() or .sum(), or pass the gradient of your loss with respect to it"
            )
        gradient = backend.module_of(data).ones_like(data)
        return output.wrap(gradient) if create_graph else gradient
    if isinstance(gradient, Variable) and not create_graph:
        gradient = gradient._data
    elif not isinstance(gradient, Variable) and not backend.is_array(gradient):
        gradient = backend.asarray(gradient)
        if gradient.dtype.kind in "fiub":  # CuPy has no arrays of anything else
            gradient = backend.to_device(gradient, backend.device_of(data))
    array = gradient._data if isinstance(gradient, Variable) else gradient
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"the gradient must hold real numbers; got {describe(gradient)}")
    if array.shape != data.shape:
        raise ShapeError(f"the gradient must have the shape of {describe(output)}; got shape {tuple(array.shape)}")
    if backend.device_of(array) != backend.device_of(data):
        raise DeviceError(f"the gradient must be on the device of {describe(output)}; got {describe(gradient)}")
    if array.dtype != data.dtype:
        gradient = gradient.astype(data.dtype)
    return output.wrap(gradient) if create_graph and not isinstance(gradient, Variable) else gradient


# ---- at a node


def check_saved(node: Function) -> None:
    """Raise if the node was freed, or if what its backward reads was overwritten since the forward."""
    if node.inputs is None:
        raise GraphError(f"{node.plain.__name__}: {FREED}")
    counts = node.saved_writes()
    if counts != node._saved_writes:
        raise overwritten(node, counts)


def recalled(node: Function, create_graph: bool) -> list[Any]:
    """What the node's class has declared that its `backward` is handed: raw arrays, or Tensors with their history."""
    if create_graph or node.foreign:
        saved = [as_tensor(x) if create_graph else _raw(x) for x in node.saved()]
        return [lent(x) for x in saved] if node.foreign else saved
    return [x._data if isinstance(x, Source) else x for x in (node.saved() if node.saves_output else node.inputs)]


def _raw(x: Any) -> Any:
    return x._data if isinstance(x, Source) else x


def as_tensor(source: Any) -> Any:
    """What a node saved, as a Tensor with its history, for a backward that is itself recorded."""
    if isinstance(source, Variable) or not isinstance(source, Source):
        return source
    tensor = Variable.wrap(source._data)
    tensor._op, tensor._requires_grad = source, True
    tensor._writes = None if source._writes is None else source._writes.as_saved()
    return tensor


def complete(node: Function, grad: ArrayOrTensor, retain: bool) -> ArrayOrTensor:
    """The gradient that has reached a node from all its consumers, in its tensor's dtype, and seen by its hooks."""
    if grad.dtype != node._dtype:  # where float32 met float64
        grad = grad.astype(node._dtype)
    if node._extras is not None:
        grad = run_extras(node._extras, grad, retain)
    if mode.get() & OBSERVED:
        tell("before_backward", node, grad)
    return lent(grad) if node.foreign else grad


def lent(x: Any) -> Any:
    """For code that is not minidl's: an array, or Tensor, through which nothing that others hold can be written to."""
    if not isinstance(x, Variable):
        return backend.read_only(x)
    if x._op is None and x._requires_grad:
        return x  # a leaf: refuses to be written to
    tensor = x.wrap(x._data if x._requires_grad else backend.read_only(x._data))
    tensor._op, tensor._requires_grad, tensor._writes = x._op, x._requires_grad, x._writes
    return tensor


# ---- at the leaves


def at_leaf(leaf: Variable, grad: ArrayOrTensor, retain: bool) -> ArrayOrTensor:
    """A leaf's gradient in its dtype, seen by its hooks."""
    data = leaf._data
    if type(grad) is not np.ndarray or grad.shape != data.shape or grad.dtype is not data.dtype:
        grad = fitted(leaf, grad)
    return grad if leaf._extras is None else run_extras(leaf._extras, grad, retain)
