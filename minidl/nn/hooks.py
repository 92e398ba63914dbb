"""Hooks on modules: functions that see a module's inputs, its output, and the gradients that pass through it.

Forward hooks are called before and after `forward`. Backward hooks need the gradients of the module's own inputs and
outputs. So the inputs and outputs of a module with a backward hook pass through identity ops, z = x, whose `backward`
sees the gradient go by:

    x --> InputIdentity --> forward --> OutputIdentity --> y
          its gradient is grad_input    its gradient is grad_output

(The gradient of x itself would not do: x may be used elsewhere too, as in a residual connection.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minidl.autograd.function import Function
from minidl.autograd.variable import Variable
from minidl.errors import GraphError
from minidl.types import Array, ArrayOrTensor

Hooks = dict[int, Callable[..., Any]]


class ModuleHooks:
    """The hooks of one module, made when the first is registered: before forward, after forward, and in backward."""

    __slots__ = ("backward", "forward", "pre")

    def __init__(self) -> None:
        self.pre: Hooks = {}
        self.forward: Hooks = {}
        self.backward: Hooks = {}


def call_with_hooks(module: Any, hooks: ModuleHooks, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """module.forward(*inputs, **named), with the module's hooks called around it."""
    for hook in list(hooks.pre.values()):
        replacement = hook(module, inputs)
        if replacement is not None:
            inputs = replacement if isinstance(replacement, tuple) else (replacement,)
    if hooks.backward:
        output = _call_between_identities(CallGradients(module, hooks.backward, len(inputs)), inputs, named)
    else:
        output = module.forward(*inputs, **named)
    for hook in list(hooks.forward.values()):
        replacement = hook(module, inputs, output)
        if replacement is not None:
            output = replacement
    return output


class CallGradients:
    """The gradients of one call of a module, collected until all have arrived and the backward hooks can be called.

    Attributes:
        of_inputs: whether the hooks wait for gradients of inputs. If no input requires one, they wait for the outputs'.
        expected: how many gradients they wait for: those of the inputs that the output depends on, or of the outputs.
    """

    __slots__ = ("_arrived", "_grad_input", "_grad_output", "expected", "hooks", "module", "of_inputs")

    def __init__(self, module: Any, hooks: Hooks, inputs: int) -> None:
        self.module = module
        self.hooks = hooks
        self.expected = 0
        self.of_inputs = False
        self._arrived = 0
        self._grad_input: list[Any] = [None] * inputs
        self._grad_output: list[Any] = []

    def expect(self, inputs: int, outputs: Sequence[Any]) -> None:
        """The module has returned `outputs`, which depend on so many of the inputs that require a gradient."""
        self._grad_output = [None] * len(outputs)
        self.of_inputs = inputs > 0
        self.expected = inputs or sum(_requires_grad(y) for y in outputs)

    def output_grad(self, i: int, grad: ArrayOrTensor) -> ArrayOrTensor:
        """The gradient of output i has arrived; returns it."""
        self._grad_output[i] = grad
        if self.of_inputs:
            self._arrived = 0  # outputs come first; an earlier backward may have stopped halfway, as md.grad does
        else:
            self._arrived += 1
            if self._arrived == self.expected:
                self._call_hooks()
        return grad

    def input_grad(self, i: int, grad: ArrayOrTensor) -> ArrayOrTensor:
        """The gradient of input i has arrived; returns it, or what a hook wants instead."""
        self._grad_input[i] = grad
        self._arrived += 1
        return self._call_hooks()[i] if self._arrived == self.expected else grad

    def _call_hooks(self) -> list[Any]:
        grads, grad_output = list(self._grad_input), tuple(_as_tensor(g) for g in self._grad_output)
        self._arrived = 0  # with retain_graph there may be another backward
        self._grad_input, self._grad_output = [None] * len(grads), [None] * len(grad_output)
        for hook in list(self.hooks.values()):
            seen = tuple(_as_tensor(g) for g in grads)
            replacement = hook(self.module, seen, grad_output)
            if replacement is not None:
                grads = self._replaced(grads, replacement)
        return grads

    def _replaced(self, grads: list[Any], replacement: Any) -> list[Any]:
        """The gradients with those that a hook returned, as arrays or as Tensors, whichever `grads` are."""
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


class InputIdentity(Function):
    """z = x for input i of a module; its backward hands dL/dz to the hooks."""

    __slots__ = ("call", "i")

    def __init__(self, call: CallGradients, i: int) -> None:
        self.call = call
        self.i = i

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, grad_out: ArrayOrTensor) -> ArrayOrTensor:
        return self.call.input_grad(self.i, grad_out)


class OutputIdentity(Function):
    """z = x for output i of a module; its backward hands dL/dz to the hooks."""

    __slots__ = ("call", "i")

    def __init__(self, call: CallGradients, i: int) -> None:
        self.call = call
        self.i = i

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, grad_out: ArrayOrTensor) -> ArrayOrTensor:
        return self.call.output_grad(self.i, grad_out)


def _call_between_identities(call: CallGradients, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """module.forward(...), with an identity around each input and output that requires a gradient."""
    passed = [InputIdentity(call, i)(x) if _requires_grad(x) else x for i, x in enumerate(inputs)]
    identities = [y._op for x, y in zip(inputs, passed, strict=True) if y is not x and y._op is not None]
    output = call.module.forward(*passed, **named)
    outputs = list(output) if type(output) in (tuple, list) else [output]
    if not any(isinstance(y, Variable) for y in outputs):
        raise GraphError(
            f"a backward hook of {call.module._label()} needs an output that is a Tensor, or a tuple or list with "
            f"Tensors; got {type(output).__name__}"
        )
    made_by = [y._op for y in outputs if isinstance(y, Variable) and y._op is not None]
    call.expect(_reached(made_by, identities), outputs)
    outputs = [OutputIdentity(call, i)(y) if _requires_grad(y) else y for i, y in enumerate(outputs)]
    return type(output)(outputs) if type(output) in (tuple, list) else outputs[0]


def _requires_grad(x: Any) -> bool:
    return isinstance(x, Variable) and x._requires_grad


def _as_tensor(grad: Any) -> Any:
    return grad if grad is None or isinstance(grad, Variable) else Variable.result_class.wrap(grad)


def _reached(outputs: Sequence[Function], inputs: Sequence[Function]) -> int:
    """How many of the nodes `inputs` the nodes `outputs` depend on: the others will never see a gradient."""
    if not inputs:
        return 0
    first = min(node.order for node in inputs)  # older nodes belong to what came before the module
    seen: set[int] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node.order >= first and node.order not in seen:
            seen.add(node.order)
            waiting.extend(x for x in node.inputs or () if isinstance(x, Function))
    return sum(node.order in seen for node in inputs)
