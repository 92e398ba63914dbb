"""The backward walk: from a loss back over the recorded nodes, applying the chain rule at each.

The walk visits the nodes in reverse order of creation, which is always an order in which every node is met after all of
its consumers: when a node is reached, the gradients of all of them have been added up. It runs each op's `backward` on
raw arrays, or on Tensors if the gradients themselves shall be differentiable (`create_graph=True`): the same lines of
`backward` serve both. There is no recursion, so depth is limited by memory alone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.diagnosis import (
    explain_backward,
    not_finite,
    overwritten,
    wrong_gradient,
    wrong_number_of_gradients,
)
from minidl.autograd.function import SAVES, Extras, Function, Source, Variable, end_graph
from minidl.autograd.modes import ANOMALY, RECORD, mode
from minidl.autograd.versions import Versioned, chosen
from minidl.autograd.writes import activity
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError, describe
from minidl.types import ArrayOrTensor

by_creation = attrgetter("order")  # a leaf's is 0
_accumulation_lock = threading.Lock()  # two threads may add to the .grad of one shared weight

FREED = (
    "this part of the graph was already walked and freed. A second backward needs the first to keep it: "
    "loss.backward(retain_graph=True). In a training loop it usually means that a tensor of an earlier step is used "
    "again: detach() it"
)


class Walk(Versioned):
    """The walk itself; `minidl/fast/walk.py` has the version that usually runs, with the same results bit for bit."""

    @staticmethod
    def run(
        grads: dict[Source, ArrayOrTensor], retain_graph: bool, create_graph: bool, way: Way | None = None
    ) -> dict[Any, ArrayOrTensor]:
        """Apply each op's `backward` once, to the sum of the gradients that have reached it.

        Args:
            grads: the outputs, as nodes or leaf Tensors, each with its gradient; it is used up.
            retain_graph: keep the nodes for another walk; they are freed one by one otherwise.
            create_graph: the gradients are Tensors, and what is done with them is recorded.
            way: None to visit everything; else only what leads to some targets.

        Returns:
            The gradients of the leaves.

        Raises:
            GraphError: the graph was freed, or a saved array was overwritten since the forward.
        """
        # An infinite slope, as of sqrt at 0, is a result and no reason for a warning.
        before, loud = mode.set(mode.get() & ~RECORD | RECORD * create_graph), set_errors(SILENT)
        try:
            while (node := max(grads, key=by_creation)).order:  # the newest op, until only leaves are left
                grad_out = grads.pop(node)
                if node._extras is not None or way is not None or node.foreign or grad_out.dtype is not node._dtype:
                    grad_out = complete(node, grad_out, way is None)
                    if way is not None and not way.enters(node, grad_out):
                        continue
                if node.inputs is None or (node.traits & SAVES and node._graph.seen != activity.count):
                    check_saved(node)
                saved = recalled(node, create_graph) if node.traits & SAVES else ()
                found = node.plain.backward(node, grad_out, *saved)
                input_grads = found if type(found) is tuple else (found,)
                if len(input_grads) != len(node.inputs) or node.foreign or mode.get() & ANOMALY:
                    input_grads = checked(node, grad_out, input_grads)
                for i, source in enumerate(node.inputs):
                    if node.needed >> i & 1 and input_grads[i] is not None and (way is None or source in way.sources):
                        grads[source] = grads[source] + input_grads[i] if source in grads else input_grads[i]
                if not retain_graph:
                    node.inputs = node._graph = None
            return {leaf: grad.copy() for leaf, grad in grads.items()}  # of memory that nobody else has
        except Exception as error:
            explain_backward(node, grad_out, error)
            raise
        finally:
            mode.reset(before)
            reset_errors(loud)


def seed_gradient(output: Variable, gradient: Any, create_graph: bool) -> ArrayOrTensor:
    """The gradient a walk starts with: `gradient` checked against `output`, or 1 for a single number.

    Raises:
        GraphError: `output` has no history, or several elements and no gradient.
        ShapeError, DeviceError: `gradient` does not fit.
    """
    if gradient is None and output._requires_grad and output._writes is None and output._data.size == 1:  # as of a loss
        gradient = output._data.copy()
        gradient.fill(1)
        return output.wrap(gradient) if create_graph else gradient
    data = output.shown()
    if not output._requires_grad:
        raise GraphError(
            f"{describe(output)} does not require a gradient: it was computed under no_grad, from integers, or "
            f"only from tensors without requires_grad=True"
        )
    if gradient is None:
        if data.size != 1:
            raise GraphError(
                f"backward of {describe(output)}: only a single number has a gradient by itself. Reduce it first, for "
                f"example with .mean() or .sum(), or pass the gradient of your loss with respect to it"
            )
        gradient = backend.module_of(data).ones_like(data)
        return output.wrap(gradient)
    if isinstance(gradient, Variable) and not create_graph:
        gradient = gradient._data
    elif not isinstance(gradient, Variable) and not backend.is_array(gradient):
        gradient = backend.to_device(backend.asarray(gradient), backend.device_of(data))
    array = gradient._data if isinstance(gradient, Variable) else gradient
    if array.shape != data.shape:
        raise ShapeError(f"the gradient must have the shape of {describe(output)}; got shape {tuple(array.shape)}")
    if backend.device_of(array) != backend.device_of(data):
        raise DeviceError(f"the gradient must be on the device of {describe(output)}; got {describe(gradient)}")
    if array.dtype != data.dtype:
        gradient = gradient.astype(data.dtype)
    return output.wrap(gradient) if create_graph and not isinstance(gradient, Variable) else gradient


def gradients(
    outputs: Sequence[Variable],
    grad_outputs: Sequence[ArrayOrTensor],
    targets: Sequence[Variable],
    retain_graph: bool,
    create_graph: bool,
) -> list[Any]:
    """The gradients of `outputs` by `targets`, as Tensors; None for one that they do not depend on. For `md.grad`."""
    for x in targets:
        x.shown()
    way = Way(outputs, targets)
    grads: dict[Source, ArrayOrTensor] = {}
    for output, grad in zip(outputs, grad_outputs, strict=True):
        source = output._op or output
        if source in way.sources:
            grads[source] = grads[source] + grad if source in grads else grad
    if grads:
        grads = chosen(Walk).run(grads, retain_graph, create_graph, way)
    end_graph()
    handed_out = _ids(grad_outputs)
    for x in way.leaves:
        if x in grads:
            grads[x] = _of_leaf(x, grads[x], handed_out, retain=False)
    found = [grads.get(x) if x._op is None else way.caught[x._op] for x in targets]
    return [
        None if grad is None else _own(_fitted(x, grad), x, handed_out) for x, grad in zip(targets, found, strict=True)
    ]


class Way:
    """The nodes that lead from some outputs to some targets: of a graph these alone have to be walked.

    Attributes:
        sources: them, and the targets themselves, as nodes or leaf Tensors.
        leaves: the targets that are leaves.
        caught: for each target that is a node its gradient, once it is complete.
    """

    def __init__(self, outputs: Sequence[Variable], targets: Sequence[Variable]) -> None:
        self.leaves = [x for x in dict.fromkeys(targets) if x._op is None]
        self.caught: dict[Function, Any] = {x._op: None for x in targets if x._op is not None}
        self.walked: set[Source] = set()
        reached = set(self.leaves) | set(self.caught)
        for node in self._reachable(outputs):  # inputs before their consumers
            if any(x in reached for x in node.inputs or () if isinstance(x, Source)):
                self.walked.add(node)
                reached.add(node)
        self.sources: set[Source] = reached

    def _reachable(self, outputs: Sequence[Variable]) -> list[Function]:
        found: set[Function] = set()
        stack = [x._op for x in outputs if x._op is not None]
        while stack:
            node = stack.pop()
            if node in found:
                continue
            found.add(node)
            if node.inputs is not None:
                stack.extend(x for x in node.inputs if isinstance(x, Function))
            elif node not in self.caught:
                raise GraphError(f"{type(node).__name__}: {FREED}")
        return sorted(found, key=by_creation)

    def enters(self, node: Function, grad_out: ArrayOrTensor) -> bool:
        """Whether the walk goes on at `node`; if it is a target, note its gradient."""
        if node in self.caught:
            self.caught[node] = grad_out
        return node in self.walked


# ---- at a node


def check_saved(node: Function) -> None:
    """Raise if the node was freed, or if what its backward reads was overwritten since the forward."""
    if node.inputs is None:
        raise GraphError(f"{type(node).__name__}: {FREED}")
    counts = node.saved_writes()
    if counts != node._saved_writes:
        raise overwritten(node, counts)


def recalled(node: Function, create_graph: bool) -> list[Any]:
    """What the node's class has declared that its `backward` is handed: raw arrays, or Tensors with their history."""
    if create_graph or node.foreign:
        return [_as_tensor(x) if create_graph else backend.read_only(_raw(x)) for x in node.saved()]
    return [x._data if isinstance(x, Source) else x for x in node.saved()]


