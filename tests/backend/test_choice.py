"""Where new tensors are made, and what one is told where CuPy or its GPU is missing."""

from __future__ import annotations

import os
import re
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.backend import choice
from tests.data.test_ahead import needs_fork, outcome_of_fork


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


def fake_cupy(count: Any, driver: int = 13000, made_for: int = 12090) -> Any:
    """A CuPy that imports and counts GPUs, and the versions of CUDA that driver and CuPy know."""
    runtime = SimpleNamespace(getDeviceCount=count, driverGetVersion=lambda: driver, runtimeGetVersion=lambda: made_for)
    return SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), ndarray=type("n", (), {}))


def failing(words: str) -> Any:
    def count() -> int:
        raise RuntimeError(words)

    return count


@pytest.mark.parametrize(
    ("cupy", "words"),
    [
        (fake_cupy(failing("cudaErrorInsufficientDriver"), driver=0), "finds no NVIDIA driver"),
        (
            fake_cupy(failing("cudaErrorInsufficientDriver"), driver=12020, made_for=13000),
            r"too old: it knows CUDA 12\.2 .* made for CUDA 13\.0\. Update the driver, or install minidl\[cuda12\]",
        ),
        (
            fake_cupy(failing("cudaErrorInsufficientDriver"), driver=11080),
            r"it knows CUDA 11\.8 .* made for CUDA 12\.9\. Update the driver; use 'numpy'",
        ),
        (fake_cupy(failing("cudaErrorNoDevice: no CUDA-capable device")), "none can be seen .*CUDA_VISIBLE_DEVICES"),
        (fake_cupy(lambda: 0), "none can be seen .*CUDA_VISIBLE_DEVICES"),
        (fake_cupy(failing("cudaErrorECCUncorrectable")), r"cannot reach one \(cudaErrorECCUncorrectable\)"),
    ],
)
def test_what_stands_between_the_program_and_a_gpu_is_said_in_one_line(
    cupy: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(md.DeviceError, match=words) as caught, md.using("cupy"):
        raise AssertionError("the block must not run")
    assert str(caught.value).endswith("use 'numpy'")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [ImportError("libnvrtc.so.12: no such file\nand more"), ModuleNotFoundError("No module named 'cuda'", name="cuda")],
)
def test_a_cupy_that_is_there_and_cannot_be_imported_is_not_called_missing(
    error: ImportError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(choice.importlib, "import_module", fail)
    with pytest.raises(md.DeviceError, match=r"cannot be imported \((libnvrtc|No module).*just one of") as caught:
        md.use("cupy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("choose", [md.use, lambda name: md.using(name).__enter__(), lambda name: md.zeros(2).to(name)])
def test_another_gpu_is_chosen_by_cudas_own_variable(choose: Any) -> None:
    with pytest.raises(md.DeviceError, match=r"got 'cupy:1'.*set CUDA_VISIBLE_DEVICES=1 before it starts"):
        choose("cupy:1")


def test_another_gpu_in_the_environment_is_answered_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_BACKEND", "cupy:2")
    with pytest.raises(md.DeviceError, match=r"MINIDL_BACKEND.*CUDA_VISIBLE_DEVICES=2"):
        md.zeros(2)


@needs_fork
def test_a_fork_of_a_process_that_uses_a_gpu_is_refused_before_cuda_is_asked(standin: ModuleType) -> None:
    x = md.Tensor(backend.to_device(np.ones(2), "cupy"))
    said = outcome_of_fork(lambda: choice.module("cupy"))
    assert re.match(
        rf"RuntimeError: process \d+ was forked from process {os.getpid()} that uses the GPU, and CUDA", said
    )
    assert "cudaErrorInitializationError" in outcome_of_fork(lambda: (x * 2).sum())  # what CUDA itself would say
    assert outcome_of_fork(lambda: md.tensor([1.0]).sum().item() if backend.current() == "numpy" else 1.0) == "1.0"
