"""link: what is drawn of a step leads to that step on a page of the stepper."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from minidl.errors import describe

_NEAR = 1e-4  # two norms of one gradient differ by rounding alone


def link(figure: Figure, tape: Any, page: str, label: str | None = None) -> Figure:
    """Let the cells of an `update_heatmap`, or the bars of an `attribution`, lead to their moments on a tape's page.

        with md.observe.GradientFlow(model, optimizer) as flow, md.record() as tape:
            ...                                                   # one step, or a few
        tape.save_html("step.html")
        figure = md.plot.link(md.plot.update_heatmap(flow.recording), tape, "step.html")
        md.plot.save_figure(figure, "heat")                       # heat.svg has the links

    A cell leads to the update of its layer's first weight in its step; a bar to the backward of its op, found by its
    name and by the norm of the gradient that left it. What the tape does not have gets no link.

    Args:
        figure: what one of the two functions returned.
        tape: of `md.record()`.
        page: where the page lies, seen from the svg: "step.html".
        label: the panel that the tape belongs to, if there are several.

    Returns:
        The figure; its `.numbers["links"]` is a list of [what it is, the link].

    Raises:
        ValueError: it is another figure, has no such panel, or nothing on it is on the tape.
        TypeError: the tape is none.
    """
    if not hasattr(tape, "events") or not hasattr(tape, "values"):
        raise TypeError(f"link: expected a tape, of md.record(); got {describe(tape)}")
    numbers = getattr(figure, "numbers", {})
    kind = numbers.get("figure")
    if kind not in ("update_heatmap", "attribution"):
        raise ValueError(f"link: expected an update_heatmap or an attribution; got {kind or describe(figure)}")
    panels = list(numbers["panels"])
    if label is None and len(panels) > 1:
        raise ValueError(f"link: say which panel the tape belongs to, label=; there are {', '.join(panels)}")
    if label is not None and label not in panels:
        raise ValueError(f"link: there is no panel {label!r}; there are {', '.join(map(repr, panels))}")
    label = panels[0] if label is None else label
    ax, panel = figure.axes[panels.index(label)], numbers["panels"][label]
    places = _cells(ax, numbers, panel, tape) if kind == "update_heatmap" else _bars(ax, panel, tape)
    links = []
    for what, (x, y, width, height), event in places:
        target = f"{page}#i={event.number}"
        if event.output is not None:
            target += f"&n={quote(tape.values[event.output].key, safe='.')}"
        area = Rectangle((x, y), width, height, facecolor="white", edgecolor="none", alpha=0.0, zorder=20)
        area.set_url(target)
        ax.add_patch(area)
        links.append([what, target])
    if not links:
        raise ValueError("link: nothing that is drawn there is on the tape: record the same step with both")
    numbers["links"] = links
    return figure


_Place = tuple[str, tuple[float, float, float, float], Any]


def _cells(ax: Axes, numbers: dict[str, Any], panel: dict[str, Any], tape: Any) -> Iterator[_Place]:
    """The cells of steps that are on the tape; a tape counts its steps from 0, its updates say which they were."""
    layers = panel["layers"]
    steps = panel["steps"]
    width = steps[1] - steps[0] if len(steps) > 1 else 1.0
    seen = set()
    for event in tape.find(phase="update"):
        layer, number = tape.layer(event), event.numbers.get("step")
        if number is None or layer not in layers:
            continue
        step = number - 1  # the optimizer has counted it already
        column = next((i for i, middle in enumerate(steps) if middle - width / 2 <= step <= middle + width / 2), None)
        if column is not None and (column, layer) not in seen:
            seen.add((column, layer))
            left = step if numbers["steps_per_column"] and width == 1 else steps[column] - width / 2
            yield f"{layer}, step {step:g}", (left, layers.index(layer) - 0.5, width, 1.0), event


def _bars(ax: Axes, panel: dict[str, Any], tape: Any) -> Iterator[_Place]:
    """The bars of ops whose backward is on the tape."""
    low, high = ax.get_ylim()
    used = set()
    for i in reversed(range(len(panel["ops"]))):  # from the loss on, as the tape
        for event in reversed(tape.find(phase="backward", op=panel["ops"][i])):  # Graph has walked before
            norms = [addend.grad.norm for addend in event.addends]
            if event.number not in used and any(math.isclose(n, panel["norm"][i], rel_tol=_NEAR) for n in norms):
                used.add(event.number)
                yield f"{panel['ops'][i]} {i}", (i - 0.5, low, 1.0, high - low), event
                break
