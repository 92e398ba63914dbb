"""What an optimizer can tell about its last step: norms, multipliers and rates, layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from minidl.autograd.writes import WriteCount
from minidl.optim.layer_view import LayerView
from minidl.tables import text_table
from minidl.types import Array


@dataclass(frozen=True)
class LayerReport:
    """What the last step did to one layer.

    Attributes:
        grad_norm: ||g_l||_2 of its gradients, weights and biases together, before weight decay.
        multiplier: its layer rate's multiplier; the mean, if its tensors have different ones.
        rate: its effective rate, lr times the multiplier, without what `scale` adds for single parameters.
        floored: whether the layer rate found the norm too small to use.
        tensor_multipliers: the multiplier of each of its tensors that had a gradient.
    """

    grad_norm: Any
    multiplier: Any
    rate: Any
    floored: Any
    tensor_multipliers: tuple[Any, ...]


class LayerReports(dict[str, LayerReport]):
    """The reports by the names of the layers; they show themselves as a table."""

    def __repr__(self) -> str:
        rows = [
            (name, *(f"{float(x):.4g}" for x in (report.grad_norm, report.multiplier, report.rate)), _note(report))
            for name, report in self.items()
        ]
        return text_table([("layer", "gradient norm", "multiplier", "rate", ""), *rows], numbers=(1, 2, 3))


def _note(report: LayerReport) -> str:
    return "norm too small to use" if bool(report.floored) else ""


class Seen(NamedTuple):
    """What a step leaves behind of one layer.

    Attributes:
        view: what its layer rate was shown.
        multipliers: what it returned, for each parameter.
        lr: the base rate.
        writes: the WriteCounts of the gradients.
    """

    view: LayerView
    multipliers: list[Any]
    lr: float
    writes: list[WriteCount]


def rates_of(seen: Seen) -> tuple[Any, Any, Any]:
    """Multiplier, rate and floored of one layer, as in its report; they stay on the device."""
    mean = seen.multipliers[0]
    if any(m is not mean for m in seen.multipliers):
        mean = sum(seen.multipliers[1:], start=mean) / len(seen.multipliers)
    return mean, mean * seen.lr, seen.view.floored


def report_of(seen: Seen) -> LayerReport:
    """The report on one layer, whose numbers stay on the device."""
    return LayerReport(seen.view.gradient_norm, *rates_of(seen), tuple(seen.multipliers))


def as_numbers(report: LayerReport) -> LayerReport:
    """The same report as Python numbers."""
    multipliers = tuple([float(m) for m in report.tensor_multipliers])
    floored = bool(report.floored)
    return LayerReport(float(report.grad_norm), float(report.multiplier), float(report.rate), floored, multipliers)


def largest_multiplier(seen: Iterable[Seen]) -> tuple[str, float] | None:
    """(the layer's name, the multiplier) of the largest of them, of those that are numbers of Python's."""
    numbers = [(s.view.name, m) for s in seen for m in s.multipliers if type(m) is float and m == m]
    return max(numbers, key=lambda pair: pair[1], default=None)


def norms_by_array(views: Iterable[LayerView]) -> dict[int, Array]:
    """The norm of each gradient by the id of its parameter's array, without arrays that several parameters share.

    Only those that were computed already, as by a layer rate.
    """
    known = [view for view in views if view.has_norms]
    pairs = [(id(w), norm) for view in known for w, norm in zip(view.params, view.gradient_norms, strict=True)]
    times = Counter(key for key, _ in pairs)
    return {key: norm for key, norm in pairs if times[key] == 1}
