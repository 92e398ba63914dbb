"""The largest exercise of tutorial 12, in a file of its own: attention with a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl import functional as F
from minidl.check.exercise import Implement, Mistake


def _masked(scores: Any) -> Any:
    ahead = np.triu(np.ones(scores.shape, bool), 1)
    return np.where(ahead, -np.inf, scores)


def _scores(q: Any, k: Any) -> Any:
    return q @ k.T / np.sqrt(q.shape[1])


def _attention(q: Any, k: Any, v: Any) -> Any:
    return F.softmax(_masked(_scores(q, k)), axis=1) @ v


def _mask_after(q: Any, k: Any, v: Any) -> Any:
    return np.tril(F.softmax(_scores(q, k), axis=1)) @ v


def _zeros_before(q: Any, k: Any, v: Any) -> Any:
    return F.softmax(np.tril(_scores(q, k)), axis=1) @ v


def _strictly_before(q: Any, k: Any, v: Any) -> Any:
    with np.errstate(all="ignore"):
        scores = np.where(np.triu(np.ones((len(q), len(q)), bool)), -np.inf, _scores(q, k))
        return F.softmax(scores, axis=1) @ v


def _without_softmax(q: Any, k: Any, v: Any) -> Any:
    return np.tril(_scores(q, k)) @ v


def _ahead_only(q: Any, k: Any, v: Any) -> Any:
    return F.softmax(np.where(np.tril(np.ones((len(q), len(q)), bool), -1), -np.inf, _scores(q, k)), axis=1) @ v


def _nothing_at_first(q: Any, k: Any, v: Any) -> Any:
    z = _attention(q, k, v)
    z[0] = 0
    return z


def _strictly_ahead(q: Any, k: Any, v: Any) -> Any:
    with np.errstate(all="ignore"):
        return F.softmax(np.where(np.triu(np.ones((len(q), len(q)), bool), 1), _scores(q, k), -np.inf), axis=1) @ v


def _strictly_before_or_nothing(q: Any, k: Any, v: Any) -> Any:
    z = _strictly_before(q, k, v)
    z[0] = 0
    return z


def _last_column_not_hidden(q: Any, k: Any, v: Any) -> Any:
    scores = _masked(_scores(q, k))
    scores[:, -1] = _scores(q, k)[:, -1]
    return F.softmax(scores, axis=1) @ v


def _infinity_after(q: Any, k: Any, v: Any) -> Any:
    with np.errstate(all="ignore"):
        return _masked(F.softmax(_scores(q, k), axis=1)) @ v


def _minus_one_ahead(q: Any, k: Any, v: Any) -> Any:
    return F.softmax(np.where(np.isinf(_masked(_scores(q, k))), -1, _scores(q, k)), axis=1) @ v


def _with_nan(q: Any, k: Any, v: Any) -> Any:
    return np.full(v.shape, np.nan)


def _places(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    q = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    k = np.array([[1.0, 0.0], [0.5, 1.0], [0.0, -1.0]])
    v = np.array([[1.0, 0.0], [0.0, 1.0], [5.0, -5.0]])
    yield q, k, v
    for _ in range(3):
        places, d = rng.choice(np.arange(3, 7), 2, replace=False)
        yield tuple(rng.standard_normal((places, d)) for _ in range(3))


t12_attention = Implement(
    "t12_attention",
    "causal attention, softmax(q k^T / sqrt(d)) v, where place i looks at places 0 to i",
    _attention,
    _places,
    mistakes=[
        Mistake(
            lambda q, k, v: F.softmax(_masked(_scores(q, k)), axis=0) @ v,
            "the softmax went over the queries: the weights of one query, a row, add up to 1",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_masked(q @ k.T), axis=1) @ v,
            "the scores are not divided by the square root of d",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_masked(q @ k.T / q.shape[1]), axis=1) @ v,
            "the scores are divided by d: it is its square root",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_masked(q @ k.T / np.sqrt(len(q))), axis=1) @ v,
            "the root was taken of the number of places: it is that of d, the length of a query",
        ),
        Mistake(
            _mask_after,
            "the places ahead were hidden after the softmax: then the weights of a row no longer add up to 1",
        ),
        Mistake(
            _zeros_before,
            "the scores ahead were set to 0, and e^0 = 1 is a weight like others; which score gives the weight 0?",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_scores(q, k), axis=1) @ v, "each place looks ahead as well: the mask is missing"
        ),
        Mistake(_strictly_before, "a place may look at itself, too: j <= i"),
        Mistake(_strictly_before_or_nothing, "a place may look at itself, too: j <= i"),
        Mistake(_nothing_at_first, "the first row is missing: the first place looks at itself, z_0 = v_0"),
        Mistake(
            _strictly_ahead, "the mask is the wrong way round: place i looks at places 0 to i, not at those after it"
        ),
        Mistake(_last_column_not_hidden, "the last column of the scores is not hidden: how far does the loop go?"),
        Mistake(
            _infinity_after,
            "-np.inf belongs into the scores, before the softmax: there it becomes the weight 0",
        ),
        Mistake(
            _minus_one_ahead,
            "the scores ahead were set to -1, and e^-1 is a weight, too; which score gives the weight 0?",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_masked(_scores(q, k) * q.shape[1]), axis=1) @ v,
            "the scores were multiplied by the square root of d: they are divided by it",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_masked(q @ k.T / np.sqrt(2)), axis=1) @ v,
            "the root of 2 is right for the first case only: d is the length of a query, q.shape[1]",
        ),
        Mistake(
            lambda q, k, v: (
                F.softmax(np.where(np.triu(np.ones((len(q), len(q)), bool), 1), -np.inf, q.T @ k), axis=1) @ v
            ),
            "q.T @ k adds up over the places: the score of two places is their product over the d numbers, q @ k.T",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_masked(_scores(q, k)), axis=1).T @ v,
            "the weights were transposed: row i holds those with which place i looks",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_masked(_scores(q, k)), axis=1) @ k,
            "what is taken from the places is their values v; the keys only say where to look",
        ),
        Mistake(
            lambda q, k, v: np.exp(_masked(_scores(q, k))) @ v,
            "e^score is there, the division by its sum over the row is missing: the weights add up to 1",
        ),
        Mistake(
            lambda q, k, v: (F.softmax(_masked(_scores(q, k)), axis=1) @ v, F.softmax(_masked(_scores(q, k)), axis=1)),
            "two arrays came: z alone is asked for",
        ),
        Mistake(_ahead_only, "the mask is the wrong way round: place i looks at places 0 to i, not at those after it"),
        Mistake(_without_softmax, "the softmax is missing"),
        Mistake(
            lambda q, k, v: F.softmax(_masked(_scores(k, q)), axis=1) @ v,
            "queries and keys changed places: row i of the scores belongs to query i",
        ),
        Mistake(
            lambda q, k, v: F.softmax(_masked(_scores(q, k)), axis=1), "these are the weights: the values are missing"
        ),
        Mistake(
            _with_nan,
            "0 times infinity is not a number: choose between the score and -np.inf with np.where",
        ),
    ],
    float32=False,
)
