"""Hooks on modules: functions that see a module's inputs, its output, and the gradients that pass through it.

Forward hooks are calls before and after `forward`. For the backward hooks the module's inputs and its output pass
through gates: ops that change nothing and whose `backward` sees the gradient go by.

    x --> Inlet --> forward --> Outlet --> y         grad_input at the inlet, grad_output at the outlet

(The gradient of x itself would not do: x may be used elsewhere too, as in a residual connection.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minidl.autograd.function import Function, Variable
from minidl.errors import GraphError

Hooks = dict[int, Callable[..., Any]]


class ModuleHooks:
    """The hooks of one module; made when the first is registered."""

    __slots__ = ("backward", "forward", "pre")

    def __init__(self) -> None:
        self.pre: Hooks = {}
        self.forward: Hooks = {}
        self.backward: Hooks = {}


class Passage:
    """The gradients of one call of a module, gathered until all are there and the hooks can be called.

    Attributes:
        expected: how many gradients to wait for: the inlets the output depends on, else (no input wants a gradient)
            the outlets.
    """

    __slots__ = ("_came", "_grad_input", "_grad_output", "expected", "hooks", "module", "of_inputs")

    def __init__(self, module: Any, hooks: Hooks, inputs: int) -> None:
        self.module = module
        self.hooks = hooks
        self.expected = 0
        self.of_inputs = False
        self._came = 0
        self._grad_input: list[Any] = [None] * inputs
        self._grad_output: list[Any] = []

    def opened(self, outputs: int) -> None:
        """The module returned so many outputs."""
        self._grad_output = [None] * outputs

    def at_output(self, i: int, grad: Any) -> Any:
        """The gradient of output i is complete."""
        self._grad_output[i] = grad
        if self.of_inputs:
            self._came = 0  # outputs come first; an earlier walk may have stopped halfway, as md.grad does
        else:
            self._came += 1
            if self._came == self.expected:
                self._call_hooks()
        return grad

    def at_input(self, i: int, grad: Any) -> Any:
        """The gradient of input i is complete; returns it, or what a hook wants instead."""
        self._grad_input[i] = grad
        self._came += 1
        return self._call_hooks()[i] if self._came == self.expected else grad

    def _call_hooks(self) -> list[Any]:
        grads, grad_output = list(self._grad_input), tuple(_as_tensor(g) for g in self._grad_output)
        self._came = 0  # with retain_graph there may be another backward
        self._grad_input, self._grad_output = [None] * len(grads), [None] * len(grad_output)
        for hook in list(self.hooks.values()):
            seen = tuple(_as_tensor(g) for g in grads)
            replacement = hook(self.module, seen, grad_output)
            if replacement is not None:
                grads = self._replaced(grads, replacement)
        return grads

    def _replaced(self, grads: list[Any], replacement: Any) -> list[Any]:
        """The gradients with those a hook returned, in the form (array or Tensor) the walk uses."""
        new = replacement if isinstance(replacement, (tuple, list)) else (replacement,)
        if self.expected != 1 or not self.of_inputs or len(new) != len(grads):
            raise GraphError(
                f"a backward hook of {self.module._label()} returned {len(new)} gradients: one can be replaced only if "
                f"exactly one input requires a gradient, with one entry for each of the {len(grads)} inputs"
            )
        result: list[Any] = []
        for old, grad in zip(grads, new, strict=True):
            if isinstance(grad, Variable):  # copied, for the hook may keep its own
                grad = grad.copy() if isinstance(old, Variable) else grad._data.copy()
            result.append(old if grad is None or old is None else grad)
        return result


def _as_tensor(grad: Any) -> Any:
    return grad if grad is None or isinstance(grad, Variable) else Variable.result_class.wrap(grad)


class Inlet(Function):
    """z = x; its backward hands the gradient of a module's input i to the hooks."""

    __slots__ = ("i", "passage")

    def __init__(self, passage: Passage, i: int) -> None:
        self.passage = passage
        self.i = i

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, grad_out: Any) -> Any:
        return self.passage.at_input(self.i, grad_out)


class Outlet(Function):
    """z = x; its backward hands the gradient of a module's output i to the hooks."""

    __slots__ = ("i", "passage")

    def __init__(self, passage: Passage, i: int) -> None:
        self.passage = passage
        self.i = i

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, grad_out: Any) -> Any:
        return self.passage.at_output(self.i, grad_out)


def call_with_hooks(module: Any, hooks: ModuleHooks, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """module.forward(*inputs, **named), with the module's hooks called around it."""
    for hook in list(hooks.pre.values()):
        changed = hook(module, inputs)
        if changed is not None:
            inputs = changed if isinstance(changed, tuple) else (changed,)
    if hooks.backward:
        output = _call_between_gates(Passage(module, hooks.backward, len(inputs)), inputs, named)
    else:
        output = module.forward(*inputs, **named)
    for hook in list(hooks.forward.values()):
        changed = hook(module, inputs, output)
        if changed is not None:
            output = changed
    return output


def _call_between_gates(passage: Passage, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    gated = [Inlet(passage, i)(x) if _wants_grad(x) else x for i, x in enumerate(inputs)]
    inlets = [y._op for x, y in zip(inputs, gated, strict=True) if y is not x and y._op is not None]
    output = passage.module.forward(*gated, **named)
    outputs = list(output) if type(output) in (tuple, list) else [output]
    if not any(isinstance(y, Variable) for y in outputs):
        raise GraphError(
            f"a backward hook of {passage.module._label()} needs an output that is a Tensor, or a tuple or list with "
            f"Tensors; got {type(output).__name__}"
        )
    waited_for = _reached([y._op for y in outputs if isinstance(y, Variable) and y._op is not None], inlets)
    passage.opened(len(outputs))
    passage.of_inputs = waited_for > 0
    passage.expected = waited_for or sum(_wants_grad(y) for y in outputs)
    outputs = [Outlet(passage, i)(y) if _wants_grad(y) else y for i, y in enumerate(outputs)]
    return type(output)(outputs) if type(output) in (tuple, list) else outputs[0]


def _wants_grad(x: Any) -> bool:
    return isinstance(x, Variable) and x._requires_grad


def _reached(outputs: Sequence[Function], inlets: Sequence[Function]) -> int:
    """How many of `inlets` the nodes `outputs` depend on: the others will never see a gradient."""
    if not inlets:
        return 0
    first = min(node.order for node in inlets)  # older nodes belong to what came before the module
    seen: set[int] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node.order >= first and node.order not in seen:
            seen.add(node.order)
            waiting.extend(x for x in node.inputs or () if isinstance(x, Function))
    return sum(node.order in seen for node in inlets)
