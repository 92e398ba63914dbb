"""The backward walk: from a loss back over the recorded nodes, applying the chain rule at each.

`run_backward` visits the nodes in reverse order of creation, which is always an order in which every node is met
after all of its consumers: when a node is reached, the gradients of all of them have been added up. It runs each op's
`backward` on raw arrays, or on Tensors if the gradients themselves shall be differentiable (`create_graph=True`): the
same lines of `backward` serve both. There is no recursion, so depth is limited by memory alone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.diagnosis import explain_backward, not_finite, overwritten, wrong_number_of_gradients
from minidl.autograd.function import FOREIGN, SAVES_INPUTS, Extras, Function, Source, Variable
from minidl.autograd.modes import ANOMALY, PLAIN, RECORD, mode
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError, describe

_accumulation_lock = threading.Lock()  # two threads may add to the .grad of one shared weight

FREED = (
    "this part of the graph was already walked and freed. A second backward needs the first to keep it: "
    "loss.backward(retain_graph=True). In a training loop it usually means that a tensor of an earlier step is used "
    "again: detach() it"
)


def seed_gradient(output: Variable, gradient: Any, create_graph: bool) -> Any:
    """The gradient a walk starts with: `gradient` checked against `output`, or 1 for a single number.

    Raises:
        GraphError: `output` has no history, or several elements and no gradient.
        ShapeError, DeviceError: `gradient` does not fit.
    """
    data = output._data
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
    elif isinstance(gradient, Variable) and not create_graph:
        gradient = gradient._data
    elif not isinstance(gradient, Variable) and not backend.is_array(gradient):
        gradient = backend.to_device(backend.asarray(gradient), backend.device_of(data))
    array = gradient._data if isinstance(gradient, Variable) else gradient
    if array.shape != data.shape:
        raise ShapeError(f"the gradient must have the shape of {describe(output)}; got shape {tuple(array.shape)}")
    if backend.device_of(array) != backend.device_of(data):
        raise DeviceError(f"the gradient must be on the device of {describe(output)}; got {describe(gradient)}")
    if array.dtype != data.dtype:
        gradient = (gradient if isinstance(gradient, Variable) else array).astype(data.dtype)
    elif not isinstance(gradient, Variable):
        gradient = array
    return output.wrap(gradient) if create_graph and not isinstance(gradient, Variable) else gradient


def run_backward(
    outputs: Sequence[Variable],
    grad_outputs: Sequence[Any],
    retain_graph: bool,
    create_graph: bool,
    targets: Sequence[Variable] | None = None,
) -> list[Any]:
    """Walk the graph from `outputs`, in reverse order of creation, and apply each op's `backward` once.

    Args:
        outputs: where to start.
        grad_outputs: the gradient at each output: raw arrays, or Tensors with `create_graph`.
        retain_graph: keep the nodes for another walk; they are freed one by one otherwise.
        create_graph: compute with Tensors, so that the gradients have a history of their own.
        targets: None to add the gradients to every leaf's `.grad`; else only these Tensors' gradients are computed
            and returned (None for a Tensor the outputs do not depend on), and no `.grad` is touched.

    Raises:
        GraphError: the graph was freed, or a saved array was overwritten since the forward.
    """
    for x in (*outputs, *(targets or ())):
        refuse_stale(x)
    like = outputs[0]  # of the class that wraps arrays as Tensors
    handed_out = {id(grad._data if isinstance(grad, Variable) else grad) for grad in grad_outputs}
    caught = {x._op.order: None for x in targets or () if x._op is not None}  # gradients of targets that are no leaves
    wanted = None if targets is None else _nodes_towards(outputs, targets)

    grads: dict[int, Any] = {}  # what has reached the nodes that were met and not yet visited, by order of creation
    nodes: dict[int, Function] = {}
    heap: list[int] = []  # their orders, negated: the newest comes first
    leaf_grads: dict[int, Any] = {}  # what has reached the leaves, by id
    leaves: dict[int, Variable] = {}

    # The outputs are met as if they were the inputs of a node. Whatever is asked at every node and gradient below is
    # written out instead of called: it is a few operations of Python's, and a call takes as long as ten of them.
    inputs: Any = tuple([x if x._op is None else x._op for x in outputs])
    input_grads: Any = tuple(grad_outputs)
    needed = -1  # every bit
    saved: list[Any] = []
    previous = mode.get()
    mode.set((previous & (ANOMALY | PLAIN)) + (RECORD if create_graph else 0))
    loud = backend.ERROR_STATE.set(backend.SILENT)  # an infinite slope, as of sqrt at 0, is a result
    try:
        while True:
            i = 0
            for source in inputs:  # where several paths meet (a diamond, x * x), gradients add up
                grad = input_grads[i]
                if grad is None:
                    pass
                elif isinstance(source, Function):
                    order = source.order
                    if order in grads:
                        grads[order] = grads[order] + grad
                    elif wanted is None or order in wanted or order in caught:
                        grads[order] = grad
                        nodes[order] = source
                        heappush(heap, -order)
                elif needed >> i & 1:
                    key = id(source)
                    if key in leaf_grads:
                        leaf_grads[key] = leaf_grads[key] + grad
                    else:
                        for array in saved:
                            if array is grad:  # as where dz/dx = x: .grad must not be an array that others hold
                                grad = grad.copy()
                        leaf_grads[key] = grad
                        leaves[key] = source
                i += 1  # noqa: SIM113 - enumerate takes longer
            if not heap:
                return _deliver(leaves, leaf_grads, targets, caught, handed_out)

            order = -heappop(heap)
            node, grad_out = nodes.pop(order), grads.pop(order)
            if grad_out.dtype is not node._dtype:  # where float32 met float64: a gradient has the dtype of its tensor
                grad_out = grad_out.astype(node._dtype)
            if node._extras is not None:
                grad_out = _run_extras(node._extras, grad_out, like, handed_out, targets is None)
            if wanted is not None:
                if order in caught:
                    caught[order] = grad_out
                if order not in wanted:
                    inputs = ()
                    continue

            if create_graph or previous & PLAIN:
                node.__class__ = node.plain  # whose lines serve Tensors too
            inputs, needed, traits = node.inputs, node.needed, node.traits
            if inputs is None:
                raise GraphError(f"{type(node).__name__}: {FREED}")
            saved = []
            if traits:
                version = 0
                for x in inputs if traits == SAVES_INPUTS else node.saved():
                    if isinstance(x, Source):
                        seen = x._writes
                        if seen is not None:
                            version += seen.count if seen._guards is None else seen.settled()
                        saved.append(_as_tensor(x, like) if create_graph else x._data)
                    else:
                        saved.append(x)  # a number or a plain array
                if saved and version != node._saved_writes:
                    raise overwritten(node)
            try:
                if not saved:
                    input_grads = node.backward(grad_out)
                elif len(saved) == 2:
                    input_grads = node.backward(grad_out, saved[0], saved[1])
                else:
                    input_grads = node.backward(grad_out, *saved)
            except Exception as error:
                explain_backward(node, grad_out, error)
                raise
            if not isinstance(input_grads, tuple):
                input_grads = (input_grads,)
            if len(input_grads) != len(inputs):
                raise wrong_number_of_gradients(node, len(input_grads))
            if previous & ANOMALY:
                _check_finite(node, grad_out, input_grads)
            if traits >= FOREIGN:
                input_grads = tuple([grad.copy() if hasattr(grad, "copy") else grad for grad in input_grads])
            if not retain_graph:
                node.inputs = None
    finally:
        backend.ERROR_STATE.reset(loud)
        mode.set(previous)


def _deliver(
    leaves: dict[int, Variable],
    grads: dict[int, Any],
    targets: Sequence[Variable] | None,
    caught: dict[int, Any],
    handed_out: set[int],
) -> list[Any]:
    """The end of the walk: the leaves' gradients go to their hooks, then to `.grad`, or the targets' to the caller."""
    if targets is not None:
        leaves = {id(x): x for x in targets if id(x) in leaves}  # the others' gradients may be incomplete
    for key, leaf in leaves.items():
        grad, data = grads[key], leaf._data
        if type(grad) is not np.ndarray or grad.shape != data.shape or grad.dtype is not data.dtype:
            grads[key] = _fit_to(leaf, grad)
        if leaf._extras is not None:
            grads[key] = _run_extras(leaf._extras, grads[key], leaf, handed_out, targets is None)
    if targets is None:
        for key, leaf in leaves.items():
            if leaf._requires_grad:
                accumulate(leaf, grads[key], handed_out)
        return []
    found = [grads.get(id(x)) if x._op is None else caught[x._op.order] for x in targets]
    return [
        None if grad is None else _own(_fit_to(x, grad), x, handed_out) for x, grad in zip(targets, found, strict=True)
    ]


def refuse_stale(x: Variable) -> None:
    """Raise if x no longer shows a write that was made, with history, through another view of its memory."""
    if x._writes is not None and x._writes.stale is not None:
        raise GraphError(f"{describe(x)}: {x._writes.stale}")


def accumulate(x: Variable, grad: Any, handed_out: set[int]) -> None:
    """x.grad += grad, into memory that no other `.grad` uses."""
    if x._writes is not None and x._writes.stale is not None:
        refuse_stale(x)
    with _accumulation_lock:
        if x._grad is None:
            x._grad = _own(grad, x, handed_out)
        else:
            total = (x._grad if isinstance(grad, Variable) else x._grad._data) + grad
            x._grad = total if isinstance(total, Variable) else x.wrap(backend.asarray(total))


def _own(grad: Any, x: Variable, handed_out: set[int]) -> Variable:
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


def _fit_to(x: Variable, grad: Any) -> Any:
    """`grad` in the dtype of x (they differ where float32 met float64); its shape must be x's."""
    if not isinstance(grad, Variable):
        grad = backend.asarray(grad)
    if grad.shape != x._data.shape:
        raise ShapeError(f"a backward returned a gradient of shape {tuple(grad.shape)} for {describe(x)}")
    return grad if grad.dtype == x._data.dtype else grad.astype(x._data.dtype)


