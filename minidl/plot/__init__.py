"""Figures of recordings. Each returns a matplotlib Figure that is never shown, with `.caption` (one claim with its
number) and `.numbers` (what is drawn, ready for json).

    md.plot.gradient_flow(model)                          # right after any backward
    md.plot.flow_profile({"sigmoid": a.recording, "relu": b.recording, "batch norm": c.recording})
    md.plot.update_heatmap({"SGD": sgd, "layer-specific": ls})
    md.plot.race(recording)
    md.plot.attribution({"sigmoid": md.observe.Graph(loss)})
    md.plot.loss_curves(history)                          # what md.fit returned; history.plot() is the same
    md.plot.save_figure(figure, "run/flow")               # png, svg, json

docs/figures.md says which figure answers which question, and how it misleads.
"""

from minidl.examples.reading import add_examples
from minidl.plot.attribution_figure import attribution
from minidl.plot.confusion_figure import confusion
from minidl.plot.curvature_figure import curvature
from minidl.plot.decision_boundary_figure import decision_boundary
from minidl.plot.depth_sweep_figure import depth_sweep
from minidl.plot.distribution_grid_figure import distribution_grid
from minidl.plot.drawing import FIGURES, draw
from minidl.plot.effective_rates_figure import effective_rates
from minidl.plot.feature_maps_figure import feature_maps
from minidl.plot.filters_figure import filters
from minidl.plot.flow_profile_figure import flow_profile
from minidl.plot.gradient_flow_figure import gradient_flow
from minidl.plot.graph_figure import graph
from minidl.plot.jacobian_spectrum_figure import jacobian_spectrum
from minidl.plot.landscape_line_figure import landscape_line
from minidl.plot.linking import link
from minidl.plot.loss_curves_figure import loss_curves
from minidl.plot.optimizer_paths_figure import optimizer_paths
from minidl.plot.race_figure import race
from minidl.plot.rate_curve_figure import rate_curve
from minidl.plot.rate_range_figure import rate_range
from minidl.plot.saving import save_figure
from minidl.plot.showing import Live
from minidl.plot.theory_figure import theory
from minidl.plot.through_time_figure import through_time
from minidl.plot.update_heatmap_figure import update_heatmap
from minidl.plot.update_lines_figure import update_lines
from minidl.plot.who_learned_figure import who_learned

__all__ = [
    "FIGURES",
    "Live",
    "attribution",
    "confusion",
    "curvature",
    "decision_boundary",
    "depth_sweep",
    "distribution_grid",
    "draw",
    "effective_rates",
    "feature_maps",
    "filters",
    "flow_profile",
    "gradient_flow",
    "graph",
    "jacobian_spectrum",
    "landscape_line",
    "link",
    "loss_curves",
    "optimizer_paths",
    "race",
    "rate_curve",
    "rate_range",
    "save_figure",
    "theory",
    "through_time",
    "update_heatmap",
    "update_lines",
    "who_learned",
]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "plot")
