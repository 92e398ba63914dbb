"""The exercises of tutorial 9: by which factor a layer makes the gradient smaller or larger."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _outputs(h: Any, weights: Any) -> list[Any]:
    """h_0, h_1, ..., h_L."""
    hs = [h]
    for w in weights:
        hs.append(_sigmoid(hs[-1] @ w.T))
    return hs


def _forward(h: Any, weights: Any) -> Any:
    return _outputs(h, weights)[-1]


def _own_slope(hs: list[Any], layer: int) -> Any:
    return hs[layer + 1] * (1 - hs[layer + 1])


def _slope_below(hs: list[Any], layer: int) -> Any:
    return hs[layer] * (1 - hs[layer])


def _slope_of_h(hs: list[Any], layer: int) -> Any:
    return _sigmoid(hs[layer + 1]) * (1 - _sigmoid(hs[layer + 1]))


def _walk(
    slope: Any = _own_slope,
    order: Any = lambda layers: reversed(range(layers)),
    transposed: bool = False,
    transposed_weight: bool = False,
    output: int = 0,
    without_slope: bool = False,
    first_input: bool = False,
    onwards: Any = lambda grad_z, grad_out, w, weights: grad_z @ w,
) -> Any:
    """The way back, with the slope that `slope` gives and the slips that are switched on."""

    def deep_backward(grad_out: Any, h: Any, weights: Any) -> Any:
        hs = _outputs(h, weights)
        grad_weights = np.zeros_like(weights)
        for layer in order(len(weights)):
            grad_z = grad_out * slope(hs, layer)
            of_weight = grad_out if without_slope else grad_z
            grad_weights[layer] = of_weight.T @ (h if first_input else hs[layer + output])
            if transposed:
                grad_weights[layer] = grad_weights[layer].T
            grad_out = onwards(grad_z, grad_out, weights[layer].T if transposed_weight else weights[layer], weights)
        return grad_out, grad_weights

    return deep_backward


def _deep_backward(grad_out: Any, h: Any, weights: Any) -> Any:
    return _walk()(grad_out, h, weights)


def _not_passed_on(grad_out: Any, h: Any, weights: Any) -> Any:
    hs = _outputs(h, weights)
    grad_weights = np.zeros_like(weights)
    for layer in reversed(range(len(weights))):
        grad_z = grad_out * _own_slope(hs, layer)
        grad_weights[layer] = grad_z.T @ hs[layer]
    return grad_z @ weights[0], grad_weights


def _as_list(grad_out: Any, h: Any, weights: Any) -> Any:
    grad_h, grad_weights = _deep_backward(grad_out, h, weights)
    return grad_h, list(grad_weights)


def _last_layer_first(grad_out: Any, h: Any, weights: Any) -> Any:
    grad_h, grad_weights = _deep_backward(grad_out, h, weights)
    return grad_h, grad_weights[::-1]


def _list_last_layer_first(grad_out: Any, h: Any, weights: Any) -> Any:
    grad_h, grad_weights = _deep_backward(grad_out, h, weights)
    return grad_h, list(grad_weights[::-1])


def _mean_over_examples(grad_out: Any, h: Any, weights: Any) -> Any:
    grad_h, grad_weights = _deep_backward(grad_out, h, weights)
    return grad_h, grad_weights / len(h)


def _weights_alone(grad_out: Any, h: Any, weights: Any) -> Any:
    return _deep_backward(grad_out, h, weights)[1]


def _one_too_far(grad_out: Any, h: Any, weights: Any) -> Any:
    """The layers counted from 1, but the lists from 0."""
    return _outputs(h, weights)[len(weights) + 1]


def _of_h_alone(grad_out: Any, h: Any, weights: Any) -> Any:
    return _deep_backward(grad_out, h, weights)[0]


def _ones(grad_out: Any, h: Any, weights: Any) -> Any:
    return _deep_backward(np.ones_like(grad_out), h, weights)


def _weight_too_far(grad_out: Any, h: Any, weights: Any) -> Any:
    return weights[len(weights)]


_TOO_FAR = (
    "hs has one entry more than weights: layer i has hs[i] as its input and hs[i + 1] as its output, and the last i is "
    "len(weights) - 1"
)
_ONE_ARRAY = "for all layers together one array was asked for, of the shape of weights: np.stack makes one of a list"
_ORDER = "the gradients of the weights stand in the order in which you met them: the first layer's belongs first"


def _deep_cases(rng: np.random.Generator) -> Any:
    for layers, examples, units in ((2, 1, 2), (3, 4, 3), (4, 3, 2)):
        shape = (examples, units)
        yield (
            rng.standard_normal(shape),
            rng.standard_normal(shape),
            rng.standard_normal((layers, units, units)),
        )


t09_deep_backward = Implement(
    "t09_deep_backward",
    "the gradients of h and of all weights of h_l = sigmoid(h_(l-1) @ W_l.T), given dL/dh_L",
    _deep_backward,
    _deep_cases,
    mistakes=[
        Mistake(_walk(lambda hs, layer: 1.0), "the slope of the sigmoid is missing: dL/dz is not dL/dh"),
        Mistake(
            _walk(_slope_below),
            "this is the slope of the layer below: hs[l] is the input of layer l, and hs[l + 1] its output",
        ),
        Mistake(
            _walk(_slope_of_h),
            "the slope was taken at h instead of z: h is sigmoid(z) already, it needs no further sigmoid",
        ),
        Mistake(
            _walk(lambda hs, layer: hs[layer + 1]),
            "h alone is not the slope of the sigmoid: half of h (1 - h) is missing",
        ),
        Mistake(_walk(lambda hs, layer: 1 - hs[layer + 1] ** 2), "1 - h^2 is the slope of tanh, not of the sigmoid"),
        Mistake(_walk(order=range), "you walk from the first layer to the last: the gradient comes from the last"),
        Mistake(
            _walk(transposed=True), "each dL/dW is transposed: a row of W belongs to an output, a column to an input"
        ),
        Mistake(
            _walk(transposed_weight=True),
            "the gradient went back through W transposed: forward h meets W.T, so which of the two is it backward?",
        ),
        Mistake(_walk(output=1), "dL/dW has the layer's input in it, not its output"),
        Mistake(_walk(without_slope=True), "dL/dW is formed from dL/dz, which has the slope in it, not from dL/dh"),
        Mistake(
            _not_passed_on,
            "every layer was given the gradient of the last one: hand dL/dh on to the layer below in each round",
        ),
        Mistake(_as_list, _ONE_ARRAY),
        Mistake(_last_layer_first, _ORDER),
        Mistake(_list_last_layer_first, f"{_ORDER}; and {_ONE_ARRAY}"),
        Mistake(_mean_over_examples, "every example adds to dL/dW: it is a sum over them, not a mean"),
        Mistake(_weights_alone, "two things are asked for: the gradient of h, then those of the weights"),
        Mistake(_one_too_far, _TOO_FAR),
        Mistake(_weight_too_far, _TOO_FAR),
        Mistake(_of_h_alone, "two things are asked for: the gradient of h, then those of the weights"),
        Mistake(
            _walk(onwards=lambda grad_z, grad_out, w, weights: grad_z @ weights[-1]),
            "one weight serves all layers, the last one; each layer has its own, weights[i]",
        ),
        Mistake(
            _walk(onwards=lambda grad_z, grad_out, w, weights: grad_out @ w),
            "what goes on to the layer below is dL/dz @ W; here dL/dh goes on, without the slope",
        ),
        Mistake(
            _walk(first_input=True),
            "every dL/dW was formed with h, the input of the first layer; each layer has its own input",
        ),
        Mistake(_ones, "grad_out is not used: the way back begins with it"),
        Mistake(_walk(lambda hs, layer: 0.25), "1/4 is the slope at z = 0 alone; here each unit has its own"),
        Mistake(
            _walk(order=lambda layers: range(layers - 1, 0, -1)),
            "not every layer was met: is the first one, of index 0, in your loop, and does the return stand behind it?",
        ),
    ],
    forward=_forward,
)


def _factor(weight: Any, slope: Any) -> Any:
    rows = weight.shape[0]
    return np.sqrt(rows * (weight**2).mean() * (slope**2).mean())


def _factor_cases(rng: np.random.Generator) -> Any:
    weight = np.array([[0.5, -0.5], [-1.0, 1.0], [0.5, -0.5]])
    yield weight, np.array([[1.0, 0.5, 0.0], [0.25, 0.0, 1.0], [0.5, 0.5, 0.25], [0.0, 1.0, 0.75]])
    for rows, columns in ((6, 4), (3, 8)):
        weight = rng.standard_normal((rows, columns)) * rng.uniform(0.2, 2)
        yield weight - weight.mean(), rng.uniform(0, 0.25, (5, rows))


t09_factor = Implement(
    "t09_factor",
    "the factor sqrt(n Var(W) E[slope^2]) of a layer, from its weight (outputs, inputs) and its units' slopes",
    _factor,
    _factor_cases,
    mistakes=[
        Mistake(
            lambda weight, slope: _factor(weight, slope) ** 2,
            "this is the factor of the mean square; the gradient itself is multiplied by its root",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[1] * (weight**2).mean() * (slope**2).mean()),
            "n is the number of terms of the sum on the way back: does it run over the layer's inputs or outputs?",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean()) * slope.mean(),
            "this has the mean of the slopes, squared; E[slope^2] is the mean of their squares",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean() * slope.mean()),
            "the slopes are averaged without being squared: the variance multiplies squares",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * weight.std() * (slope**2).mean()),
            "std is the root of the variance: under the root stands Var(W)",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean() * slope.var()),
            "E[slope^2] is not the variance of the slopes: their mean counts, too",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean()) * slope.max(),
            "the largest slope gives a bound; expected is the mean of the squares over units and examples",
        ),
        Mistake(
            lambda weight, slope: np.sqrt((weight**2).mean() * (slope**2).mean()),
            "n is missing: every element is a sum of n terms",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean()),
            "the slopes are missing: this is the share of the weights alone",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.size * (weight**2).mean() * (slope**2).mean()),
            "n counts the terms of one sum, not all elements of the weight",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean() * (slope**2).mean(axis=0)),
            "one number is asked for, for the layer as a whole: the mean over units and examples",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean() * slope**2),
            "the mean over units and examples is missing",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(slope.shape[0] * (weight**2).mean() * (slope**2).mean()),
            "n is not the number of examples: it is that of the terms of one sum, which runs over units",
        ),
        Mistake(
            lambda weight, slope: np.sqrt((slope**2).mean() / 3),
            "Var(W) = 1/(3n) is one way to begin; this layer has weights of its own, whose variance is asked for",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean()) * (slope**2).mean(),
            "the root is taken of the weights' part alone; E[slope^2] stands under it too",
        ),
        Mistake(
            lambda weight, slope: weight.shape[0] * (weight**2).mean() * np.sqrt((slope**2).mean()),
            "the root is taken of the slopes' part alone; n Var(W) stands under it too",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0]) * (weight**2).mean() * (slope**2).mean(),
            "the root is taken of n alone; all three parts stand under it",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(weight.shape[0] * (weight**2).mean() * (slope**2).sum()),
            "the squares of the slopes are summed up; E is their mean",
        ),
        Mistake(
            lambda weight, slope: _factor(weight, slope * (1 - slope)),
            "slope is the slope already; it needs no h (1 - h)",
        ),
        Mistake(
            lambda weight, slope: np.linalg.norm(weight, 2) * slope.max(),
            "that is the largest factor that is possible; asked for is the usual one",
        ),
        Mistake(
            lambda weight, slope: 1 / _factor(weight, slope),
            "that is how many times smaller it becomes; asked for is what it is multiplied by",
        ),
        Mistake(
            lambda weight, slope: np.log10(_factor(weight, slope)),
            "these are the decades; what is asked for is the factor itself",
        ),
        Mistake(
            lambda weight, slope: np.sqrt(64 * (weight**2).mean() * (slope**2).mean()),
            "n is not 64 in every layer: read it from the shape of weight",
        ),
        Mistake(
            lambda weight, slope: -np.log10(_factor(weight, slope)),
            "these are the decades; what is asked for is the factor itself",
        ),
    ],
)

_ROOT = "that is the factor of the mean square: the gradient itself is multiplied by its root"
_TOLERANCE = 0.02  # 0.144 or 1/7 for 0.1443
_DIGITS = "nearly: give three digits"
_TIMES_SMALLER = "that is how many times smaller it becomes; asked for is what it is multiplied by"
_DECADES = "those are the decades by which it falls; asked for is the factor"

t09_sigmoid_factor = Predict(
    "t09_sigmoid_factor",
    "the factor of a layer of sigmoid units, with Var(W) = 1/(3n) and z near 0",
    lambda: float(np.sqrt(1 / 3) / 4),
    mistakes=[
        Mistake(1 / 48, _ROOT),
        Mistake(0.02, _ROOT),
        Mistake(1 / 4, "that is the slope alone: what do the weights do?"),
        Mistake(float(np.sqrt(1 / 3)), "that is the weights alone: what is the slope of a sigmoid at 0?"),
        Mistake(float(np.sqrt(1 / 3 / 4)), "the slope is squared under the root: 1/16, not 1/4"),
        Mistake(1 / 12, "the weights have their root to be taken, too: n Var(W) = 1/3 stands under the root"),
        Mistake(0.5, "sigmoid(0) is 1/2; asked for is its slope there"),
        Mistake(1 / 16, "that is the square of the slope alone: the factor is the root of n Var(W) E[slope^2]"),
        Mistake(1 / 3, "that is n Var(W) alone, without its root: and the slope?"),
        Mistake(0.14, _DIGITS),
        Mistake(float(4 * np.sqrt(3)), _TIMES_SMALLER),
        Mistake(float(-np.log10(np.sqrt(1 / 3) / 4)), _DECADES),
        Mistake(float(np.log10(np.sqrt(1 / 3) / 4)), _DECADES),
    ],
    rtol=_TOLERANCE,
    why="1/4 by the slope, sqrt(1/3) = 0.577 by the weights: about a seventh is left",
)

t09_tanh_factor = Predict(
    "t09_tanh_factor",
    "the factor of a layer of tanh units, with Var(W) = 1/(3n) and z near 0",
    lambda: float(np.sqrt(1 / 3)),
    mistakes=[
        Mistake(1 / 3, _ROOT),
        Mistake(1.0, "that is the slope of tanh at 0 alone: what do the weights do?"),
        Mistake(0.0, "tanh(0) is 0; asked for is its slope there"),
        Mistake(float(np.sqrt(1 / 3) / 4), "1/4 is the slope of the sigmoid; that of tanh at 0 is another one"),
        Mistake(float(np.sqrt(3)), _TIMES_SMALLER),
        Mistake(float(np.log10(3) / 2), _DECADES),
        Mistake(float(-np.log10(3) / 2), _DECADES),
    ],
    rtol=_TOLERANCE,
    why="the slope of tanh at 0 is 1, so only the weights take something",
)

t09_relu_factor = Predict(
    "t09_relu_factor",
    "the factor of a layer of ReLU units of which half are active, with Var(W) = 1/(3n)",
    lambda: float(np.sqrt(1 / 6)),
    mistakes=[
        Mistake(1 / 6, _ROOT),
        Mistake(0.17, _ROOT),
        Mistake(float(np.sqrt(1 / 3)), "a slope of 1 everywhere: but half of the units are off, and their slope is 0"),
        Mistake(
            float(np.sqrt(1 / 3) / 2),
            "1/2 is the mean of the squared slopes already (half of them are 1, half are 0): it stands under the root",
        ),
        Mistake(float(np.sqrt(1 / 2)), "that is the slopes alone: what do the weights do?"),
        Mistake(0.5, "that is the mean slope alone; take the root of n Var(W) E[slope^2]"),
        Mistake(1.0, "that is the slope of a unit that is active; half of them are not, and there are the weights"),
        Mistake(float(np.sqrt(1 / 3) / 4), "1/4 is the slope of the sigmoid; what are the slopes of a ReLU?"),
        Mistake(1 / 3, "that is n Var(W) alone, without its root: and the slopes?"),
        Mistake(0.4, _DIGITS),
        Mistake(float(np.sqrt(6)), _TIMES_SMALLER),
        Mistake(float(np.log10(6) / 2), _DECADES),
        Mistake(float(-np.log10(6) / 2), _DECADES),
    ],
    rtol=_TOLERANCE,
    why="half of the squared slopes are 1 and half are 0, so their mean is 1/2",
)

t09_stall = Explain(
    "t09_stall",
    "why do the first layers of the deep sigmoid network stall?",
    {
        "a": "they are already right: a small gradient means that a minimum is near",
        "b": "the learning rate is too small; a larger one, the same for all layers, would let them keep up",
        "c": "their gradient is a product with one factor below 1 for each layer above them, and the step follows it",
        "d": "their gradients are too small for float32, so they are rounded to 0",
    },
    "c",
    {
        "a": "the loss is still ln 10, that of one who knows nothing; and these weights are still the random ones",
        "b": "a rate for all layers multiplies all steps alike: the first would still move a million times less than "
        "the last, which would be thrown about",
        "d": "float32 goes down to about 1e-38, and the smallest gradient of the profile is far above that; with "
        "float64 the same layers stall",
    },
)

EXERCISES: tuple[Exercise, ...] = (
    t09_deep_backward,
    t09_sigmoid_factor,
    t09_tanh_factor,
    t09_relu_factor,
    t09_factor,
    t09_stall,
)
