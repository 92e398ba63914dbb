"""load: a recording from its file, of whichever kind it is."""

from __future__ import annotations

from os import PathLike

from minidl.observe.race import RaceRecording
from minidl.observe.recording import FlowRecording


def load(path: str | PathLike[str]) -> FlowRecording | RaceRecording:
    """Read what `save` of a recording wrote: a FlowRecording, or a RaceRecording.

    Raises:
        ValueError: the file is no recording, or it is damaged; it is named.
        FileNotFoundError: it is not there.
    """
    try:
        return FlowRecording.load(path)
    except ValueError as error:
        try:
            return RaceRecording.load(path)
        except ValueError:
            raise error from None
