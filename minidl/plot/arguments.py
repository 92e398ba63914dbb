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
    if isinstance(value, kind):
        return
    remark = ""
    if isinstance(value, (str, PathLike)):
        remark = f": {kind.__name__}.load(path) reads one, and md.plot.draw(path, {figure!r}) draws it"
    elif isinstance(getattr(value, "recording", None), kind):
        remark = ": give its .recording"
    elif isinstance(value, (list, tuple, dict)) and len(value) > 0:
        inside = next(iter(value.values())) if isinstance(value, dict) else value[0]
        remark = f" of {type(inside).__name__}" + (": give a single one" if isinstance(inside, kind) else "")
    elif isinstance(value, (FlowRecording, RaceRecording)):
        remark = ", which other figures show: see md.plot.FIGURES"
    elif kind is FlowRecording and hasattr(value, "parameters"):
        remark = (
            ": record its training, with md.observe.GradientFlow(model, optimizer) as flow, and give flow.recording"
        )
    raise TypeError(f"{figure}: expected a {kind.__name__}; got {describe(value)}{remark}")
