"""flow_profile: how activations and gradients shrink or grow with depth, and by how many decades a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.observe import FlowRecording
from minidl.observe.recording import as_recordings
from minidl.observe.verdict import as_sentence, decades_per_layer, slope_change_words
from minidl.plot.arguments import check_recording
from minidl.plot.style import (
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    LogScale,
    height_for_names,
    label_ends,
    mark_not_finite,
    name_layers,
    new_figure,
    step_colours,
    tidy,
    title,
    with_claim,
)

_PANELS = (
    ("activation_rms", "activation h"),
    ("output_gradient_rms", "back-propagated dL/dh"),
    ("weight_gradient_rms", "weight gradient dL/dW"),
)


def flow_profile(
    recording: FlowRecording | Sequence[FlowRecording],
    steps: Sequence[int] | None = None,
    axes: Sequence[Axes] | None = None,
) -> ClaimFigure:
    """Draw the root mean square of activation, dL/dh and dL/dW over the layers, early steps light, late ones dark.

    A root mean square, so that the size of a layer does not pose as flow. The three panels share their limits, so
    that slopes can be compared; under each stands the slope of each line, fitted by least squares to log10, in
    decades per layer: positive if the quantity shrinks from the output towards the input.

    Args:
        recording: a recording, or several (seeds of one run): then lines are medians and bands go from the smallest
            to the largest.
        steps: which recorded steps (indices, negative from the end); by default the first, the middle and the last.
        axes: three axes to draw in.

    What is exactly 0 is a ring in a row of its own, what is not finite (NaN or infinite) a cross at the upper edge.

    Returns:
        The figure, with `.caption` and `.numbers`: for each quantity `median`, `min`, `max` (steps x layers) and
        `decades_per_layer` (one a step, of the median).

    Raises:
        TypeError: a recording is no FlowRecording.
        ValueError: no recording or step, seeds that do not belong together, or not three axes.
    """
    for one in recording if isinstance(recording, (list, tuple)) else [recording]:
        check_recording(one, FlowRecording, "flow_profile")
    seeds = as_recordings(recording)
    first = seeds[0]
    rows = _rows(first, steps)
    numbers: dict[str, Any] = {
        "figure": "flow_profile",
        "layers": first.layers,
        "outputs": first.outputs,
        "steps": [int(first.steps[row]) for row in rows],
        "seeds": len(seeds),
        "dtype": first.dtype,
    }
    for field, _ in _PANELS:
        values = np.array([getattr(seed, field)[rows] for seed in seeds])  # (seeds, steps, layers)
        with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity, between two seeds
            median = np.median(values, axis=0)
            median = np.where(np.isnan(median) & ~np.isnan(values).any(axis=0), np.inf, median)
        numbers[field] = {
            "median": median,
            "min": values.min(axis=0),
            "max": values.max(axis=0),
            "decades_per_layer": [decades_per_layer(line) for line in median],
        }
    scale = LogScale([[numbers[field]["min"], numbers[field]["max"]] for field, _ in _PANELS], first.dtype)
    if axes is None:
        width = min(11.0, 7.0 + 0.12 * max(0, len(first.layers) - 10))
        height = 3.05 + height_for_names(first.layers, 0.26 * width)
        axes = list(new_figure(width, height).subplots(1, 3, sharey=True))
    if len(axes) != len(_PANELS):
        raise ValueError(f"expected {len(_PANELS)} axes, one a panel; got {len(axes)}")
    colours = step_colours(len(rows))
    for k, (ax, (field, heading)) in enumerate(zip(axes, _PANELS, strict=True)):
        _panel(ax, numbers[field], scale, colours, first.layers)
        scale.apply(ax, labels=k == 0)  # the activations leave room for words
        title(ax, heading, pad=16)
        if k:
            ax.tick_params(labelleft=False)
    axes[0].set_ylabel("root mean square", fontsize=SMALL, color=INK)
    axes[1].set_xlabel("layer, input to output", fontsize=SMALL, color=INK)
    for ax, (field, _) in zip(axes, _PANELS, strict=True):
        ends = scale.place(numbers[field]["median"])[:, -1]
        if ax is axes[-1]:
            words = [f"step {step}" for step in numbers["steps"]]
            label_ends(ax, len(first.layers) - 1, ends, words, colours)
    return with_claim(axes[0].figure, _claim(seeds, numbers), numbers)


def _rows(recording: FlowRecording, steps: Sequence[int] | None) -> list[int]:
    if steps is None:
        last = recording.row(-1)
        return sorted({0, last // 2, last})
    if not len(steps):
        raise ValueError("steps is empty: name at least one recorded step, or leave it out")
    return [recording.row(step) for step in steps]


def _panel(ax: Axes, numbers: dict[str, Any], scale: LogScale, colours: list[Any], layers: tuple[str, ...]) -> None:
    x = np.arange(len(layers))
    for i, colour in enumerate(colours):
        low, middle, high = (scale.place(numbers[key][i]) for key in ("min", "median", "max"))
        if not np.array_equal(low, high, equal_nan=True):
            ax.fill_between(x, low, high, color=colour, alpha=0.22, linewidth=0, zorder=2 + i)
        zero = numbers["median"][i] == 0
        ax.plot(x, np.where(zero, np.nan, middle), "-o", color=colour, linewidth=1.6, markersize=3.2, zorder=3 + i)
        if zero.any():
            ax.plot(x[zero], middle[zero], "o", mfc="white", mec=colour, ms=5, zorder=9)
        mark_not_finite(ax, x[np.isinf(numbers["max"][i])])
    tidy(ax)
    ax.set_xlim(-0.4, len(layers) - 0.6)
    name_layers(ax, layers)
    _print_slopes(ax, numbers["decades_per_layer"], colours)


def _print_slopes(ax: Axes, slopes: list[float], colours: list[Any]) -> None:
    """Under the heading the fitted slopes, each in the colour of its line; the first and the last if they are many."""
    chosen = range(len(slopes)) if len(slopes) <= 4 else (0, len(slopes) - 1)
    words = [("decades a layer", QUIET, "normal")]
    words += [("none" if np.isnan(slopes[i]) else _signed(slopes[i]), colours[i], "bold") for i in chosen]
    place: Any = None  # each word stands right of the one before
    for text, colour, weight in words:
        place = ax.annotate(
            text, (0, 1) if place is None else (1, 0), xycoords="axes fraction" if place is None else place,
            xytext=(0, 4) if place is None else (5, 0), textcoords="offset points", va="bottom",
            fontsize=SMALL - 1, color=colour, fontweight=weight,
        )  # fmt: skip


def _signed(slope: float) -> str:
    """The slope with its sign; a rounded zero has none."""
    return f"{slope:+.2f}".replace("-", "\N{MINUS SIGN}") if abs(slope) >= 0.005 else "0.00"


def _claim(seeds: Sequence[FlowRecording], numbers: dict[str, Any]) -> str:
    slopes, steps = numbers["output_gradient_rms"]["decades_per_layer"], numbers["steps"]
    drawn = [i for i in range(len(steps)) if not np.isinf(numbers["output_gradient_rms"]["median"][i]).all()]
    text = ""
    if drawn:
        words = slope_change_words([slopes[i] for i in drawn], [steps[i] for i in drawn])
        many = f" (median of {len(seeds)} recordings)" if len(seeds) > 1 else ""
        text = f"The back-propagated gradient {words}{many}."
    broken = [seed for seed in seeds if seed.divergence()]
    if broken and len(seeds) > 1:
        ends = [int(seed.steps[seed.diverged_at]) for seed in broken if seed.diverged_at is not None]
        text += f" Loss or gradients were not finite in {len(broken)} of {len(seeds)} recordings"
        text += f"; {len(ends)} diverged, the first at step {min(ends)}." if ends else "."
    elif broken:
        text += f" {as_sentence(broken[0].divergence())}"
    return text.strip()
