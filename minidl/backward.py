"""The backward walk: from a loss back over the recorded nodes, applying the chain rule at each.

`run_backward` visits the nodes in reverse order of creation, which is always an order in which every node is met
after all of its consumers: when a node is reached, the gradients of all of them have been added up. It runs each op's
`backward` on raw arrays, or on Tensors if the gradients themselves shall be differentiable (`create_graph=True`): the
same lines of `backward` serve both. There is no recursion, so depth is limited by memory alone.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence
from typing import Any

from minidl import backend
from minidl.autograd import Extras, Function, Variable
from minidl.diagnosis import explain_backward, not_finite, overwritten, wrong_number_of_gradients
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError, describe
from minidl.modes import ANOMALY, RECORD, mode

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


class Arrivals:
    """The gradients on their way: for each node and leaf that was met, the sum of what has reached it so far."""

    __slots__ = ("_heap", "_nodes", "leaf_grads", "leaves", "node_grads")

    def __init__(self) -> None:
        self._nodes: dict[int, Function] = {}  # met and not yet visited, by order of creation
        self._heap: list[int] = []  # the negated orders of `_nodes`: the newest comes first
        self.node_grads: dict[int, Any] = {}  # by order of creation
        self.leaves: dict[int, Variable] = {}  # by id
        self.leaf_grads: dict[int, Any] = {}

    def add(self, source: Function | Variable, grad: Any) -> None:
        """Let `grad` reach a node or a leaf: where several paths meet (a diamond, x * x), gradients add up."""
        if isinstance(source, Function):
            key, grads = source.order, self.node_grads
            if key not in grads:
                self._nodes[key] = source
                heapq.heappush(self._heap, -key)
        else:
            key, grads = id(source), self.leaf_grads
            self.leaves[key] = source
        grads[key] = grads[key] + grad if key in grads else grad

    def take_newest(self) -> tuple[Function, Any] | None:
        """The node created last of those met, with its gradient; None when all were visited."""
        if not self._heap:
            return None
        order = -heapq.heappop(self._heap)
        return self._nodes.pop(order), self.node_grads.pop(order)


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
    arrivals = Arrivals()
    for output, grad in zip(outputs, grad_outputs, strict=True):
        arrivals.add(output if output._op is None else output._op, grad)
    handed_out = {id(grad._data if isinstance(grad, Variable) else grad) for grad in grad_outputs}
    caught = {x._op.order: None for x in targets or () if x._op is not None}  # gradients of targets that are no leaves
    wanted = None if targets is None else _nodes_towards(outputs, targets)

    previous = mode.get()
    mode.set((previous & ANOMALY) + (RECORD if create_graph else 0))
    loud = backend.ERROR_STATE.set(backend.SILENT)  # an infinite slope, as of sqrt at 0, is a result
    try:
        while (newest := arrivals.take_newest()) is not None:
            node, grad_out = newest
            if wanted is not None and node.order not in wanted and node.order not in caught:
                continue
            if grad_out.dtype is not node._dtype:  # where float32 met float64: a gradient has the dtype of its tensor
                grad_out = grad_out.astype(node._dtype)
            if node._extras is not None:
                grad_out = _run_extras(node._extras, grad_out, like, handed_out, targets is None)
            if node.order in caught:
                caught[node.order] = grad_out
            if wanted is not None and node.order not in wanted:
                continue

            inputs, saved = node.inputs, _saved_values(node, create_graph, like)
            try:
                input_grads = node.backward(grad_out, *saved)
            except Exception as error:
                explain_backward(node, grad_out, error)
                raise
            if not isinstance(input_grads, tuple):
                input_grads = (input_grads,)
            if len(input_grads) != len(inputs):  # type: ignore[arg-type]
                raise wrong_number_of_gradients(node, len(input_grads))
            if previous & ANOMALY:
                _check_finite(node, grad_out, input_grads)

            for i, grad in enumerate(input_grads):
                if grad is not None and node.needs(i):
                    x = inputs[i]  # type: ignore[index]
                    kept = saved and isinstance(x, Variable) and any(grad is array for array in saved)
                    if kept or (node.foreign and hasattr(grad, "copy")):
                        grad = grad.copy()  # as where dz/dx = x: .grad must not be an array that others hold
                    arrivals.add(x, grad)
            if not retain_graph:
                node.inputs = None

        return _deliver(arrivals, targets, caught, handed_out)
    finally:
        backend.ERROR_STATE.reset(loud)
        mode.set(previous)


def _saved_values(node: Function, create_graph: bool, like: Variable) -> list[Any]:
    """What `node.backward` is handed after the gradient: its inputs, its output, as the op declared.

    Raises:
        GraphError: the node was freed, or what it saved was overwritten since.
    """
    if node.inputs is None:
        raise GraphError(f"{type(node).__name__}: {FREED}")
    sources: tuple[Any, ...] = node.inputs if node.saves_inputs else ()
    if node.saves_output:
        sources = (*sources, node)
    saved: list[Any] = []
    version = 0
    for x in sources:
        if isinstance(x, (Function, Variable)):
            if x._version is not None:
                version += x._version.settled()
            saved.append(_as_tensor(x, like) if create_graph else x._data)
        else:
            saved.append(x)  # a number or a plain array
    if sources and version != node._saved_version:
        raise overwritten(node)
    return saved


def _deliver(
    arrivals: Arrivals, targets: Sequence[Variable] | None, caught: dict[int, Any], handed_out: set[int]
) -> list[Any]:
    """The end of the walk: the leaves' gradients go to their hooks, then to `.grad`, or the targets' to the caller."""
    leaves, grads = arrivals.leaves, arrivals.leaf_grads
    if targets is not None:
        leaves = {id(x): x for x in targets if id(x) in leaves}  # the others' gradients may be incomplete
    for key, leaf in leaves.items():
        grads[key] = _fit_to(leaf, grads[key])
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
    if x._version is not None and x._version.stale is not None:
        raise GraphError(f"{describe(x)}: {x._version.stale}")


def accumulate(x: Variable, grad: Any, handed_out: set[int]) -> None:
    """x.grad += grad, into memory that no other `.grad` uses."""
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
    array = grad._data if isinstance(grad, Variable) else backend.asarray(grad)
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
    tensor._version = None if source._version is None else source._version.as_saved()
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
    return replacement


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
