"""The look all figures share: colours, log axes that keep their zeros, labels where the lines end.

Figures are made with matplotlib's objects only: nothing here touches pyplot, the global state, or a screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from minidl.checks import choice
from minidl.errors import printable
from minidl.plot.showing import html_of, png_of, show

FONT = 9.0  # points; a figure is drawn at the size it is printed
SMALL = 8.0
INK = "#222222"
QUIET = "#707070"
GRID = "#e4e4e4"
ZERO = "#b9b9b9"  # what is exactly zero, in a heat map
BROKEN = "#b2182b"  # what is not finite
LONGEST_NAME, LONGEST_LABEL = 80, 40  # letters, of a layer and of an arm; of a longer one both ends are shown
STYLES = {"paper": 1.0, "slides": 0.7}  # how much room a figure has, compared with its letters
_EXPONENT = 150  # lines of larger numbers than 10^150 are drawn there: matplotlib computes with powers beyond the axis

# Okabe and Ito's palette: told apart also with a colour-vision deficiency, and in this order also by lightness.
ARMS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def depth_colours(count: int) -> list[Any]:
    """One colour a layer, input (dark) to output (light): viridis without its palest end, unreadable on white."""
    return [colormaps["viridis"](x) for x in np.linspace(0.0, 0.85, count)]


def step_colours(count: int) -> list[Any]:
    """One colour a step, early (light) to late (dark)."""
    return [colormaps["YlGnBu"](x) for x in np.linspace(0.45, 1.0, count)]


class ClaimFigure(Figure):
    """A matplotlib Figure that says what it shows.

    Attributes:
        caption: one claim, with its number.
        numbers: what is drawn, as plain data that json can hold.
    """

    caption: str
    numbers: dict[str, Any]

    def _repr_png_(self) -> bytes:
        """The figure as a notebook shows it that meets it at the end of a cell."""
        return png_of(self)

    def _repr_html_(self) -> str:
        """The same with its caption beneath, for notebooks that are pages."""
        return html_of(self)

    def show(self, warn: bool = True) -> None:
        """Show it in a window (a script), or below the cell (a notebook)."""
        show(self)


def new_figure(width: float, height: float, style: str = "paper") -> ClaimFigure:
    """An empty figure of `width` x `height` inches that arranges itself.

    With `style="slides"` it is drawn on less room with more dots an inch: as many dots, in which letters and lines are
    larger.
    """
    room = STYLES[choice(style, "style", tuple(STYLES))]
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    return ClaimFigure(figsize=(room * width, room * height), dpi=100 / room, layout=layout, facecolor="white")


def with_claim(figure: Any, caption: str, numbers: dict[str, Any]) -> ClaimFigure:
    """`figure` carrying its caption and the numbers it draws, also if it is a plain Figure of the user's axes."""
    figure.caption = printable(caption)
    figure.numbers = plain(numbers)
    return cast(ClaimFigure, figure)


def literal(name: str, longest: int = LONGEST_NAME) -> str:
    """A name as matplotlib draws it letter by letter: it would take `$x$` for mathematics, and `$$` for an error."""
    text = printable(name)
    if len(text) > longest:
        text = f"{text[: longest // 2]}\N{HORIZONTAL ELLIPSIS}{text[longest // 2 + 1 - longest :]}"
    return text.replace("$", r"\$")


def plain(value: Any) -> Any:
    """`value` for json: arrays as lists, numbers as Python's, NaN as None, infinities as "inf" and "-inf"."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def drawable(values: Any) -> Any:
    """`values` as a line is drawn through them: gaps where one is not finite, none so large or small that axes fail."""
    values, most = np.asarray(values, dtype=np.float64), 10.0**_EXPONENT
    values = np.where((values > 0) & (values < 1 / most), 1 / most, values)
    return np.where(np.isfinite(values), np.clip(values, -most, most), np.nan)


def tidy(ax: Axes, grid: str | None = "y") -> None:
    """Fewer lines: no box above and right, a pale grid behind, small ticks."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(QUIET)
    ax.tick_params(labelsize=SMALL, color=QUIET, labelcolor=INK, length=3)
    if grid is not None:
        ax.grid(axis=grid, color=GRID, linewidth=0.6)  # type: ignore[arg-type]
        ax.set_axisbelow(True)


