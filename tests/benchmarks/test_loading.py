"""The benchmark of loading runs from end to end on a few small images."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import loading
from minidl.data import ImageFolder
from minidl.models import alexnet_32
from tests.pytorch import installed, torch

needs_pytorch = pytest.mark.skipif(not installed, reason="loads beside PyTorch, which is not installed")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageFolder:
    monkeypatch.setattr(loading, "CROP", 32)
    loading.make_folder(tmp_path, count=8)
    return ImageFolder(tmp_path, size=36)


@needs_pytorch
def test_pytorchs_side_is_torchvisions_arithmetic(source: ImageFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "CROP", 256)  # all of the image: only mirrored, by chance
    image, label = loading.Photographs(source)[3]
    raw = ImageFolder(source.path).take([3])[0][0] / 255.0
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    wanted = (torch.tensor(raw) - mean) / std
    assert any(torch.allclose(image.double(), turned, atol=1e-5) for turned in (wanted, wanted.flip(2)))
    assert (label, image.dtype) == (3, torch.float32)


def test_a_training_step_is_timed_beside_its_loading(source: ImageFolder, capsys: pytest.CaptureFixture[str]) -> None:
    loading.alexnet_step(source, batch=2, model=alexnet_32(8), steps=1)
    assert [line.split("processor")[0].split(": ")[1].strip() for line in capsys.readouterr().out.splitlines()] == [
        "loading, no workers",
        "training step",
    ]


@needs_pytorch
def test_all_loaders_take_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loading.make_folder(tmp_path, count=8)
    shares = loading.beside_pytorch(ImageFolder(tmp_path), rounds=1, batch=4)
    assert list(shares) == ["minidl, threads", "minidl, processes", "PyTorch"]
    assert shares["PyTorch"] == (1, 1)
    assert capsys.readouterr().out.count("images/s") == 3


@needs_pytorch
def test_less_than_a_tick_of_the_processors_clock_counts_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading.make_folder(tmp_path, count=8)
    monkeypatch.setattr(loading, "processor_seconds", lambda: 1.5)
    shares = loading.beside_pytorch(ImageFolder(tmp_path), rounds=1, batch=4)
    assert {name: cpu for name, (cpu, _) in shares.items()} == dict.fromkeys(shares, 1.0)
