"""The exercises of tutorial 12: back through time, clipping, the LSTM, attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidl.check.attention import t12_attention
from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict

Arrays = Sequence[Any]


# ---- a step of a recurrent network, backwards


def _rnn(x: Any, h: Any, w_x: Any, w_h: Any) -> Any:
    return np.tanh(x @ w_x.T + h @ w_h.T)


def _back(grad_z: Any, x: Any, h: Any, w_x: Any, w_h: Any) -> tuple[Any, ...]:
    """The gradients, given that of what the tanh is taken of."""
    return grad_z @ w_x, grad_z @ w_h, grad_z.T @ x, grad_z.T @ h


def _rnn_backward(grad_h: Any, x: Any, h: Any, w_x: Any, w_h: Any) -> tuple[Any, ...]:
    return _back(grad_h * (1 - _rnn(x, h, w_x, w_h) ** 2), x, h, w_x, w_h)


def _transposed(grad_h: Any, x: Any, h: Any, w_x: Any, w_h: Any) -> tuple[Any, ...]:
    grad_z = grad_h * (1 - _rnn(x, h, w_x, w_h) ** 2)
    return grad_z @ w_x, grad_z @ w_h.T, grad_z.T @ x, grad_z.T @ h


def _weights_transposed(grad_h: Any, x: Any, h: Any, w_x: Any, w_h: Any) -> tuple[Any, ...]:
    grad_z = grad_h * (1 - _rnn(x, h, w_x, w_h) ** 2)
    return grad_z @ w_x, grad_z @ w_h, x.T @ grad_z, h.T @ grad_z


def _h_transposed(grad_h: Any, x: Any, h: Any, w_x: Any, w_h: Any) -> tuple[Any, ...]:
    grad_z = grad_h * (1 - _rnn(x, h, w_x, w_h) ** 2)
    return grad_z @ w_x, grad_z @ w_h, grad_z.T @ x, h.T @ grad_z


def _without_slope_for_weights(grad_h: Any, x: Any, h: Any, w_x: Any, w_h: Any) -> tuple[Any, ...]:
    grad_z = grad_h * (1 - _rnn(x, h, w_x, w_h) ** 2)
    return grad_z @ w_x, grad_z @ w_h, grad_h.T @ x, grad_h.T @ h


def _rnn_with(of: Any) -> Any:
    """The gradients `of(grad_h, grad_z, x, h, w_x, w_h, new)`."""

    def answer(grad_h: Any, x: Any, h: Any, w_x: Any, w_h: Any) -> Any:
        new = _rnn(x, h, w_x, w_h)
        return of(grad_h, grad_h * (1 - new**2), x, h, w_x, w_h, new)

    return answer


def _time_steps(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for _ in range(3):
        n, i, o = rng.choice(np.arange(2, 6), 3, replace=False)
        h = np.tanh(rng.standard_normal((n, o)))
        weights = 0.5 * rng.standard_normal((o, i)), 0.5 * rng.standard_normal((o, o))
        yield rng.standard_normal((n, o)), rng.standard_normal((n, i)), h, *weights


t12_rnn_backward = Implement(
    "t12_rnn_backward",
    "the gradients of h' = tanh(x @ w_x.T + h @ w_h.T) with respect to x, h, w_x and w_h, given dL/dh'",
    _rnn_backward,
    _time_steps,
    mistakes=[
        Mistake(lambda grad_h, *rest: _back(grad_h, *rest), "the slope of tanh is missing"),
        Mistake(
            lambda grad_h, x, h, w_x, w_h: _back(grad_h * (1 - h**2), x, h, w_x, w_h),
            "the slope of tanh is taken at the old state h; it is that of the new one, which this step computes",
        ),
        Mistake(
            lambda grad_h, x, h, w_x, w_h: _back(grad_h * (1 - _rnn(x, h, w_x, w_h)), x, h, w_x, w_h),
            "the slope of tanh is 1 minus the square of its result",
        ),
        Mistake(
            lambda grad_h, x, h, w_x, w_h: _back(grad_h * (1 - (x @ w_x.T + h @ w_h.T) ** 2), x, h, w_x, w_h),
            "1 - z^2 was taken of what goes into the tanh; the slope is 1 minus the square of its result",
        ),
        Mistake(
            lambda grad_h, x, h, w_x, w_h: _back(
                grad_h * _rnn(x, h, w_x, w_h) * (1 - _rnn(x, h, w_x, w_h)), x, h, w_x, w_h
            ),
            "that is the slope of the sigmoid; here it is tanh",
        ),
        Mistake(_transposed, "dL/dh: forward it was h @ w_h.T, so on the way back w_h comes without the transpose"),
        Mistake(_weights_transposed, "the gradients of the weights are transposed: each has the shape of its weight"),
        Mistake(_h_transposed, "dL/dw_h is transposed: row i of w_h belongs to unit i of the new state"),
        Mistake(
            _without_slope_for_weights,
            "the slope of tanh is missing in the gradients of the weights (not in the others)",
        ),
        Mistake(lambda *case: tuple(_rnn_backward(*case)[k] for k in (1, 0, 3, 2)), "the order is x, h, w_x, w_h"),
        Mistake(lambda *case: tuple(_rnn_backward(*case)[k] for k in (2, 3, 0, 1)), "the order is x, h, w_x, w_h"),
        Mistake(lambda *case: tuple(_rnn_backward(*case)[k] for k in (0, 2, 1, 3)), "the order is x, h, w_x, w_h"),
        Mistake(
            _rnn_with(
                lambda grad_h, grad_z, x, h, w_x, w_h, new: (grad_z @ w_x, grad_z @ w_h, grad_z.T @ x, grad_z.T @ new)
            ),
            "dL/dw_h was formed with the new state (was h written over?): what w_h multiplied was the old one",
        ),
        Mistake(
            _rnn_with(lambda grad_h, grad_z, x, h, w_x, w_h, new: _back(1 - new**2, x, h, w_x, w_h)),
            "grad_h is missing: the slope of tanh alone says nothing of the loss",
        ),
        Mistake(
            _rnn_with(lambda grad_h, grad_z, x, h, w_x, w_h, new: _back(grad_h * (1 - new) ** 2, x, h, w_x, w_h)),
            "(1 - h')^2 is not 1 - h'^2: the square is that of the new state alone",
        ),
        Mistake(
            _rnn_with(lambda grad_h, grad_z, x, h, w_x, w_h, new: _back(grad_h * (1 - grad_h**2), x, h, w_x, w_h)),
            "1 - grad_h^2 was taken for the slope; it is 1 minus the square of the new state, which this step computes",
        ),
        Mistake(
            _rnn_with(
                lambda grad_h, grad_z, x, h, w_x, w_h, new: (
                    grad_z @ w_x,
                    grad_h + grad_z @ w_h,
                    grad_z.T @ x,
                    grad_z.T @ h,
                )
            ),
            "grad_h was added to dL/dh: the old state has no way around the tanh here (that is a residual block)",
        ),
        Mistake(
            _rnn_with(
                lambda grad_h, grad_z, x, h, w_x, w_h, new: (grad_z @ w_x, grad_h @ w_h, grad_z.T @ x, grad_z.T @ h)
            ),
            "the slope of tanh is missing in dL/dh (not in the others)",
        ),
        Mistake(
            lambda grad_h, x, h, w_x, w_h: _back(grad_h * (1 - np.tanh(x @ w_x.T + h @ w_h) ** 2), x, h, w_x, w_h),
            "in the new state w_h stands with its transpose: x @ w_x.T + h @ w_h.T",
        ),
        Mistake(
            lambda grad_h, x, h, w_x, w_h: _back(grad_h * (1 - np.tanh(x @ w_x.T) ** 2), x, h, w_x, w_h),
            "the new state needs the old one as well: x @ w_x.T + h @ w_h.T",
        ),
        Mistake(
            lambda *case: _rnn_backward(*case)[:2], "the gradients of the weights are missing: of x, h, w_x and w_h"
        ),
        Mistake(lambda *case: _rnn_backward(*case)[2:], "the gradients of x and h are missing: of x, h, w_x and w_h"),
        Mistake(lambda *case: _rnn_backward(*case)[1], "one gradient came: four were expected, of x, h, w_x and w_h"),
        Mistake(
            lambda grad_h, x, h, w_x, w_h: np.tanh(x @ w_x + h @ w_h),
            "the rows of w_x and w_h are the units of the new state: forward it is x @ w_x.T + h @ w_h.T",
        ),
        Mistake(
            lambda grad_h, x, h, w_x, w_h: grad_h @ w_x.T,
            "dL/dx: forward it was x @ w_x.T, so on the way back w_x comes without the transpose",
        ),
    ],
    forward=_rnn,
)

t12_predict_decay = Predict(
    "t12_predict_decay",
    "by which number the gradient is multiplied over 50 time steps, where the spectral radius is 0.9",
    0.9**50,
    [
        Mistake(0.9**-50, "that is how it would grow: with a radius below 1 it falls"),
        Mistake(0.9 * 50, "the factors of the time steps multiply, they do not add up"),
        Mistake(1 - 0.1 * 50, "the factors of the time steps multiply: 0.9 of what is left, each time"),
        Mistake(0.9, "that is one time step"),
        Mistake(0.1**50, "each time step keeps 0.9 of it and takes 0.1 away: more than that is left"),
        Mistake(0.01, "10 to the power of -2.3 is not 10 to the power of -2: what is 10 to the power of -0.3?"),
        Mistake(np.exp(-5), "0.9 was taken for e to the power of -0.1, and 50 times that little error is too much"),
        Mistake(0.046, "that is by how many decades it falls in one time step"),
        Mistake(50 * np.log10(0.9), "that is the logarithm of it: by how many decades it falls"),
        Mistake(50 * np.log(0.9), "that is the natural logarithm of it"),
        Mistake(-50 * np.log10(0.9), "that is by how many decades it falls; the factor is a power of 10"),
        Mistake(np.exp(50 * np.log10(0.9)), "with decimal logarithms it is 10 to the power of the sum, not e"),
        Mistake(0.9**25, "that is over 25 time steps"),
        Mistake(10 ** (-50 * 0.046) * 100, "that would be the factor in per cent"),
    ],
    rtol=0.15,
    why="0.9^50 = 10^(-2.3): one part in 200 is left; over 100 time steps it would be one in 40,000",
)


# ---- clipping


def _norm(gradients: Arrays) -> Any:
    return np.sqrt(sum((g**2).sum() for g in gradients))


def _scaled(gradients: Arrays, factor: Any) -> list[Any]:
    return [(g * factor).astype(g.dtype) for g in gradients]


def _clip(gradients: Arrays, max_norm: float) -> list[Any]:
    return _scaled(gradients, min(1.0, max_norm / _norm(gradients)))


def _gradients(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    yield [np.array([[3.0, 4.0]]), np.array([12.0])], 1.0  # the norm is 13
    yield [np.array([[0.3, 0.4]]), np.array([0.1])], 1.0  # the norm is 0.51: nothing to do
    yield [rng.standard_normal((3, 4)), rng.standard_normal(3), rng.standard_normal((2, 3))], 0.5
    yield [np.array([[1.5, -2.0]]), np.array([0.001])], 2.0  # the mean of the squares is below, the norm above


def _norm_again(gradients: Arrays, max_norm: float) -> list[Any]:
    new = list(gradients)
    for i, g in enumerate(new):
        new[i] = (g * min(1.0, max_norm / _norm(new))).astype(g.dtype)
    return new


_ROOT = "the root is missing: the norm is the root of the sum of the squares"

t12_clip = Implement(
    "t12_clip",
    "all gradients scaled by one factor, so that together they have at most the norm max_norm",
    _clip,
    _gradients,
    mistakes=[
        Mistake(
            lambda gradients, c: [(g * min(1.0, c / _norm([g]))).astype(g.dtype) for g in gradients],
            "each array was clipped on its own: that changes the direction; there is one norm and one factor for all",
        ),
        Mistake(
            lambda gradients, c: [np.clip(g, -c, c) for g in gradients],
            "each number was clipped: that changes the direction; scale all by one factor",
        ),
        Mistake(lambda gradients, c: _scaled(gradients, min(1.0, c / _norm(gradients) ** 2)), _ROOT),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / sum(abs(g).sum() for g in gradients))),
            "absolute values were added up: the norm is the root of the sum of the squares",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / sum(_norm([g]) for g in gradients))),
            "the norms of the arrays were added up: it is their squares that add up, before the root",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, c / _norm(gradients)),
            "gradients that are short enough stay as they are: the factor is at most 1",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, max(1.0, c / _norm(gradients))),
            "the factor is at most 1, not at least",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, _norm(gradients) / c)), "norm / max_norm is upside down"
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, 1 / _norm(gradients)) if _norm(gradients) > c else list(gradients),
            "the gradient gets the norm 1: it should get max_norm",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / max(abs(g).max() for g in gradients))),
            "the largest number was taken for the norm",
        ),
        Mistake(
            lambda gradients, c: list(gradients),
            "the gradients came back as they were: g = g * factor in a loop changes no list; collect the new arrays",
        ),
        Mistake(_norm_again, "the norm was computed again after an array had been scaled: compute it once, before"),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / np.sqrt(sum((g**2).mean() for g in gradients)))),
            "the mean of the squares was taken: in the norm they are added up",
        ),
        Mistake(
            lambda gradients, c: _scaled(
                gradients, min(1.0, c / np.sqrt(np.mean(np.concatenate([g.ravel() for g in gradients]) ** 2)))
            ),
            "the mean of the squares was taken: in the norm they are added up",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / np.sqrt(_norm(gradients)))),
            "two roots were taken: the norm is the root of the sum of the squares, once",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / max(_norm([g]) for g in gradients))),
            "the largest of the arrays' norms was taken: all of them have one norm together",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / _norm(gradients[:1]))),
            "the norm is that of the first array alone: it goes over all",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / _norm(gradients[-1:]))),
            "the norm is that of the last array alone: it goes over all",
        ),
        Mistake(
            lambda gradients, c: (_clip(gradients, c), _norm(gradients)),
            "the norm came as well: the list of arrays alone is asked for",
        ),
        Mistake(
            lambda gradients, c: min(1.0, c / _norm(gradients)),
            "the factor came: asked for are the gradients, multiplied by it",
        ),
        Mistake(
            lambda gradients, c: _clip(gradients, c) if _norm(gradients) > c else [],
            "gradients that are short enough have to be returned, too",
        ),
        Mistake(
            lambda gradients, c: _clip(gradients, c) if _norm(gradients) > c else 0,
            "gradients that are short enough have to be returned, too",
        ),
        Mistake(lambda gradients, c: _clip(gradients, c)[0], "one array came: return all of them, in a list"),
        Mistake(
            lambda gradients, c: np.concatenate([g.ravel() for g in _clip(gradients, c)]),
            "one array came: return as many as there were, each with its shape",
        ),
        Mistake(
            lambda gradients, c: _clip(gradients, c) if _norm(gradients) > c else None,
            "gradients that are short enough have to be returned, too",
        ),
        Mistake(
            lambda gradients, c: [g.astype(np.float64) for g in _clip(gradients, c)],
            "a NumPy number in float64 makes float64 of a float32 array: let the factor be float(factor)",
        ),
        Mistake(
            lambda gradients, c: _scaled(gradients, min(1.0, c / np.linalg.norm(gradients))),
            "the arrays have different shapes: square and sum each by itself, or flatten it with .ravel()",
        ),
    ],
    rtol=1e-5,  # c / (norm + 1e-6) is as right
)


# ---- the LSTM

t12_lstm = Explain(
    "t12_lstm",
    "why does an LSTM with open forget gates keep the gradient?",
    {
        "a": "it has four times as many weights, so there is more gradient",
        "b": "its gates are sigmoids, whose slope is larger than that of tanh",
        "c": "the old cell is carried on by a sum; back along the cell the only factor is the forget gate, near 1",
        "d": "its gradients are clipped, so they cannot vanish",
    },
    "c",
    {
        "a": "the LSTM with the bias 0 has as many weights, and its gradient falls like that of the plain network",
        "b": "the slope of a sigmoid is at most 1/4, that of tanh at most 1. Look for a way without any slope",
        "d": "clipping makes large gradients smaller, and no small one larger",
    },
)

EXERCISES: tuple[Exercise, ...] = (t12_rnn_backward, t12_predict_decay, t12_clip, t12_lstm, t12_attention)
