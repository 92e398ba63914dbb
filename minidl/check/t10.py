"""The exercises of tutorial 10: initialisation, batch normalisation and residual blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.check.batch_norm import t10_batch_norm_backward
from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict


def _weight_std(n: Any, slope: Any) -> Any:
    return 1 / np.sqrt(n * (slope**2).mean())


def _std_cases(rng: np.random.Generator) -> Any:
    yield 20, np.array([1.0, 0.0, 1.0, 1.0])
    yield 64, np.full((2, 3), 0.25)
    for _ in range(2):
        yield int(rng.integers(5, 200)), rng.uniform(0, 1, (3, 4))


t10_weight_std = Implement(
    "t10_weight_std",
    "the standard deviation of the weights of a layer of n outputs, through which the gradient keeps its size",
    _weight_std,
    _std_cases,
    mistakes=[
        Mistake(
            lambda n, slope: 1 / (n * (slope**2).mean()),
            "this is the variance; the standard deviation is its root",
        ),
        Mistake(
            lambda n, slope: 1 / (np.sqrt(n) * slope.mean()),
            "the mean of the slopes was squared; E[slope^2] is the mean of their squares",
        ),
        Mistake(
            lambda n, slope: 1 / (np.sqrt(n) * slope.std()),
            "the slopes' variance was taken (std or var): E[slope^2] is the mean of the squares themselves",
        ),
        Mistake(
            lambda n, slope: 1 / (n * np.sqrt((slope**2).mean())),
            "the root goes over n as well: a^2 has n in it",
        ),
        Mistake(
            lambda n, slope: np.sqrt(n / (slope**2).mean()),
            "the more terms the sum has, the smaller must the weights be: n stands below",
        ),
        Mistake(
            lambda n, slope: (slope**2).mean() / np.sqrt(n),
            "the mean of the squares stands above: 1 / a * b is b / a in Python, and the root goes over it, too",
        ),
        Mistake(
            lambda n, slope: np.sqrt(3 / (n * (slope**2).mean())),
            "this is the end of a uniform distribution; asked for is its standard deviation",
        ),
        Mistake(
            lambda n, slope: 1 / np.sqrt(n * slope.mean()),
            "the slopes are not squared: in a^2 stands E[slope^2]",
        ),
        Mistake(lambda n, slope: 1 / np.sqrt(n), "the slopes are missing: this is right for slopes of 1 only"),
        Mistake(
            lambda n, slope: np.sqrt(n * (slope**2).mean()),
            "upside down: the more terms the sum has and the larger the slopes, the smaller must the weights be",
        ),
        Mistake(
            lambda n, slope: np.sqrt((slope**2).mean() / n),
            "smaller slopes need larger weights, not smaller ones",
        ),
        Mistake(
            lambda n, slope: np.sqrt(2 / n),
            "this is right for the ReLU only, where half of the slopes are 1 and half are 0",
        ),
        Mistake(
            lambda n, slope: 1 / np.sqrt(slope.size * (slope**2).mean()),
            "n counts the outputs of the layer, and is given; the number of slopes is something else",
        ),
        Mistake(
            lambda n, slope: 1 / np.sqrt(len(slope) * (slope**2).mean()),
            "n counts the outputs of the layer, and is given; the number of slopes is something else",
        ),
        Mistake(
            lambda n, slope: 1 / np.sqrt(n * slope**2),
            "one number is asked for, for all weights of the layer: the mean over the slopes is missing",
        ),
        Mistake(
            lambda n, slope: 1 / np.sqrt(n * (slope**2).sum()),
            "E[slope^2] is a mean, not a sum: n, in front of it, counts the terms",
        ),
    ],
)


def _residual(x: Any, w1: Any, w2: Any) -> Any:
    return x + np.tanh(x @ w1) @ w2


def _residual_backward(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    h = np.tanh(x @ w1)
    grad_z = grad_out @ w2.T * (1 - h**2)
    return grad_out + grad_z @ w1.T, x.T @ grad_z, h.T @ grad_out


def _without_way_around(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, *others = _residual_backward(grad_out, x, w1, w2)
    return grad_x - grad_out, *others


def _way_around_alone(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    return grad_out.copy(), *_residual_backward(grad_out, x, w1, w2)[1:]


def _one_added(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, *others = _residual_backward(grad_out, x, w1, w2)
    return grad_x - grad_out + 1, *others


def _x_added(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, *others = _residual_backward(grad_out, x, w1, w2)
    return grad_x - grad_out + x, *others


def _x_added_too(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, *others = _residual_backward(grad_out, x, w1, w2)
    return grad_x + x, *others


def _multiplied(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, *others = _residual_backward(grad_out, x, w1, w2)
    return grad_out * (grad_x - grad_out), *others


def _residual_with(slope: Any) -> Any:
    def answer(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
        h = np.tanh(x @ w1)
        grad_z = grad_out @ w2.T * slope(h)
        return grad_out + grad_z @ w1.T, x.T @ grad_z, h.T @ grad_out

    return answer


def _slope_in_x_alone(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, _, grad_w2 = _residual_backward(grad_out, x, w1, w2)
    return grad_x, x.T @ (grad_out @ w2.T), grad_w2


def _z_for_h(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, grad_w1, _ = _residual_backward(grad_out, x, w1, w2)
    return grad_x, grad_w1, (x @ w1).T @ grad_out


def _x_for_h(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    return *_residual_backward(grad_out, x, w1, w2)[:2], x.T @ grad_out


def _subtracted(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, *others = _residual_backward(grad_out, x, w1, w2)
    return grad_out - (grad_x - grad_out), *others


def _around_twice(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, *others = _residual_backward(grad_out, x, w1, w2)
    return grad_x + grad_out, *others


def _without_grad_out(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    h = np.tanh(x @ w1)
    grad_z = 1 - h**2
    return grad_out + grad_z @ w1.T, x.T @ grad_z, h.T @ grad_out


def _written_over(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    grad_x, grad_w1, _ = _residual_backward(grad_out, x, w1, w2)
    return grad_x, grad_w1, np.tanh(x @ w1).T @ grad_x


def _not_transposed(grad_out: Any, x: Any, w1: Any, w2: Any) -> Any:
    return grad_out @ w2


def _residual_cases(rng: np.random.Generator) -> Any:
    for examples, units, inner in ((1, 2, 3), (3, 4, 2), (5, 3, 4)):
        yield (
            rng.standard_normal((examples, units)),
            rng.standard_normal((examples, units)),
            rng.standard_normal((units, inner)),
            rng.standard_normal((inner, units)),
        )


t10_residual_backward = Implement(
    "t10_residual_backward",
    "dL/dx, dL/dw1 and dL/dw2 of the residual block y = x + tanh(x @ w1) @ w2, given dL/dy",
    _residual_backward,
    _residual_cases,
    mistakes=[
        Mistake(_without_way_around, "x is used twice, and the addend of the way around is missing in dL/dx"),
        Mistake(_way_around_alone, "x is used twice, and the addend that comes through the branch is missing in dL/dx"),
        Mistake(_one_added, "1 was added: the slope of the way around is 1, so what comes through it is 1 times dL/dy"),
        Mistake(_x_added_too, "on the way back dL/dy goes around the branch, and nothing else: x does not"),
        Mistake(_x_added, "on the way back dL/dy goes around the branch, not x"),
        Mistake(_multiplied, "the two ways were multiplied: gradients that come on two ways are added"),
        Mistake(_residual_with(lambda h: 1.0), "the slope of tanh is missing: dL/dz is not dL/dh"),
        Mistake(_residual_with(lambda h: h * (1 - h)), "h (1 - h) is the slope of the sigmoid, not of tanh"),
        Mistake(_residual_with(lambda h: 1 - np.tanh(h) ** 2), "h is tanh(z) already: it needs no further tanh"),
        Mistake(_residual_with(lambda h: 1 - h), "the slope of tanh is 1 minus the square of h"),
        Mistake(
            _residual_with(lambda h: 1 - np.arctanh(h) ** 2),
            "1 - z^2 was taken of what goes into the tanh; the slope is 1 minus the square of its result",
        ),
        Mistake(_subtracted, "the two ways are added: nothing in the block has a minus"),
        Mistake(_around_twice, "dL/dy was added twice: one of the two ways leads through the branch"),
        Mistake(
            _without_grad_out,
            "dL/dh is missing in dL/dz: the slope of tanh alone says nothing of the loss",
        ),
        Mistake(lambda *case: tuple(_residual_backward(*case)[k] for k in (0, 2, 1)), "the order is x, w1, w2"),
        Mistake(lambda *case: tuple(_residual_backward(*case)[k] for k in (1, 2, 0)), "the order is x, w1, w2"),
        Mistake(lambda *case: _residual_backward(*case)[0], "one gradient came: three were expected, of x, w1 and w2"),
        Mistake(_x_for_h, "w2 multiplies h, not x: dL/dw2 has h in it"),
        Mistake(_slope_in_x_alone, "w1 stands before tanh as well, so the slope belongs in dL/dw1, too"),
        Mistake(_z_for_h, "w2 multiplies h = tanh(z), not z"),
        Mistake(
            _written_over,
            "dL/dw2 was formed from dL/dx: was grad_out written over before it was needed?",
        ),
        Mistake(_not_transposed, "on the way back through a product stands the transposed matrix (tutorial 3)"),
    ],
    forward=_residual,
)

t10_twenty_blocks = Predict(
    "t10_twenty_blocks",
    "by what does the gradient grow through 20 residual blocks, each with a branch of factor 1?",
    2.0**10,
    mistakes=[
        Mistake(
            2.0**20,
            "a factor of 2 a block would need both addends to point the same way; of random ones the squares add up",
        ),
        Mistake(1.0, "each addend alone has the factor 1; but x has two ways, and the two come together"),
        Mistake(20.0, "the factors of the blocks are multiplied, not added"),
        Mistake(float(np.sqrt(2)), "that is one block"),
        Mistake(2.0**9, "20 blocks, not 18: count once more"),
        Mistake(float(np.sqrt(2)) ** 19, "20 blocks, not 19: count once more"),
        Mistake(21.0, "the factors of the blocks are multiplied, not added"),
        Mistake(40.0, "the factors of the blocks are multiplied, not added"),
        Mistake(20 * float(np.sqrt(2)), "the factors of the blocks are multiplied, not added"),
        Mistake(2.0, "that is two blocks"),
        Mistake(10.0, "that is the exponent: which number has it?"),
        Mistake(
            10 * float(np.log10(2)), "that is by how many decades it grows; how many times larger is a power of 10"
        ),
        Mistake(2.0**-10, "it grows: asked for is how many times larger it is at the input"),
        Mistake(2.0**-20, "it grows: the way around is added to the branch, so neither takes from the other"),
        Mistake(
            2.0**19,
            "a factor of 2 a block would need both addends to point the same way; of random ones the squares add up",
        ),
        Mistake(float(np.sqrt(20)), "the factors of the blocks are multiplied; this adds their squares"),
        Mistake(0.0, "a residual block never makes the gradient vanish: the factor is sqrt(1 + a^2)"),
    ],
    rtol=0.2,  # who takes 1.4 for the root of 2 comes to 837
    why="sqrt(2) a block, and 20 of them: 2 to the power of 10",
)

t10_three_times = Explain(
    "t10_three_times",
    "all weights are multiplied by 3: with which remedy does the gradient keep its slope?",
    {
        "a": "He's initialisation",
        "b": "the ReLU",
        "c": "batch normalisation in each layer",
        "d": "residual blocks",
    },
    "c",
    {
        "a": "it made the product 1 for the weights that were drawn; with three times these the factor is 3 a layer",
        "b": "its slopes stay the same, but the weights' share of the factor is 3 times as large",
        "d": "the way around stays, but the branch's factor a is 3 times as large, and with it sqrt(1 + a^2)",
    },
)

EXERCISES: tuple[Exercise, ...] = (
    t10_weight_std,
    t10_batch_norm_backward,
    t10_residual_backward,
    t10_twenty_blocks,
    t10_three_times,
)
