"""The exercises of tutorial 4: finding the mistake in a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import functional as F
from minidl.check.differences import by_differences
from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict
from minidl.check.running import UnfitError
from minidl.optim import SGD
from minidl.tensors.tensor import Tensor

RATE = 0.5
_LABELS = np.arange(6) % 3
_POINTS = np.random.default_rng(4).standard_normal((6, 2))

# ---- what a bug does to a number

t04_grown = Predict(
    "t04_grown",
    "w begins at 10, its gradient is always 2, the rate is 0.5: w after three steps without zero_grad",
    4.0,
    mistakes=[
        Mistake(7.0, "that is the right program: here .grad is not emptied, so the second step uses 2 + 2"),
        Mistake(1.0, "that uses the gradient of the third step in all three: .grad grows from step to step"),
        Mistake(9.0, "that is w after the first step"),
        Mistake(6.0, "the steps are different: what stands in .grad in step 1, 2, 3?"),
        Mistake(-2.0, "that forgets the rate: a step is the rate times what stands in .grad"),
        Mistake(16.0, "the step goes against the gradient: w becomes smaller"),
    ],
    why=".grad is 2, 4, 6 in the three steps, so w = 10 - 0.5 * (2 + 4 + 6).",
)

t04_floor = Predict(
    "t04_floor",
    "the smallest cross-entropy of three classes if probabilities are given to it as scores",
    np.log(1 + 2 / np.e),
    mistakes=[
        Mistake(0.0, "that is the smallest loss of scores, which can grow without bound: these are between 0 and 1"),
        Mistake(np.log(3.0), "that is the loss of three equal numbers: the best case is the scores 1, 0, 0"),
        Mistake(np.log(1 + 1 / np.e), "that is right for two classes: here two wrong classes share the rest"),
        Mistake(np.e / (np.e + 2), "that is the probability of the right class: the loss is -ln of it"),
        Mistake(-np.log(1 + 2 / np.e), "a cross-entropy is -ln of a probability, so it is not below 0"),
        Mistake(0.63, "that is where B is after 70 steps, and it still falls: what do the best probabilities cost?"),
        Mistake(np.log(2.0), "that is the loss of two equal numbers: the best case is the scores 1, 0, 0"),
        Mistake(1.0, "compute the softmax of the scores 1, 0, 0, and then -ln of its first number"),
    ],
    why="The softmax of (1, 0, 0) gives the right class e / (e + 2) = 0.576, and -ln 0.576 = 0.551.",
)

t04_why = Explain(
    "t04_why",
    "why finite differences say that the gradient of loss_b is right",
    {
        "a": "A step of 1e-6 is too coarse to see the difference.",
        "b": "They compare the backward with the loss that is written, and that is not the loss that was meant.",
        "c": "A softmax of a softmax is the softmax itself.",
    },
    "b",
    {
        "a": "in float64 such a step shows the gradient to many digits; it found the mistake in loss_c",
        "c": "compute it: the softmax of (1, 0, 0) is (0.58, 0.21, 0.21), and that of this is not the same again",
    },
)

# ---- an update by hand


def _update(weights: Any, rate: float) -> None:
    for w in weights:
        w.data = w.data - rate * w.grad.data


def _rebound(weights: Any, rate: float) -> None:
    for w in weights:
        w = w - rate * w.grad


def _uphill(weights: Any, rate: float) -> None:
    for w in weights:
        w.data = w.data + rate * w.grad.data


def _whole_gradient(weights: Any, rate: float) -> None:
    for w in weights:
        w.data = w.data - w.grad.data


def _only_the_first(weights: Any, rate: float) -> None:
    _update(weights[:1], rate)


def _all_but_the_first(weights: Any, rate: float) -> None:
    _update(weights[1:], rate)


def _at_another_rate(another: float) -> Callable[..., None]:
    return lambda weights, rate: _update(weights, another)


def _of_the_weight(weights: Any, rate: float) -> None:
    for w in weights:
        w.data = w.data - rate * w.data


def _emptied(weights: Any, rate: float) -> None:
    _update(weights, rate)
    for w in weights:
        w.grad = None


def _made_zero(weights: Any, rate: float) -> None:
    _update(weights, rate)
    for w in weights:
        w.grad.data[...] = 0


def _updated(answer: Callable[..., Any], weights: Any, gradients: Any, rate: float) -> Any:
    """The weights after the update, and their gradients, which it should leave as they are."""
    tensors = [Tensor(w.copy(), requires_grad=True) for w in weights]
    for tensor, gradient in zip(tensors, gradients, strict=True):
        tensor.grad = Tensor(gradient.copy())
    given = list(tensors)
    answer(given, rate)
    left = [None if t.grad is None else t.grad.numpy() for t in tensors]
    return {"weights": [t.numpy() for t in tensors], "gradients": left}


def _weights_and_gradients(rng: np.random.Generator) -> Iterator[Any]:
    yield [np.array([2.0, -1.0]), np.array([3.0])], [np.array([4.0, -2.0]), np.array([1.0])], 0.1
    for _ in range(2):
        shapes = [tuple(int(n) for n in rng.integers(2, 5, 2)) for _ in range(2)]
        drawn = [[rng.standard_normal(shape) for shape in shapes] for _ in range(2)]
        yield *drawn, round(float(rng.uniform(0.2, 0.8)), 2)


t04_update = Implement(
    "t04_update",
    "w - rate * dL/dw for each tensor of a list, in place",
    _update,
    _weights_and_gradients,
    mistakes=[
        Mistake(
            _rebound,
            "the tensors in the list have not changed. A new tensor or array moves nothing, whatever its name: "
            "write into w.data",
        ),
        Mistake(_uphill, "the loss would rise: the update goes against the gradient"),
        Mistake(_whole_gradient, "the rate is missing: the gradient is multiplied by it"),
        Mistake(_only_the_first, "only the first weight moved: is there a `return` or a `break` inside the loop?"),
        Mistake(_all_but_the_first, "the first weight did not move: with which index does the loop begin?"),
        Mistake(_emptied, "the weights are right, but .grad is to stay as it was: emptying it is zero_grad's work"),
        Mistake(_made_zero, "the weights are right, but .grad is to stay as it was: emptying it is zero_grad's work"),
        Mistake(_at_another_rate(0.1), "the rate is always 0.1 here; it is the argument `rate`"),
        Mistake(_at_another_rate(0.5), "the rate is always 0.5 here (that of another optimizer?); it is `rate`"),
        Mistake(_of_the_weight, "that is the rate times the weight: the update uses w.grad"),
    ],
    adapt=_updated,
)
t04_update.parameters = ["weights", "gradients", "rate"]  # of a case

# ---- a step with none of the mistakes


def _forward(w1: Any, w2: Any, x: Any) -> Any:
    return F.cross_entropy(F.tanh(x @ w1) @ w2, _LABELS)


def _training_step(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    w1, w2 = weights
    optimizer.zero_grad()
    loss = F.cross_entropy(F.tanh(x @ w1) @ w2, labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def _not_emptied(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    loss = F.cross_entropy(F.tanh(x @ weights[0]) @ weights[1], labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def _step_before_backward(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    optimizer.step()
    return F.cross_entropy(F.tanh(x @ weights[0]) @ weights[1], labels).item()


def _nothing_moves(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    return F.cross_entropy(F.tanh(x @ weights[0]) @ weights[1], labels).item()


def _softmax_twice(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    optimizer.zero_grad()
    e = F.exp(F.tanh(x @ weights[0]) @ weights[1])
    loss = F.cross_entropy(e / F.sum(e, axis=1, keepdims=True), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def _without_history(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    optimizer.zero_grad()
    loss = F.cross_entropy(F.tanh(x @ weights[0]).detach() @ weights[1], labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def _without_tanh(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    optimizer.zero_grad()
    loss = F.cross_entropy(x @ weights[0] @ weights[1], labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def _another_activation(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    optimizer.zero_grad()
    loss = F.cross_entropy(F.relu(x @ weights[0]) @ weights[1], labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def _at_twice_the_rate(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    loss = _training_step(weights, optimizer, x, labels)
    _update(weights, optimizer.lr)
    return loss


def _two_steps(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    _training_step(weights, optimizer, x, labels)
    return _training_step(weights, optimizer, x, labels)


def _only_w1(weights: Any, optimizer: Any, x: Any, labels: Any) -> Any:
    before = weights[1].numpy().copy()
    loss = _training_step(weights, optimizer, x, labels)
    weights[1].data = before
    return loss


def _moved(answer: Callable[..., Any], grad_loss: Any, w1: Any, w2: Any) -> Any:
    """(before - after) / rate of both weights in one step, after one that left gradients of 1 behind."""
    weights = [Tensor(w.copy(), requires_grad=True) for w in (w1, w2)]
    for w in weights:
        w.grad = Tensor(np.ones_like(w.data))
    x = Tensor(_POINTS.astype(w1.dtype))
    loss = answer(list(weights), SGD(weights, lr=RATE), x, _LABELS.copy())
    if not isinstance(loss, (float, np.floating)):
        raise UnfitError(
            f"the step is to return the loss as a number, loss.item(); it returned {_a(loss)}"
            f"{': is a `return` missing?' if loss is None else ''}"
        )
    moved = [(before - w.numpy()) / np.asarray(RATE, before.dtype) for before, w in zip((w1, w2), weights, strict=True)]
    rest = 1e-4 if w1.dtype == np.float32 else 1e-7
    gradients = by_differences(lambda w1, w2: _forward(w1, w2, _POINTS), 1.0, (w1, w2))
    if all(np.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(moved, gradients, strict=True)):
        _check_loss(float(loss), [w1, w2], [w.numpy() for w in weights], rest)
    return tuple(moved)


def _a(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _check_loss(loss: float, before: Any, after: Any, rtol: float) -> None:
    """Refuse another number than the loss before the update, of a step whose update is right."""
    expected, later = (
        float(_forward(w1.astype(np.float64), w2.astype(np.float64), _POINTS)) for w1, w2 in (before, after)
    )
    if abs(loss - expected) <= rtol * expected:
        return
    words = f"the update is right, but the step returned {loss:.6g}; the loss before it was {expected:.6g}"
    if abs(loss - later) <= rtol * expected:
        words += ". That is the loss after the update"
    raise UnfitError(words)


def _weights(rng: np.random.Generator) -> Iterator[Any]:
    for hidden in (2, *rng.choice(np.arange(3, 6), 2, replace=False)):
        yield np.array(1.0), rng.standard_normal((2, hidden)), rng.standard_normal((hidden, 3))


t04_training_step = Implement(
    "t04_training_step",
    "one training step; (weights before - weights after) / rate is compared with dL/dw1 and dL/dw2",
    _training_step,
    _weights,
    mistakes=[
        Mistake(_not_emptied, "bug A: the gradients that an earlier step left behind were used as well"),
        Mistake(_softmax_twice, "bug B: cross_entropy was given probabilities; give it the scores"),
        Mistake(_without_history, "bug C: w1 got no gradient; between x @ w1 and the loss the history was cut"),
        Mistake(
            _nothing_moves,
            "no weight has moved: is there an update, after backward, while the gradients are there, into the tensors "
            "of the list?",
        ),
        Mistake(
            _step_before_backward,
            "the update used the gradients of the step before: it comes after backward, and zero_grad before",
        ),
        Mistake(
            _at_twice_the_rate,
            "both weights moved twice as far as they should: the rate is optimizer.lr, and one update is enough",
        ),
        Mistake(_two_steps, "these are two training steps, one after the other; one is asked for"),
        Mistake(_only_w1, "w2 has not moved: it needs a gradient and an update as well"),
        Mistake(_another_activation, "between the two products of this network is a tanh, not a relu"),
        Mistake(_without_tanh, "the tanh between the two products is missing"),
    ],
    forward=lambda w1, w2: _forward(w1, w2, _POINTS),
    adapt=_moved,
)
t04_training_step.parameters = ["dL/dL", "w1", "w2"]  # of a case

EXERCISES: tuple[Exercise, ...] = (t04_grown, t04_floor, t04_why, t04_update, t04_training_step)