def title(ax: Axes, text: str, pad: float = 6) -> None:
    """A heading at the left edge of `ax`, `pad` points above it."""
    ax.set_title(literal(text, LONGEST_LABEL), fontsize=FONT, loc="left", color=INK, pad=pad)


def plain_log_ticks(axis: Any) -> None:
    """Ticks 0.1, 0.2, 0.5, 1, ... on a log axis of a few decades."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def power(exponent: int) -> str:
    """10^k in words for a tick: "$10^{-3}$", and plain numbers near 1."""
    return {0: "1", 1: "10", -1: "0.1", -2: "0.01"}.get(exponent, f"$10^{{{exponent}}}$")


class LogScale:
    """A log10 axis for given values, with a row of its own for exact zeros, shared by all panels that are compared.

    What is not finite has no height: `mark_not_finite` says where it is. Where the values come near the smallest or
    largest numbers that there are, all are drawn 10^shift times as large, with the right words at the ticks: so there
    is room for the zeros beneath 1e-320 too.

    Attributes:
        low, high: the decades that enclose the positive values.
        shift: 0 but for such extremes.
        zero: where exact zeros are drawn, below `low`, or None if there are none.
    """

    def __init__(self, values: Any, dtype: str | None = None) -> None:
        values = np.asarray(values, dtype=np.float64).ravel()
        positive = values[np.isfinite(values) & (values > 0)]
        smallest, largest = (float(positive.min()), float(positive.max())) if positive.size else (0.1, 1.0)
        low, high = math.floor(math.log10(smallest) + 1e-9), math.ceil(math.log10(largest) - 1e-9)
        if high - low < 2:
            low, high = low - (1 if high == low else 0), high + (0 if high > low else 1)
        if high - low > 500:  # no axis holds them: what lies beyond its ends is drawn there
            low, high = max(low, -250), min(high, 250)
            largest = min(largest, 10.0**high)
        self.low, self.high = low, high
        self.dtype = dtype
        self.shift = 0 if low > -_EXPONENT and high < _EXPONENT else -(low + high) // 2
        self._top = float(high) if high - low <= 2 else min(float(high), math.log10(largest) + 0.05 * (high - low))
        self._gap = max(0.6, min(30.0, 0.09 * (high - low)))
        self.zero = 10.0 ** (low - self._gap + self.shift) if (values == 0).any() else None

    def at(self, exponent: Any) -> Any:
        """Where 10^exponent is drawn; on an axis without extremes that is 10^exponent."""
        return 10.0 ** (np.asarray(exponent, dtype=np.float64) + self.shift)

    def place(self, values: Any) -> Any:
        """`values` as they are drawn: zeros in their row, negative and not finite ones not at all."""
        values = np.asarray(values, dtype=np.float64)
        drawn = np.isfinite(values) & (values > 0)
        if self.shift:
            places = self.at(np.clip(np.log10(np.where(drawn, values, 1.0)), self.low, self.high))
        else:
            places = np.clip(values, 10.0**self.low, 10.0**self.high)
        places = np.where(drawn, places, np.nan)
        return places if self.zero is None else np.where(values == 0, self.zero, places)

    def apply(self, ax: Axes, labels: bool = True) -> None:
        """Make the y axis of `ax` this scale."""
        ax.set_yscale("log")
        stride = max(1, math.ceil((self.high - self.low) / 7))
        exponents = range(self.high, self.low - 1, -stride)
        ticks = [float(self.at(k)) for k in exponents if k <= self._top + 1e-3]
        if self.zero is None:
            ax.set_ylim(
                self.at(self.low - 0.03 * (self.high - self.low)), self.at(self._top)
            )  # room for a mark at the foot
        else:
            ticks.append(self.zero)
            ax.set_ylim(self.at(self.low - 1.6 * self._gap), self.at(self._top))
            ax.axhline(self.at(self.low - 0.45 * self._gap), color=QUIET, linewidth=0.6, linestyle=(0, (1, 2)))
        ax.yaxis.set_major_locator(FixedLocator(ticks))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(FuncFormatter(self._words))
        self._mark_floor(ax, labels)

    def _words(self, value: float, _position: int | None = None) -> str:
        if self.zero is not None and value <= self.zero * 1.0001:
            return "0"
        return power(round(math.log10(value)) - self.shift)

    def _mark_floor(self, ax: Axes, labels: bool) -> None:
        """A line at the smallest normal number of the dtype, if the axis comes near it."""
        if self.dtype is None:
            return
        tiny = float(np.finfo(self.dtype).tiny)
        if not self.low - 1 <= math.log10(tiny) <= self._top:
            return
        place = float(self.at(math.log10(tiny))) if self.shift else tiny
        ax.axhline(place, color=QUIET, linewidth=0.8, linestyle=(0, (4, 2)))
        if labels:
            ax.annotate(
                f"smallest normal {self.dtype}, {tiny:.0e}", (0, place), xycoords=("axes fraction", "data"),
                xytext=(3, 2), textcoords="offset points", va="bottom", fontsize=SMALL - 1, color=QUIET, zorder=10,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )  # fmt: skip


def mark_not_finite(ax: Axes, places: Any, colour: Any = BROKEN) -> None:
    """A cross at the upper edge of `ax` at each of `places`: what belongs there is NaN or infinite."""
    if len(places):
        top = ax.get_xaxis_transform()
        ax.plot(
            places,
            np.ones(len(places)),
            "x",
            color=colour,
            markersize=6,
            mew=1.6,
            transform=top,
            clip_on=False,
            zorder=9,
        )


def name_layers(ax: Axes, names: Sequence[str], axis: str = "x") -> None:
    """Name the layers on the axis, input to output: smaller when there are many, upright when they would touch.

    Every layer is named as long as names of 4.5 points fit; beyond that, every n-th, in letters of full size.
    """
    names = [literal(name, LONGEST_NAME if axis == "x" else LONGEST_LABEL) for name in names]
    figure_width, figure_height = ax.figure.get_size_inches()  # type: ignore[union-attr]
    place = ax.get_position()
    length = place.width * figure_width if axis == "x" else place.height * figure_height
    upright = axis == "x" and _upright(names, length)
    size = _name_size(names, length) if upright or axis == "y" else SMALL
    room = length * 72 / len(names)
    stride = math.ceil(size / room)
    if stride > 1:  # few names that can be read, rather than as many as fit
        size, stride = SMALL, math.ceil(1.6 * SMALL / room)
    target = ax.xaxis if axis == "x" else ax.yaxis
    target.set_major_locator(FixedLocator(list(range(0, len(names), stride))))
    target.set_minor_locator(NullLocator())
    for label in target.set_ticklabels(list(names[::stride])):
        label.set(fontsize=size, rotation=90 if upright else 0)


def height_for_names(names: Sequence[str], width: float) -> float:
    """The inches that `names` need below an axis of `width` inches."""
    names = [literal(name) for name in names]
    longest = max(len(name) for name in names)
    return (0.62 * _name_size(names, width) * longest / 72 if _upright(names, width) else 0.12) + 0.1


def _name_size(names: Sequence[str], length: float) -> float:
    """Points for names side by side (upright, or in rows) along `length` inches."""
    return max(4.5, min(SMALL, 0.95 * length * 72 / len(names)))


def _upright(names: Sequence[str], width: float) -> bool:
    return max(len(name) for name in names) * SMALL * 0.62 + 2 > width * 72 / len(names)


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """`positions` moved apart so that neighbours are at least `gap` from each other, as little as possible in all."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    groups: list[list[Any]] = []  # [members in order, mean of (position - rank * gap)]
    for i in order:
        groups.append([[i], positions[i]])
        while len(groups) > 1:
            (lower, below), (upper, above) = groups[-2], groups[-1]
            if below + len(lower) * gap <= above:
                break
            members = lower + upper
            total = below * len(lower) + (above - len(lower) * gap) * len(upper)
            groups[-2:] = [[members, total / len(members)]]
    placed = [0.0] * len(positions)
    for members, start in groups:
        for rank, i in enumerate(members):
            placed[i] = start + rank * gap
    return placed