def _as_tensor(source: Variable | Function, like: Variable) -> Any:
    """What a node saved, as a Tensor with its history, for a backward that is itself recorded."""
    if isinstance(source, Variable):
        return source
    tensor = like.wrap(source._data)
    tensor._op, tensor._requires_grad = source, True
    tensor._writes = None if source._writes is None else source._writes.as_saved()
    return tensor


def _run_extras(extras: Extras, grad: Any, like: Variable, handed_out: set[int], retain: bool) -> Any:
    """Show a passing gradient to the hooks, which may replace it, and to the tensor that retains it.

    Hooks see a copy, which then is the gradient: what a hook writes into it or keeps of it is nobody else's memory.
    """
    if extras.hooks:
        seen = grad.copy() if isinstance(grad, Variable) else like.wrap(backend.asarray(grad.copy()))
        for hook in list(extras.hooks.values()):
            replacement = hook(seen)
            if replacement is not None:
                seen = _checked(replacement, seen)
        handed_out.add(id(seen._data))
        grad = seen if isinstance(grad, Variable) else seen._data
    retained = extras.retained() if retain and extras.retained is not None else None
    if retained is not None:
        accumulate(retained, _fit_to(retained, grad), handed_out)
    return grad


def _checked(replacement: Any, grad: Variable) -> Variable:
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


