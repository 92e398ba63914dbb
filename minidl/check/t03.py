"""The exercises of tutorial 3: tensors, broadcasting and the product of matrices, backwards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict

HALF_A_DECADE = 0.21  # of the exponent -2.4

t03_addends = Predict(
    "t03_addends",
    "how many addends has each number of dL/dc, where y = a * c, a is (5, 1, 4) and c is (3, 1)?",
    20,
    mistakes=[
        Mistake(5, "that is the new first axis alone; the axis of length 1 of c was repeated as well"),
        Mistake(
            4, "that is the axis of length 1 alone; c has no first axis, so it was repeated along that one as well"
        ),
        Mistake(60, "that is all of y; along the axis of length 3 c was not repeated: it has numbers of its own there"),
        Mistake(15, "the shapes are aligned at the right: the 3 of c stands under the 1 of a, and the 1 under the 4"),
        Mistake(
            12, "which of the axes of y has c not got, or only with length 1? Its own axis of 3 is not one of them"
        ),
        Mistake(3, "that is how many numbers dL/dc has; how many numbers of y does each number of c go into?"),
        Mistake([5, 4], "those are the two axes; how many numbers of y are there along both of them?"),
        Mistake(9, "5 + 4 paths? A number of c is used at all pairs of a first and a last index"),
    ],
    rtol=1e-9,
    why="y is (5, 3, 4); each number of c is used for 5 first indices and 4 last ones",
)


def _unbroadcast(grad: Any, shape: Any) -> Any:
    added = grad.ndim - len(shape)
    grad = grad.sum(axis=tuple(range(added)))
    return grad.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def _broadcasts(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Results and one of their inputs: with both kinds of axes, where every mistake looks different, then with one."""
    a, b, c, d = (int(n) for n in rng.permutation(np.arange(2, 6)))
    results_and_inputs = [
        ((d, c, a, b), (a, 1)),
        ((a, b), (b,)),
        ((a, b), (a, 1)),
        ((a, b), (a, b)),
        ((c, a, b), (1, 1)),
        ((a, b), ()),
        ((a, 1, b), (1, b)),  # an axis of length 1 on both sides
        ((b, b), (1, b)),  # where the two axes cannot be told apart by their lengths
    ]
    for result, shape in results_and_inputs:
        yield rng.standard_normal(result), shape


def _stretched(shape: Any, added: int) -> tuple[int, ...]:
    return tuple(added + i for i, n in enumerate(shape) if n == 1)


def _only_new_axes(grad: Any, shape: Any) -> Any:
    return grad.sum(axis=tuple(range(grad.ndim - len(shape))))


def _only_of_length_1(grad: Any, shape: Any) -> Any:
    return grad.sum(axis=_stretched(shape, grad.ndim - len(shape)), keepdims=True)


def _without_their_axes(grad: Any, shape: Any) -> Any:
    added = grad.ndim - len(shape)
    return grad.sum(axis=(*range(added), *_stretched(shape, added)))


def _keeping_new_axes(grad: Any, shape: Any) -> Any:
    added = grad.ndim - len(shape)
    return grad.sum(axis=(*range(added), *_stretched(shape, added)), keepdims=True)


def _mean(grad: Any, shape: Any) -> Any:
    added = grad.ndim - len(shape)
    axes = (*range(added), *_stretched(shape, added))
    return (grad.mean(axis=axes, keepdims=True) if axes else grad).reshape(shape)


def _first(grad: Any, shape: Any) -> Any:
    grad = grad[(0,) * (grad.ndim - len(shape))]
    return grad[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]


def _counted_from_the_left(grad: Any, shape: Any) -> Any:
    return grad.sum(axis=tuple(i for i in range(grad.ndim) if grad.shape[i] != shape[i]), keepdims=True)


def _one_new_axis(grad: Any, shape: Any) -> Any:
    if grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    return grad.sum(axis=_stretched(shape, 0), keepdims=True)


def _last_axes(grad: Any, shape: Any) -> Any:
    while grad.ndim > len(shape):
        grad = grad.sum(axis=-1)
    return grad.sum(axis=_stretched(shape, 0), keepdims=True)


def _while_axes_move(grad: Any, shape: Any) -> Any:
    for axis in range(grad.ndim - len(shape)):
        grad = grad.sum(axis=axis)
    return grad.sum(axis=_stretched(shape, 0), keepdims=True)


def _places_not_counted_anew(grad: Any, shape: Any) -> Any:
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))), keepdims=True)
    return grad.sum(axis=_stretched(shape, 0), keepdims=True)