def _raw(x: Any) -> Any:
    return x._data if isinstance(x, Source) else x


def _as_tensor(source: Any) -> Any:
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
    return backend.read_only(grad) if node.foreign else grad


def run_extras(extras: Extras, grad: ArrayOrTensor, retain: bool) -> ArrayOrTensor:
    """Show a passing gradient to the hooks, which may replace it, and to the tensor that retains it.

    Hooks see a copy, which then is the gradient: what a hook writes into it or keeps of it is nobody else's memory.
    """
    if extras.hooks:
        seen = grad.copy() if isinstance(grad, Variable) else Variable.wrap(backend.asarray(grad.copy()))
        for hook in list(extras.hooks.values()):
            replacement = hook(seen)
            if replacement is not None:
                seen = _replacing(replacement, seen)
        grad = seen.copy() if isinstance(grad, Variable) else seen._data.copy()
    retained = extras.retained() if retain and extras.retained is not None else None
    if retained is not None:
        accumulate(retained, _fitted(retained, grad).copy())
    return grad


def _replacing(replacement: Any, grad: Variable) -> Variable:
    """What a hook returned, if it can stand for `grad`."""
    if not isinstance(replacement, Variable):
        raise DTypeError(
            f"a hook must return the gradient to use instead as a Tensor, or None; got {describe(replacement)}"
        )
    if replacement._data.shape != grad._data.shape:
        raise ShapeError(f"a hook must return a gradient of shape {grad._data.shape}; got {describe(replacement)}")
    if type(replacement._data) is not type(grad._data):
        raise DeviceError(f"a hook must return a gradient on the device it is on; got {describe(replacement)}")
    if replacement._data.dtype == grad._data.dtype:
        return replacement
    fitted: Variable = replacement.astype(grad._data.dtype)
    return fitted


