"""update_heatmap: where learning happens, and when: how much of itself each layer changes in each step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from minidl.observe import FlowRecording
from minidl.observe.verdict import as_sentence, median_over_steps
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    BROKEN,
    INK,
    QUIET,
    SMALL,
    ZERO,
    ClaimFigure,
    binned,
    drawable,
    name_layers,
    new_figure,
    tidy,
    title,
    with_claim,
)
from minidl.plot.words import listed, part_words

HEALTHY = -3.0  # log10 of the update ratio that is commonly aimed at: a thousandth of the weights a step
_TANGLE = 3  # a contour that crosses more layers than this in most steps is not drawn
_COLUMNS = 120  # more steps than this are drawn as medians of neighbouring ones
_NUMBERS = (
    "layers", "steps", "log10_ratio", "zero", "not_finite", "median_log10_ratio", "loss", "has_contour", "diverged_at",
)  # fmt: skip
_COLOURS = "viridis"
_OUTLINED: list[Any] = [patheffects.withStroke(linewidth=2.6, foreground=INK)]


def update_heatmap(recordings: Mapping[str, FlowRecording] | FlowRecording, style: str = "paper") -> ClaimFigure:
    """Draw log10(norm of the update / norm of the weights) over steps and layers, one panel a recording.

    The ratio is measured from the weights before and after each update, so it is right for every optimizer. The line
    is the contour of a thousandth (-3). The loss runs below on the same steps. All panels share colours and axes.
    Layers that did not move at all have a colour of their own, and so have those in which something was not finite (NaN
    or infinite). Of more than 120 recorded steps, neighbouring ones are drawn as their median.

    Args:
        recordings: {label: recording}, of networks with the same layers or with others; or one recording.
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `layers`, `log10_ratio` (columns x layers; None where
        the update was 0 or not finite), `zero` (the same shape, true where it was 0), `not_finite` (likewise),
        `median_log10_ratio` (layers, over the steps in which it is finite), `loss`, `steps`, `diverged_at` (a step, or
        None), and for all `colour_limits`.

    Raises:
        TypeError: one is no FlowRecording.
        ValueError: nothing recorded, or no updates (no optimizer).
    """
    networks = as_networks(recordings, (FlowRecording,))
    panels = {label: _measure(label, recording) for label, recording in networks.items()}
    low, high = _colour_limits(list(panels.values()))
    alike = len({panel["layers"] for panel in panels.values()}) == 1  # then they are named once

    most = max(len(panel["layers"]) for panel in panels.values())
    width = min(7.0, 2.0 + 2.5 * len(panels)) if style == "paper" else min(9.6, 2.2 + 2.9 * len(panels))
    figure = new_figure(width, 1.9 + max(1.9, min(5.0, 0.2 * most)), style)
    grid = figure.subplots(
        2, len(panels), sharex="col", sharey="row" if alike else False, squeeze=False,
        gridspec_kw={"height_ratios": [max(2.0, 0.22 * most), 1.0]},
    )  # fmt: skip
    norm = Normalize(low, high)
    mesh = None
    for k, (label, panel) in enumerate(panels.items()):
        heat, strip = grid[:, k]
        mesh = _heat(heat, panel, norm, len(panel["layers"]))
        title(heat, label)
        tidy(heat, grid=None)
        tidy(strip)
        strip.plot(panel["steps"], drawable(panel["loss"]), color=INK, linewidth=1.3)
        strip.set_xlabel("step", fontsize=SMALL, color=INK)
        strip.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        strip.set_xlim(panel["edges"][0], panel["edges"][-1])
        if k == 0 or not alike:
            name_layers(heat, panel["layers"], "y")
        if k:
            heat.tick_params(labelleft=not alike)
            strip.sharey(grid[1, 0])
            strip.tick_params(labelleft=False)
    grid[0, 0].set_ylabel("layer, input to output", fontsize=SMALL, color=INK)
    grid[1, 0].set_ylabel("loss", fontsize=SMALL, color=INK)
    _loss_limits(grid[1, 0], list(panels.values()))
    _key(figure, grid, mesh, panels, next(iter(networks.values())).dtype)

    numbers = {
        "figure": "update_heatmap",
        **({"layers": next(iter(panels.values()))["layers"]} if alike else {}),
        "colour_limits": [low, high],
        "contour": HEALTHY,
        "steps_per_column": {label: panel["per_column"] for label, panel in panels.items()},
        "panels": {label: {key: panel[key] for key in _NUMBERS} for label, panel in panels.items()},
    }
    return with_claim(figure, _claim(panels, alike), numbers)


def _measure(label: str, recording: FlowRecording) -> dict[str, Any]:
    """One panel: the ratio and the loss, as medians over the steps that share a column."""
    recording.row(-1)  # refuses an empty recording
    if np.isnan(recording.update_norm).all() and not recording.not_finite.any():
        raise ValueError(
            f"the recording {label!r} holds no updates: record with the optimizer, GradientFlow(model, optimizer)"
        )
    runs = binned(recording.steps, _COLUMNS)
    finite = np.where(recording.not_finite | np.isinf(recording.update_ratio), np.nan, recording.update_ratio)
    ratio = np.array([median_over_steps(finite[run]) for run in runs])
    not_finite = np.array([recording.not_finite[run].any(axis=0) for run in runs])
    ratio[not_finite] = np.nan
    steps = recording.steps.astype(np.float64)
    stride = float(steps[1] - steps[0]) if len(steps) > 1 else 1.0
    edges = np.array([steps[run.start] for run in runs] + [steps[-1] + stride])
    log_ratio = np.where(ratio > 0, np.log10(np.where(ratio > 0, ratio, 1.0)), np.nan)
    median = median_over_steps(finite)
    overall = np.where(median > 0, np.log10(np.where(median > 0, median, 1.0)), -np.inf)
    known = log_ratio[np.isfinite(log_ratio)]
    diverged = recording.diverged_at
    with np.errstate(all="ignore"):
        loss = np.array([np.median(recording.loss[run]) for run in runs])
    return {
        "layers": recording.layers,
        "edges": edges,
        "steps": np.array([np.median(steps[run]) for run in runs]),
        "per_column": runs[0].stop,
        "log10_ratio": log_ratio,
        "zero": ratio == 0,
        "not_finite": not_finite,
        "diverged_at": None if diverged is None else int(recording.steps[diverged]),
        "divergence": recording.divergence(),
        "median_log10_ratio": np.where(np.isnan(median), np.nan, overall),
        "loss": loss,
        "has_contour": bool(known.size and known.min() < HEALTHY < known.max() and min(log_ratio.shape) > 1)
        and _crossings(log_ratio) <= _TANGLE,
    }


def _crossings(log_ratio: Any) -> float:
    """How often the contour crosses a column: the median over the columns."""
    above = np.nan_to_num(log_ratio, nan=-np.inf) > HEALTHY
    return float(np.median((above[:, 1:] != above[:, :-1]).sum(axis=1)))


def _colour_limits(panels: list[dict[str, Any]]) -> tuple[float, float]:
    """What the colours span in every panel: all but the most extreme half percent at each end, in half decades."""
    values = np.concatenate([panel["log10_ratio"].ravel() for panel in panels])
    values = values[np.isfinite(values)]
    if not values.size:
        return -6.0, -1.0
    low = np.floor(2 * np.quantile(values, 0.005)) / 2
    high = np.ceil(2 * np.quantile(values, 0.995)) / 2
    return float(low), float(high if high > low else low + 0.5)


def _heat(ax: Axes, panel: dict[str, Any], norm: Normalize, layers: int) -> Any:
    rows = np.arange(layers + 1) - 0.5
    values = np.ma.masked_invalid(panel["log10_ratio"].T)
    mesh = ax.pcolormesh(panel["edges"], rows, values, norm=norm, cmap=_COLOURS, rasterized=True)
    for key, colour in (("zero", ZERO), ("not_finite", BROKEN)):
        if panel[key].any():
            marked: Any = np.ma.masked_where(~panel[key].T, np.ones(panel[key].T.shape))
            ax.pcolormesh(panel["edges"], rows, marked, cmap=ListedColormap([colour]), rasterized=True)
    if panel["has_contour"]:
        middle = (panel["edges"][:-1] + panel["edges"][1:]) / 2
        x = np.concatenate([panel["edges"][:1], middle, panel["edges"][-1:]])
        y = np.concatenate([[-0.5], np.arange(layers), [layers - 0.5]])
        shown: Any = np.where(panel["zero"], norm.vmin, panel["log10_ratio"])
        height = np.pad(shown.T, 1, mode="edge")
        lines = ax.contour(
            x, y, np.ma.masked_invalid(height), levels=[HEALTHY], colors="white", linewidths=1.4, linestyles="solid"
        )
        lines.set_path_effects(_OUTLINED)
    ax.set_ylim(-0.5, layers - 0.5)
    return mesh


def _loss_limits(ax: Axes, panels: list[dict[str, Any]]) -> None:
    losses = drawable(np.concatenate([panel["loss"] for panel in panels]))
    losses = losses[np.isfinite(losses)]
    if losses.size:
        low, high = min(0.0, float(losses.min())), float(losses.max())
        ax.set_ylim(low, high + 0.06 * (high - low or 1.0))


def _key(figure: Figure, grid: Any, mesh: Any, panels: dict[str, dict[str, Any]], dtype: str) -> None:
    """The colours in words: the bar beside the panels, what the line is, and what grey is."""
    bar = figure.colorbar(mesh, ax=list(grid[0]), extend="both", aspect=18, pad=0.02)
    bar.set_label("|update| / |weights|", fontsize=SMALL, color=INK)
    low, high = mesh.norm.vmin, mesh.norm.vmax
    stride = 0.5 if high - low < 3 else max(1, math.ceil((high - low) / 8))
    bar.set_ticks([k * stride for k in range(math.ceil(low / stride), math.floor(high / stride) + 1)])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"$10^{{{value:g}}}$"))
    bar.ax.tick_params(labelsize=SMALL, color=QUIET)
    bar.outline.set_visible(False)
    entries: list[Any] = []
    if any(panel["has_contour"] for panel in panels.values()):
        bar.ax.axhline(HEALTHY, color="white", linewidth=1.4, path_effects=_OUTLINED)
        entries.append(Line2D([], [], color="white", linewidth=1.4, path_effects=_OUTLINED, label="$10^{-3}$"))
    rounding = math.log10(np.finfo(dtype).eps / 2)
    if low < rounding < high:
        bar.ax.axhline(rounding, color="white", linewidth=1.0, linestyle=(0, (2, 1)))
        entries.append(Line2D([], [], color=QUIET, linewidth=1.0, linestyle=(0, (2, 1)), label=f"{dtype}\nrounding"))
    if any(panel["zero"].any() for panel in panels.values()):
        entries.append(Patch(facecolor=ZERO, label="exactly 0"))
    if any(panel["not_finite"].any() for panel in panels.values()):
        entries.append(Patch(facecolor=BROKEN, label="not finite"))
    if entries:
        legend = grid[1, -1].legend(
            handles=entries, loc="upper left", bbox_to_anchor=(1.0, 1.06), frameon=False, fontsize=SMALL - 1,
            handlelength=1.2, handletextpad=0.5, labelspacing=0.4, borderaxespad=0.4,
        )  # fmt: skip
        legend.set_in_layout(False)  # it stands under the colour bar, where there is room


def _claim(panels: dict[str, dict[str, Any]], alike: bool) -> str:
    """By what part of its weights a step moves the first layer, and the last, under each label; and what diverged."""
    text = ""
    if all(np.isnan(panel["median_log10_ratio"][[0, -1]]).all() for panel in panels.values()):
        pass  # in the first and in the last layer there is no update to measure
    elif alike:
        layers = next(iter(panels.values()))["layers"]
        first = [f"{_part(panel, 0)}{f' ({label})' if label else ''}" for label, panel in panels.items()]
        text = f"The median step moves {layers[0]} by {listed(first)} of its weights"
        text += f"; {layers[-1]} by {listed([_part(panel, -1) for panel in panels.values()])}." if layers[1:] else "."
    else:
        clauses = [
            f"{label}: {panel['layers'][0]} by {_part(panel, 0)} of its weights"
            + (f", {panel['layers'][-1]} by {_part(panel, -1)}" if len(panel["layers"]) > 1 else "")
            for label, panel in panels.items()
        ]
        text = f"The median step moves, in {'; '.join(clauses)}."
    broken = {label: panel["divergence"] for label, panel in panels.items() if panel["divergence"]}
    for label, clauses in broken.items():
        text += f" {label}: {'; '.join(clauses)}." if label else f" {as_sentence(clauses)}"
    return text.strip() or "There is no update to measure in the first or in the last layer."


def _part(panel: dict[str, Any], layer: int) -> str:
    return part_words(10.0 ** panel["median_log10_ratio"][layer])
