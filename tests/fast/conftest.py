"""Tests of faster versions: they are of no use without them, so they run with them under `pytest --plain` too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minidl.autograd.modes import PLAIN, mode


@pytest.fixture(autouse=True)
def _faster_versions() -> Iterator[None]:
    before = mode.set(mode.get() & ~PLAIN)
    yield
    mode.reset(before)