def checked(node: Function, grad_out: ArrayOrTensor, input_grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients that `backward` returned, if there is one for each input; those of your own op copied.

    Raises:
        GraphError: there are more or fewer; your op's is no array of the input's shape; in anomaly mode: a finite
            gradient has become NaN or infinity.
    """
    inputs = node.inputs or ()
    if len(input_grads) != len(inputs):
        raise wrong_number_of_gradients(node, input_grads)
    if node.foreign:
        input_grads = tuple([_checked_one(node, i, grad) for i, grad in enumerate(input_grads)])
    if mode.get() & ANOMALY and _all_finite(grad_out):
        for i, grad in enumerate(input_grads):
            if grad is not None and node.needs(i) and not _all_finite(grad):
                raise not_finite(node, i)
    return input_grads


def _checked_one(node: Function, i: int, grad: Any) -> Any:
    """A copy of the gradient that your op's `backward` returned for input i."""
    if grad is None or not node.needs(i):
        return None
    if isinstance(grad, (int, float, np.generic)) and not isinstance(grad, bool):
        grad = backend.asarray(grad)
    array = grad._data if isinstance(grad, Variable) else grad
    if not backend.is_array(array) or array.shape != node._shapes[i] or array.dtype.kind not in "fiu":
        raise wrong_gradient(node, i, grad, node._shapes[i])
    return grad.copy()


def _all_finite(grad: ArrayOrTensor) -> bool:
    array = grad._data if isinstance(grad, Variable) else grad
    return bool(backend.module_of(array).isfinite(array).all())


# ---- at the leaves


def deliver(grads: dict[Any, ArrayOrTensor], seed: ArrayOrTensor) -> None:
    """The end of a walk: the leaves' gradients go to their hooks, and are added to their `.grad`."""
    end_graph()
    handed_out = _ids([seed])
    for leaf, grad in grads.items():
        grads[leaf] = _of_leaf(leaf, grad, handed_out, retain=True)
    for leaf, grad in grads.items():
        if leaf._requires_grad:
            accumulate(leaf, _own(grad, leaf, handed_out))


def _of_leaf(leaf: Variable, grad: ArrayOrTensor, handed_out: set[int], retain: bool) -> ArrayOrTensor:
    """A leaf's gradient in its dtype, seen by its hooks."""
    data = leaf._data
    if type(grad) is not np.ndarray or grad.shape != data.shape or grad.dtype is not data.dtype:
        grad = _fitted(leaf, grad)
    return grad if leaf._extras is None else run_extras(leaf._extras, grad, retain)


def accumulate(x: Variable, grad: ArrayOrTensor) -> None:
    """x.grad += grad, of which nobody else has the memory."""
    x.shown()
    with _accumulation_lock:
        if x._grad is None:
            x._grad = grad if isinstance(grad, Variable) else x.wrap(grad)
        else:
            total = (x._grad if isinstance(grad, Variable) else x._grad._data) + grad
            x._grad = total if isinstance(total, Variable) else x.wrap(backend.asarray(total))


def _own(grad: ArrayOrTensor, x: Variable, handed_out: set[int]) -> Variable:
    """`grad` as a Tensor whose memory nobody else was given; copied only where it may be shared.

    A gradient may be shared because an op passes one array on to two inputs (Add), hands back a view (Reshape), or
    returns what the user gave it.
    """
    array = grad._data if isinstance(grad, Variable) else grad
    if array.base is not None or array is x._data or id(array) in handed_out:
        grad = grad.copy()
        array = grad._data if isinstance(grad, Variable) else grad
    handed_out.add(id(array))
    return grad if isinstance(grad, Variable) else x.wrap(array)


def _fitted(x: Variable, grad: ArrayOrTensor) -> ArrayOrTensor:
    """`grad` in the dtype of x (they differ where float32 met float64); its shape must be x's."""
    if not isinstance(grad, Variable):
        grad = backend.asarray(grad)
    if grad.shape != x._data.shape:
        raise ShapeError(f"a backward returned a gradient of shape {tuple(grad.shape)} for {describe(x)}")
    return grad if grad.dtype == x._data.dtype else grad.astype(x._data.dtype)


def _ids(grads: Sequence[ArrayOrTensor]) -> set[int]:
    return {id(grad._data if isinstance(grad, Variable) else grad) for grad in grads}
