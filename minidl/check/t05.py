"""The exercises of tutorial 5: the loop that trains a network, and its curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import functional as F
from minidl.autograd.modes import no_grad
from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict
from minidl.check.running import UnfitError
from minidl.data import Dataset, Loader
from minidl.models import mlp
from minidl.nn import Linear
from minidl.optim import SGD
from minidl.tensors.tensor import Tensor

# ---- before the first step

t05_parameters = Predict(
    "t05_parameters",
    "how many numbers an MLP of 2 inputs, 32 and 32 hidden units and 3 outputs learns",
    1251,
    mistakes=[
        Mistake(1184, "these are the weights: each unit has a bias as well"),
        Mistake(67, "these are the biases alone: each unit also has a weight for each of its inputs"),
        Mistake(69, "this counts the units, the inputs too; what is learned is a weight for each pair of neighbours"),
        Mistake(195, "one layer is missing: the one between the two hidden layers is the largest"),
        Mistake(1248, "the three units of the output have a bias each as well"),
        Mistake(1219, "only one of the two hidden layers has its biases: each unit of both has one"),
        Mistake(1152, "the last layer is missing, from the second hidden one to the output"),
        Mistake(1155, "the first layer is missing, from the inputs to the first hidden one"),
        Mistake(1253, "the inputs have no biases: they are given, not computed"),
    ],
    rtol=1e-9,
    why="(2 * 32 + 32) + (32 * 32 + 32) + (32 * 3 + 3): most of them lie between the two hidden layers.",
)

t05_first_loss = Predict(
    "t05_first_loss",
    "the cross-entropy of three classes if all scores are near 0",
    np.log(3.0),
    mistakes=[
        Mistake(1 / 3, "that is the probability of each class; the loss is -ln of it"),
        Mistake(-np.log(3.0), "-ln of a third is not below 0"),
        Mistake(0.0, "a loss of 0 would mean that the right class has probability 1"),
        Mistake(np.log10(3.0), "the logarithm is the natural one, np.log"),
        Mistake(np.log2(3.0), "the logarithm is the natural one, np.log"),
        Mistake(np.log(2.0), "that is right for two classes"),
        Mistake(2 / 3, "that is the share of wrong answers by chance; the loss is -ln of a probability"),
    ],
    rtol=0.02,
    why="Equal scores give each class a third, and -ln(1/3) = ln 3 = 1.099; for C classes ln C.",
)

# ---- the accuracy


def _accuracy(model: Any, x: Any, labels: Any) -> Any:
    with no_grad():
        scores = model(Tensor(x)).numpy()
    return float((scores.argmax(axis=1) == labels).mean())


def _scores(model: Any, x: Any) -> Any:
    with no_grad():
        return model(Tensor(x)).numpy()


def _at_labels(model: Any, x: Any, labels: Any) -> Any:
    scores = np.exp(_scores(model, x))
    return float((scores / scores.sum(axis=1, keepdims=True))[np.arange(len(x)), labels].mean())


def _asked(answer: Callable[..., Any], scores: Any, labels: Any) -> Any:
    """The network hands on its inputs, so that these are its scores."""
    network = Linear(3, 3)
    for parameter, values in zip(network.parameters(), (np.eye(3), np.zeros(3)), strict=True):
        parameter.data = values.astype(scores.dtype)
    return answer(network, scores, labels)


def _points(rng: np.random.Generator) -> Iterator[Any]:
    for count in (4, 8, 11):
        scores = rng.standard_normal((count, 3)).round(2)
        labels = scores.argmax(axis=1)
        labels[: count // 4] = (labels[: count // 4] + 1) % 3  # some are wrong
        yield scores, labels


t05_accuracy = Implement(
    "t05_accuracy",
    "the share of the points whose highest score is that of their label",
    _accuracy,
    _points,
    mistakes=[
        Mistake(
            lambda model, x, labels: int((_scores(model, x).argmax(axis=1) == labels).sum()),
            "that is the number of right answers; the share is that divided by the number of points",
        ),
        Mistake(
            lambda model, x, labels: float((_scores(model, x).argmax(axis=1) != labels).mean()),
            "that is the share of the wrong answers",
        ),
        Mistake(
            lambda model, x, labels: float((_scores(model, x).argmin(axis=1) == labels).mean()),
            "the answer is the class with the highest score, not the lowest",
        ),
        Mistake(
            lambda model, x, labels: 100 * _accuracy(model, x, labels),
            "that is in percent; the share is from 0 to 1",
        ),
        Mistake(_at_labels, "that is the mean probability of the right class; accuracy counts which score is highest"),
        Mistake(
            lambda model, x, labels: _scores(model, x).argmax(axis=0) == labels,
            "argmax along axis 0 compares the points; the classes are axis 1",
        ),
        Mistake(
            lambda model, x, labels: _scores(model, x).argmax(axis=1) == labels,
            "that says of each point whether it is right; the share is the mean of that",
        ),
        Mistake(
            lambda model, x, labels: _scores(model, x).argmax(axis=1),
            "these are the classes that the network answers; in which share of the points are they the labels?",
        ),
        Mistake(
            lambda model, x, labels: float((_scores(model, x).argmax(axis=1) == labels).sum()) / 300,
            "divided by 300; here x has another number of rows: len(x)",
        ),
        Mistake(
            lambda model, x, labels: float((_scores(model, x).argmax(axis=1) == labels)[:-1].sum()) / len(x),
            "the last point is not looked at: where does the loop end?",
        ),
        Mistake(
            lambda model, x, labels: float(_scores(model, x)[0].argmax() == labels[0]) / len(x),
            "only the first point is looked at: is there a `return` inside the loop?",
        ),
        Mistake(
            lambda model, x, labels: _scores(model, x).argmax() == labels,
            "argmax without an axis is one number for all points; the classes are axis 1",
        ),
    ],
    adapt=_asked,
)
t05_accuracy.parameters = ["scores", "labels"]  # of a case

# ---- an epoch


def _train_epoch(model: Any, optimizer: Any, batches: Any) -> Any:
    total, examples = 0.0, 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(Tensor(x)), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        examples += len(y)
    return total / examples


def _never_emptied(model: Any, optimizer: Any, batches: Any) -> Any:
    optimizer.zero_grad()
    total, examples = 0.0, 0
    for x, y in batches:
        loss = F.cross_entropy(model(Tensor(x)), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        examples += len(y)
    return total / examples


def _not_trained(model: Any, optimizer: Any, batches: Any) -> Any:
    total, examples = 0.0, 0
    for x, y in batches:
        total += F.cross_entropy(model(Tensor(x)), y).item() * len(y)
        examples += len(y)
    return total / examples


def _a_batch_late(model: Any, optimizer: Any, batches: Any) -> Any:
    total, examples = 0.0, 0
    for x, y in batches:
        loss = F.cross_entropy(model(Tensor(x)), y)
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()
        total += loss.item() * len(y)
        examples += len(y)
    return total / examples


def _summed_loss(model: Any, optimizer: Any, batches: Any) -> Any:
    total, examples = 0.0, 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(Tensor(x)), y, reduction="sum")
        loss.backward()
        optimizer.step()
        total += loss.item()
        examples += len(y)
    return total / examples


def _only_the_first(model: Any, optimizer: Any, batches: Any) -> Any:
    return _train_epoch(model, optimizer, list(batches)[:1])


def _without_the_last(model: Any, optimizer: Any, batches: Any) -> Any:
    return _train_epoch(model, optimizer, list(batches)[:-1])


def _after_the_step(model: Any, optimizer: Any, batches: Any) -> Any:
    total, examples = 0.0, 0
    for x, y in batches:
        _train_epoch(model, optimizer, [(x, y)])
        with no_grad():
            total += F.cross_entropy(model(Tensor(x)), y).item() * len(y)
        examples += len(y)
    return total / examples


def _reported(combine: Callable[[list[float], list[int]], float | None]) -> Callable[..., Any]:
    """The right training, with another number made of the losses and sizes of the batches."""

    def epoch(model: Any, optimizer: Any, batches: Any) -> Any:
        losses = [_train_epoch(model, optimizer, [batch]) for batch in batches]
        return combine(losses, [len(y) for _, y in batches])

    return epoch


def _one_epoch(answer: Callable[..., Any], sizes: tuple[int, ...], seed: int, rate: Any) -> Any:
    """An epoch of an MLP with drawn weights and batches, in the dtype of the rate."""
    rng = np.random.default_rng(seed)
    model = mlp((2, 3, 3), "tanh")
    for parameter in model.parameters():
        parameter.data = rng.standard_normal(parameter.shape).astype(rate.dtype)
    points = Dataset(rng.standard_normal((sum(sizes), 2)).astype(rate.dtype), rng.integers(0, 3, sum(sizes)))
    batches = Loader(points, batch_size=sizes[0], shuffle=False, seed=0)
    loss = answer(model, SGD(model, lr=float(rate)), batches)
    if isinstance(loss, Tensor):
        raise UnfitError("the mean loss is to be a number; a Tensor came: loss.item() is the number in it")
    return {"weights after": [p.numpy() for p in model.parameters()], "loss": loss}


def _batches(rng: np.random.Generator) -> Iterator[Any]:
    for sizes in ((4, 4, 2), (5, 3), (3, 3, 3, 1)):
        yield sizes, int(rng.integers(10_000)), np.array(0.5)


t05_train_epoch = Implement(
    "t05_train_epoch",
    "one epoch: a step for each batch, and the mean loss of an example",
    _train_epoch,
    _batches,
    mistakes=[
        Mistake(
            lambda model, optimizer, batches: batches[0],
            "a Loader has no numbers for its batches; it hands them out in a loop: for x, y in batches",
        ),
        Mistake(_never_emptied, "gradients of earlier batches were still there: zero_grad belongs inside of the loop"),
        Mistake(_not_trained, "no weight has moved: for each batch zero_grad, loss, backward and step, in this order"),
        Mistake(_a_batch_late, "each step used the gradient of the batch before: step comes after backward"),
        Mistake(_summed_loss, "the loss is summed over the batch: its gradient is as many times too large"),
        Mistake(_without_the_last, "the last batch was not used: where does the loop end?"),
        Mistake(_only_the_first, "only the first batch was used: is there a `return` inside the loop?"),
        Mistake(
            _reported(lambda losses, sizes: sum(losses) / len(losses)),
            "the training is right, but every batch counts the same: the last one is smaller, and counts for less",
        ),
        Mistake(
            _reported(lambda losses, sizes: sum(losses)),
            "the training is right, but the losses of the batches were only added up: return the mean of an example",
        ),
        Mistake(
            _reported(lambda losses, sizes: float(np.dot(losses, sizes))),
            "the training is right; the sum is still to be divided by the number of examples",
        ),
        Mistake(
            _reported(lambda losses, sizes: sum(losses) / sum(sizes)),
            "the training is right, but loss is a mean of its batch already: times len(y), before it is added up",
        ),
        Mistake(
            _reported(lambda losses, sizes: losses[-1]),
            "the training is right, but that is the loss of the last batch alone",
        ),
        Mistake(
            _reported(lambda losses, sizes: losses[-1] * sizes[-1] / sum(sizes)),
            "the training is right, but of the sum only the last batch is left: += and not =",
        ),
        Mistake(
            _reported(lambda losses, sizes: float(np.dot(losses, sizes)) / len(sizes)),
            "the training is right, but the sum is divided by the number of batches, not of examples",
        ),
        Mistake(
            _reported(lambda losses, sizes: float(np.dot(losses, sizes)) / 300),
            "the training is right, but divided by 300; count the examples of these batches",
        ),
        Mistake(_after_the_step, "the training is right, but each loss is measured again after the step"),
        Mistake(_reported(lambda losses, sizes: None), "the training is right; the mean loss is still to be returned"),
    ],
    adapt=_one_epoch,
)
t05_train_epoch.parameters = ["batches of", "seed", "rate"]  # of a case

# ---- a curve

t05_stuck = Explain(
    "t05_stuck",
    "why the loss of rate 3 stays near 1.1",
    {
        "a": "The steps are so small that 100 epochs are not enough.",
        "b": "The huge first steps have made every hidden unit of a layer 0 for every training point: one answer for "
        "all of them, and no gradient comes back.",
        "c": "It has learned one of the three arms, and would need more epochs for the other two.",
    },
    "b",
    {
        "a": "look at the first updates of rate 3, beside those of rate 0.01: are they small?",
        "c": "a third is also what one answer for all points gives; look at the plane, and at the last updates",
    },
)

EXERCISES: tuple[Exercise, ...] = (t05_parameters, t05_first_loss, t05_accuracy, t05_train_epoch, t05_stuck)