def _nodes_towards(outputs: Sequence[Variable], targets: Sequence[Variable]) -> set[int]:
    """The orders of the nodes through which some target is reached: only these have to be walked."""
    leaf_targets = {id(x) for x in targets if x._op is None}
    inner_targets = {x._op.order for x in targets if x._op is not None}
    reachable: dict[int, Function] = {}
    stack = [x._op for x in outputs if x._op is not None]
    while stack:
        node = stack.pop()
        if node.order in reachable:
            continue
        reachable[node.order] = node
        if node.inputs is not None:
            stack.extend(x for x in node.inputs if isinstance(x, Function))
        elif node.order not in inner_targets:
            raise GraphError(f"{type(node).__name__}: {FREED}")
    wanted: set[int] = set()
    for order in sorted(reachable):  # inputs before their consumers
        for x in reachable[order].inputs or ():
            key = x.order if isinstance(x, Function) else None
            if key in wanted or key in inner_targets or id(x) in leaf_targets:
                wanted.add(order)
    return wanted


def _check_finite(node: Function, grad_out: Any, input_grads: tuple[Any, ...]) -> None:
    """Anomaly mode: a backward must not turn finite numbers into NaN or infinity."""
    if not _all_finite(grad_out):
        return
    for i, grad in enumerate(input_grads):
        if grad is not None and node.needs(i) and not _all_finite(grad):
            raise not_finite(node, i)


def _all_finite(grad: Any) -> bool:
    array = grad._data if isinstance(grad, Variable) else grad
    return bool(backend.module_of(array).isfinite(array).all())
