"""load: a recording from its file, of whichever kind it is."""

from __future__ import annotations

from os import PathLike
from typing import Any

from minidl.errors import printable
from minidl.files.arrays import kind_of
from minidl.observe import race, recording
from minidl.observe.race import RaceRecording
from minidl.observe.recording import FlowRecording
from minidl.observe.saved import SavedRecording


def load(path: str | PathLike[str]) -> Any:
    """Read what the `save` of a recording wrote: a FlowRecording, a RaceRecording, or whichever it is.

    Raises:
        ValueError: the file is no recording, or it is damaged; it is named.
        FileNotFoundError: it is not there.
    """
    kinds: dict[str, Any] = {recording.KIND: FlowRecording, race.KIND: RaceRecording}
    kinds |= {kind.kind: kind for kind in SavedRecording.__subclasses__()}
    kind = kind_of(path)
    if kind not in kinds:
        known = ", ".join(name.replace("_", " ") for name in kinds)
        raise ValueError(f"{path} is a {printable(kind)}, which is no recording; recordings are: {known}")
    return kinds[kind].load(path)
