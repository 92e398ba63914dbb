"""evaluate: the mean loss and the accuracy of a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.checks import whole
from minidl.data import Loader, Source
from minidl.data.dataset import check_source
from minidl.data.progress import Bar
from minidl.nn import Module
from minidl.nn.modes import evaluating
from minidl.tensors.tensor import Tensor
from minidl.training.arguments import check_model, source_of
from minidl.training.whole_loss import WholeLoss, on_host


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        loss: the mean loss over all examples; NaN if no label counts.
        accuracy: the fraction of labels that were predicted, without those that are to be ignored; None if the labels
            are no classes, or the outputs no scores of at least two.
    """

    loss: float
    accuracy: float | None

    @property
    def brief(self) -> str:
        """The one number that fits into a line: the accuracy, or else the loss."""
        return f"{self.accuracy:.2%}" if self.accuracy is not None else f"loss {self.loss:.4f}"

    def __str__(self) -> str:
        return f"loss {self.loss:.4f}" + (f", accuracy {self.accuracy:.2%}" if self.accuracy is not None else "")


def evaluate(
    model: Module,
    dataset: Source | Loader,
    batch_size: int = 256,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    progress: bool | None = None,
) -> Evaluation:
    """The mean loss of a model over a data set, and its accuracy if the labels are classes.

    Runs in evaluation mode and without recording; every module's mode is put back. The data go where the model's
    weights are. Up to rounding, the batch size changes nothing: the loss is what it would be of all data in one batch.
    Where minidl's losses leave out labels or weigh them, a batch counts by the labels that are left, or by their
    weights; for any other loss by its number of examples. A loss may be a sum of several such, each times a constant.
    If it is none, as the root of a mean, that cannot be, and there is a warning.

    Args:
        model: called with a batch of inputs as a Tensor. If it returns a Tensor (N, C) or (N, C, ...) with C > 1 and
            the labels are integers (N,) or (N, ...), these are scores of C classes; the highest is the prediction.
            Labels below 0, and that which the loss ignores, are not asked for.
        dataset: what to evaluate on: a Dataset or another source; `data.Mapped` is one with a transform. Or a Loader:
            then each example of its data set counts once, as its transform makes it; where the Loader stands, and its
            order, do not change.
        batch_size: examples at a time; of a Loader its own.
        loss: loss(model's output, labels), a mean over the batch. (If one of minidl's is a sum over the batch, the
            result is the sum over all examples.) Of the first batch it may be asked for twice.
        progress: show a progress bar. None shows it in a terminal or a notebook, once it has taken a second.

    Raises:
        ValueError: there are no examples, or the batch size is none.
        TypeError: `dataset` is no source of data, `model` no Module, or the loss no Tensor with one number.
    """
    evaluation = evaluate_unless(lambda: False, model, dataset, batch_size, loss, progress)
    assert evaluation is not None
    return evaluation


def evaluate_unless(
    stopped: Callable[[], bool],
    model: Module,
    dataset: Source | Loader,
    batch_size: int = 256,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    progress: bool | None = False,
) -> Evaluation | None:
    """As `evaluate`, but it returns None as soon as `stopped()`, which is called before each batch, is true."""
    check_model(model, "evaluate", "evaluate(model, dataset)")
    source = source_of(dataset)
    check_source(source, "evaluate: expected a Dataset")
    if callable(batch_size):
        raise TypeError("evaluate: the loss is given by name: evaluate(model, dataset, loss=...)")
    if len(source) == 0:
        raise ValueError("evaluate: expected at least one example; the data set is empty")
    batch_size = whole(batch_size, "evaluate: batch_size")
    home = next((p.device for p in model.parameters()), backend.current())
    whole_loss = WholeLoss(loss, "evaluate")
    hits: Any = 0
    asked: Any = 0
    with (
        closing(batches_of(dataset, batch_size, home)) as batches,
        evaluating(model),
        Bar(progress, len(source), label="evaluation") as bar,
    ):
        for examples in batches:
            if stopped():
                return None
            inputs, labels = (backend.to_device(backend.native(array), home) for array in examples)
            outputs = model(Tensor(inputs))
            whole_loss.add(outputs, labels)
            if are_scores(outputs, labels):
                left_out = {division.ignored for division in whole_loss.divisions} - {None}
                found, of = hits_among(outputs._data, labels, left_out)
                hits, asked = hits + found, asked + of
            bar.advance(len(labels))
    hits, asked = on_host(hits, asked)
    return Evaluation(whole_loss.value(), hits / asked if asked else None)


def batches_of(data: Source | Loader, batch_size: int, home: str) -> Generator[tuple[Any, Any]]:
    """(inputs, labels) of all examples in their order; of a Loader as another one like it hands them out at `home`."""
    if isinstance(data, Loader):
        with backend.using(home):
            again = Loader(
                data.dataset, data.batch_size, False, data.seed, transform=data.transform, workers=data.workers
            )
        with closing(iter(again)) as batches:
            yield from batches
        return
    for start in range(0, len(data), batch_size):
        yield data.take(np.arange(start, min(start + batch_size, len(data))))


def are_scores(outputs: Any, labels: Any) -> bool:
    """Whether the outputs are scores of classes, of which the labels name the right one.

    A single output is none: where it is to be cut into yes and no depends on what it means.
    """
    return (
        isinstance(outputs, Tensor)
        and labels.dtype.kind in "iu"
        and outputs.ndim >= 2
        and outputs.shape[1] > 1
        and labels.shape == (outputs.shape[0], *outputs.shape[2:])
    )


def hits_among(scores: Any, labels: Any, left_out: Iterable[Any]) -> tuple[Any, Any]:
    """How many labels have the highest score, and of how many labels: not those below 0, nor those left out.

    Where a score is NaN there is no highest one.
    """
    labels = labels.astype("int64")
    asked = labels >= 0
    for label in left_out:
        asked = asked & (labels != label)
    highest = scores.max(axis=1)
    return ((scores.argmax(axis=1) == labels) & (highest == highest) & asked).sum(), asked.sum()
