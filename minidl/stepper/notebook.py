"""Page: a tape in a notebook, as the page that `save_html` writes, in a frame below the cell; it needs no kernel."""

from __future__ import annotations

import html

from minidl.checks import whole
from minidl.errors import printable
from minidl.stepper.contents import TapeContents
from minidl.stepper.html import html_of

HEIGHTS = (640, 860)  # of the frame in pixels: one tape, two
MOST_EVENTS = 500  # of a tape that shows itself unasked: each takes about 2 KB of the notebook, or more
_KEYS = (
    "Click into the frame, then: left and right arrow step, [ and ] change the phase, ? lists all keys. "
    "If there is no frame above, the notebook is not trusted: run the cell, or choose Trust Notebook."
)


class Page:
    """A tape, or two side by side, as a notebook shows it at the end of a cell; made by `tape.page()`.

    The whole page stands in the notebook: it is alive after saving and opening again, without a kernel, and in what
    nbconvert makes of it. The frame is sandboxed: the page can neither reach the notebook nor a network.

    Args:
        tape: what is shown.
        other: a second tape, to be walked through in lockstep with it.
        height: of the frame, in pixels; None: 640, or 860 for two.

    Raises:
        ValueError: the height is no positive whole number.
    """

    def __init__(self, tape: TapeContents, other: TapeContents | None = None, height: int | None = None) -> None:
        self.tape, self.other = tape, other
        self.height = HEIGHTS[other is not None] if height is None else whole(height, "page: height", 1)

    def __repr__(self) -> str:
        return f"Page({self.tape!r}{'' if self.other is None else f', {self.other!r}'})"

    def _repr_html_(self) -> str:
        """The frame; or, where there is nothing to walk through yet, a line that says so."""
        for tape in (self.tape, self.other):
            if tape is not None and tape.recording:
                return _line(f"{tape!r}, so far: it is still recording, and shows itself once its block has ended.")
            if tape is not None and not tape.events:
                return _line(f"{tape!r}: nothing ran inside md.record(), so there is nothing to step through.")
        title = " | ".join(printable(tape.title) for tape in (self.tape, self.other) if tape is not None)
        # Between ' all but & ' < > may stand as it is: the data's many " cost nothing, and nothing in the attribute
        # looks like a tag to a program that rewrites tags by patterns, as old versions of jQuery do.
        page = html_of(self.tape, self.other)
        for sign, written in (("&", "&amp;"), ("'", "&#39;"), ("<", "&lt;"), (">", "&gt;")):
            page = page.replace(sign, written)
        return (
            f'<iframe title="{html.escape(f"minidl, a recorded step: {title}")}" sandbox="allow-scripts" '
            f'style="width: 100%; height: {self.height}px; border: 1px solid #8886; box-sizing: border-box;" '
            f"srcdoc='{page}'></iframe>\n{_line(_KEYS)}"
        )


def shown(tape: TapeContents) -> str:
    """What a tape says for itself at the end of a cell: its page, unless that would fill the notebook."""
    if len(tape.events) > MOST_EVENTS and not tape.recording:
        return _line(
            f"{tape!r}: its page would take about {0.2 + len(tape.events) * 0.002:.1f} MB of the notebook. tape.page() "
            "shows it here; tape.save_html('step.html') writes it into a file; tape.play() needs no page."
        )
    return Page(tape)._repr_html_()


def _line(text: str) -> str:
    """A line of text below the cell; MathJax leaves it alone."""
    return f'<p class="tex2jax_ignore mathjax_ignore" style="font-size: 90%;">{html.escape(text)}</p>'
