"""graph: the computation graph of a loss, as ops and the tensors between them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch
from matplotlib.patheffects import withStroke

from minidl.observe.graph_recording import CONSTANT, LEAF, OP, Graph, GraphRecording
from minidl.plot.graph_layout import Layout, layout
from minidl.plot.style import BROKEN, INK, QUIET, SMALL, ZERO, ClaimFigure, literal, new_figure, with_claim
from minidl.tensors.tensor import Tensor

_MOST, _WITH_LEAVES = 120, 60  # boxes that can still be read, and with the leaves beside the ops
_LYING = 6  # a graph of at most so many ranks runs from left to right, a longer one from top to bottom
_BOX = (1.12, 0.38)  # inches
_COLUMN = 24  # ranks from top to bottom; a longer graph goes on in the next column
_GAP = {True: (0.78, 0.16), False: (0.34, 0.14)}  # between ranks and within one; True: from left to right


def graph(recording: GraphRecording | Graph | Tensor, ax: Axes | None = None, style: str = "paper") -> ClaimFigure:
    """Draw the ops that lead to a loss as boxes, with the shape of what passes on the edges.

        graph = md.observe.Graph(loss)
        md.plot.graph(graph)            # hatched: no gradient yet
        loss.backward()
        md.plot.graph(graph)            # in each box the norm of the gradient dL/d(its value)

    Round boxes are leaves, whose gradients are wanted; dashed ones are data, which have none. The darker a box, the
    smaller its gradient; grey is exactly 0, red not finite (NaN or infinite), hatched has none yet.

    Args:
        recording: a Graph or its recording, or the loss itself before `backward()`.
        ax: draw here instead of in a new figure.
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: `values` (name, kind, shape, gradient_norm, rank), `edges`.

    Raises:
        ValueError: there are more than 120 ops, which nobody could read.
        GraphError: the loss has no graph, or its graph was freed.
    """
    if isinstance(recording, Tensor):
        recording = Graph(recording).recording
    elif isinstance(recording, Graph):
        recording = recording.recording
    chosen = _chosen(recording)
    number = {old: new for new, old in enumerate(chosen)}
    edges = [(number[a], number[b]) for a, b in recording.edges.tolist() if a in number and b in number]
    placed = layout(len(chosen), edges)
    page = _Page(placed)
    ax = _axes(ax, page, style)
    for (start, _), route in zip(edges, placed.routes, strict=True):
        _edge(ax, page.way(route), recording.shapes[chosen[start]])
    for k, i in enumerate(chosen):
        _box(ax, recording, i, page.point((placed.rank[k], placed.place[k])))
    values = [
        {
            "name": recording.names[i], "kind": recording.kinds[i], "shape": recording.shapes[i],
            "gradient_norm": recording.gradient_norm[i], "rank": placed.rank[k],
        }
        for k, i in enumerate(chosen)
    ]  # fmt: skip
    numbers = {"figure": "graph", "walked": recording.walked, "values": values, "edges": edges}
    return with_claim(ax.figure, _claim(recording, len(recording.names) - len(chosen)), numbers)


def _chosen(recording: GraphRecording) -> list[int]:
    """The values that are drawn: all, or the ops alone if they are many."""
    ops = recording.kinds.count(OP)
    if ops > _MOST:
        raise ValueError(
            f"the graph has {ops} ops, more than the {_MOST} that can be read in a picture. "
            f"md.plot.attribution shows a long way op by op"
        )
    whole = len(recording.names) <= _WITH_LEAVES
    return [i for i, kind in enumerate(recording.kinds) if whole or kind == OP]


class _Page:
    """Where a layout's boxes and lines stand, in inches: from left to right, or from top to bottom in columns."""

    def __init__(self, placed: Layout) -> None:
        self.placed = placed
        self.lying = max(placed.rank) < _LYING
        self.along, self.beside = _GAP[self.lying]
        places = [place for route in placed.routes for _, place in route]
        self.left = min(places)
        self.wide = (max(places) - self.left + 1) * (_BOX[0] + self.beside) + 0.4  # a column and the gap behind it

    def point(self, place: tuple[int, float]) -> tuple[float, float]:
        """The middle of a box."""
        rank, across = place
        if self.lying:
            return rank * (_BOX[0] + self.along), -across * (_BOX[1] + self.beside)
        column, row = divmod(rank, _COLUMN)
        return (across - self.left) * (_BOX[0] + self.beside) + column * self.wide, -row * (_BOX[1] + self.along)

    def way(self, route: list[tuple[int, float]]) -> Any:
        """The points of a line from the edge of one box to the edge of another, around the foot of each column."""
        half = _BOX[0] / 2 if self.lying else _BOX[1] / 2
        out = np.array((half, 0.0) if self.lying else (0.0, -half))  # from a middle to the edge
        points = [np.array(self.point(route[0])) + out]
        for (rank, _), after in pairwise(route):
            here, there = points[-1], np.array(self.point(after))
            if not self.lying and rank // _COLUMN != after[0] // _COLUMN:
                between = (rank // _COLUMN + 1) * self.wide - 0.2 - _BOX[0] / 2
                low, high = here[1] - self.along / 2, there[1] + half + self.along / 2
                points += [np.array(p) for p in ((here[0], low), (between, low), (between, high), (there[0], high))]
            points.append(there)
        points[-1] = points[-1] - out
        return np.array(points)


def _axes(ax: Axes | None, page: _Page, style: str) -> Axes:
    points = np.concatenate([page.way(route) for route in page.placed.routes])
    boxes = np.array([page.point(place) for route in page.placed.routes for place in route])
    margin = np.array(_BOX) / 2
    low = np.minimum(points.min(axis=0), boxes.min(axis=0) - margin) - 0.08
    high = np.maximum(points.max(axis=0), boxes.max(axis=0) + margin) + 0.08
    if ax is None:  # the boxes are measured in inches, so that their words fit, in any style
        width, height = high - low
        figure = new_figure(1, 1, style)
        figure.set_size_inches(max(2.6, width), max(1.2, height))
        figure.set_layout_engine("none")
        ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def _edge(ax: Axes, way: Any, shape: str) -> None:
    ax.plot(way[:, 0], way[:, 1], color=QUIET, linewidth=0.9, zorder=1, solid_joinstyle="round")
    ax.annotate("", way[-1], way[-2], arrowprops={"arrowstyle": "-|>", "color": QUIET, "shrinkA": 0, "shrinkB": 0,
                "linewidth": 0.9, "mutation_scale": 7}, zorder=1)  # fmt: skip
    piece = len(way) - 2 if len(way) < 5 else int(np.argmax(np.linalg.norm(np.diff(way, axis=0), axis=1)))
    x, y = (way[piece] + way[piece + 1]) / 2
    ax.text(x, y, shape, fontsize=SMALL - 1.5, color=INK, ha="center", va="center", zorder=4,
            bbox={"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none"})  # fmt: skip


def _box(ax: Axes, recording: GraphRecording, i: int, place: tuple[float, float]) -> None:
    kind, size = recording.kinds[i], float(recording.gradient_norm[i])
    face = _colour(size, recording.gradient_norm)
    hatched = kind != CONSTANT and np.isnan(size)
    corner = f"round,pad=0,rounding_size={_BOX[1] / 2 if kind == LEAF else 0.04}"
    ax.add_patch(
        FancyBboxPatch(
            (place[0] - _BOX[0] / 2, place[1] - _BOX[1] / 2), *_BOX, boxstyle=corner, facecolor=face,
            edgecolor="#c4c4c4" if hatched else INK, hatch="////" if hatched else None, linewidth=0.9,
            linestyle=(0, (3, 2)) if kind == CONSTANT else "-", zorder=2,
        )
    )  # fmt: skip
    dark = np.dot(to_rgb(face), [0.2126, 0.7152, 0.0722]) < 0.45
    words = [literal(_title(recording, i), 19)]
    if not np.isnan(size):
        words.append("not finite" if np.isinf(size) else f"|grad| {size:.2g}")
    for k, text in enumerate(words):
        ax.text(
            place[0], place[1] + (0.085 - 0.17 * k if len(words) > 1 else 0), text, ha="center", va="center",
            fontsize=SMALL - (1 if k or len(text) > 14 else 0), color="white" if dark else INK, zorder=5,
            path_effects=[] if dark or not hatched else [withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip


def _title(recording: GraphRecording, i: int) -> str:
    layer = recording.layers[i]
    return f"{recording.names[i]} {layer}" if layer else recording.names[i]


def _colour(size: float, sizes: Any) -> Any:
    if np.isnan(size):
        return "white"
    if np.isinf(size):
        return BROKEN
    if size == 0:
        return ZERO
    logs = np.log10(sizes[np.isfinite(sizes) & (sizes > 0)])
    span = max(2.0, float(np.ptp(logs)))  # small differences stay small in colour
    return colormaps["viridis"](1.0 - 0.85 * (logs.max() - np.log10(size)) / span)


def _claim(recording: GraphRecording, hidden: int) -> str:
    kinds, norms = recording.kinds, recording.gradient_norm
    text = f"{kinds.count(OP)} ops lead from {kinds.count(LEAF)} leaves to the loss"
    if not recording.walked:
        text += "; they are hatched, for no backward has brought a gradient yet"
    leaves = [i for i, kind in enumerate(kinds) if kind == LEAF and 0 < norms[i] < np.inf]
    if len(leaves) > 1:
        small, large = min(leaves, key=lambda i: norms[i]), max(leaves, key=lambda i: norms[i])
        text += (
            f"; of the leaves {recording.names[small]} has the smallest gradient, of norm {norms[small]:.2g}, "
            f"{norms[small] / norms[large]:.2g} times that of {recording.names[large]}"
        )
    zero = [recording.names[i] for i in np.flatnonzero(norms == 0)]
    broken = [recording.names[i] for i in np.flatnonzero(np.isinf(norms))]
    text += f"; exactly 0 is the gradient of {', '.join(zero)}" if zero else ""
    text += f"; not finite (NaN or infinite) is the gradient of {', '.join(broken)}" if broken else ""
    return text + (f". {hidden} leaves and constants are not drawn." if hidden else ".")
