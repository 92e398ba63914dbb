"""The seed that the cases of the checks are drawn from; a teacher sets another one for each class."""

from __future__ import annotations

import os
import zlib

import numpy as np

_chosen: int | None = None


def seed(number: int) -> None:
    """Draw the cases of all checks from this seed (an integer of 0 or more), in this process.

    For a whole class: MINIDL_CHECK_SEED=2026 in the environment. Without either it is 0.
    """
    global _chosen
    _chosen = whole(number, "md.check.seed")


def generator(name: str) -> np.random.Generator:
    """The random numbers of an exercise: the same ones for the same seed and name."""
    chosen = _chosen if _chosen is not None else whole(os.environ.get("MINIDL_CHECK_SEED", "0"), "MINIDL_CHECK_SEED")
    return np.random.default_rng([chosen, zlib.crc32(name.encode())])


def whole(number: int | str, where: str) -> int:
    """A number or a text as a whole number of 0 or more; a ValueError that names `where` if it is none."""
    try:
        whole = int(number)
    except (TypeError, ValueError):
        whole = -1
    if whole < 0 or str(whole) != str(number):
        raise ValueError(f"{where} is a whole number of 0 or more, not {number!r}")
    return whole
