"""Recorders: they watch a training loop and never compute into it. What they saw is plain arrays with names.

`GradientFlow`, `Graph` and `Curvature` watch; the functions (`decision_boundary`, `depth_sweep`, ...) measure at once.
Each gives a recording that can be saved and loaded, and that a figure of `md.plot` is drawn from.
"""

from minidl.examples.reading import add_examples
from minidl.observe.boundary_recording import BoundaryRecording, decision_boundary
from minidl.observe.confusion_recording import ConfusionRecording, confusion
from minidl.observe.curvature_recording import Curvature, CurvatureRecording
from minidl.observe.depth_recording import DepthRecording, depth_sweep
from minidl.observe.filters_recording import FiltersRecording, MapsRecording, feature_maps, filters
from minidl.observe.gradient_flow import GradientFlow
from minidl.observe.graph_recording import Graph, GraphRecording
from minidl.observe.jacobian_recording import JacobianRecording, jacobian_spectrum
from minidl.observe.line_recording import LineRecording, landscape_line
from minidl.observe.paths_recording import PathsRecording, optimizer_paths
from minidl.observe.race import RaceRecording
from minidl.observe.range_recording import RangeRecording, rate_range
from minidl.observe.reading import load
from minidl.observe.recording import FlowRecording
from minidl.observe.theory_recording import TheoryRecording, vanishing_theory
from minidl.observe.time_recording import TimeRecording, through_time

__all__ = [
    "BoundaryRecording",
    "ConfusionRecording",
    "Curvature",
    "CurvatureRecording",
    "DepthRecording",
    "FiltersRecording",
    "FlowRecording",
    "GradientFlow",
    "Graph",
    "GraphRecording",
    "JacobianRecording",
    "LineRecording",
    "MapsRecording",
    "PathsRecording",
    "RaceRecording",
    "RangeRecording",
    "TheoryRecording",
    "TimeRecording",
    "confusion",
    "decision_boundary",
    "depth_sweep",
    "feature_maps",
    "filters",
    "jacobian_spectrum",
    "landscape_line",
    "load",
    "optimizer_paths",
    "rate_range",
    "through_time",
    "vanishing_theory",
]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "observe")
