"""The exercises of tutorial 8: rates, steps in a ravine, momentum, Adam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict

t08_largest_rate = Predict(
    "t08_largest_rate",
    "the rate t above which y grows from step to step, for f = (x^2 + 25 y^2) / 2",
    2 / 25,
    mistakes=[
        Mistake(1 / 25, "at this rate y is 0 after one step; is a step twice as long already too long?"),
        Mistake(2.0, "that is the bound of x, the flat direction; which of the two is the first to grow?"),
        Mistake(1.0, "that rate takes x to 0 in one step; by what is y multiplied at this rate?"),
        Mistake(2 / 26, "this is the rate at which both directions shrink equally fast: y still shrinks"),
        Mistake(25.0, "this is the curvature; the larger it is, the smaller the rate has to be"),
        Mistake(12.5, "this is 1 over it"),
    ],
    why="|1 - 25 t| < 1 means t < 2/25: the steepest direction bounds the rate of all.",
)


def _steps(k: float, goal: float = 1e-6) -> int:
    return math.ceil(math.log(goal) / (2 * math.log((k - 1) / (k + 1))))


t08_steps = Predict(
    "t08_steps",
    "the steps that gradient descent needs at its best rate to a millionth of the first loss, for k = 100",
    _steps(100),
    mistakes=[
        Mistake(_steps(25), "these are the steps for k = 25; each step now shrinks w less"),
        Mistake(2 * _steps(25), "twice as many would mean that the steps grow with the root of k"),
        Mistake(16 * _steps(25), "16 times as many would mean that the steps grow with the square of k"),
        Mistake(2 * _steps(100), "the loss is a square: when w shrinks by q, the loss shrinks by q^2"),
        Mistake(_steps(100) / 4, "(99/101)^n is what is left of w after n steps; when is its square a millionth?"),
    ],
    rtol=0.05,
    why="four times the condition number, four times the steps: (k - 1) / (k + 1) is nearly 1 - 2/k.",
)


def _momentum_step(w: Any, v: Any, grad: Any, lr: Any, mu: Any) -> Any:
    v = mu * v + grad
    return w - lr * v, v


def _caffe_step(w: Any, v: Any, grad: Any, lr: Any, mu: Any) -> Any:
    v = mu * v + lr * grad
    return w - v, v


def _momentum_cases(rng: np.random.Generator) -> Any:
    yield np.array([1.0, -2.0, 3.0]), np.zeros(3), np.array([0.5, 1.0, -1.0]), 0.1, 0.9
    for shape in ((4,), (3, 2), (5,)):
        w, v, grad = rng.standard_normal((3, *shape))
        yield w, v, grad, round(float(rng.uniform(0.05, 0.4)), 3), round(float(rng.uniform(0.5, 0.95)), 3)


t08_momentum = Implement(
    "t08_momentum",
    "one step of SGD with momentum in PyTorch's form: the new w and the new v",
    _momentum_step,
    _momentum_cases,
    mistakes=[
        Mistake(_caffe_step, "the rate stands inside your velocity (that is Caffe's form); here it multiplies v later"),
        Mistake(lambda w, v, grad, lr, mu: (w - lr * grad, grad), "the velocity forgets: nothing of the old v is kept"),
        Mistake(
            lambda w, v, grad, lr, mu: (w - lr * (mu * v + grad), v),
            "w is right, but the old velocity is returned, so that no step remembers the one before",
        ),
        Mistake(
            lambda w, v, grad, lr, mu: (w - lr * v, mu * v + grad),
            "w moves along the old velocity: bring v up to date before you use it",
        ),
        Mistake(
            lambda w, v, grad, lr, mu: (w - lr * (mu * v + (1 - mu) * grad), mu * v + (1 - mu) * grad),
            "the gradient is weighted by 1 - mu (a running mean); in this form it is added in full",
        ),
        Mistake(
            lambda w, v, grad, lr, mu: (w - lr * (grad + mu * (mu * v + grad)), mu * v + grad),
            "that is Nesterov's step, which looks ahead; here w moves along v itself",
        ),
        Mistake(lambda w, v, grad, lr, mu: (w - mu * v - grad, mu * v + grad), "the rate lr is forgotten"),
        Mistake(lambda w, v, grad, lr, mu: (w + lr * (mu * v + grad), mu * v + grad), "w moves uphill: look at a sign"),
        Mistake(
            lambda w, v, grad, lr, mu: (w + lr * (mu * v - grad), mu * v - grad),
            "this velocity points downhill; here v is made of gradients, and w moves against it",
        ),
        Mistake(lambda w, v, grad, lr, mu: w - lr * (mu * v + grad), "return both, w and v: the next step needs v"),
    ],
)

t08_caffe = Predict(
    "t08_caffe",
    "the length of the first step in Caffe's form after t has fallen from 0.1 to 0.01 (gradient 1, mu = 0.9)",
    0.91,
    mistakes=[
        Mistake(0.1, "that is PyTorch's form, where today's rate multiplies the whole velocity"),
        Mistake(0.01, "that is a step without momentum; what is in the velocity already?"),
        Mistake(1.0, "the velocity shrinks by mu before the new gradient comes to it"),
        Mistake(0.9, "nearly: today's gradient comes on top, with today's rate"),
        Mistake(10.0, "that is the velocity in PyTorch's form; in Caffe's form the rate is inside of it"),
        Mistake(0.19, "the velocity before was 1, not 0.1: it had grown to t / (1 - mu)"),
    ],
    why="v = 0.9 * 1 + 0.01 * 1: each gradient keeps the rate of its own day, and old ones leave slowly.",
)


def _adam_step(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u = beta1 * u + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    mean, square = u / (1 - beta1**k), v / (1 - beta2**k)
    return w - lr * mean / (np.sqrt(square) + eps), u, v


def _moments(u: Any, v: Any, grad: Any, beta1: Any, beta2: Any) -> Any:
    return beta1 * u + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2


def _uncorrected(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = _moments(u, v, grad, beta1, beta2)
    return w - lr * u / (np.sqrt(v) + eps), u, v


def _half_corrected(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = _moments(u, v, grad, beta1, beta2)
    return w - lr * u / (1 - beta1**k) / (np.sqrt(v) + eps), u, v


def _other_half(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = _moments(u, v, grad, beta1, beta2)
    return w - lr * u / (np.sqrt(v / (1 - beta2**k)) + eps), u, v


def _from_zero(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = _moments(u, v, grad, beta1, beta2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return w - lr * (u / (1 - beta1 ** (k - 1))) / (np.sqrt(v / (1 - beta2 ** (k - 1))) + eps), u, v


def _eps_inside(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = _moments(u, v, grad, beta1, beta2)
    return w - lr * (u / (1 - beta1**k)) / np.sqrt(v / (1 - beta2**k) + eps), u, v


def _eps_before(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = _moments(u, v, grad, beta1, beta2)
    return w - lr * math.sqrt(1 - beta2**k) / (1 - beta1**k) * u / (np.sqrt(v) + eps), u, v


def _no_eps(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, u, v, k, grad, lr, beta1, beta2, 0.0)


def _no_rate(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, u, v, k, grad, 1.0, beta1, beta2, eps)


def _uphill(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, u, v, k, grad, -lr, beta1, beta2, eps)


def _state_corrected(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    new, u, v = _adam_step(w, u, v, k, grad, lr, beta1, beta2, eps)
    return new, u / (1 - beta1**k), v / (1 - beta2**k)


def _state_kept(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, u, v, k, grad, lr, beta1, beta2, eps)[0], u, v


def _state_overwritten(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, 0 * u, 0 * v, k, grad, lr, beta1, beta2, eps)


def _betas_swapped(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, u, v, k, grad, lr, beta2, beta1, eps)


def _no_root(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = _moments(u, v, grad, beta1, beta2)
    return w - lr * (u / (1 - beta1**k)) / (v / (1 - beta2**k) + eps), u, v


def _mean_squared(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u = beta1 * u + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * u**2
    return w - lr * (u / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + eps), u, v


def _no_square(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = beta1 * u + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad
    with np.errstate(invalid="ignore"):
        return w - lr * (u / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + eps), u, v


def _state_squared(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = beta1 * u + (1 - beta1) * grad, (beta2 * v + (1 - beta2) * grad) ** 2
    return w - lr * (u / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + eps), u, v


def _in_float64(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    new, u, v = _adam_step(w, u, v, k, grad, lr, beta1, beta2, eps)
    return new.astype(np.float64), u, v


def _adam_cases(rng: np.random.Generator) -> Any:
    """eps is large here, so that its place shows."""
    yield np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3), 1, np.array([0.5, 1.0, -0.25]), 0.1, 0.9, 0.99, 0.01
    for shape in ((4,), (3, 2), (5,)):
        w, u, grad = rng.standard_normal((3, *shape))
        beta1, beta2 = (round(float(rng.uniform(*between)), 3) for between in ((0.6, 0.9), (0.95, 0.999)))
        yield w, 0.3 * u, rng.uniform(0.1, 1.0, shape), int(rng.integers(2, 10)), grad, 0.2, beta1, beta2, 0.05


t08_adam = Implement(
    "t08_adam",
    "one step of Adam with bias correction: the new w, u and v",
    _adam_step,
    _adam_cases,
    mistakes=[
        Mistake(_uncorrected, "the bias correction is missing: both means begin at 0 and are too small at first"),
        Mistake(_half_corrected, "v is not corrected: it begins at 0 too, and grows even more slowly than u"),
        Mistake(_other_half, "u is not corrected: it begins at 0 as v does"),
        Mistake(_from_zero, "k counts from 1: the first step is corrected with beta to the power of 1"),
        Mistake(_eps_inside, "eps stands inside your root; it is added to the root"),
        Mistake(_eps_before, "this eps is added to a root that is not corrected yet, where it counts for more"),
        Mistake(_no_eps, "eps is missing: where v is 0 you divide by 0"),
        Mistake(_no_rate, "the rate lr is forgotten"),
        Mistake(_uphill, "w moves uphill: look at a sign"),
        Mistake(_state_corrected, "the state is overwritten by the corrected means: return u and v themselves"),
        Mistake(_state_kept, "w is right, but the old u and v are returned, so that the next step forgets this one"),
        Mistake(_state_overwritten, "the state is overwritten by this gradient: what u and v held before is lost"),
        Mistake(_betas_swapped, "the two betas are swapped: beta1 is that of u, beta2 that of v"),
        Mistake(_no_root, "the root is missing: you divide by the mean square itself"),
        Mistake(_mean_squared, "v is the mean of the squared gradient, not of the squared u"),
        Mistake(_no_square, "the square is missing: v is the mean of the squared gradient"),
        Mistake(_state_squared, "the square is taken of the whole mean: it belongs to the gradient alone"),
        Mistake(
            _in_float64,
            "the weights are float32 and must stay so: np.sqrt of a plain number is a NumPy float64, which makes "
            "float64 of every array it meets; math.sqrt or ** 0.5 does not",
        ),
        Mistake(
            lambda w, u, v, k, grad, lr, beta1, beta2, eps: beta1 ^ k,
            "^ is another operation in Python: a power is beta1**k",
        ),
        Mistake(
            lambda w, u, v, k, grad, lr, beta1, beta2, eps: _adam_step(w, u, v, k, grad, lr, beta1, beta2, eps)[0],
            "return all three, w, u and v: the next step needs u and v",
        ),
    ],
)

t08_turned = Explain(
    "t08_turned",
    "SGD and momentum need the same number of steps in the turned ravine, Adam many more. Why?",
    {
        "a": "The turned ravine has a larger largest curvature.",
        "b": "Adam rescales each coordinate by itself, and in the turned ravine both coordinates see the same mixture.",
        "c": "Adam's steps are longer on the diagonal, so that it overshoots.",
        "d": "Adam's means have to begin anew when the ravine is turned.",
    },
    "b",
    hints={
        "a": "turning moves no height: SGD, which feels the curvatures 1 and k alone, needs the same steps",
        "c": "a step that is longer by a factor of at most 1.4 cannot cost more and more steps as k grows",
        "d": "each run begins anew, in both ravines, and the correction sees to its first steps",
    },
)

t08_scaled = Predict(
    "t08_scaled",
    "by what Adam's first step is multiplied when the loss is multiplied by 100",
    1.0,
    mistakes=[
        Mistake(100.0, "that is SGD; what happens to v, and to its root, when each gradient is 100 times as large?"),
        Mistake(10.0, "the root is taken of a mean of squares: the squares are 10,000 times as large"),
        Mistake(0.01, "u is 100 times as large, and what it is divided by as well"),
        Mistake(0.1, "u is 100 times as large; by what factor is the root of v larger?"),
    ],
    why="the factor stands in u and in the root of v, and cancels (but for eps).",
)

EXERCISES: tuple[Exercise, ...] = (
    t08_largest_rate,
    t08_steps,
    t08_momentum,
    t08_caffe,
    t08_adam,
    t08_turned,
    t08_scaled,
)
