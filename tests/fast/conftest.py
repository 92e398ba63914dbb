"""Tests of faster versions: they are of no use without them, so they run with them under `pytest --plain` too."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _with_faster_versions(faster_versions: None) -> None:
    """For every test of this folder."""