t03_unbroadcast = Implement(
    "t03_unbroadcast",
    "sum a gradient over the axes along which an input of this shape was repeated",
    _unbroadcast,
    _broadcasts,
    mistakes=[
        Mistake(
            lambda grad, shape: grad,
            "nothing was summed: the gradient still has the shape of the result. (grad.sum() gives a new array: is it "
            "kept?)",
        ),
        Mistake(
            _one_new_axis, "one new axis in front is summed, but there may be several: grad.ndim - len(shape) of them"
        ),
        Mistake(
            _last_axes, "the last axes are summed away: shapes are aligned at the right, so new axes stand in front"
        ),
        Mistake(
            _only_new_axes, "the new axes in front are summed, the axes of length 1 are not: they were repeated too"
        ),
        Mistake(
            _only_of_length_1,
            "the axes of length 1 are summed, those that the input has not got at all are not: "
            "grad.ndim - len(shape) of them stand in front",
        ),
        Mistake(
            _without_their_axes,
            "the axes of length 1 are gone: the input has them, so its gradient has them (keepdims=True)",
        ),
        Mistake(
            _keeping_new_axes,
            "the new axes in front are still there, with length 1: the input has not got them, so its gradient has not",
        ),
        Mistake(
            _mean, "this is the mean. Each use of a number adds to the loss on its own: nothing divides by how many"
        ),
        Mistake(_first, "only the first of the repeated numbers is taken; what the others sent back is lost"),
        Mistake(
            lambda grad, shape: grad.sum(axis=0),
            "always the first axis is summed: which axes were repeated has to be found from the two shapes",
        ),
        Mistake(
            lambda grad, shape: grad.sum(),
            "everything is summed to one number: only the axes along which the input was repeated are",
        ),
        Mistake(
            lambda grad, shape: np.resize(grad, shape),
            "np.resize cuts numbers off. The gradients of all uses are added up",
        ),
        Mistake(
            lambda grad, shape: grad.reshape(shape),
            "reshape only writes the same numbers in other rows: here fewer come out than go in. Add up first",
        ),
        Mistake(
            lambda grad, shape: np.broadcast_to(grad, shape),
            "broadcast_to repeats: that is the forward. On the way back the repeated ones are added up",
        ),
        Mistake(
            _places_not_counted_anew,
            "the axes of `shape` are counted from the right: with new axes in front, axis i of the input is axis "
            "i + (grad.ndim - len(shape)) of the gradient",
        ),
        Mistake(
            _counted_from_the_left,
            "shapes are compared from the right: grad.shape[i] and shape[i] stand under each other only if both have "
            "as many axes",
        ),
        Mistake(
            _while_axes_move,
            "once axis 0 is summed it is gone, and what was axis 1 is axis 0: sum over axis 0 again, or over all at "
            "once",
        ),
        Mistake(
            lambda grad, shape: grad.sum(axis=range(grad.ndim - len(shape))),
            "axis takes a number or a tuple: tuple(...)",
        ),
        Mistake(
            lambda grad, shape: grad.sum(axis=[*range(grad.ndim - len(shape))]),
            "axis takes a number or a tuple: tuple(...)",
        ),
    ],
)


def _matmul_backward(grad_out: Any, x: Any, w: Any) -> Any:
    return grad_out @ w.T, x.T @ grad_out


