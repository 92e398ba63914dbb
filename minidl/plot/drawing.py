"""draw: a figure by its name from recordings in files, for the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from minidl.files.writing import path_of
from minidl.observe import (
    BoundaryRecording,
    ConfusionRecording,
    CurvatureRecording,
    DepthRecording,
    FiltersRecording,
    FlowRecording,
    GraphRecording,
    JacobianRecording,
    LineRecording,
    MapsRecording,
    PathsRecording,
    RaceRecording,
    RangeRecording,
    TheoryRecording,
    TimeRecording,
)
from minidl.observe.history import Course
from minidl.plot.attribution_figure import attribution
from minidl.plot.confusion_figure import confusion
from minidl.plot.curvature_figure import curvature
from minidl.plot.decision_boundary_figure import decision_boundary
from minidl.plot.depth_sweep_figure import depth_sweep
from minidl.plot.distribution_grid_figure import distribution_grid
from minidl.plot.effective_rates_figure import effective_rates
from minidl.plot.feature_maps_figure import feature_maps
from minidl.plot.filters_figure import filters
from minidl.plot.flow_profile_figure import flow_profile
from minidl.plot.gradient_flow_figure import gradient_flow
from minidl.plot.graph_figure import graph
from minidl.plot.jacobian_spectrum_figure import jacobian_spectrum
from minidl.plot.landscape_line_figure import landscape_line
from minidl.plot.loss_curves_figure import loss_curves
from minidl.plot.optimizer_paths_figure import optimizer_paths
from minidl.plot.race_figure import race
from minidl.plot.rate_curve_figure import rate_curve
from minidl.plot.rate_range_figure import rate_range
from minidl.plot.style import ClaimFigure
from minidl.plot.theory_figure import theory
from minidl.plot.through_time_figure import through_time
from minidl.plot.update_heatmap_figure import update_heatmap
from minidl.plot.update_lines_figure import update_lines
from minidl.plot.who_learned_figure import who_learned


@dataclass(frozen=True)
class FigureKind:
    """A figure that can be drawn from files.

    Attributes:
        draw: makes it from {file name: recording}.
        recording: the class of recording it needs.
        many: whether it can take several files, and as what.
        about: what it shows.
    """

    draw: Callable[[dict[str, Any]], ClaimFigure]
    recording: type[Any]
    many: str | None
    about: str


def _only(recordings: dict[str, Any]) -> Any:
    return next(iter(recordings.values()))


def _one_or_all(recordings: dict[str, Any]) -> Any:
    """One recording, which needs no label, or all of them."""
    return _only(recordings) if len(recordings) == 1 else recordings


FIGURES: dict[str, FigureKind] = {
    "gradient_flow": FigureKind(
        lambda found: gradient_flow(_one_or_all(found)), FlowRecording, "networks",
        "mean, RMS and largest gradient of each layer",
    ),
    "flow_profile": FigureKind(
        lambda found: flow_profile(_one_or_all(found)), FlowRecording, "networks",
        "activations and gradients against depth, in decades per layer",
    ),
    "update_heatmap": FigureKind(
        update_heatmap, FlowRecording, "panels", "how much of its weights each layer changes, over steps"
    ),
    "update_lines": FigureKind(
        update_lines, FlowRecording, "panels", "the same as lines, with the target at a thousandth"
    ),
    "effective_rates": FigureKind(
        effective_rates, FlowRecording, "panels", "the learning rate of each layer, over steps"
    ),
    "who_learned": FigureKind(who_learned, FlowRecording, "panels", "how far each layer is from its first weights"),
    "rate_curve": FigureKind(rate_curve, FlowRecording, "panels", "which rate a rule gives each layer's gradient"),
    "distribution_grid": FigureKind(
        distribution_grid, FlowRecording, "rows", "distributions of activations and gradients in each layer"
    ),
    "race": FigureKind(
        lambda found: race(_only(found)), RaceRecording, None, "losses and accuracies against steps and time"
    ),
    "graph": FigureKind(
        lambda found: graph(_only(found)), GraphRecording, None,
        "the ops that lead to a loss, and the gradient at each",
    ),
    "attribution": FigureKind(
        attribution, GraphRecording, "panels", "which op of a backward pass made the gradient small"
    ),
    "through_time": FigureKind(
        lambda found: through_time(_only(found)), TimeRecording, None,
        "gradients of recurrent networks against the time steps",
    ),
    "jacobian_spectrum": FigureKind(
        jacobian_spectrum, JacobianRecording, "panels", "how much each direction is stretched, against depth"
    ),
    "depth_sweep": FigureKind(
        lambda found: depth_sweep(_only(found)), DepthRecording, None,
        "how fast gradients fall, against depth and activation",
    ),
    "theory": FigureKind(
        theory, TheoryRecording, "panels", "gradients beside a bound and a prediction"
    ),
    "loss_curves": FigureKind(
        loss_curves, Course, "one colour each", "losses and accuracy of a training (history.json)"
    ),
    "decision_boundary": FigureKind(
        decision_boundary, BoundaryRecording, "panels", "the plane coloured by a network's answer"
    ),
    "optimizer_paths": FigureKind(
        lambda found: optimizer_paths(_only(found)), PathsRecording, None,
        "ways of several optimizers over a function of two variables",
    ),
    "filters": FigureKind(
        filters, FiltersRecording, "blocks", "the weights of a layer as images"
    ),
    "feature_maps": FigureKind(
        feature_maps, MapsRecording, "rows", "what the units of a layer make of an image"
    ),
    "confusion": FigureKind(
        lambda found: confusion(_only(found)), ConfusionRecording, None,
        "which class is taken for which, and the worst mistakes",
    ),
    "rate_range": FigureKind(
        rate_range, RangeRecording, "one colour each", "the loss while the rate grows"
    ),
    "landscape_line": FigureKind(
        landscape_line, LineRecording, "one colour each", "the loss on the line between two weights"
    ),
    "curvature": FigureKind(
        curvature, CurvatureRecording, "panels", "curvature against the gradient of each layer"
    ),
}  # fmt: skip


def draw(paths: str | PathLike[str] | Sequence[str | PathLike[str]], name: str) -> ClaimFigure:
    """Draw the figure `name` from recordings in files.

    Args:
        paths: one npz file, or several of networks to compare, which are labelled by the files' names; `race` and
            `graph` take one.
        name: one of `FIGURES`.

    Raises:
        ValueError: there is no such figure, a recording is of a kind it cannot be drawn from, a file is damaged, or
            there are too many files.
        FileNotFoundError: a file is not there.
    """
    if name not in FIGURES:
        known = "; ".join(f"{key}: {kind.about}" for key, kind in FIGURES.items())
        exchanged = isinstance(paths, str) and paths in FIGURES
        remark = f": the recordings come first, draw({name!r}, {paths!r})" if exchanged else ""
        raise ValueError(f"there is no figure {name!r}{remark}. The figures are: {known}")
    figure = FIGURES[name]
    files = [Path(path_of(path)) for path in ([paths] if isinstance(paths, (str, PathLike)) else paths)]
    if not files or (len(files) > 1 and figure.many is None):
        raise ValueError(f"{name} is drawn from exactly one recording; got {len(files)}")
    labels = _labels(files)
    return figure.draw({label: _load(path, name) for label, path in zip(labels, files, strict=True)})


def _labels(files: list[Path]) -> list[str]:
    """The files' names without what they all begin with ("flow-sgd-"), so that labels are short and differ."""
    stems = [path.stem for path in files]
    if len(set(stems)) < len(stems):
        return [str(path) for path in files]
    if len(stems) == 1:
        return stems
    parts = [stem.split("-") for stem in stems]
    shared = 0
    while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
        shared += 1
    return ["-".join(part[shared:]) for part in parts]


def _load(path: Path, name: str) -> Any:
    """The recording in `path`, which must be of the kind the figure `name` needs."""
    wanted = FIGURES[name].recording
    try:
        return wanted.load(path)
    except ValueError as error:
        for other in dict.fromkeys(kind.recording for kind in FIGURES.values()):
            try:
                other.load(path)
            except ValueError:
                continue
            possible = ", ".join(key for key, kind in FIGURES.items() if kind.recording is other)
            raise ValueError(
                f"{path} is a {other.__name__}: {name} cannot be drawn from it, but {possible} can"
            ) from None
        raise error from None
