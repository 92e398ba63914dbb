"""Which op made the gradient small: the factor of each op on the way from the loss back to the first layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minidl.observe.graph_recording import OP, GraphRecording


@dataclass(frozen=True)
class Factor:
    """What one stretch of the way made of the gradient's norm.

    Attributes:
        name: the op, or how many ops lie side by side there ("5 ops").
        layer: the layer in which it lies.
        before: the layer at whose output the gradient then is.
        norm: of the gradient after it, nearer to the input.
        decades: log10(norm after / norm before); NaN where one of them is 0, not finite or not there.
    """

    name: str
    layer: str
    before: str
    norm: float
    decades: float


def factors(recording: GraphRecording) -> list[Factor]:
    """The way from the loss back to the output of the first layer, op by op.

    All of the gradient passes through some values, one after the other: those between which the ops of a chain lie. Of
    two such neighbours g and g', log10(|g'| / |g|) is what lies between made of it, and these add up exactly to
    log10(|last| / |first|). Where ways fork and meet again (a residual block) all that lies between counts as one.

    Raises:
        ValueError: no backward has brought gradients yet.
    """
    if not recording.walked:
        raise ValueError("the graph has no gradients yet: call loss.backward() after md.observe.Graph(loss)")
    way, between = _way(recording)
    norms = recording.gradient_norm
    layer_of = _layers(recording)
    found = []
    for upper, lower, ops in zip(way[:-1], way[1:], between, strict=True):
        before, after = norms[upper], norms[lower]
        usable = 0 < before < np.inf and 0 < after < np.inf
        single = len(ops) == 1
        found.append(
            Factor(
                recording.names[upper] if single else f"{len(ops)} ops",
                layer_of[upper],
                layer_of[lower],
                float(after),
                float(np.log10(after) - np.log10(before)) if usable else float("nan"),
            )
        )
    return found


def by_kind(found: list[Factor]) -> dict[str, float]:
    """The decades of each kind of op, added up; the largest loss first."""
    total: dict[str, float] = {}
    for factor in found:
        if np.isfinite(factor.decades):
            total[factor.name] = total.get(factor.name, 0.0) + factor.decades
    return dict(sorted(total.items(), key=lambda item: item[1]))


def _way(recording: GraphRecording) -> tuple[list[int], list[list[int]]]:
    """The values that all of the gradient passes through, from the loss down, and which ops lie between each two."""
    ops = [i for i, kind in enumerate(recording.kinds) if kind == OP]
    with_parameters = [i for i in ops if recording.layers[i]]
    first = with_parameters[0] if with_parameters else ops[0]
    inputs: dict[int, set[int]] = {i: set() for i in ops}
    for source, op in recording.edges.tolist():
        if recording.kinds[source] == OP and source >= first:
            inputs[op].add(source)
    reaches = {first}  # the ops that the first layer's output leads to
    for i in ops:
        if i > first and inputs[i] & reaches:
            reaches.add(i)
    way: list[int] = []
    between: list[list[int]] = []
    crossed: list[int] = []
    open_ = {max(ops)}
    while open_:
        newest = max(open_)
        open_.remove(newest)
        if not open_:
            if way:
                between.append(crossed)
            way.append(newest)
            crossed = []
        crossed.append(newest)
        open_ |= inputs[newest] & reaches
        if newest == first:
            break
    return way, between


def _layers(recording: GraphRecording) -> dict[int, str]:
    """For each op the layer it belongs to: its own, or that of the op before it."""
    found: dict[int, str] = {}
    for source, op in recording.edges.tolist():
        if recording.layers[op]:
            found[op] = recording.layers[op]
        else:
            found[op] = found.get(source) or found.get(op, "")
    return found
