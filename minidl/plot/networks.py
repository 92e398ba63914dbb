"""Several networks in one figure: {"sigmoid": a, "relu": b}, recordings or models, of other depths and layers too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from minidl.errors import describe
from minidl.plot.arguments import remark
from minidl.plot.style import ARMS, INK, SMALL, name_layers


def as_networks(given: Any, kinds: tuple[type[Any], ...]) -> dict[str, Any]:
    """{label: network}, of one network too, whose label is empty.

    Args:
        given: one recording (or model), or {label: recording}.
        kinds: of what classes they may be.

    Raises:
        ValueError: there is none.
        TypeError: one is of another class.
    """
    found = {str(label): network for label, network in given.items()} if isinstance(given, Mapping) else {"": given}
    if not found:
        raise ValueError("expected {label: network} with at least one network; got none")
    for label, network in found.items():
        if not isinstance(network, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            got = _kind(network) + (f" as {label!r}" if label else "") + remark(network, kinds)
            raise TypeError(f"expected {expected}, or {{label: one of them}}; got {got}")
    return found


def _kind(network: Any) -> str:
    return f"the class {network.__name__}: make one" if isinstance(network, type) else describe(network)


def network_colours(labels: Sequence[str]) -> dict[str, str]:
    """One colour a network, told apart with any colour vision; after seven they repeat."""
    return {label: ARMS[i % len(ARMS)] for i, label in enumerate(labels)}


def depth_places(names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """For each network where its layers stand on a shared axis: input to output, the last layers above each other."""
    deepest = max(len(layers) for layers in names.values())
    return {label: np.arange(deepest - len(layers), deepest) for label, layers in names.items()}


def name_depths(ax: Axes, names: Mapping[str, Sequence[str]]) -> None:
    """Name the layers on the x axis; where networks have other layers, by their number, counted from the output."""
    different = {tuple(layers) for layers in names.values()}
    deepest = max(len(layers) for layers in names.values())
    ax.set_xlim(-0.6, deepest - 0.4)
    if len(different) == 1:
        name_layers(ax, next(iter(different)))
        ax.set_xlabel("layer, input to output", fontsize=SMALL, color=INK)
        return
    stride = max(1, -(-deepest // 12))
    back = list(range(0, deepest, stride))
    ax.xaxis.set_major_locator(FixedLocator([deepest - 1 - k for k in back]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels(["last" if k == 0 else f"\N{MINUS SIGN}{k}" for k in back])
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.set_xlabel("layer, counted from the output", fontsize=SMALL, color=INK)
