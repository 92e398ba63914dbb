"""What a figure can be drawn of, and what is said of anything else."""

from __future__ import annotations

from os import PathLike
from typing import Any

from minidl.errors import describe
from minidl.observe import FlowRecording, RaceRecording


def check_recording(value: Any, kind: type[FlowRecording] | type[RaceRecording], figure: str) -> None:
    """Refuse what is no recording of this kind.

    Args:
        value: what was given.
        kind: the class it has to be of.
        figure: the name of the function that was given it.

    Raises:
        TypeError: it is something else; the message says how a recording is made of it, if one can be.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{figure}: expected a {kind.__name__}; got {describe(value)}{remark(value, (kind,))}")


def remark(value: Any, kinds: tuple[type[Any], ...]) -> str:
    """How something of one of these classes is made of what was given, or nothing if it cannot be."""
    if isinstance(value, (str, PathLike)):
        return ": md.observe.load(path) reads a recording, and md.plot.draw(path, name) draws it"
    if isinstance(getattr(value, "recording", None), kinds):
        return ": give its .recording"
    if isinstance(value, (list, tuple, dict)) and len(value) > 0:
        inside = next(iter(value.values())) if isinstance(value, dict) else value[0]
        return f" of {type(inside).__name__}" + (": give a single one" if isinstance(inside, kinds) else "")
    if isinstance(value, (FlowRecording, RaceRecording)):
        return ", which other figures show: see md.plot.FIGURES"
    if FlowRecording in kinds and hasattr(value, "parameters"):
        return ": record its training, with md.observe.GradientFlow(model, optimizer) as flow, and give flow.recording"
    return ""
