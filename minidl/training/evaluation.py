"""evaluate: the mean loss and the accuracy of a model on a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.checks import whole
from minidl.data import Source
from minidl.data.dataset import check_source
from minidl.data.progress import Bar
from minidl.nn import Module
from minidl.nn.modes import evaluating
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        loss: the mean loss over all examples.
        accuracy: the fraction of labels that were predicted; None if the labels are no classes.
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
    dataset: Source,
    batch_size: int = 256,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    progress: bool | None = None,
) -> Evaluation:
    """The mean loss of a model over a data set, and its accuracy if the labels are classes.

    Runs in evaluation mode and without recording; every module's mode is put back. The data go where the model's
    weights are. Up to rounding, the batch size changes nothing: each batch counts by its number of examples.

    Args:
        model: called with a batch of inputs as a Tensor. If it returns a Tensor (N, C) or (N, C, ...) and the labels
            are integers (N,) or (N, ...), these are scores of C classes; the highest is the prediction.
        dataset: what to evaluate on: a Dataset or another source; `data.Mapped` is one with a transform.
        batch_size: examples at a time.
        loss: loss(model's output, labels), a mean over the batch.
        progress: show a progress bar. None shows it in a terminal, once it has taken a second.

    Raises:
        ValueError: there are no examples, or the batch size is none.
        TypeError: `dataset` is no source of data.
    """
    evaluation = evaluate_unless(lambda: False, model, dataset, batch_size, loss, progress)
    assert evaluation is not None
    return evaluation


def evaluate_unless(
    stopped: Callable[[], bool],
    model: Module,
    dataset: Source,
    batch_size: int = 256,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    progress: bool | None = False,
) -> Evaluation | None:
    """As `evaluate`, but it returns None as soon as `stopped()`, which is called before each batch, is true."""
    check_source(dataset, "evaluate: expected a Dataset")
    if len(dataset) == 0:
        raise ValueError("evaluate: expected at least one example; the data set is empty")
    batch_size = whole(batch_size, "evaluate: batch_size")
    home = next((p.device for p in model.parameters()), backend.current())
    total_loss: Any = 0.0
    correct: Any = None
    with evaluating(model), Bar(progress, len(dataset), label="evaluation") as bar:
        for start in range(0, len(dataset), batch_size):
            if stopped():
                return None
            examples = dataset.take(np.arange(start, min(start + batch_size, len(dataset))))
            inputs, labels = (backend.to_device(array, home) for array in examples)
            outputs = model(Tensor(inputs))
            total_loss = total_loss + loss(outputs, labels)._data.astype("float64") * len(labels)
            if isinstance(outputs, Tensor) and labels.dtype.kind in "iu" and outputs.ndim == labels.ndim + 1:
                hits = (outputs._data.argmax(axis=1) == labels).sum()
                correct = hits if correct is None else correct + hits
            bar.advance(len(labels))
    accuracy = None if correct is None else int(correct) / dataset.labels.size
    return Evaluation(float(total_loss) / len(dataset), accuracy)
