"""gradient_flow: how large the gradient of each layer is, after any backward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl import backend
from minidl.checks import yes_or_no
from minidl.nn import Module
from minidl.observe import FlowRecording
from minidl.observe.layers import gradients_of, layers_of
from minidl.observe.recording import WEIGHT
from minidl.observe.statistics import count_of, max_abs, mean_abs, norm
from minidl.observe.verdict import LEVEL, decades_per_layer, layer_words, slope_words
from minidl.plot.networks import as_networks, depth_places, name_depths, network_colours
from minidl.plot.style import (
    BROKEN,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    LogScale,
    height_for_names,
    label_ends,
    mark_not_finite,
    new_figure,
    tidy,
    with_claim,
)

_FIELDS = ("weight_rms", "weight_mean", "weight_max", "bias_mean", "bias_max")
_NEXT = " Whether it is lost in the activations or on the way back: flow_profile."


def gradient_flow(
    networks: Module | FlowRecording | Mapping[str, Module | FlowRecording],
    step: int = -1,
    biases: bool = False,
    ax: Axes | None = None,
    style: str = "paper",
) -> ClaimFigure:
    """Draw the gradient of each layer's weights on a log axis, input to output: a dot at its root mean square, and a
    thin line from the mean to the largest of its absolute values.

        loss.backward()
        md.plot.gradient_flow(model).savefig("flow.png")
        md.plot.gradient_flow({"sigmoid": a, "relu": b, "batch norm": c})

    Dots are joined between layers that can be compared; the gains of a normalisation are open diamonds beside them.

    Args:
        networks: a model after `backward()`, or a recording; or several, {label: model or recording}: then each has a
            colour, only layers with weight matrices are drawn, and networks of different depth end at the same place.
        step: which recorded step (an index, negative from the end); of a model there is only the present.
        biases: draw the biases beside the weights, as open squares at their mean, with a line to the largest.
        ax: draw here instead of in a new figure.
        style: "paper", or "slides" for a projector.

    A gradient of exactly 0 is a ring in a row of its own, one that is not finite (NaN or infinite) a cross at the upper
    edge. In `.numbers` the latter is "inf", and what is not there None.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label (directly, if there is one network without a label)
        `layers`, `kinds`, `weight_rms`, `weight_mean`, `weight_max`, `bias_mean`, `bias_max`, and `decades_per_layer`,
        the slope of log10 of `weight_rms` over the layers with weight matrices.

    Raises:
        ValueError: a model has no gradient yet, or a recording no such step.
    """
    given = as_networks(networks, (Module, FlowRecording))
    found = {label: _sizes(network, step) for label, network in given.items()}
    only = next(iter(found.values())) if len(found) == 1 else None
    shown = {label: sizes if only else _weights_alone(sizes) for label, sizes in found.items()}
    names = {label: sizes["layers"] for label, sizes in shown.items()}
    fields = _FIELDS if yes_or_no(biases, "gradient_flow: biases") else _FIELDS[:3]
    scale = LogScale(np.concatenate([sizes[field] for sizes in shown.values() for field in fields]), _dtype(found))
    if ax is None:
        deepest = max(names.values(), key=len)
        width = max(3.6, min(7.0, 1.4 + 0.42 * len(deepest) + 0.2 * len(found)))
        ax = new_figure(width, 2.65 + height_for_names(deepest, 0.78 * width), style).subplots()
    tidy(ax)
    colours, places = network_colours(list(shown)), depth_places(names)
    apart = 0.36 / max(1, len(shown) - 1) if len(shown) > 1 else 0.0
    for k, (label, sizes) in enumerate(shown.items()):
        x = places[label] + (k - (len(shown) - 1) / 2) * apart
        _draw(ax, x, sizes, scale, colours[label], biases, colours[label] if len(shown) > 1 else BROKEN)
    scale.apply(ax)
    name_depths(ax, names)
    ax.set_ylabel("|gradient|", fontsize=SMALL, color=INK)
    steps = {sizes["when"] for sizes in found.values()}
    when = steps.pop() if len(steps) == 1 else ""
    notes = _notes(shown, biases)
    heading = f"weight gradient of each layer{when}"
    ax.set_title(heading, fontsize=SMALL, loc="left", color=QUIET, pad=5 + 11 * len(notes))
    for row, (text, colour) in enumerate(notes):
        ax.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(0, 4 + 11 * row), textcoords="offset points", va="bottom",
            fontsize=SMALL - 1, color=colour,
        )  # fmt: skip
    _explain(ax, shown, scale, colours, max(len(layers) for layers in names.values()))

    numbers = {label: {key: value for key, value in sizes.items() if key != "when"} for label, sizes in found.items()}
    together: dict[str, Any] = next(iter(numbers.values())) if list(found) == [""] else {"networks": numbers}
    return with_claim(ax.figure, _claim(found), {"figure": "gradient_flow", **together})


def _draw(ax: Axes, x: Any, sizes: dict[str, Any], scale: LogScale, colour: str, biases: bool, of_crosses: str) -> None:
    """The dots of one network, their ranges, and what is 0 or not finite: there the crosses have their own colour."""
    rms, weights = sizes["weight_rms"], sizes["is_weight"]
    places = scale.place(rms)
    line = np.where(rms == 0, np.nan, places)
    size = 4 if len(x) <= 60 else 1.5
    ax.plot(x[weights], line[weights], "-", color=colour, linewidth=1.2, zorder=3)
    ax.plot(x[weights], line[weights], "o", color=colour, markersize=size, zorder=4)
    if not weights.all():
        ax.plot(x[~weights], line[~weights], "D", mfc="white", mec=colour, markersize=3.6, zorder=4)
    ranges = [(x, "weight_mean", "weight_max")]
    if biases:
        aside = x + 0.22
        mean = np.where(sizes["bias_mean"] == 0, np.nan, scale.place(sizes["bias_mean"]))
        ax.plot(aside, mean, "s", mfc="white", mec=colour, markersize=3.4, zorder=4)
        ranges.append((aside, "bias_mean", "bias_max"))
    for at, low, high in ranges:
        bottom, top = (np.where(sizes[field] == 0, np.nan, scale.place(sizes[field])) for field in (low, high))
        ax.vlines(at, bottom, top, color=colour, linewidth=1.0, alpha=0.6, zorder=2)
        zero = sizes[high] == 0
        if zero.any():
            ax.plot(at[zero], np.full(zero.sum(), scale.zero), "o", mfc="white", mec=colour, ms=5, zorder=5)
        mark_not_finite(ax, at[np.isinf(sizes[high])], of_crosses)


def _explain(ax: Axes, shown: dict[str, Any], scale: LogScale, colours: dict[str, str], count: int) -> None:
    """Say beside the last layer whose network a line is; or, of a single one, what dot and range are."""
    if len(shown) > 1:
        ends = [_last(scale.place(sizes["weight_rms"])[sizes["is_weight"]]) for sizes in shown.values()]
        crossed = [np.isinf(sizes["weight_max"]).any() for sizes in shown.values()]  # at the upper edge, if that is all
        ends = [ax.get_ylim()[1] if np.isnan(end) and at else end for end, at in zip(ends, crossed, strict=True)]
        label_ends(ax, count - 0.7, ends, list(shown), [colours[label] for label in shown])
    else:
        (sizes,) = shown.values()
        ends = [float(scale.place(sizes[f"weight_{what}"])[-1]) for what in ("max", "rms", "mean")]
        ends = [np.nan if end == scale.zero else end for end in ends]
        label_ends(ax, count - 0.8, ends, ("max", "RMS", "mean"), (QUIET, INK, QUIET))


def _notes(shown: dict[str, Any], biases: bool) -> list[tuple[str, str]]:
    """What the marks mean that are not in every figure, and in which colour that is said."""
    notes = []
    if any(
        np.isinf(sizes[f"{part}_max"]).any() for sizes in shown.values() for part in ("weight", "bias")[: 1 + biases]
    ):
        notes.append(("x: not finite", BROKEN))
    if any((~sizes["is_weight"]).any() for sizes in shown.values()):
        notes.append(("diamonds: gains of a normalisation", QUIET))
    if biases:
        notes.append(("squares: biases", QUIET))
    return notes


def _last(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if known.size else np.nan


def _claim(found: dict[str, Any]) -> str:
    if len(found) == 1:
        (sizes,) = found.values()
        return _claim_of_one(sizes)
    clauses = [f"{label}: {slope_words(sizes['decades_per_layer'])}" for label, sizes in found.items()]
    text = f"The weight gradient (root mean square): {'; '.join(clauses)}."
    for label, sizes in found.items():
        broken, zero = np.flatnonzero(np.isinf(sizes["weight_max"])), np.flatnonzero(sizes["weight_max"] == 0)
        if broken.size:
            text += f" Not finite (NaN or infinite) in {layer_words(sizes['layers'], broken)} of {label}."
        if zero.size:
            text += f" Exactly 0 in {zero.size} of {len(sizes['layers'])} layers of {label}."
    return text + _NEXT


def _claim_of_one(sizes: dict[str, Any]) -> str:
    names, rms, slope = sizes["layers"], sizes["weight_rms"], sizes["decades_per_layer"]
    broken = {part: np.flatnonzero(np.isinf(sizes[f"{part}_max"])) for part in ("weight", "bias")}
    words = [f"the {part} gradient of {layer_words(names, at)}" for part, at in broken.items() if at.size]
    text = f"Not finite (NaN or infinite) is {' and '.join(words)}. " if words else ""
    text += f"The weight gradient (root mean square) {slope_words(slope)}"
    weights = np.flatnonzero(sizes["is_weight"])
    if weights.size > 1:
        first, last = weights[0], weights[-1]
        if 0 < rms[first] < np.inf and 0 < rms[last] < np.inf:
            with np.errstate(over="ignore", under="ignore"):
                text += f": {names[first]} gets {rms[first] / rms[last]:.2g} times the gradient of {names[last]}"
    zero = int((rms == 0).sum())
    if zero:
        text += f"; it is exactly 0 in {zero} of {len(names)} layers"
    return f"{text}." + (_NEXT if abs(slope) >= LEVEL else "")


def _weights_alone(sizes: dict[str, Any]) -> dict[str, Any]:
    """Only the layers with weight matrices; all, if there is none."""
    chosen = sizes["is_weight"] if sizes["is_weight"].any() else np.ones(len(sizes["layers"]), dtype=bool)
    names = [name for name, keep in zip(sizes["layers"], chosen, strict=True) if keep]
    return {**sizes, **{field: sizes[field][chosen] for field in (*_FIELDS, "is_weight")}, "layers": names}


def _dtype(found: dict[str, Any]) -> str | None:
    """The dtype of all networks, whose smallest number is marked; None if they have different ones."""
    dtypes = {sizes["dtype"] for sizes in found.values()}
    return str(dtypes.pop()) if len(dtypes) == 1 else None


def _sizes(network: Module | FlowRecording, step: int) -> dict[str, Any]:
    """What is drawn of one network."""
    found = _of_recording(network, step) if isinstance(network, FlowRecording) else _of_model(network)
    weights = np.array([kind == WEIGHT for kind in found["kinds"]])
    return {**found, "is_weight": weights, "decades_per_layer": decades_per_layer(found["weight_rms"][weights])}


def _of_recording(recording: FlowRecording, step: int) -> dict[str, Any]:
    row = recording.row(step)
    sizes = {field: getattr(recording, field.replace("_", "_gradient_"))[row] for field in _FIELDS}
    return {
        "layers": list(recording.layers),
        "kinds": list(recording.kinds or ()),
        "dtype": recording.dtype,
        "when": f" at step {int(recording.steps[row])}",
        **sizes,
    }


def _of_model(model: Module) -> dict[str, Any]:
    layers = layers_of(model)
    parameters = [p for layer in layers for p in layer.parameters]
    if not gradients_of(parameters):
        raise ValueError(
            f"{type(model).__name__} has no gradients to draw: call loss.backward() first, and draw before zero_grad()"
        )
    measures = {"rms": _rms, "mean": mean_abs, "max": max_abs}
    sizes: dict[str, Any] = {}
    with np.errstate(all="ignore"):
        for field in _FIELDS:
            part, what = field.split("_")
            arrays = [gradients_of(layer.weights if part == "weight" else layer.biases) for layer in layers]
            sizes[field] = np.array([_size(measures[what](found)) for found in arrays])
    dtype = min((p.dtype for p in parameters), key=lambda dtype: dtype.itemsize)
    names, kinds = [layer.name for layer in layers], [layer.kind for layer in layers]
    return {"layers": names, "kinds": kinds, "dtype": str(dtype), "when": "", **sizes}


def _rms(arrays: list[Any]) -> Any:
    found = norm(arrays)
    return None if found is None else found / count_of(arrays) ** 0.5


def _size(value: Any) -> float:
    """As in a recording, NaN is left to what is not there, and infinity is what is not finite."""
    if value is None:
        return np.nan
    number = float(backend.asarray(value))
    return np.inf if np.isnan(number) else number
