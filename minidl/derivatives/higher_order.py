"""Derivatives of functions as a whole: jacobian, hessian, and their products with vectors.

All are made of `md.grad`, which gives one row of a Jacobian (a vector-Jacobian product) a call, and of its
`create_graph=True`, which lets a gradient be differentiated again. Names, arguments and results are those of
`torch.autograd.functional`.

>>> import minidl as md
>>> x = md.tensor([1.0, 2.0])
>>> md.jacobian(lambda x: x * x, x)
Tensor([[2., 0.],
        [0., 4.]])
>>> md.hvp(lambda x: (x**3).sum(), x, md.tensor([1.0, 0.0]))[1]  # 6 x v
Tensor([6., 0.])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minidl import backend
from minidl.autograd.modes import enable_grad
from minidl.derivatives.gradients import grad
from minidl.errors import DTypeError, GraphError, ShapeError, describe
from minidl.functional import concatenate, reshape, stack
from minidl.tensors.creation import ones_like, zeros_like
from minidl.tensors.tensor import Tensor

Tensors = Tensor | Sequence[Tensor]


def vjp(
    function: Callable[..., Tensor], inputs: Tensors, v: Tensor | None = None, create_graph: bool = False
) -> tuple[Tensor, Any]:
    """(y, v^T J): the value y = function(*inputs), and the product of v with its Jacobian J. One backward.

    Args:
        function: takes the inputs and returns one Tensor.
        inputs: one Tensor or several; they are not changed and need not require a gradient.
        v: in the shape of y; may be left out if y is a single number.
        create_graph: give both results a history, to differentiate them again by the inputs.

    Returns:
        y, and for each input a Tensor of its shape (one for a single input, else a tuple); 0 where y does not depend
        on it.

    Raises:
        ShapeError, DTypeError, GraphError: function returns no Tensor, an input is not floating, v does not fit.
    """
    xs, y = _evaluate(function, inputs, create_graph)
    return _value(y, create_graph), _like(inputs, _rows(y, xs, _vector(y, v), create_graph))


def jvp(
    function: Callable[..., Tensor], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False
) -> tuple[Tensor, Tensor]:
    """(y, J v): the value y = function(*inputs), and the derivative of y along the direction v.

    u^T J is linear in u, and its derivative by u along v is J v: so two backwards do what a forward mode would do.

    Args:
        function, inputs, create_graph: as for `vjp`.
        v: for each input a Tensor of its shape; may be left out for a single input that is a single number.

    Returns:
        y, and a Tensor of its shape.

    Raises:
        As `vjp`.
    """
    xs, y = _evaluate(function, inputs, create_graph)
    vs = _vectors(xs, v)
    u = zeros_like(y, requires_grad=True)
    pulled = _rows(y, xs, u, create_graph=True)
    return _value(y, create_graph), _along(pulled, [u], vs, create_graph)[0]


def jacobian(function: Callable[..., Tensor], inputs: Tensors, create_graph: bool = False) -> Any:
    """J[i, j] = dy_i / dx_j for y = function(*inputs): one backward for each element of y.

    Args:
        function, inputs, create_graph: as for `vjp`.

    Returns:
        For a single input a Tensor of shape (*y.shape, *x.shape); else a tuple of one for each input.

    Raises:
        As `vjp`.
    """
    xs, y = _evaluate(function, inputs, create_graph)
    rows: list[list[Tensor]] = []
    for i in range(y.size):
        one_hot = backend.module_of(y._data).zeros(y.size, dtype=y.dtype)
        one_hot[i] = 1
        rows.append(_rows(y, xs, Tensor(one_hot.reshape(y.shape)), create_graph))
    blocks = []
    for k, x in enumerate(xs):
        shape = (*y.shape, *x.shape)
        xp = backend.module_of(x._data)
        empty = Tensor(xp.zeros(shape, dtype=x.dtype))
        blocks.append(reshape(stack([row[k] for row in rows]), shape) if rows else empty)
    return _like(inputs, blocks)


def hessian(function: Callable[..., Tensor], inputs: Tensors, create_graph: bool = False) -> Any:
    """H[i, j] = d^2 y / dx_i dx_j for a single number y = function(*inputs): the Jacobian of the gradient.

    Args:
        function, inputs, create_graph: as for `vjp`; function returns a Tensor of one element.

    Returns:
        For a single input a Tensor of shape (*x.shape, *x.shape); for several a tuple of tuples, result[a][b] of shape
        (*inputs[a].shape, *inputs[b].shape).

    Raises:
        As `vjp`; GraphError also if y has more than one element.
    """

    def gradient(*xs: Tensor) -> Tensor:
        found = _gradient(_checked(function(*xs)), list(xs))
        return concatenate([reshape(g, -1) for g in found])

    _check_function(function)
    several = _several(inputs)
    whole = jacobian(gradient, several, create_graph)  # for each input b: (elements of all inputs, *b.shape)
    rows: list[tuple[Tensor, ...]] = []
    start = 0
    for x in several:
        end = start + x.size
        rows.append(tuple(reshape(part[start:end], (*x.shape, *part.shape[1:])) for part in whole))
        start = end
    return rows[0][0] if isinstance(inputs, Tensor) else tuple(rows)


def hvp(
    function: Callable[..., Tensor], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False
) -> tuple[Tensor, Any]:
    """(y, H v): the value of y = function(*inputs), a single number, and the product of its Hessian with v.

    H v = d(g . v)/dx with the gradient g and a constant v: two backwards, and never the matrix H (Pearlmutter 1994).

    Args:
        function, inputs, create_graph: as for `vjp`; function returns a Tensor of one element.
        v: for each input a Tensor of its shape; may be left out for a single input that is a single number.

    Returns:
        y, and for each input a Tensor of its shape.

    Raises:
        As `hessian`.
    """
    xs, y = _evaluate(function, inputs, create_graph)
    vs = _vectors(xs, v)
    return _value(y, create_graph), _like(inputs, _along(_gradient(y, xs), xs, vs, create_graph))


def _evaluate(function: Callable[..., Tensor], inputs: Tensors, linked: bool) -> tuple[list[Tensor], Tensor]:
    """function at stand-ins for the inputs: so that what else uses the inputs does not count. And these stand-ins.

    With `linked` a stand-in remembers the input that it stands for, and derivatives of the result reach it.
    """
    several = _several(inputs)
    _check_function(function)
    for i, x in enumerate(several):
        if not isinstance(x, Tensor) or x.dtype.kind != "f":
            raise DTypeError(
                f"expected floating Tensors to differentiate by, as md.tensor makes them; input {i} is {describe(x)}"
            )
    with enable_grad():
        xs = [reshape(x, x.shape) if linked and x.requires_grad else x.detach().requires_grad_() for x in several]
        return xs, _checked(function(*xs))


def _check_function(function: Any) -> None:
    if isinstance(function, Tensor) or not callable(function):
        raise DTypeError(
            f"expected a function of the inputs, such as lambda x: x * x, and then the inputs; got {describe(function)}"
        )


def _checked(y: Any) -> Tensor:
    if not isinstance(y, Tensor):
        raise DTypeError(f"expected a function that returns one Tensor; it returned {describe(y)}")
    return y


def _rows(y: Tensor, xs: list[Tensor], v: Tensor, create_graph: bool) -> list[Tensor]:
    """v^T J for each of xs; zeros where y does not depend on it."""
    if not y.requires_grad:
        return [zeros_like(x) for x in xs]
    found = grad(y, xs, v, retain_graph=True, create_graph=create_graph, allow_unused=True)
    return [zeros_like(x) if g is None else g for x, g in zip(xs, found, strict=True)]


def _gradient(y: Tensor, xs: list[Tensor]) -> list[Tensor]:
    """The gradient of the single number y, with a history."""
    if y.size != 1:
        raise GraphError(f"expected a function that returns a single number, which has a Hessian; got {describe(y)}")
    return _rows(y, xs, ones_like(y), create_graph=True)


def _along(ys: list[Tensor], xs: list[Tensor], vs: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
    """d(sum of y . v)/dx for each x of xs: what ys that have no history, and xs they do not depend on, add is 0."""
    pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
    if not pairs:
        return [zeros_like(x) for x in xs]
    found = grad([y for y, _ in pairs], xs, [v for _, v in pairs], create_graph=create_graph, allow_unused=True)
    return [zeros_like(x) if g is None else g for x, g in zip(xs, found, strict=True)]


def _vector(y: Tensor, v: Tensor | None) -> Tensor:
    """v, known to have y's shape; 1 if it was left out and y is a single number."""
    if v is None:
        if y.size != 1:
            raise ShapeError(f"expected a v of shape {y.shape}; it may be left out only beside a single number")
        return ones_like(y)
    if not isinstance(v, Tensor) or v.shape != y.shape:
        raise ShapeError(f"expected a v of shape {y.shape}, a Tensor; got {describe(v)}")
    return v


def _vectors(xs: list[Tensor], v: Tensors | None) -> list[Tensor]:
    """A v for each of xs, known to have its shape."""
    vs = [None] * len(xs) if v is None else _several(v)
    if len(vs) != len(xs):
        raise ShapeError(f"expected one v for each of {len(xs)} inputs; got {len(vs)}")
    return [_vector(x, direction) for x, direction in zip(xs, vs, strict=True)]


def _several(inputs: Any) -> list[Any]:
    return [inputs] if isinstance(inputs, Tensor) or not isinstance(inputs, (list, tuple)) else list(inputs)


def _like(inputs: Tensors, results: list[Tensor]) -> Any:
    """One result for one input, a tuple for several."""
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _value(y: Tensor, linked: bool) -> Tensor:
    return y if linked else y.detach()
