"""decision_boundary: what a network answers everywhere in the plane, beside the points it was asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.checks import whole
from minidl.data import Dataset
from minidl.errors import ShapeError
from minidl.files.schema import NUMBERS, WHOLE, Entry
from minidl.nn import Module
from minidl.nn.modes import evaluating
from minidl.observe.saved import SavedRecording
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True, eq=False)
class BoundaryRecording(SavedRecording):
    """The answers of a network on a grid of W x H points, and at N given ones.

    Attributes:
        x, y: (W,) and (H,) where the grid lies.
        answer: (H, W) the class with the highest score; -1 where a score is not finite.
        confidence: (H, W) the probability of that class; NaN where a score is not finite.
        points: (N, 2) the given points.
        labels: (N,) their classes.
        point_answer: (N,) the class the network gives them.
    """

    kind: ClassVar[str] = "decision_boundary"
    schema: ClassVar[dict[str, Entry]] = {
        "x": Entry(NUMBERS, ("W",)),
        "y": Entry(NUMBERS, ("H",)),
        "answer": Entry(WHOLE, ("H", "W")),
        "confidence": Entry(NUMBERS, ("H", "W")),
        "points": Entry(NUMBERS, ("N", 2)),
        "labels": Entry(WHOLE, ("N",)),
        "point_answer": Entry(WHOLE, ("N",)),
    }

    x: Any
    y: Any
    answer: Any
    confidence: Any
    points: Any
    labels: Any
    point_answer: Any

    def __repr__(self) -> str:
        return f"BoundaryRecording({len(self.points)} points, a grid of {len(self.x)} x {len(self.y)})"

    @property
    def accuracy(self) -> float:
        """The share of the points that get their own class."""
        return float((self.point_answer == self.labels).mean())


def decision_boundary(model: Module, data: Dataset, resolution: int = 160, margin: float = 0.15) -> BoundaryRecording:
    """Ask a network for its answer on a grid around points in the plane, in evaluation mode.

    Args:
        model: takes (N, 2) and gives scores (N, C) of C > 1 classes, or one (N, 1) that is positive for class 1.
        data: points (N, 2) with classes as labels.
        resolution: how many points the grid has along its longer side.
        margin: how far the grid reaches beyond the points, in parts of their extent; around points that lie nearly on a
            line a tenth of its length.

    Raises:
        ShapeError: the points do not lie in a plane, or the model's answers are no scores.
        ValueError: there is no point, or the resolution is none.
    """
    whole(resolution, "decision_boundary: resolution", 2)
    points = backend.to_numpy(backend.native(data.inputs)).astype(np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError(f"decision_boundary: expected points (N, 2); got inputs of shape {points.shape}")
    extent = np.ptp(points, axis=0)
    thin = extent <= extent.max() / 10  # points on a line, or a single one: there is a plane around them, too
    around = np.where(thin, extent.max() / 10 or 1.0, margin * extent)
    low, high = points.min(axis=0) - around, points.max(axis=0) + around
    width, height = np.maximum(high - low, 1e-12)
    columns, rows = (max(2, round(resolution * side / max(width, height))) for side in (width, height))
    x, y = np.linspace(low[0], high[0], columns), np.linspace(low[1], high[1], rows)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    answer, confidence = _ask(model, grid)
    return BoundaryRecording(
        x, y, answer.reshape(rows, columns), confidence.reshape(rows, columns), points,
        backend.to_numpy(backend.native(data.labels)).astype(np.int64), _ask(model, points)[0],
    )  # fmt: skip


def _ask(model: Module, points: Any) -> tuple[Any, Any]:
    """The class of each point, and its probability."""
    first = next(iter(model.parameters()), None)
    device, dtype = (backend.current(), np.float32) if first is None else (first.device, first.dtype)
    with evaluating(model):
        scores = backend.to_numpy(model(Tensor(backend.to_device(points.astype(dtype), device)))._data)
    scores = scores.astype(np.float64)
    if scores.ndim != 2 or len(scores) != len(points):
        raise ShapeError(f"decision_boundary: expected scores (N, C); the model returned {scores.shape}")
    if scores.shape[1] == 1:  # the score of class 1 against 0
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    finite = np.isfinite(scores).all(axis=1)
    scores = np.where(finite[:, None], scores, 0.0)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return np.where(finite, scores.argmax(axis=1), -1), np.where(finite, shares.max(axis=1), np.nan)
