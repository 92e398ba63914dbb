"""confusion: which classes a network takes for which, and the mistakes it is surest of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.checks import whole
from minidl.data import Dataset
from minidl.errors import ShapeError
from minidl.files.schema import NUMBERS, TEXT, WHOLE, Entry
from minidl.nn import Module
from minidl.nn.modes import evaluating
from minidl.observe.saved import SavedRecording
from minidl.tensors.tensor import Tensor

_BATCH = 256


@dataclass(frozen=True, eq=False)
class ConfusionRecording(SavedRecording):
    """The answers of a network on a data set of C classes.

    Attributes:
        classes: (C,) their names.
        count: (C, C) how many examples of class i (row) were taken for class j (column).
        not_finite: () how many examples got scores that are not finite; they are in no field of `count`.
        worst: (M,) the numbers of the mistakes with the highest probability of the wrong class, the surest first.
        truth, answer: (M,) what they are, and what they were taken for.
        probability: (M,) of what they were taken for.
        images: (M, ...) their inputs.
    """

    kind: ClassVar[str] = "confusion"
    schema: ClassVar[dict[str, Entry]] = {
        "classes": Entry(TEXT, ("C",)),
        "count": Entry(WHOLE, ("C", "C")),
        "not_finite": Entry(WHOLE, ()),
        "worst": Entry(WHOLE, ("M",)),
        "truth": Entry(WHOLE, ("M",)),
        "answer": Entry(WHOLE, ("M",)),
        "probability": Entry(NUMBERS, ("M",)),
        "images": Entry(NUMBERS),
    }

    classes: tuple[str, ...]
    count: Any
    not_finite: Any
    worst: Any
    truth: Any
    answer: Any
    probability: Any
    images: Any

    def __repr__(self) -> str:
        return f"ConfusionRecording({len(self.classes)} classes, {self.accuracy:.1%} right)"

    @property
    def accuracy(self) -> float:
        """The share of all examples that got their own class."""
        return float(np.trace(self.count) / (self.count.sum() + self.not_finite))


def confusion(model: Module, data: Dataset, worst: int = 8) -> ConfusionRecording:
    """Ask a network for the class of every example, in evaluation mode.

    Args:
        model: takes a batch of inputs and gives scores (N, C).
        data: inputs with classes as labels, not empty.
        worst: how many mistakes to keep, at most.

    Raises:
        ValueError: the data set is empty.
        ShapeError: the model gives no scores, or fewer than there are classes.
    """
    whole(worst, "confusion: worst", 0)
    if not len(data):
        raise ValueError("confusion: expected at least one example; the data set is empty")
    home = next((p.device for p in model.parameters()), backend.current())
    scores = []
    with evaluating(model):
        for start in range(0, len(data), _BATCH):
            inputs = backend.to_device(backend.native(data.inputs[start : start + _BATCH]), home)
            scores.append(backend.to_numpy(model(Tensor(inputs))._data).astype(np.float64))
    found = np.concatenate(scores)
    labels = backend.to_numpy(backend.native(data.labels)).astype(np.int64)
    if found.ndim != 2 or labels.min() < 0 or labels.max() >= found.shape[1]:
        raise ShapeError(f"confusion: expected scores (N, C) of all {labels.max() + 1} classes; got {found.shape}")
    finite = np.isfinite(found).all(axis=1)
    found = np.where(finite[:, None], found, 0.0)
    shares = np.exp(found - found.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    answer = found.argmax(axis=1)
    count = np.zeros((found.shape[1],) * 2, dtype=np.int64)
    np.add.at(count, (labels[finite], answer[finite]), 1)
    wrong = np.flatnonzero(finite & (answer != labels))
    sure = shares.max(axis=1)
    chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:worst]
    names = data.classes or [str(k) for k in range(found.shape[1])]
    shown = data.inputs if data.image_shape is None else data.images
    images = backend.to_numpy(backend.native(shown[chosen])).astype(np.float64)
    return ConfusionRecording(
        tuple(names), count, int((~finite).sum()), chosen, labels[chosen], answer[chosen], sure[chosen], images
    )
