"""curvature: the largest Hessian eigenvalue of each layer against its gradient: is a small gradient low curvature?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.observe.curvature_recording import CurvatureRecording
from minidl.observe.verdict import layer_words
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    LogScale,
    depth_colours,
    given_axes,
    label_ends,
    mark_not_finite,
    new_figure,
    sentences,
    signed,
    tidy,
    title,
    with_claim,
)

_ENOUGH = 0.25  # of the steps must be comparable for an answer
_DIFFERENT = 2.0  # by what factor the gradients of the layers must differ, or their order means nothing
_CLEAR, _VAGUE = 0.7, 0.3  # rank correlations from which the answer is yes, and up to which it is no


def curvature(
    recordings: CurvatureRecording | Mapping[str, CurvatureRecording],
    axes: Axes | Sequence[Axes] | None = None,
    style: str = "paper",
) -> ClaimFigure:
    """Draw each layer as a trail over the steps: across the norm of its gradient, up its largest Hessian eigenvalue.

    The trail begins at the small dot and ends at the large one, which is named; colours go from the input (dark) to the
    output (light). Along the grey line curvature is proportional to the gradient. A layer whose small gradient means
    low curvature lies below left of one with a large gradient: then a larger rate for it is safe. If it lies left at
    the same height, it is not.

    Args:
        recordings: {label: recording} of `observe.Curvature`, one panel each, or one.
        axes: one for each panel.
        style: "paper", or "slides" for a projector.

    A largest eigenvalue of 0 or below (the loss curves down in every direction of the layer) is drawn in a row of its
    own, one that is not finite (NaN or infinite) as a cross at the upper edge.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `layers`, `steps`, `largest`, `smallest`,
        `gradient_norm`, and at each step, over the layers: `gradients_differ_by` (the largest over the smallest) and,
        where that is more than 2, `rank_correlation` of gradient and curvature (1: the smaller the gradient, the lower
        the curvature) and `slope`, decades of curvature per decade of gradient.

    Raises:
        ValueError: a recording holds no step.
    """
    panels = as_networks(recordings, (CurvatureRecording,))
    numbers = {label: _numbers(label, recording) for label, recording in panels.items()}
    if axes is None:
        width = 4.0 if len(panels) == 1 else min(7.0, 0.6 + 2.6 * len(panels))
        axes = list(new_figure(width, 3.1, style).subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0])
    axes = given_axes(axes, len(panels))
    heights = np.concatenate([_height(n["largest"]).ravel() for n in numbers.values()])
    scale = LogScale(heights[~np.isnan(heights)])
    sizes = np.concatenate([n["gradient_norm"].ravel() for n in numbers.values()])
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    for ax, (label, n) in zip(axes, numbers.items(), strict=True):
        tidy(ax, grid="both")
        title(ax, label)
        ax.set_xscale("log")
        scale.apply(ax)
        _trails(ax, n, scale)
        ax.set_xlabel("norm of the gradient", fontsize=SMALL, color=INK)
        if sizes.size:
            ax.set_xlim(sizes.min() / 2.5, sizes.max() * 5)
        if ax is not axes[0]:
            ax.tick_params(labelleft=False)
    axes[0].set_ylabel("largest eigenvalue of the Hessian", fontsize=SMALL, color=INK)
    claims = {label: _claim(n) for label, n in numbers.items()}
    return with_claim(axes[0].figure, sentences(claims), {"figure": "curvature", "panels": numbers})


def _numbers(label: str, recording: CurvatureRecording) -> dict[str, Any]:
    if not len(recording.steps):
        raise ValueError(
            f"the recording{f' {label!r}' if label else ''} holds no step: call curvature.look(step, loss)"
        )
    pairs = [_pairs(g, h) for g, h in zip(recording.gradient_norm, recording.largest, strict=True)]
    return {
        "layers": recording.layers,
        "steps": recording.steps,
        "loss": recording.loss,
        "largest": recording.largest,
        "smallest": recording.smallest,
        "gradient_norm": recording.gradient_norm,
        "rank_correlation": [_correlation(x, y) for x, y in pairs],
        "slope": [_slope(x, y) for x, y in pairs],
        "gradients_differ_by": [float(10.0 ** np.ptp(x)) if len(x) else float("nan") for x, _ in pairs],
    }


def _pairs(gradient: Any, largest: Any) -> tuple[Any, Any]:
    """log10 of both, of the layers where both are positive and finite."""
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(gradient) & (gradient > 0) & np.isfinite(largest) & (largest > 0)
    return np.log10(gradient[usable]), np.log10(largest[usable])


def _ranks(values: Any) -> Any:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)


def _comparable(log_gradients: Any) -> bool:
    """Whether there are at least three layers, with gradients that differ."""
    return len(log_gradients) > 2 and bool(np.ptp(log_gradients) > np.log10(_DIFFERENT))


def _correlation(x: Any, y: Any) -> float:
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1]) if _comparable(x) else float("nan")


def _slope(x: Any, y: Any) -> float:
    """By least squares: decades of curvature per decade of gradient."""
    if not _comparable(x):
        return float("nan")
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def _height(largest: Any) -> Any:
    """As it is drawn: what is not positive in the row of 0."""
    return np.where(largest <= 0, 0.0, largest)


def _trails(ax: Axes, n: Mapping[str, Any], scale: LogScale) -> None:
    colours = depth_colours(len(n["layers"]))
    placed: list[tuple[float, float]] = []
    named: list[str] = []
    for k, (name, colour) in enumerate(zip(n["layers"], colours, strict=True)):
        x, y = n["gradient_norm"][:, k], scale.place(_height(n["largest"][:, k]))
        good = np.isfinite(x) & (x > 0) & np.isfinite(y)
        if good.any():
            ax.plot(x[good], y[good], "-", color=colour, linewidth=1.0, alpha=0.6, zorder=2)
            ax.plot(x[good][0], y[good][0], "o", color=colour, ms=2.5, zorder=3)
            ax.plot(x[good][-1], y[good][-1], "o", color=colour, ms=6, zorder=4)
            placed.append((float(x[good][-1]), float(y[good][-1])))
            named.append(name)
        lost = np.isfinite(x) & (x > 0) & np.isposinf(n["largest"][:, k])
        mark_not_finite(ax, x[lost])
    if placed:
        label_ends(ax, [x for x, _ in placed], [y for _, y in placed], named, [INK] * len(named), SMALL - 1)
        x0, y0 = (float(np.exp(np.mean(np.log(v)))) for v in zip(*placed, strict=True))
        ax.axline((x0, y0), (10 * x0, 10 * y0), color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)


def _claim(n: Mapping[str, Any]) -> str:
    """The answer to the question, from the median over the steps."""
    ranks = np.array(n["rank_correlation"], dtype=float)
    slopes = np.array(n["slope"], dtype=float)
    lost = np.isposinf(np.array([n["largest"], n["gradient_norm"]], dtype=float)).any(axis=(0, 1))
    if np.isnan(ranks).all() and lost.any():
        return (
            f"gradient or curvature is not finite (NaN or infinite) in {layer_words(n['layers'], np.flatnonzero(lost))}"
        )
    if np.isnan(ranks).all():
        return (
            f"at none of {len(ranks)} steps are there three layers with a positive curvature whose gradients differ by "
            f"more than a factor of {_DIFFERENT:g}: there is nothing to compare"
        )
    rank, slope = float(np.nanmedian(ranks)), float(np.nanmedian(slopes))
    compared = int((~np.isnan(ranks)).sum())
    if compared < _ENOUGH * len(ranks):
        return (
            f"hardly ever is there anything to compare: at {compared} of {len(ranks)} steps the gradients of the "
            f"layers differ by more than a factor of {_DIFFERENT:g} (rank correlation {signed(rank)} there)"
        )
    worst = int(np.nanargmin(ranks))
    if rank >= _CLEAR and ranks[worst] > _VAGUE:
        answer = "yes, the smaller a layer's gradient, the lower its curvature"
    elif rank >= _CLEAR:
        answer = "mostly: the smaller a layer's gradient, the lower its curvature"
    elif rank > _VAGUE:
        answer = "partly: layers with a smaller gradient tend to lower curvature"
    else:
        answer = "no, layers with a small gradient have no lower curvature"
    exception = (
        f", but {signed(ranks[worst])} at step {int(n['steps'][worst])}" if ranks[worst] <= _VAGUE < rank else ""
    )
    return (
        f"{answer} (rank correlation {signed(rank)} over {len(n['layers'])} layers{exception}, median of the "
        f"{compared} of {len(ranks)} steps at which their gradients differ by more than a factor of "
        f"{_DIFFERENT:g}; {signed(slope)} decades of curvature per decade of gradient)"
    )