def _shapes(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Three of different lengths N, I, K; one of a square w, where a transposed gradient has the right shape."""
    for _ in range(2):
        n, i, k = rng.choice(np.arange(2, 7), 3, replace=False)
        yield rng.standard_normal((n, k)), rng.standard_normal((n, i)), rng.standard_normal((i, k))
    n = rng.integers(2, 6)
    yield rng.standard_normal((n, n)), rng.standard_normal((n, n)), rng.standard_normal((n, n))


_FIT = (
    "the two lengths inside a product must be the same, and what is summed over is the index that the result has not "
    "got: K for dL/dx, the batch N for dL/dw."
)


def _products_that_do_not_fit(product: Any) -> list[tuple[Any, str]]:
    """Products that raise an error, with the shapes to look at."""
    return [
        (lambda grad_out, x, w: product(grad_out, w), "dL/dx: grad_out is (N, K) and w is (I, K)"),
        (lambda grad_out, x, w: product(w, grad_out), "dL/dx: w is (I, K) and grad_out is (N, K)"),
        (lambda grad_out, x, w: product(x, grad_out), "x is (N, I), grad_out is (N, K), w is (I, K)"),
        (lambda grad_out, x, w: product(grad_out, x), "dL/dw: grad_out is (N, K) and x is (N, I)"),
    ]


t03_matmul_backward = Implement(
    "t03_matmul_backward",
    "the gradients of y = x @ w with respect to x and w, given dL/dy",
    _matmul_backward,
    _shapes,
    mistakes=[
        Mistake(
            lambda grad_out, x, w: (grad_out @ w.T, grad_out.T @ x),
            "dL/dw is transposed: it has the shape of w",
        ),
        Mistake(lambda grad_out, x, w: (w @ grad_out.T, x.T @ grad_out), "dL/dx is transposed: it has the shape of x"),
        Mistake(
            lambda grad_out, x, w: (w @ grad_out.T, grad_out.T @ x),
            "both are transposed: a gradient has the shape of what it is the gradient of",
        ),
        Mistake(lambda grad_out, x, w: (x.T @ grad_out, grad_out @ w.T), "dL/dx comes first, then dL/dw"),
        Mistake(
            lambda grad_out, x, w: (grad_out @ w.T, x.T @ grad_out / len(x)),
            "dL/dw is divided by the batch: if the loss is a mean, its 1/N is in grad_out already",
        ),
        Mistake(
            lambda grad_out, x, w: (grad_out @ w.T / len(x), x.T @ grad_out / len(x)),
            "both are divided by the batch: if the loss is a mean, its 1/N is in grad_out already",
        ),
        Mistake(
            lambda grad_out, x, w: (w, x),
            "grad_out, what arrives, is missing: the chain rule multiplies with it",
        ),
        Mistake(
            lambda grad_out, x, w: (np.ones_like(grad_out) @ w.T, x.T @ np.ones_like(grad_out)),
            "this holds only where all of grad_out is 1: multiply by what arrives",
        ),
        Mistake(
            lambda grad_out, x, w: (grad_out * w.T, 0),
            "* multiplies number by number; the backward of a product of matrices is made of such products (@)",
        ),
        Mistake(
            lambda grad_out, x, w: (w.T, x.T),
            "grad_out, what arrives, is missing: the chain rule multiplies with it",
        ),
        Mistake(
            lambda grad_out, x, w: grad_out @ w.T, "only dL/dx is returned; dL/dw is asked for as well: return both"
        ),
        Mistake(lambda grad_out, x, w: x.T @ grad_out, "only dL/dw is returned; dL/dx comes before it: return both"),
        Mistake(
            lambda grad_out, x, w: (grad_out * w, 0),
            "* multiplies number by number; the backward of a product of matrices is made of such products (@)",
        ),
        Mistake(
            lambda grad_out, x, w: (0, x * grad_out),
            "* multiplies number by number; the backward of a product of matrices is made of such products (@)",
        ),
        *(
            Mistake(answer, f"{_FIT} {shapes}")
            for product in (np.matmul, np.dot)
            for answer, shapes in _products_that_do_not_fit(product)
        ),
    ],
    forward=lambda x, w: x @ w,
)

t03_best_step = Predict(
    "t03_best_step",
    "the exponent k of the best step eps = 10^k for central differences in float32, to within half a decade",
    round(math.log10((np.finfo(np.float32).eps / 2) ** (1 / 3)), 1),
    mistakes=[
        Mistake(-7.2, "that is about u: moved by so little, the loss changes by no more than its own rounding"),
        Mistake(-12.0, "moved by so little, a number near 1 stays where it is in float32: it keeps 7 digits"),
        Mistake(-16.0, "that is about u of float64; float32 has another"),
        Mistake(-3.0, "that is near, but more than half a decade off: what is the third root of u = 6e-8?"),
        Mistake(-1.7, "that is near, but more than half a decade off: what is the third root of u = 6e-8?"),
        Mistake(
            -3.6,
            "that is about the square root of u, the best step for one-sided differences, whose truncation is "
            "proportional to eps and not to eps^2",
        ),
        Mistake(-5.3, "that is about float64's best step; float32 rounds 500 million times more coarsely"),
        Mistake(-4.8, "that is about u^(2/3), the error at the best step; what is the step?"),
        *(
            Mistake(float(step), "with a step of 1 or more? The exponent is negative")
            for step in (0.0, 0.7, *1.35 ** np.arange(12))
        ),
        *(
            Mistake(
                float(step), "a small positive number: is that a step itself? The answer is its exponent, log10 of it"
            )
            for step in 10.0 ** np.arange(-8, -0.5, 0.15)
        ),
        *(
            Mistake(step, "that is far to the right, where truncation rules: eps^2 is then much larger than u / eps")
            for step in (-0.3, -0.5, -0.7, -1.0)
        ),
    ],
    rtol=HALF_A_DECADE,
    within="half a decade",
    why="u^(1/3) = 4e-3, which is 10^-2.4",
)

t03_why_sum = Explain(
    "t03_why_sum",
    "why is the gradient of a broadcast a sum?",
    choices={
        "a": "because the gradient needs the shape of b, and summing is how one gets from a large shape to a small one",
        "b": "because each number of b reaches the loss on several paths, one through each number of y that it was "
        "used in, and where paths meet, slopes add",
        "c": "because the loss is a mean over the batch, and its gradient therefore a sum over the batch",
        "d": "because the repeated numbers are equal, so their gradients are equal too, and a sum counts them",
    },
    solution="b",
    hints={
        "a": "the mean, or the largest number, would have that shape too, and finite differences would refuse both: "
        "the shape is a check, not a reason",
        "c": "take L = y[0, 0] ** 2 + y[1, 0] ** 2, no mean in sight: what is dL/db[0]?",
        "d": "look at the figure: the numbers in a column of dL/dy are not equal. b's copies are, but each goes its "
        "own way to the loss",
    },
)

EXERCISES: tuple[Exercise, ...] = (t03_addends, t03_unbroadcast, t03_matmul_backward, t03_best_step, t03_why_sum)
