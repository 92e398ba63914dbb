"""Which backend the tests run on: `pytest --backend numpy` (the default), `standin` or `cupy`.

The stand-in has to be `sys.modules["cupy"]` before the tests are collected, so both are set up in `pytest_configure`.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from types import ModuleType

import pytest

from minidl import backend
from minidl.autograd.modes import PLAIN, mode
from tests import cupy_standin
from tests.cupy_standin import kernels
from tests.pytorch import installed, torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=("numpy", "standin", "cupy"),
        default="numpy",
        help="run on NumPy, on the strict stand-in for CuPy (needs no GPU), or on CuPy itself",
    )
    parser.addoption(
        "--arithmetic",
        choices=("cpu", "gpu"),
        default="cpu",
        help="how the stand-in's kernels round: as NumPy, or as a GPU (see cupy_standin/kernels.py)",
    )
    parser.addoption("--plain", action="store_true", help="run every op's own lines, no faster versions (md.plain())")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that begins pytest with `&` lets it ignore Ctrl-C, and so would the programs that tests start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = config.getoption("--backend")
    if config.getoption("--plain"):
        os.environ["MINIDL_PLAIN"] = "1"  # for the programs that tests start
        mode.set(mode.get() | PLAIN)
    kernels.arithmetic = config.getoption("--arithmetic")
    if chosen == "standin":
        cupy_standin.install()
    backend.use("numpy" if chosen == "numpy" else "cupy")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--backend") == "numpy":
        skip = pytest.mark.skip(reason="of a device: pytest --backend standin, or cupy")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


def pytest_collection_finish() -> None:
    """What is there before the first test, PyTorch and the tests among it, stays: no collection need look at it again.

    That is most of what the collector sees: without it each `gc.collect()` of a test takes a fifth of a second.
    """
    gc.collect()
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> str:
    plain = "plain lines" if config.getoption("--plain") else "faster versions"
    torch_there = "" if installed else "; PyTorch is not installed: what compares with it is skipped"
    return (
        f"minidl under test: {plain}, backend {config.getoption('--backend')}, arithmetic "
        f"{config.getoption('--arithmetic')}{torch_there}"
    )


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """Every test starts from one seed, ours and PyTorch's, so that it fails alone as it fails in company."""
    backend.seed(0)
    if installed:
        torch.manual_seed(0)


@pytest.fixture
def faster_versions() -> Iterator[None]:
    """Runs a test that is about faster versions with them, under `pytest --plain` too."""
    before = mode.set(mode.get() & ~PLAIN)
    yield
    mode.reset(before)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package tests.cupy_standin, installed as `cupy` for one test, whatever the backend under test.

    For tests of what must not happen on a device: mixing it with NumPy, or making the program wait for it:

        with md.using("cupy"):
            ...
        standin.reset_synchronizations()
        optimizer.step()
        assert standin.synchronizations() == ()
    """
    cupy_standin.install(monkeypatch)
    cupy_standin.reset_synchronizations()
    return cupy_standin


@pytest.fixture
def cupy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What is `cupy` during the test: the real one with `--backend cupy`, else the stand-in.

    For tests of what only a device does, kernels and captured steps, whatever the backend under test.
    """
    if request.config.getoption("--backend") != "cupy":
        cupy_standin.install(monkeypatch)
    return backend.module("cupy")
