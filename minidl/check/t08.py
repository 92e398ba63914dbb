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
        Mistake(1 / 26, "1 - 25 t alone is what y is multiplied by; when does its size pass 1?"),
        Mistake(0.081, "nearly: that rate is above the bound already; where is it exactly?"),
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


def _rate_in_velocity(sign: float) -> Any:
    """The rate inside of the velocity; the weights then move by `sign` times the rate times it, or by it for 0."""

    def step(w: Any, v: Any, grad: Any, lr: Any, mu: Any) -> Any:
        if not sign:
            v = mu * v - lr * grad
            return w + v, v
        v = mu * v + lr * grad
        return w - sign * lr * v, v

    return step


_BUILT_IN = "0.9 or 0.1 stands in your lines as a number: use mu and lr, which have other values here"


def _momentum_cases(rng: np.random.Generator) -> Any:
    yield np.array([1.0, -2.0, 3.0]), np.zeros(3), np.array([0.5, 1.0, -1.0]), 0.1, 0.8
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
        Mistake(
            _rate_in_velocity(0.0),
            "that is the form of many books, with the rate and the minus sign inside the velocity; here v is a sum of "
            "gradients, and rate and sign come with the step",
        ),
        Mistake(_rate_in_velocity(1.0), "the rate counts twice: inside the velocity and once more in the step"),
        Mistake(
            lambda w, v, grad, lr, mu: (w - lr * mu * (v + grad), mu * (v + grad)),
            "mu multiplies the old velocity alone; today's gradient is added in full",
        ),
        Mistake(
            lambda w, v, grad, lr, mu: (w - lr * (v + mu * grad), v + mu * grad),
            "mu stands before the gradient; it belongs before the old velocity",
        ),
        Mistake(
            lambda w, v, grad, lr, mu: (w - lr * (v + grad), v + grad),
            "mu is missing: this velocity never forgets a gradient",
        ),
        Mistake(
            lambda w, v, grad, lr, mu: (w - lr * ((1 - mu) * v + grad), (1 - mu) * v + grad),
            "the old velocity is multiplied by mu itself, not by 1 - mu",
        ),
        Mistake(
            lambda w, v, grad, lr, mu: (-lr * (mu * v + grad), mu * v + grad),
            "the first thing you return is the step; asked for is where w is after it",
        ),
        Mistake(lambda w, v, grad, lr, mu: (w - lr * (0.9 * v + grad), 0.9 * v + grad), _BUILT_IN),
        Mistake(lambda w, v, grad, lr, mu: (w - 0.1 * (0.9 * v + grad), 0.9 * v + grad), _BUILT_IN),
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
        Mistake(1.01, "the velocity shrinks by mu before the new gradient comes to it"),
        Mistake(0.909, "mu multiplies the old velocity alone; the new t g is added in full"),
        Mistake(0.901, "the new t g is added in full, not weighted by 1 - mu"),
        Mistake(9.01, "the velocity before was t / (1 - mu) = 1, not 1 / (1 - mu) = 10: the rate is inside of it"),
        Mistake(0.9, "nearly: today's gradient comes on top, with today's rate"),
        Mistake(10.0, "that is the velocity in PyTorch's form; in Caffe's form the rate is inside of it"),
        Mistake(0.19, "the velocity before was 1, not 0.1: it had grown to t / (1 - mu)"),
    ],
    rtol=0.001,
    why="v = 0.9 * 1 + 0.01 * 1: each gradient keeps the rate of its own day, and old ones leave slowly.",
)


