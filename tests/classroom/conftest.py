"""A check in a test leaves no file behind, and draws from the usual seed."""

from __future__ import annotations

import pytest

from minidl.check import seeding


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_PROGRESS", "0")
    monkeypatch.delenv("MINIDL_CHECK_SEED", raising=False)
    monkeypatch.setattr(seeding, "_chosen", None)
