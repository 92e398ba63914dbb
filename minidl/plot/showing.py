"""Figures on a screen: in a window of a script, and drawn anew while a training runs."""

from __future__ import annotations

import base64
import html
import io
import time
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.backends.registry import backend_registry
from matplotlib.figure import Figure

from minidl.errors import warn


def png_of(figure: Figure) -> bytes:
    """The figure as a png."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def html_of(figure: Any) -> str:
    """The figure as a page shows it: the picture, and its caption beneath."""
    picture = base64.b64encode(png_of(figure)).decode()
    width = round(figure.get_size_inches()[0] * 96)  # a page has 96 dots an inch, the picture more
    caption = html.escape(figure.caption)
    return (
        f'<figure style="margin: 0; max-width: {width}px"><img src="data:image/png;base64,{picture}" width="{width}" '
        f'style="max-width: 100%" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def in_kernel() -> Any:
    """IPython's `display` if a kernel runs this (Jupyter, VS Code), else None."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    return display if hasattr(get_ipython(), "kernel") else None


def show(figure: Figure) -> None:
    """Show the figure: below the cell of a notebook, or in a window, which has to be closed before it goes on.

    A UserWarning says so where no window can be opened, as on a server.
    """
    display = in_kernel()
    if display is not None:
        display(figure)
        return
    canvas = backend_registry.load_backend_module(mpl.get_backend()).FigureCanvas  # type: ignore[no-untyped-call]
    if not canvas.required_interactive_framework:
        warn(
            f"no window can be opened here (matplotlib's backend is {mpl.get_backend()!r}): write the figure into a "
            f"file, md.plot.save_figure(figure, 'name')"
        )
        return
    canvas.new_manager(figure, 1).show()
    canvas.manager_class.start_main_loop()


class Live:
    """Draws a figure anew, every few seconds, while a training runs; below a notebook's cell, and nowhere else.

        with md.observe.GradientFlow(model, optimizer) as flow:
            live = md.plot.Live(lambda: md.plot.update_heatmap(flow.recording))
            md.fit(model, optimizer, loader, epochs=10, callbacks=[live])       # or live.update() in your own loop

    Args:
        draw: makes the figure.
        seconds: how long to wait, at least, from one drawing to the next. It is longer where drawing takes long: a
            tenth of the time, at most, goes into drawing.

    Attributes:
        drawn: how often it was drawn.
    """

    def __init__(self, draw: Callable[[], Any], seconds: float = 2.0) -> None:
        self.draw = draw
        self.seconds = seconds
        self.drawn = 0
        self._display = in_kernel()
        self._handle: Any = None
        self._next = 0.0

    def __repr__(self) -> str:
        return f"Live(every {self.seconds:g} s, drawn {self.drawn} times)"

    def on_step(self, state: Any) -> None:
        """After a step of `fit`: draw if it is time to."""
        self.update()

    def on_epoch(self, state: Any) -> None:
        """After an epoch of `fit`: draw, so that the last picture is that of the end."""
        self.update(now=True)

    def update(self, now: bool = False) -> None:
        """Draw if `seconds` have passed since the last time, or with now=True in any case."""
        if self._display is None or (time.perf_counter() < self._next and not now):
            return
        began = time.perf_counter()
        figure = self.draw()
        if self._handle is None:
            self._handle = self._display(figure, display_id=True)
        else:
            self._handle.update(figure)
        self.drawn += 1
        ended = time.perf_counter()
        self._next = ended + max(self.seconds, 9 * (ended - began))
