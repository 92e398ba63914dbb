"""Indices that CuPy would take where NumPy refuses them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backend.arrays import module_of


def check_index(part: Any, x: Any) -> None:
    """Refuse as a part of an index into x what is no place: CuPy would take 0.5 for 0 and "1" for 1.

    Nothing of this makes the program wait. Numbers in an index array of the device are not looked at, which would:
    there CuPy lets those out of range wrap around.

    Raises:
        IndexError: `part`, which is no array, is a number that is not whole, or a text.
    """
    if module_of(x) is np or isinstance(part, np.bool_) or hasattr(part, "__index__"):
        return
    if np.isscalar(part):
        raise IndexError(
            f"only integers, slices (`:`), ellipsis (`...`), None and integer or boolean arrays are valid indices; "
            f"got {part!r}"
        )
