"""A picture of the report: panels that stand side by side on a wide page and beneath each other on a narrow one.

A panel can be drawn alone (the report's page arranges them) or together with the others in one figure (an image).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from matplotlib.axes import Axes

from minidl.plot.style import ClaimFigure, new_figure, with_claim

# Draws into axes; what it returns, if anything, writes the labels, once the layout is known.
Panel = Callable[[Axes], Callable[[], None] | None]

WIDTH, HEIGHT = 3.7, 2.9  # inches of a panel: 355 pixels, as wide as a phone's page


@dataclass(frozen=True)
class Picture:
    """Panels with one caption.

    Attributes:
        name: of its files.
        caption: one claim with its number, and how to read the picture.
        panels: in order.
        numbers: what is drawn, as plain data.
        across: how many panels stand side by side in an image.
        height: inches of a panel.
    """

    name: str
    caption: str
    panels: tuple[Panel, ...]
    numbers: dict[str, Any] = field(default_factory=dict)
    across: int = 2
    height: float = HEIGHT

    def together(self) -> ClaimFigure:
        """All panels in one figure."""
        across = min(self.across, len(self.panels))
        down = -(-len(self.panels) // across)
        return self._draw(self.panels, across, down)

    def alone(self, k: int) -> ClaimFigure:
        """The panel k in a figure of its own."""
        return self._draw(self.panels[k : k + 1], 1, 1)

    def _draw(self, panels: tuple[Panel, ...], across: int, down: int) -> ClaimFigure:
        figure = new_figure(WIDTH * across, self.height * down)
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for empty in axes[len(panels) :]:
            empty.set_visible(False)
        labels = [panel(ax) for panel, ax in zip(panels, axes, strict=False)]
        for label in labels:
            if label is not None:
                label()
        return with_claim(figure, self.caption, {"figure": self.name, **self.numbers})
