"""The device for tests of kernels: CuPy where the tests run on it, else the stand-in."""

from __future__ import annotations

from types import ModuleType

import pytest

from minidl import backend
from tests import cupy_standin


@pytest.fixture
def cupy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that is `cupy` during the test."""
    if request.config.getoption("--backend") != "cupy":
        cupy_standin.install(monkeypatch)
    return backend.module("cupy")