def _adam_step(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u = beta1 * u + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    mean, square = u / (1 - beta1**k), v / (1 - beta2**k)
    return w - lr * mean / (np.sqrt(square) + eps), u, v


def _moments(u: Any, v: Any, grad: Any, beta1: Any, beta2: Any) -> Any:
    return beta1 * u + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2


def _eps_before(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    u, v = _moments(u, v, grad, beta1, beta2)
    return w - lr * math.sqrt(1 - beta2**k) / (1 - beta1**k) * u / (np.sqrt(v) + eps), u, v


def _state_corrected(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    new, u, v = _adam_step(w, u, v, k, grad, lr, beta1, beta2, eps)
    return new, u / (1 - beta1**k), v / (1 - beta2**k)


def _state_kept(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, u, v, k, grad, lr, beta1, beta2, eps)[0], u, v


def _state_overwritten(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, 0 * u, 0 * v, k, grad, lr, beta1, beta2, eps)


def _betas_swapped(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    return _adam_step(w, u, v, k, grad, lr, beta2, beta1, eps)


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


def _adam_with(
    power1: Any = pow,
    power2: Any = pow,
    beta_of_v: Any = lambda beta1, beta2: beta2,
    beta_of_square: Any = None,
    weights: Any = lambda beta: (beta, 1 - beta),
    step: Any = lambda w, lr, mean, root, eps, square, grad: w - lr * mean / (root + eps),
) -> Any:
    """Adam with one of its parts replaced."""

    def adam_step(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
        of_v = beta_of_v(beta1, beta2)
        (old_u, new_u), (old_v, new_v) = weights(beta1), weights(of_v)
        u, v = old_u * u + new_u * grad, old_v * v + new_v * grad**2
        with np.errstate(all="ignore"):
            mean = u / (1 - power1(beta1, k))
            square = v / (1 - power2((beta_of_square or beta_of_v)(beta1, beta2), k))
            return step(w, lr, mean, np.sqrt(square), eps, square, grad), u, v

    return adam_step


def _old_means(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    new = w - lr * (u / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + eps)
    return new, *_moments(u, v, grad, beta1, beta2)


def _another_order(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    new, u, v = _adam_step(w, u, v, k, grad, lr, beta1, beta2, eps)
    return u, v, new


def _square_overwritten(w: Any, u: Any, v: Any, k: Any, grad: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
    new, u, v = _adam_step(w, u, v, k, grad, lr, beta1, beta2, eps)
    return new, u, v / (1 - beta2**k)


def _none(beta: float, k: int) -> float:
    return 0.0


_uncorrected = _adam_with(power1=_none, power2=_none)
_half_corrected = _adam_with(power2=_none)
_other_half = _adam_with(power1=_none)
_from_zero = _adam_with(power1=lambda beta, k: beta ** (k - 1), power2=lambda beta, k: beta ** (k - 1))
_times_correction = _adam_with(
    power1=lambda beta, k: 1 - 1 / (1 - beta**k), power2=lambda beta, k: 1 - 1 / (1 - beta**k)
)
_correction_outside = _adam_with(power2=lambda beta, k: 1 - (1 - beta**k) ** 2)
_eps_inside = _adam_with(step=lambda w, lr, mean, root, eps, square, grad: w - lr * mean / np.sqrt(square + eps))
_no_root = _adam_with(step=lambda w, lr, mean, root, eps, square, grad: w - lr * mean / (square + eps))
_no_eps = _adam_with(step=lambda w, lr, mean, root, eps, square, grad: w - lr * mean / root)
_no_rate = _adam_with(step=lambda w, lr, mean, root, eps, square, grad: w - mean / (root + eps))
_uphill = _adam_with(step=lambda w, lr, mean, root, eps, square, grad: w + lr * mean / (root + eps))
_FROM_ONE = "the first step has k = 1 already: the power is k, not k + 1"
_NO_POWER = "the corrections are those of the first step, 1 - beta: the power k is missing"


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
            "the weights are float32 and must stay so: np.sqrt or np.power of plain numbers is a NumPy float64, which "
            "makes float64 of every array it meets; math.sqrt and ** do not",
        ),
        Mistake(_adam_with(power1=lambda beta, k: beta ** (k + 1), power2=lambda beta, k: beta ** (k + 1)), _FROM_ONE),
        Mistake(_adam_with(power1=lambda beta, k: beta, power2=lambda beta, k: beta), _NO_POWER),
        Mistake(
            _adam_with(power1=lambda beta, k: beta * k, power2=lambda beta, k: beta * k),
            "beta is multiplied by k; beta to the power of k is beta**k",
        ),
        Mistake(
            _adam_with(beta_of_v=lambda beta1, beta2: beta1),
            "beta1 stands in v too: v has a beta of its own, beta2",
        ),
        Mistake(
            _adam_with(beta_of_square=lambda beta1, beta2: beta1),
            "v is corrected with beta1; it was made with beta2",
        ),
        Mistake(
            _adam_with(weights=lambda beta: (1 - beta, beta)),
            "beta and 1 - beta have changed places: the old mean has the large weight, today's gradient the small one",
        ),
        Mistake(
            _adam_with(weights=lambda beta: (beta, 1.0)),
            "in a running mean what is new is weighted by 1 - beta; here it is added in full",
        ),
        Mistake(
            _adam_with(step=lambda w, lr, mean, root, eps, square, grad: w - lr * mean / root + eps),
            "a division is done before a sum: put brackets around what you divide by, the root and eps",
        ),
        Mistake(
            _adam_with(step=lambda w, lr, mean, root, eps, square, grad: w - lr * grad / (root + eps)),
            "the step goes along today's gradient; it should go along the mean u, corrected",
        ),
        Mistake(
            _adam_with(step=lambda w, lr, mean, root, eps, square, grad: -lr * mean / (root + eps)),
            "the first thing you return is the step; asked for is where w is after it",
        ),
        Mistake(_times_correction, "the means are multiplied by 1 - beta^k, which makes them smaller still"),
        Mistake(_correction_outside, "v is corrected after the root is taken: the division belongs under the root"),
        Mistake(_old_means, "the step is made of the old u and v: bring them up to date before you use them"),
        Mistake(_another_order, "the order is another one: first w, then u, then v"),
        Mistake(
            _square_overwritten, "v is returned corrected: correct it for the step alone, and return the mean itself"
        ),
        Mistake(
            lambda w, u, v, k, grad, lr, beta1, beta2, eps: math.sqrt(np.ones(grad.shape)),
            "math.sqrt takes one number; of an array, np.sqrt or ** 0.5 takes every root",
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
        Mistake(1e4, "that is the factor of v; in the step stands its root, and u above it"),
        Mistake(0.0, "a factor of 0 would be no step at all"),
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
