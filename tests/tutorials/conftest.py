"""What the tests of the tutorials share: a tutorial's source, run once as a script runs it."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from minidl import backend

TUTORIALS = Path(__file__).parents[2] / "tutorials"

Run = Callable[[str], dict[str, Any]]


@cache
def namespace(stem: str) -> dict[str, Any]:
    """Everything that tutorials/STEM.py leaves behind. It is run once in a process of tests."""
    mpl.use("Agg")
    backend.seed(0)
    found = runpy.run_path(str(TUTORIALS / f"{stem}.py"), run_name="__main__")
    plt.close("all")  # pyplot warns of more than 20 open figures
    return found


@pytest.fixture
def tutorial(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a tutorial by its stem: `tutorial("03_tensors")["grad_w"]`."""
    monkeypatch.setenv("MINIDL_PROGRESS", "0")
    return namespace


@pytest.fixture(autouse=True)
def no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check in a test leaves no file behind."""
    monkeypatch.setenv("MINIDL_PROGRESS", "0")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The texts are about NumPy: on a device only whether the sources run there is tested."""
    on_device = config.getoption("--backend") != "numpy"
    return True if on_device and collection_path.match("test_[!o]*.py") else None
