"""The exercises of tutorial 11: a rate for each layer, from the norm of its gradient (arXiv:1510.04609)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict

Arrays = Sequence[Any]
Layers = dict[str, tuple[Arrays, Arrays]]  # by the name: the parameters of a layer and their gradients

_SHAPES = "weights and biases have different shapes: square and sum each array by itself, or flatten it with .ravel()"


def _norm(arrays: Arrays) -> Any:
    return np.sqrt(sum((a**2).sum() for a in arrays))


def _multiplier(params: Arrays, gradients: Arrays) -> Any:
    return 1 + np.log(1 + 1 / _norm(gradients))


def _made(norm: Any) -> Any:
    return 1 + np.log(1 + 1 / norm)


def _layer(rng: np.random.Generator, size: float) -> tuple[Arrays, Arrays]:
    """Weights and biases of a layer, and gradients of about this size."""
    o, i = rng.choice(np.arange(2, 6), 2, replace=False)
    params = [rng.standard_normal((o, i)), rng.standard_normal(o)]
    return params, [size * rng.standard_normal(p.shape) for p in params]


def _one_layer(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    yield [np.array([[3.0, 4.0]]), np.array([2.0])], [np.array([[0.2, 0.1]]), np.array([-0.2])]  # the norm is 0.3
    for size in (0.02, 1e-4, 3.0):
        yield _layer(rng, size)


t11_predict_multiplier = Predict(
    "t11_predict_multiplier",
    "the multiplier of a layer whose gradient has the norm 0.01",
    1 + math.log(1 + 1 / 0.01),
    [
        Mistake(1 + math.log10(1 + 1 / 0.01), "that is with the logarithm to the base 10; ln is the natural one"),
        Mistake(math.log(1 + 1 / 0.01), "the 1 before the logarithm is missing"),
        Mistake(1 + 1 / 0.01, "1/norm itself was added: the logarithm is missing"),
        Mistake(1 + 1 + 1 / 0.01, "the logarithm is missing"),
        Mistake(1 + math.log(1 + 1 / 0.01**2), "the norm was squared: it is 0.01 already"),
        Mistake(1 + math.log(1 + 0.01), "1/norm is 100, not 0.01: a small gradient gets a large multiplier"),
    ],
    rtol=0.02,
    why="1 + ln(101): a gradient a hundred times smaller than 1 has a rate about three times that at norm 1 (1.69)",
)

t11_predict_factor = Predict(
    "t11_predict_factor",
    "how many times larger the rate is at the norm 0.0001 than at the norm 1",
    _made(1e-4) / _made(1.0),
    [
        Mistake(
            math.log(1e4), "that is the logarithm of the gradients' ratio; each rate has its own logarithm, and a 1"
        ),
        Mistake(
            math.log(1 + 1e4) / _made(1.0), "the 1 before the logarithm is missing in the multiplier at the norm 0.0001"
        ),
        Mistake(1e-4, "that is the ratio of the gradients, and the other way round"),
        Mistake(1e4, "that is the ratio of the gradients; between it and the rates there is a logarithm"),
        Mistake(_made(1.0) / _made(1e-4), "that is the other way round: the smaller gradient has the larger rate"),
        Mistake(
            math.log(1 + 1e4) / math.log(2), "that is the ratio of the logarithms: each multiplier has a 1 before it"
        ),
        Mistake(_made(1e-4), "that is the multiplier at 0.0001; at norm 1 it is not 1 but 1 + ln 2"),
        Mistake((1 + math.log10(1 + 1e4)) / (1 + math.log10(2)), "that is with logarithms to the base 10"),
        Mistake(4.0, "that is by how many decades the gradients differ; how many times larger is the rate?"),
        Mistake(_made(1e-4) - _made(1.0), "that is the difference; how many times larger is a ratio"),
    ],
    rtol=0.05,
    why="10.21 / 1.693: ten thousand times in the gradient are 6 times in the rate",
)

t11_multiplier = Implement(
    "t11_multiplier",
    "the multiplier of one layer, 1 + ln(1 + 1/||g||), with the norm over all its gradients",
    _multiplier,
    _one_layer,
    mistakes=[
        Mistake(
            lambda params, gradients: 1 + np.log10(1 + 1 / _norm(gradients)),
            "this is the logarithm to the base 10; np.log is the natural one",
        ),
        Mistake(
            lambda params, gradients: _made(_norm(params)),
            "the norm is that of the weights: the rule looks at the gradients (LARS looks at both)",
        ),
        Mistake(
            lambda params, gradients: _made(_norm(params) / _norm(gradients)),
            "the weights play no part in this rule (they do in LARS)",
        ),
        Mistake(
            lambda params, gradients: _made(_norm(gradients) / _norm(params)),
            "the weights play no part in this rule (they do in LARS)",
        ),
        Mistake(
            lambda params, gradients: _made(sum((g**2).sum() for g in gradients)),
            "this is the squared norm: a root is missing",
        ),
        Mistake(
            lambda params, gradients: _made(sum(_norm([g]) for g in gradients)),
            "the norms of weights and biases were added: add their squares, then take one root",
        ),
        Mistake(
            lambda params, gradients: _made(np.sqrt(sum(_norm([g]) for g in gradients))),
            "the norms were added before the root: it is their squares that add up",
        ),
        Mistake(
            lambda params, gradients: _made(np.linalg.norm(np.concatenate(gradients))),
            _SHAPES,
        ),
        Mistake(
            lambda params, gradients: _made(np.linalg.norm(gradients)),
            _SHAPES,
        ),
        Mistake(
            lambda params, gradients: _made(np.sqrt((np.array(gradients) ** 2).sum())),
            _SHAPES,
        ),
        Mistake(
            lambda params, gradients: _made(_norm(gradients[:1])),
            "the gradient of the biases belongs to the layer as well",
        ),
        Mistake(
            lambda params, gradients: _made(_norm(gradients[-1:])),
            "only the last array of the layer counts here: are the squares of all of them added up?",
        ),
        Mistake(
            lambda params, gradients: _made(max(abs(g).max() for g in gradients)),
            "the largest number was taken for the norm",
        ),
        Mistake(
            lambda params, gradients: _made(np.sqrt(sum(g**2 for g in gradients).sum())),
            "arrays of different shapes were added (NumPy repeats the smaller one): sum each array first",
        ),
        Mistake(
            lambda params, gradients: _made(np.sqrt(sum(g**2 for g in gradients))),
            "the sum within each array is missing: (g**2).sum() is one number",
        ),
        Mistake(
            lambda params, gradients: _made(np.sqrt(sum(g.sum() ** 2 for g in gradients))),
            "each array was summed before it was squared: the squares are summed",
        ),
        Mistake(
            lambda params, gradients: _made(np.sqrt(sum((g**2).mean() for g in gradients))),
            "the mean of the squares was taken: in the norm they are added up",
        ),
        Mistake(
            lambda params, gradients: _made(_norm([*params, *gradients])),
            "the weights play no part in this rule (they do in LARS): the norm is that of the gradients alone",
        ),
        Mistake(
            lambda params, gradients: np.mean([_made(_norm([g])) for g in gradients]),
            "the mean of two multipliers came: weights and biases have one norm together, and one multiplier",
        ),
        Mistake(
            lambda params, gradients: 1 + np.log2(1 + 1 / _norm(gradients)),
            "this is the logarithm to the base 2; np.log is the natural one",
        ),
        Mistake(
            lambda params, gradients: np.log(2 + 1 / _norm(gradients)),
            "both 1 stand inside of the logarithm: one of them stands before it",
        ),
        Mistake(
            lambda params, gradients: 1 + np.log(2) / _norm(gradients),
            "a bracket is closed too early: 1/norm stands inside of the logarithm",
        ),
        Mistake(
            lambda params, gradients: [
                w - _multiplier(params, gradients) * g for w, g in zip(params, gradients, strict=True)
            ],
            "these are new parameters: here only the multiplier is asked for, one number",
        ),
        Mistake(
            lambda params, gradients: (_multiplier(params, gradients), _norm(gradients)),
            "two numbers came: the multiplier alone is asked for",
        ),
        Mistake(
            lambda params, gradients: [_made(_norm([g])) for g in gradients],
            "one number for each layer: weights and biases have one norm together",
        ),
        Mistake(
            lambda params, gradients: _made(sum(abs(g).sum() for g in gradients)),
            "this is the sum of the absolute values: the norm is the root of the sum of the squares",
        ),
        Mistake(
            lambda params, gradients: _made(np.sqrt(np.mean(np.concatenate([g.ravel() for g in gradients]) ** 2))),
            "this is the root mean square: the norm is the root of the sum",
        ),
        Mistake(
            lambda params, gradients: np.log(1 + 1 / _norm(gradients)),
            "the 1 before the logarithm is missing",
        ),
        Mistake(
            lambda params, gradients: 1 + np.log(1 + _norm(gradients)),
            "this grows with the gradient: it is 1 over the norm that stands in the logarithm",
        ),
        Mistake(lambda params, gradients: 1 + np.log(1 / _norm(gradients)), "the 1 inside of the logarithm is missing"),
        Mistake(
            lambda params, gradients: 1 + 1 / _norm(gradients),
            "the logarithm is missing, or its bracket is closed too early (ln 1 is 0)",
        ),
        Mistake(
            lambda params, gradients: _made(abs(sum(g.sum() for g in gradients))),
            "the numbers themselves were added up: the norm is the root of the sum of their squares",
        ),
    ],
    rtol=1e-5,  # 1 / (norm + 1e-8), which never divides by 0, is as right
)


def _stepped(layers: Layers, lr: float, multiplier: Any) -> dict[str, list[Any]]:
    """w - lr m g, with the multiplier multiplier(params, gradients) of each layer."""
    return {
        name: [w - lr * multiplier(params, gradients) * g for w, g in zip(params, gradients, strict=True)]
        for name, (params, gradients) in layers.items()
    }


def _step(layers: Layers, lr: float) -> dict[str, list[Any]]:
    return _stepped(layers, lr, _multiplier)


def _of_all(layers: Layers) -> list[Any]:
    return [g for _, gradients in layers.values() for g in gradients]


def _several_layers(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    yield (
        {
            "fc1": ([np.array([[1.0, 2.0]]), np.array([0.0])], [np.array([[0.02, 0.01]]), np.array([-0.02])]),
            "fc2": ([np.array([[3.0]]), np.array([-1.0])], [np.array([[0.3]]), np.array([0.4])]),
        },
        0.5,
    )
    for sizes in ((0.01, 1.0), (1e-3, 0.05, 2.0)):
        yield {f"fc{k}": _layer(rng, size) for k, size in enumerate(sizes, 1)}, 0.5


def _carried_over(layers: Layers, lr: float) -> dict[str, list[Any]]:
    new = {}
    for name, (params, gradients) in layers.items():
        lr = lr * _multiplier(params, gradients)
        new[name] = [w - lr * g for w, g in zip(params, gradients, strict=True)]
    return new


def _lists_as_arrays(number: Any) -> Any:
    def answer(layers: Layers, lr: float) -> dict[str, Any]:
        return {
            name: params - lr * number(_multiplier(params, gradients)) * gradients
            for name, (params, gradients) in layers.items()
        }

    return answer


_CARRIED = "the rate of a layer was carried over to the next one: lr was changed in the loop"
_LISTS = "params and gradients are lists of arrays: go through both together, with zip"


def _by_tensor(layers: Layers, lr: float) -> dict[str, list[Any]]:
    return {
        name: [w - lr * _made(_norm([g])) * g for w, g in zip(params, gradients, strict=True)]
        for name, (params, gradients) in layers.items()
    }


t11_step = Implement(
    "t11_step",
    "the parameters of each layer after a step w - lr m_l g, each layer with its own multiplier",
    _step,
    _several_layers,
    mistakes=[
        Mistake(
            lambda layers, lr: _stepped(layers, lr, lambda params, gradients: _made(_norm(_of_all(layers)))),
            "one norm over all layers was taken: then all layers have the same rate; each has a norm of its own",
        ),
        Mistake(_by_tensor, "weights and biases got a norm each: a layer has one norm, over both"),
        Mistake(
            lambda layers, lr: _stepped(
                layers, lr, lambda *_: np.mean([_multiplier(*layer) for layer in layers.values()])
            ),
            "all layers got the mean multiplier: that is the control run, not the rule",
        ),
        Mistake(
            lambda layers, lr: _stepped(layers, -lr, _multiplier), "the step goes uphill: it is subtracted, w - lr m g"
        ),
        Mistake(
            lambda layers, lr: _stepped(layers, lr, lambda *_: 1.0), "the multiplier is missing: this is plain SGD"
        ),
        Mistake(lambda layers, lr: _stepped(layers, 1.0, _multiplier), "the base rate lr is missing"),
        Mistake(_carried_over, _CARRIED),
        Mistake(_lists_as_arrays(np.float64), _LISTS),
        Mistake(_lists_as_arrays(float), _LISTS),
        Mistake(
            lambda layers, lr: _stepped(
                layers, lr, lambda *_: max(_multiplier(params, gradients) for params, gradients in layers.values())
            ),
            "all layers got the largest multiplier: each has its own",
        ),
        Mistake(
            lambda layers, lr: _stepped(layers, lr, lambda *layer: 1 / _multiplier(*layer)),
            "the rate was divided by the multiplier: a small gradient gets a larger rate, not a smaller one",
        ),
        Mistake(
            lambda layers, lr: {
                name: [w - lr * _multiplier(params, gradients) for w in params]
                for name, (params, gradients) in layers.items()
            },
            "the gradient is missing in the step: w - lr m g",
        ),
        Mistake(
            lambda layers, lr: {
                name: [w - lr * _multiplier(params, gradients) * w for w in params]
                for name, (params, gradients) in layers.items()
            },
            "the step goes along the gradient, not along the weights",
        ),
        Mistake(
            lambda layers, lr: {
                name: [g - lr * _multiplier(gradients, params) * w for w, g in zip(params, gradients, strict=True)]
                for name, (params, gradients) in layers.items()
            },
            "parameters and gradients changed places: the pair is (params, gradients)",
        ),
        Mistake(
            lambda layers, lr: {
                name: [g - lr * _multiplier(params, gradients) * w for w, g in zip(params, gradients, strict=True)]
                for name, (params, gradients) in layers.items()
            },
            "parameters and gradients changed places: the step is w - lr m g",
        ),
        Mistake(
            lambda layers, lr: {name: new[-1] for name, new in _step(layers, lr).items()},
            "of each layer only the last array came: a list of all its arrays was expected",
        ),
        Mistake(
            lambda layers, lr: dict([next(iter(_step(layers, lr).items()))]),
            "only the first layer came: does a return stand inside of the loop?",
        ),
        Mistake(
            lambda layers, lr: list(_step(layers, lr).values()),
            "a list of the layers came: return a dict, each list under the name of its layer",
        ),
        Mistake(
            lambda layers, lr: list(_step(layers, lr).items()),
            "pairs of names and lists came: dict(...) makes a dict of them",
        ),
        Mistake(
            lambda layers, lr: _stepped(layers, lr, lambda params, gradients: 1 + np.log10(1 + 1 / _norm(gradients))),
            "this is the logarithm to the base 10; np.log is the natural one",
        ),
        Mistake(
            lambda layers, lr: _stepped(layers, lr, lambda params, gradients: _made(_norm(params))),
            "the norm is that of the weights: the rule looks at the gradients",
        ),
        Mistake(
            lambda layers, lr: _stepped(layers, lr, lambda params, gradients: _made(_norm(gradients) ** 2)),
            "this is the squared norm: a root is missing",
        ),
        Mistake(
            lambda layers, lr: _stepped(layers, lr, lambda p, gradients: _multiplier(p, gradients) / _norm(gradients)),
            "the gradient was divided by its norm as well: it stays as it is, only the rate changes",
        ),
        Mistake(
            lambda layers, lr: {
                name: [lr * _multiplier(params, gradients) * g for g in gradients]
                for name, (params, gradients) in layers.items()
            },
            "these are the steps: the new parameters are asked for",
        ),
        Mistake(
            lambda layers, lr: {name: [w.astype(np.float64) for w in new] for name, new in _step(layers, lr).items()},
            "a NumPy number in float64 makes float64 of a float32 array: make the rate a Python number, float(rate)",
        ),
    ],
)

t11_control = Explain(
    "t11_control",
    "which further run tells whether the rule helps because the rates differ between the layers?",
    {
        "a": "the run with one rate, for twice as many steps",
        "b": "a run in which all layers get, at each step, the mean of the layer-specific run's multipliers",
        "c": "a run with one rate that is as large as the largest rate of the layer-specific run",
        "d": "the layer-specific run again, with ten other seeds",
    },
    "b",
    {
        "a": "more steps can make up for a rate that is too small, but then two things differ, the rates and the "
        "number of steps. Which run differs from the layer-specific one in nothing but one thing?",
        "c": "that rate is much larger than the mean one: if this run fails, it may be because its rate is too large. "
        "Look for a run with the same overall rate",
        "d": "more seeds say how certain the difference is, and not where it comes from",
    },
)

EXERCISES: tuple[Exercise, ...] = (
    t11_predict_multiplier,
    t11_predict_factor,
    t11_multiplier,
    t11_step,
    t11_control,
)
