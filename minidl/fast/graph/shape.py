"""Joining many arrays while a step is captured."""

from __future__ import annotations

import numpy as np

from minidl.backend import module_of
from minidl.fast.gpu import capturing
from minidl.fast.versions import Faster
from minidl.functional import shape
from minidl.types import Array

MOST = 8  # arrays that CuPy joins without a table of their addresses


class Concatenate(Faster, shape.Concatenate):
    """Of more than 8 arrays CuPy sends a table with their addresses to the device, which cannot be captured."""

    __slots__ = ()
    where = "in a captured step, of more than 8 arrays"

    def fits(self, *arrays: Array) -> bool:
        return len(arrays) > MOST and capturing.current.get() is not None and module_of(*arrays) is not np

    def forward(self, *arrays: Array) -> Array:
        self.note_lengths(arrays)
        xp, parts = module_of(*arrays), list(arrays)
        while len(parts) > MOST:
            parts = [xp.concatenate(parts[i : i + MOST], axis=self.axis) for i in range(0, len(parts), MOST)]
        return xp.concatenate(parts, axis=self.axis)
