"""Where new tensors are made, and what one is told where CuPy or its GPU is missing."""

from __future__ import annotations

import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.backend import choice


@pytest.fixture(autouse=True)
def _undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_process_default", None)
    monkeypatch.delenv("MINIDL_BACKEND", raising=False)


def test_numpy_is_the_default() -> None:
    assert backend.current() == "numpy"
    assert backend.module("numpy") is np
    assert md.zeros(2).device == "numpy"


def test_use_is_for_the_whole_process(standin: ModuleType) -> None:
    md.use("cupy")
    assert md.zeros(2).device == "cupy"
    seen = []
    worker = threading.Thread(target=lambda: seen.append(md.zeros(2).device))
    worker.start()
    worker.join()
    assert seen == ["cupy"]
    md.use("numpy")
    assert md.zeros(2).device == "numpy"


def test_using_is_for_a_block_of_this_thread(standin: ModuleType) -> None:
    seen = []
    with md.using("cupy"):
        assert md.tensor([1.0]).device == "cupy"
        with md.using("numpy"):
            assert md.tensor([1.0]).device == "numpy"
        worker = threading.Thread(target=lambda: seen.append(backend.current()))
        worker.start()
        worker.join()
    assert backend.current() == "numpy"
    assert seen == ["numpy"]
    with pytest.raises(KeyError), md.using("cupy"):
        raise KeyError
    assert backend.current() == "numpy"


def test_the_environment_is_asked_last(standin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_BACKEND", "cupy")
    assert md.ones(2).device == "cupy"
    with md.using("numpy"):
        assert md.ones(2).device == "numpy"
    md.use("numpy")
    assert md.ones(2).device == "numpy"


@pytest.mark.parametrize("choose", [md.use, lambda name: md.using(name).__enter__(), lambda name: md.zeros(2).to(name)])
def test_an_unknown_backend_is_told_at_once(choose: Any) -> None:
    with pytest.raises(md.DeviceError, match="expected a backend out of numpy, cupy; got 'cuda'"):
        choose("cuda")


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_BACKEND", "gpu")
    with pytest.raises(md.DeviceError, match=r"MINIDL_BACKEND: .*numpy, cupy; got 'gpu'"):
        md.zeros(2)


def test_where_cupy_is_not_installed_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(md.DeviceError, match=r"pip install 'minidl\[cuda12\]'") as caught:
        md.use("cupy")
    assert "\n" not in str(caught.value)
    assert backend.current() == "numpy"


def without_gpu(count: Any) -> Any:
    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=count)), ndarray=type("n", (), {})
    )


def test_where_the_driver_is_missing_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver")

    monkeypatch.setitem(sys.modules, "cupy", without_gpu(fail))
    with pytest.raises(md.DeviceError, match=r"cannot reach one \(cudaErrorInsufficientDriver\); use 'numpy'"):
        md.use("cupy")


def test_where_there_is_no_gpu_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", without_gpu(lambda: 0))
    with pytest.raises(md.DeviceError, match="finds none; use 'numpy'"), md.using("cupy"):
        raise AssertionError("the block must not run")
