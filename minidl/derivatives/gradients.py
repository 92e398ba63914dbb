"""Gradients asked for directly: `grad`, and the checks that compare an op's backward with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.accumulation import fitted, ids_of, own
from minidl.autograd.backward import Walk, at_leaf, seed_gradient
from minidl.autograd.function import Function
from minidl.autograd.modes import enable_grad, no_grad
from minidl.autograd.variable import Source, Variable
from minidl.autograd.versions import chosen
from minidl.autograd.way import Way, without_way
from minidl.autograd.writes import Stretch
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.checks import number, yes_or_no
from minidl.errors import DTypeError, GraphError, describe
from minidl.functional import concatenate
from minidl.tensors.tensor import Tensor
from minidl.types import ArrayOrTensor

_CALLS = 8  # how often a function is called to see whether it is random


class Constant(Function):
    """z = g, whatever the x are, so dz/dg = 1 and dz/dx = 0.

    A gradient need not depend on the input it is taken by: that of a sum does not, nor that of a network of relus,
    which depends on its weights. With this op the input belongs to its history all the same, and the derivative by it
    is 0, not an error.
    """

    __slots__ = ("xs",)

    def forward(self, g: Any, *xs: Any) -> Any:
        self.xs = [(x.shape, x.dtype) for x in xs]
        return g.copy()

    def backward(self, grad_out: Any) -> Any:
        array = grad_out._data if isinstance(grad_out, Tensor) else grad_out
        xp = backend.module_of(array)
        zeros = [xp.broadcast_to(xp.zeros((), dtype=dtype), shape) for shape, dtype in self.xs]
        return grad_out, *[grad_out.wrap(x) if isinstance(grad_out, Tensor) else x for x in zeros]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """The gradients of `outputs` with respect to `inputs`, returned instead of left in `.grad`.

    Args:
        outputs: one tensor or several, whose gradients add up.
        inputs: the tensors to differentiate by, leaves or not.
        grad_outputs: the gradient at each output (one, or a sequence with None for "a single number, 1").
        retain_graph: keep the graph; defaults to `create_graph`.
        create_graph: give the result a history, to differentiate it again. By one of the `inputs` that it does not
            depend on, but the outputs do, that gives 0: so the second derivative of a network of relus by its input.
        allow_unused: return None for an input the outputs do not depend on, instead of an error.

    Returns:
        One Tensor for a single input, else a tuple in the order of `inputs`.

    Raises:
        GraphError: an input does not require a gradient, or the outputs do not depend on it.
        DTypeError: an output or an input is no Tensor.
        ValueError: `retain_graph`, `create_graph` or `allow_unused` is neither True nor False.
    """
    yes_or_no(create_graph, "grad: create_graph")
    yes_or_no(allow_unused, "grad: allow_unused")
    retain = yes_or_no(create_graph if retain_graph is None else retain_graph, "grad: retain_graph")
    many_outputs, many_inputs = several("grad: expected outputs", outputs), several("grad: expected inputs", inputs)
    if isinstance(grad_outputs, (list, tuple)):
        given: Sequence[Any] = grad_outputs
    else:
        given = (grad_outputs,) if len(many_outputs) == 1 else (None,) * len(many_outputs)
    if len(given) != len(many_outputs) or (grad_outputs is not None and given is not grad_outputs and len(given) != 1):
        raise GraphError(f"grad: expected one entry in grad_outputs for each of {len(many_outputs)} outputs")
    for x in many_inputs:
        if not x.requires_grad:
            raise GraphError(f"grad: {describe(x)} does not require a gradient; set requires_grad before the forward")
    if not allow_unused and all(y.is_leaf for y in many_outputs) and not all(x.is_leaf for x in many_inputs):
        raise GraphError(
            f"grad: the order is grad(outputs, inputs): no op made {describe(many_outputs[0])}, so it depends on "
            f"nothing; give the loss first, and then what to differentiate by"
        )
    seeds = [seed_gradient(y, g, create_graph) for y, g in zip(many_outputs, given, strict=True)]
    found = _walk(many_outputs, seeds, many_inputs, retain, create_graph)
    for x, g in zip(many_inputs, found, strict=True):
        if g is None and not allow_unused:
            raise GraphError(f"grad: the outputs do not depend on {describe(x)}; allow_unused=True gives None for it")
    if create_graph:
        found = _by_all(found, many_inputs)
    return found[0] if isinstance(inputs, Tensor) else tuple(found)


def several(expected: str, tensors: Any) -> tuple[Tensor, ...]:
    """One Tensor or several as a tuple; what is no Tensor is refused by an error that begins with `expected`."""
    found = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors) if isinstance(tensors, Iterable) else None
    if hasattr(tensors, "parameters"):
        raise DTypeError(f"{expected} as a Tensor or several; got a model, {describe(tensors)}: give its parameters()")
    if found is None or isinstance(tensors, str) or backend.is_array(tensors):
        hint = ": call it, or differentiate it by md.jacobian(function, x)" if callable(tensors) else ""
        raise DTypeError(f"{expected} as a Tensor or several; got {describe(tensors)}{hint}")
    for i, x in enumerate(found):
        if not isinstance(x, Tensor):
            raise DTypeError(f"{expected} as a Tensor or several; entry {i} is {describe(x)}")
    return found


def _by_all(grads: Sequence[Tensor | None], inputs: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients that can be differentiated by those of the inputs too that they do not depend on."""
    there = [g for g in grads if g is not None]
    used = [x for g, x in zip(grads, inputs, strict=True) if g is not None]
    completed = [Constant()(g, *xs) if xs else g for g, xs in zip(there, without_way(there, used), strict=True)]
    following = iter(completed)
    return [None if g is None else next(following) for g in grads]


