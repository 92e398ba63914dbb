"""gradient_flow: mean and largest gradient of each layer, after any backward."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl import backend
from minidl.nn import Module
from minidl.observe import FlowRecording
from minidl.observe.statistics import max_abs, mean_abs
from minidl.observe.layers import gradients_of, layers_of
from minidl.observe.verdict import decades_per_layer, layer_words, slope_words
from minidl.plot.style import (
    BROKEN,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    LogScale,
    depth_colours,
    height_for_names,
    label_ends,
    mark_not_finite,
    name_layers,
    new_figure,
    tidy,
    with_claim,
)

_PARTS = ("weight", "bias")


def gradient_flow(
    model_or_recording: Module | FlowRecording, step: int = -1, biases: bool = False, ax: Axes | None = None
) -> ClaimFigure:
    """Draw the mean and the largest |gradient| of each layer's weights as bars on a log axis, input to output.

        loss.backward()
        md.plot.gradient_flow(model).savefig("flow.png")

    Args:
        model_or_recording: a model after `backward()`, or a recording.
        step: which recorded step (an index, negative from the end); of a model there is only the present.
        biases: draw the biases beside the weights.
        ax: draw here instead of in a new figure.

    A gradient of exactly 0 is a ring in a row of its own, one that is not finite (NaN or infinite) a cross at the upper
    edge. In `.numbers` the latter is "inf", and what is not there None.

    Returns:
        The figure, with `.caption` and `.numbers` (layers, weight_mean, weight_max, bias_mean, bias_max, slope).

    Raises:
        ValueError: the model has no gradient yet, or the recording no such step.
    """
    if isinstance(model_or_recording, FlowRecording):
        names, dtype, sizes, when = _of_recording(model_or_recording, step)
    else:
        names, dtype, sizes, when = _of_model(model_or_recording)

    shown = _PARTS if biases else _PARTS[:1]
    scale = LogScale(np.concatenate([sizes[f"{part}_{what}"] for part in shown for what in ("mean", "max")]), dtype)
    if ax is None:
        width = max(3.6, min(7.0, 1.2 + 0.42 * len(names)))
        ax = new_figure(width, 2.65 + height_for_names(names, 0.78 * width)).subplots()
    colours = depth_colours(len(names))
    share = 0.8 / len(shown)  # of the room of one layer
    bottom = 10.0**scale.low
    for k, part in enumerate(shown):
        places = np.arange(len(names)) + (k - (len(shown) - 1) / 2) * share
        for what, alpha, breadth in (("max", 0.35, 0.94), ("mean", 1.0, 0.60)):
            values = sizes[f"{part}_{what}"]
            heights = np.where(values == 0, np.nan, scale.place(values)) - bottom
            for place, height, colour in zip(places, heights, colours, strict=True):
                if np.isfinite(height):
                    face = "white" if part == "bias" and what == "mean" else colour
                    ax.bar(place, height, share * breadth, bottom, color=face, alpha=alpha, zorder=2)
                    if part == "bias":
                        ax.bar(place, height, share * breadth, bottom, fill=False, edgecolor=colour, lw=0.9, zorder=3)
        if scale.zero is not None:
            zero = sizes[f"{part}_max"] == 0
            ax.plot(places[zero], np.full(zero.sum(), scale.zero), "o", mfc="white", mec=INK, ms=5, zorder=4)
        mark_not_finite(ax, places[np.isinf(sizes[f"{part}_max"])])
    scale.apply(ax)
    tidy(ax)
    ax.set_xlim(-0.6, len(names) - 0.4)
    name_layers(ax, names)
    ax.set_ylabel("|gradient|", fontsize=SMALL, color=INK)
    ax.set_xlabel("layer, input to output", fontsize=SMALL, color=INK)
    ax.set_title(f"gradient of each layer{when}", fontsize=SMALL, loc="left", color=QUIET)

    _label_bars(ax, sizes, scale, biases, len(names))

    slope = decades_per_layer(sizes["weight_mean"])
    numbers = {"figure": "gradient_flow", "layers": names, "dtype": dtype, "decades_per_layer": slope, **sizes}
    return with_claim(ax.figure, _claim(names, sizes, slope), numbers)


def _claim(names: list[str], sizes: dict[str, Any], slope: float) -> str:
    mean = sizes["weight_mean"]
    broken = {part: np.flatnonzero(np.isinf(sizes[f"{part}_max"])) for part in _PARTS}
    words = [f"the {part} gradient of {layer_words(names, at)}" for part, at in broken.items() if at.size]
    text = f"Not finite (NaN or infinite) is {' and '.join(words)}. " if words else ""
    text += f"The mean weight gradient {slope_words(slope)}"
    if 0 < mean[0] < np.inf and 0 < mean[-1] < np.inf:
        with np.errstate(over="ignore", under="ignore"):
            text += f": {names[0]} gets {mean[0] / mean[-1]:.2g} times the gradient of {names[-1]}"
    zero = [name for name, value in zip(names, mean, strict=True) if value == 0]
    if zero:
        text += f"; it is exactly 0 in {len(zero)} of {len(names)} layers"
    return text + "."


def _label_bars(ax: Axes, sizes: dict[str, Any], scale: LogScale, biases: bool, count: int) -> None:
    """Say which bar is what: beside the last of the bars, whose heights the words point at."""
    part = "bias" if biases and sizes["bias_max"][-1] > 0 else "weight"
    ends = scale.place([sizes[f"{part}_{what}"][-1] for what in ("max", "mean")])
    label_ends(ax, count - 0.6, list(np.where(ends == scale.zero, np.nan, ends)), ("max", "mean"), (INK, INK))
    if any(np.isinf(sizes[f"{shown}_max"]).any() for shown in (_PARTS if biases else _PARTS[:1])):
        ax.annotate(
            "x: not finite", (1, 1), xycoords="axes fraction", xytext=(0, 14 if biases else 3),
            textcoords="offset points", ha="right", va="bottom", fontsize=SMALL, color=BROKEN,
        )  # fmt: skip
    if biases:
        ax.annotate(
            "filled: weights, outlined: biases", (1, 1), xycoords="axes fraction", xytext=(0, 3),
            textcoords="offset points", ha="right", va="bottom", fontsize=SMALL, color=QUIET,
        )  # fmt: skip


def _of_recording(recording: FlowRecording, step: int) -> tuple[list[str], str, dict[str, Any], str]:
    row = recording.row(step)
    sizes = {
        f"{part}_{what}": getattr(recording, f"{part}_gradient_{what}")[row]
        for part in _PARTS
        for what in ("mean", "max")
    }
    return list(recording.layers), recording.dtype, sizes, f" at step {int(recording.steps[row])}"


def _of_model(model: Module) -> tuple[list[str], str, dict[str, Any], str]:
    layers = layers_of(model)
    parameters = [p for layer in layers for p in layer.parameters]
    if not gradients_of(parameters):
        raise ValueError(
            f"{type(model).__name__} has no gradients to draw: call loss.backward() first, and draw before zero_grad()"
        )
    sizes: dict[str, Any] = {}
    for part in _PARTS:
        for what, measure in (("mean", mean_abs), ("max", max_abs)):
            found = [measure(gradients_of(layer.weights if part == "weight" else layer.biases)) for layer in layers]
            sizes[f"{part}_{what}"] = np.array(
                [np.nan if x is None else _size(float(backend.asarray(x))) for x in found]
            )
    dtype = min((p.dtype for p in parameters), key=lambda dtype: dtype.itemsize)
    return [layer.name for layer in layers], str(dtype), sizes, ""


def _size(value: float) -> float:
    """As in a recording, NaN is left to what is not there."""
    return np.inf if np.isnan(value) else value
