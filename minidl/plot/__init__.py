"""Figures of recordings. Each returns a matplotlib Figure that is never shown, with `.caption` (one claim with its
number) and `.numbers` (what is drawn, ready for json).

    md.plot.gradient_flow(model)                          # right after any backward
    md.plot.flow_profile({"sigmoid": a.recording, "relu": b.recording, "batch norm": c.recording})
    md.plot.update_heatmap({"SGD": sgd, "layer-specific": ls})
    md.plot.race(recording)
    md.plot.save_figure(figure, "run/flow")               # png, svg, json
"""

from minidl.plot.attribution_figure import attribution
from minidl.plot.distribution_grid_figure import distribution_grid
from minidl.plot.drawing import FIGURES, draw
from minidl.plot.effective_rates_figure import effective_rates
from minidl.plot.flow_profile_figure import flow_profile
from minidl.plot.gradient_flow_figure import gradient_flow
from minidl.plot.graph_figure import graph
from minidl.plot.race_figure import race
from minidl.plot.rate_curve_figure import rate_curve
from minidl.plot.saving import save_figure
from minidl.plot.update_heatmap_figure import update_heatmap
from minidl.plot.update_lines_figure import update_lines
from minidl.plot.who_learned_figure import who_learned

__all__ = [
    "FIGURES",
    "attribution",
    "distribution_grid",
    "draw",
    "effective_rates",
    "flow_profile",
    "gradient_flow",
    "graph",
    "race",
    "rate_curve",
    "save_figure",
    "update_heatmap",
    "update_lines",
    "who_learned",
]