def _walk(
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
    Stretch.end()
    handed_out, loud = ids_of(grad_outputs), set_errors(SILENT)
    try:
        for x in way.leaves:
            if x in grads:
                grads[x] = at_leaf(x, grads[x], retain=False)
        found = [grads.get(x) if x._op is None else way.caught[x._op] for x in targets]
        pairs = zip(targets, found, strict=True)
        owned = [None if grad is None else own(fitted(x, grad), x, handed_out) for x, grad in pairs]
        return [grad if grad is None or isinstance(grad, Variable) else Variable.wrap(grad) for grad in owned]
    finally:
        reset_errors(loud)


def gradcheck(
    function: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
) -> bool:
    """Compare the gradients of `function(*inputs)` with central finite differences, element by element.

    For each output element y_j and input element x_i: dy_j/dx_i against (y_j(x_i + eps) - y_j(x_i - eps)) / (2 eps).

    Args:
        function: takes the inputs, returns one tensor. (Of several, check one after the other.)
        inputs: one float64 tensor, or a list of what the function takes; the tensors in it that require a gradient are
            checked.
        eps, atol, rtol: the step, and the tolerance |a - n| <= atol + rtol |n|.

    Returns:
        True; a mismatch is an error that names the worst element.

    Raises:
        GraphError: the gradients differ, or no input requires one.
        DTypeError: an input is not float64, in which finite differences would be too coarse; or the function is none,
            the inputs are no list, or what it returns is not one Tensor.
    """
    inputs = _arguments("gradcheck", function, inputs, eps)
    checked = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise GraphError("gradcheck: none of the inputs requires a gradient: md.tensor(..., requires_grad=True)")
    for i, x in checked:
        if x.dtype != np.float64:
            raise DTypeError(
                f"gradcheck: expected float64 inputs; input {i} is {describe(x)}, for finite differences too coarse: "
                f"md.tensor(..., dtype='float64', requires_grad=True), and of a model model.to(dtype='float64')"
            )
    output = _one_result("gradcheck", function, inputs)
    for j in range(output.size):
        one_hot = np.zeros(output.size)
        one_hot[j] = 1
        seed = backend.to_device(one_hot.reshape(output.shape), output.device)
        analytic = grad(output, [x for _, x in checked], seed, retain_graph=True, allow_unused=True)
        for (i, x), g in zip(checked, analytic, strict=True):
            numeric = _finite_differences(function, inputs, x, j, eps)
            exact = np.zeros(x.shape) if g is None else backend.to_numpy(g._data)
            wrong = ~(np.abs(exact - numeric) <= atol + rtol * np.abs(numeric))
            if wrong.any():
                _refuse_random(function, inputs)
                worst = tuple(int(k) for k in np.argwhere(wrong)[0])
                raise GraphError(
                    f"gradcheck: d output[{j}] / d input {i}{list(worst)}: backward says {exact[worst]:.6g}, finite "
                    f"differences say {numeric[worst]:.6g}"
                )
    return True


def _arguments(name: str, function: Any, inputs: Any, eps: Any) -> list[Any]:
    """What the function is to be called with, in a list.

    Raises:
        DTypeError: `function` cannot be called, or `inputs` is neither a Tensor nor a list; or `eps` is another input.
        ValueError: `eps` is no number above 0.
    """
    if isinstance(function, Variable) or not callable(function):
        raise DTypeError(
            f"{name}: expected a function of the inputs, such as lambda x: x * x; got {describe(function)}, which is "
            f"no function: the order is {name}(function, inputs)"
        )
    if isinstance(eps, Variable) or backend.is_array(eps):
        raise DTypeError(f"{name}: expected several inputs in a list, {name}(function, [x, y]); got them one by one")
    number(eps, f"{name}: eps", above=0)
    if isinstance(inputs, Variable):
        return [inputs]
    if not isinstance(inputs, Iterable) or backend.is_array(inputs) or isinstance(inputs, (str, dict)):
        raise DTypeError(f"{name}: expected the inputs as one Tensor or a list of Tensors; got {describe(inputs)}")
    return list(inputs)


def _one_result(name: str, function: Callable[..., Any], inputs: list[Any]) -> Tensor:
    """What the function makes of the inputs, known to be one Tensor; a note says if it cannot be called with them."""
    try:
        output = function(*inputs)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is None:
            error.add_note(f"{name} called it with the {len(inputs)} inputs: {'; '.join(map(describe, inputs))}")
        raise
    if not isinstance(output, Tensor):
        several = isinstance(output, (tuple, list))
        remedy = "Check them one by one: lambda *x: function(*x)[0]" if several else "Is it made by ops of Tensors?"
        raise DTypeError(f"{name}: expected a function that returns one Tensor; got {describe(output)}. {remedy}")
    return output


def _refuse_random(function: Callable[..., Any], inputs: list[Any]) -> None:
    """Raise a GraphError if the function gives other results for the same inputs, so that differences say nothing."""
    with no_grad():
        results = [backend.to_numpy(function(*inputs)._data) for _ in range(_CALLS)]
    if not all(np.array_equal(results[0], result, equal_nan=True) for result in results):
        raise GraphError(
            "gradcheck: the function is random: it gives another result each time it is called with the same inputs, "
            "and finite differences compare two of them. Leave out what is drawn: put a Dropout into evaluation mode, "
            "draw noise before, or begin the function with md.seed(0)"
        )


def _finite_differences(function: Callable[..., Any], inputs: Sequence[Any], x: Tensor, j: int, eps: float) -> Any:
    """d output[j] / dx by central differences; x is moved and put back."""
    numeric = np.zeros(x.shape)
    original = x._data
    with no_grad():
        try:
            for i in np.ndindex(x.shape):
                values = []
                for step in (eps, -eps):
                    moved = original.copy()
                    moved[i] += step
                    x._data = moved
                    values.append(float(function(*inputs)._data.reshape(-1)[j]))
                numeric[i] = (values[0] - values[1]) / (2 * eps)
        finally:
            x._data = original
    return numeric


def gradgradcheck(
    function: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    seed: int = 0,
) -> bool:
    """`gradcheck` of the gradient itself: the second derivatives of `function` against finite differences.

    The gradient is taken for a random output gradient, which is differentiated by as well. Arguments and errors as
    for `gradcheck`.
    """
    inputs = _arguments("gradgradcheck", function, inputs, eps)
    checked = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise GraphError("gradgradcheck: none of the inputs requires a gradient: md.tensor(..., requires_grad=True)")
    output = _one_result("gradgradcheck", function, inputs)
    drawn = np.random.default_rng(seed).standard_normal(output.shape)
    grad_out = Tensor(backend.to_device(drawn, output.device), requires_grad=True)

    def gradients(*arguments: Tensor) -> Any:
        with enable_grad():
            y = function(*arguments[:-1])
            found = grad(y, checked, arguments[-1], create_graph=True, allow_unused=True)
        pieces = [g.reshape(-1) for g in found if g is not None]
        if not pieces:
            raise GraphError("gradgradcheck: the output depends on none of the inputs that require a gradient")
        return concatenate(pieces)

    try:
        return gradcheck(gradients, [*inputs, grad_out], eps, atol, rtol)
    except GraphError as error:
        error.add_note(
            "gradgradcheck compares the second derivatives: there, an array that the forward of an op keeps on self "
            "counts as a constant. Declare it instead, `saves_inputs = True` or `saves_output = True`"
        )
        raise
