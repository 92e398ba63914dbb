"""landscape_line: the loss on the straight line between two settings of the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl.checks import whole
from minidl.files.schema import NUMBERS, Entry
from minidl.nn import Module
from minidl.nn.modes import evaluating
from minidl.observe.saved import SavedRecording


@dataclass(frozen=True, eq=False)
class LineRecording(SavedRecording):
    """The loss at A points w = (1 - a) w_0 + a w_1.

    Attributes:
        a: (A,) where: 0 is one end, 1 the other.
        loss: (A,) there; infinity where it is not finite.
        distance: () the Euclidean distance between the two ends.
    """

    kind: ClassVar[str] = "landscape_line"
    schema: ClassVar[dict[str, Entry]] = {
        "a": Entry(NUMBERS, ("A",)),
        "loss": Entry(NUMBERS, ("A",)),
        "distance": Entry(NUMBERS, ()),
    }

    a: Any
    loss: Any
    distance: Any

    def __repr__(self) -> str:
        return f"LineRecording({len(self.a)} points over a distance of {float(self.distance):.3g})"

    @property
    def barrier(self) -> float:
        """How far the loss between the two ends rises above the straight line between their losses; 0 if nowhere."""
        inside = (self.a >= 0) & (self.a <= 1)
        ends = np.interp([0.0, 1.0], self.a, self.loss)
        straight = ends[0] + (ends[1] - ends[0]) * self.a
        with np.errstate(invalid="ignore"):
            return float(max(0.0, np.nanmax((self.loss - straight)[inside])))


def landscape_line(
    model: Module,
    start: Mapping[str, Any],
    end: Mapping[str, Any],
    loss: Callable[[], Any],
    points: int = 41,
    beyond: float = 0.25,
) -> LineRecording:
    """Measure the loss on the straight line between two states of a model, and a little beyond both.

        before = model.state_dict()
        ...  # train
        md.observe.landscape_line(model, before, model.state_dict(), lambda: F.cross_entropy(model(x), y))

    In evaluation mode; the model is afterwards as it was. What is not floating (counters) stays as in `end`.

    Args:
        model: whose states they are.
        start, end: two of its `state_dict()`s.
        loss: a function without arguments that computes the loss with the model as it is.
        points: how many of them from 0 to 1.
        beyond: how far the line goes on at both ends.

    Source: Goodfellow, Vinyals and Saxe, Qualitatively characterizing neural network optimization problems, ICLR 2015.

    Raises:
        ValueError: the states have different names, or fewer than two points.
    """
    whole(points, "landscape_line: points", 2)
    if start.keys() != end.keys():
        raise ValueError("landscape_line: expected two states of one model; their names differ")
    outside = round(beyond * (points - 1))
    a = np.arange(-outside, points + outside) / (points - 1)
    moving = [name for name, value in end.items() if value.dtype.kind == "f"]
    before = model.state_dict()
    losses = []
    try:
        for place in a:
            mixed = {name: (1 - place) * start[name] + place * end[name] for name in moving}
            model.load_state_dict({**end, **{name: value.astype(end[name].dtype) for name, value in mixed.items()}})
            with evaluating(model):
                losses.append(loss().item())
    finally:
        model.load_state_dict(before)
    distance = np.sqrt(sum(float(((end[name] - start[name]) ** 2).sum()) for name in moving))
    return LineRecording(a, np.where(np.isfinite(losses), losses, np.inf), distance)