def settle(figure: Any) -> None:
    """Lay the figure out: where its panels are then, they are when it is drawn."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.execute(figure)  # measures everything; to draw it besides takes as long again
    else:
        figure.draw_without_rendering()


def label_ends(
    ax: Axes, x: Any, ends: Sequence[float], labels: Sequence[str], colours: Sequence[Any], size: float = SMALL
) -> None:
    """Write each line's label where the line ends, at (x, end), moved up or down only where labels would touch."""
    known = [i for i, end in enumerate(ends) if np.isfinite(end)]
    leader = {"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 1, "relpos": (0, 0.5)}
    figure = ax.figure
    settle(figure)  # the heights depend on the layout
    to_points = 72 / figure.dpi
    xs = np.broadcast_to(np.asarray(x, dtype=np.float64), (len(ends),))
    heights = [float(ax.transData.transform((xs[i], ends[i]))[1]) * to_points for i in known]
    gap = size * 1.25
    places = spread(heights, gap)
    low, high = ((edge * to_points) for edge in (ax.bbox.y0, ax.bbox.y1))
    if (len(places) - 1) * gap <= high - low:  # there is room for all of them beside the axes
        order = sorted(range(len(places)), key=lambda i: places[i])
        for rank, i in enumerate(order):
            above = (len(places) - 1 - rank) * gap
            places[i] = min(max(places[i], low + rank * gap), high - above)
    moved = any(abs(place - height) > size * 0.4 for place, height in zip(places, heights, strict=True))
    for i, height, placed in zip(known, heights, places, strict=True):
        ax.annotate(
            literal(labels[i], LONGEST_LABEL), (xs[i], ends[i]),
            xytext=(16 if moved else 5, placed - height), textcoords="offset points", va="center", ha="left",
            fontsize=size, color=colours[i], annotation_clip=False,
            path_effects=[withStroke(linewidth=1.8, foreground="white")],
            arrowprops={**leader, "color": colours[i]} if moved else None,
        )  # fmt: skip


def binned(x: Any, most: int) -> list[slice]:
    """At most `most` runs of the same length (give or take one) that cover the points of `x`; each is drawn as one."""
    count = len(x)
    runs = min(count, most)
    return [slice(i * count // runs, (i + 1) * count // runs) for i in range(runs)]


def given_axes(axes: Any, count: int) -> list[Axes]:
    """The axes a caller hands over, one a panel.

    Raises:
        ValueError: there are more or fewer.
    """
    axes = [axes] if isinstance(axes, Axes) else list(np.ravel(np.asarray(axes, dtype=object)))
    if len(axes) != count:
        raise ValueError(f"expected {count} axes, one a panel; got {len(axes)}")
    return axes


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, as it is drawn; a rounded zero has none."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if abs(value) >= 0.5 * 10.0**-digits else text[1:]


def sentences(clauses: Mapping[str, str]) -> str:
    """{label: clause} as a caption: each clause after its label, if it has one."""
    return " ".join(
        f"{label}: {text}." if label else f"{text[:1].upper()}{text[1:]}." for label, text in clauses.items()
    )
