"""flow_profile: how activations and gradients shrink or grow with depth, and by how many decades a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    literal,
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
    recording: FlowRecording | Sequence[FlowRecording] | Mapping[str, FlowRecording | Sequence[FlowRecording]],
    steps: Sequence[int] | None = None,
    axes: Sequence[Axes] | None = None,
    style: str = "paper",
) -> ClaimFigure:
    """Draw the root mean square of activation, dL/dh and dL/dW over the layers, early steps light, late ones dark.

        md.plot.flow_profile({"sigmoid": a, "relu": b, "batch norm": c})

    A root mean square, so that the size of a layer does not pose as flow. All panels share their limits, so that slopes
    can be compared; above each stands the slope of each line, fitted by least squares to log10, in decades per layer:
    positive if the quantity shrinks from the output towards the input. Lines join, and slopes compare, what is alike
    (`FlowRecording.alike`): what activations made, and gradients of weight matrices. Other layers (the scores, what a
    normalisation is given, its gains) are diamonds.

    Args:
        recording: a recording, or several (seeds of one run): then lines are medians and bands go from the smallest
            to the largest; or networks to compare, {label: recording or seeds}, one row of panels each.
        steps: which recorded steps (indices, negative from the end); by default the first, the middle and the last.
        axes: axes to draw in, three a network.
        style: "paper", or "slides" for a projector.

    What is exactly 0 is a ring in a row of its own, what is not finite (NaN or infinite) a cross at the upper edge.

    Returns:
        The figure, with `.caption` and `.numbers`: of each network (directly, of one without a label) and quantity
        `median`, `min`, `max` (steps x layers) and `decades_per_layer` (one a step, of the median).

    Raises:
        TypeError: a recording is no FlowRecording.
        ValueError: no recording or step, seeds that do not belong together, or a wrong number of axes.
    """
    single = not isinstance(recording, Mapping)
    networks: dict[str, Any] = {"": recording}
    if isinstance(recording, Mapping):
        networks = {str(label): found for label, found in recording.items()}
    if not networks:
        raise ValueError("expected {label: recording} with at least one recording; got none")
    for found in networks.values():
        for one in found if isinstance(found, (list, tuple)) else [found]:
            check_recording(one, FlowRecording, "flow_profile")
    seeds = {label: as_recordings(found) for label, found in networks.items()}
    numbers = {label: _numbers(found, steps) for label, found in seeds.items()}
    values = [[one[field][end] for end in ("min", "max")] for one in numbers.values() for field, _ in _PANELS]
    dtypes = {found[0].dtype for found in seeds.values()}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    scale = LogScale(np.concatenate([np.ravel(ends) for ends in values]), dtype)
    grid = _grid(axes, [found[0].layers for found in seeds.values()], style)
    for row, (label, one) in zip(grid, numbers.items(), strict=True):
        colours = step_colours(len(one["steps"]))
        for k, (ax, (field, heading)) in enumerate(zip(row, _PANELS, strict=True)):
            _panel(ax, one[field], scale, colours, one["layers"], seeds[label][0].alike(field))
            scale.apply(ax, labels=k == 0)  # the activations leave room for words
            title(ax, heading if row is grid[0] else " ", pad=16)  # the room above is taken by the slopes
            if k:
                ax.tick_params(labelleft=False)
        words = "root mean square"
        row[0].set_ylabel(f"{literal(label)}\n{words}" if label else words, fontsize=SMALL, color=INK)
        ends = scale.place(one["weight_gradient_rms"]["median"])[:, -1]
        label_ends(row[-1], len(one["layers"]) - 1, ends, [f"step {step}" for step in one["steps"]], colours)
    unlike = any(not found[0].alike(field).all() for found in seeds.values() for field, _ in _PANELS)
    words = "layer, input to output" + ("; diamonds: of another kind, not in the fit" if unlike else "")
    grid[-1][1].set_xlabel(words, fontsize=SMALL, color=INK)
    claims = [_claim(seeds[label], one) for label, one in numbers.items()]
    if not single:
        claims = [f"{label}: {text[:1].lower()}{text[1:]}" for label, text in zip(numbers, claims, strict=True)]
    together: dict[str, Any] = numbers[""] if single else {"networks": numbers}
    return with_claim(grid[0][0].figure, " ".join(claims), {"figure": "flow_profile", **together})


def _numbers(seeds: Sequence[FlowRecording], steps: Sequence[int] | None) -> dict[str, Any]:
    """What is drawn of one network."""
    first = seeds[0]
    rows = _rows(first, steps)
    numbers: dict[str, Any] = {
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
            "decades_per_layer": [decades_per_layer(line[first.alike(field)]) for line in median],
        }
    return numbers


def _grid(axes: Sequence[Axes] | None, layers: Sequence[Sequence[str]], style: str) -> list[list[Axes]]:
    """Three axes for each network."""
    count = len(_PANELS)
    if axes is None:
        width = 7.0 if style == "paper" else 9.6
        heights = [1.35 + 1.7 / len(layers) + height_for_names(names, 0.26 * width) for names in layers]
        figure = new_figure(width, sum(heights), style)
        axes = list(figure.subplots(len(layers), count, sharey=True, squeeze=False, height_ratios=heights).ravel())
    panels = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(panels) != count * len(layers):
        raise ValueError(f"expected {count * len(layers)} axes, three a network; got {len(panels)}")
    return [panels[count * i : count * (i + 1)] for i in range(len(layers))]


def _rows(recording: FlowRecording, steps: Sequence[int] | None) -> list[int]:
    if steps is None:
        last = recording.row(-1)
        return sorted({0, last // 2, last})
    if not len(steps):
        raise ValueError("steps is empty: name at least one recorded step, or leave it out")
    return [recording.row(step) for step in steps]


def _panel(
    ax: Axes, numbers: dict[str, Any], scale: LogScale, colours: list[Any], layers: tuple[str, ...], alike: Any
) -> None:
    x = np.arange(len(layers))
    for i, colour in enumerate(colours):
        low, middle, high = (scale.place(numbers[key][i]) for key in ("min", "median", "max"))
        if not np.array_equal(low, high, equal_nan=True):
            ax.fill_between(x[alike], low[alike], high[alike], color=colour, alpha=0.22, linewidth=0, zorder=2 + i)
        zero = numbers["median"][i] == 0
        line = np.where(zero, np.nan, middle)
        ax.plot(
            x[alike],
            line[alike],
            "-o",
            color=colour,
            linewidth=1.4,
            markersize=3.0 if len(x) <= 60 else 0,
            zorder=3 + i,
        )
        if not alike.all():
            ax.plot(x[~alike], line[~alike], "D", mfc="white", mec=colour, markersize=3.2, zorder=3 + i)
        if zero.any():
            ax.plot(x[zero], middle[zero], "o", mfc="white", mec=colour, ms=5, zorder=9)
        mark_not_finite(ax, x[np.isinf(numbers["max"][i])])
    tidy(ax)
    ax.set_xlim(-0.4, len(layers) - 0.6)
    name_layers(ax, layers)
    _print_slopes(ax, numbers["decades_per_layer"], colours)


def _print_slopes(ax: Axes, slopes: list[float], colours: list[Any]) -> None:
    """Under the heading the fitted slopes, each in the colour of its line; the first and the last if they are many."""
    width = ax.get_position().width * ax.figure.get_size_inches()[0]  # type: ignore[union-attr]
    room = max(2, int((1.25 * 72 * width - 58) / 27))  # of so many, beside 58 points of words
    chosen = range(len(slopes)) if len(slopes) <= room else (0, len(slopes) - 1)
    words = [("decades a layer", QUIET, "normal")]
    words += [("none" if np.isnan(slopes[i]) else _signed(slopes[i]), colours[i], "bold") for i in chosen]
    place: Any = None  # each word stands right of the one before
    for text, colour, weight in words:
        place = ax.annotate(
            text, (0, 1) if place is None else (1, 0), xycoords="axes fraction" if place is None else place,
            xytext=(0, 4) if place is None else (3, 0), textcoords="offset points", va="bottom",
            fontsize=SMALL - 1 if place else SMALL - 1.5, color=colour, fontweight=weight,
        )  # fmt: skip
        place.set_in_layout(False)  # it would make its panel narrower than its neighbours


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
