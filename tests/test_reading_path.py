"""The reading path: what a class reads, and steps through, to follow one training step, and how long that is.

Under `md.plain()` a step of an MLP enters the files of `MLP` and no other of the package; with convolution and pooling
it also enters those of `CONVOLUTION`. Both lists have a budget in lines, docstrings counted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.autograd.writes import activity
from minidl.functional.arithmetic import Mul

ROOT = Path(md.__file__).parent

MLP = {
    "autograd/accumulation.py",
    "autograd/backward.py",
    "autograd/function.py",
    "autograd/operands.py",
    "autograd/variable.py",
    "autograd/versions.py",
    "autograd/writes.py",
    "backend/arrays.py",
    "checks.py",
    "functional/activation.py",
    "functional/axes.py",
    "functional/broadcasting.py",
    "functional/classification.py",
    "functional/labels.py",
    "functional/masking.py",
    "functional/precision.py",
    "functional/probabilities.py",
    "functional/products.py",
    "functional/reshaping.py",
    "functional/targets.py",
    "nn/linear.py",
    "nn/module.py",
    "optim/layer_view.py",
    "optim/optimizer.py",
    "optim/sgd.py",
    "optim/trained.py",
    "tensors/array.py",
    "tensors/tensor.py",
}
CONVOLUTION = {
    "functional/conv.py",
    "functional/geometry.py",
    "functional/pooling.py",
    "nn/conv.py",
    "nn/pooling.py",
}


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(100, 8)
        self.fc2 = nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        return self.fc2(F.relu(self.fc1(F.flatten(x, 1))))


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.max = nn.MaxPool2d(2)
        self.mean = nn.AvgPool2d(2)
        self.fc = nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        return self.fc(F.flatten(self.mean(self.max(F.relu(self.conv(x)))), 1))


def files_of_a_step(model: nn.Module) -> set[str]:
    """The files of minidl in which a function is called during the second training step, as 'nn/linear.py'."""
    optimizer = md.optim.SGD(model, lr=0.1, momentum=0.9)
    images, labels = np.ones((6, 1, 10, 10), np.float32), np.arange(6) % 4
    found = set()

    def step() -> None:
        loss = F.cross_entropy(model(md.Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            found.add(path.relative_to(ROOT).as_posix())

    with md.plain():
        step()
        sys.setprofile(profile)
        try:
            step()
        finally:
            sys.setprofile(None)
    return found


def lines(files: set[str]) -> int:
    return sum(len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files)


@pytest.fixture(autouse=True)
def _on_numpy() -> Any:
    with md.using("numpy"):
        yield


def test_a_step_of_an_mlp_enters_these_files_and_no_other() -> None:
    assert files_of_a_step(Dense()) == MLP


def test_a_step_with_convolution_and_pooling_enters_few_more() -> None:
    assert files_of_a_step(Convolutional()) - MLP == CONVOLUTION


def test_the_path_is_short() -> None:
    assert lines(MLP) <= 4000
    assert lines(CONVOLUTION) <= 900


# ---- in a debugger


def events_before(action: Callable[[], Any], code: Any) -> list[tuple[str, str]]:
    """What `sys.settrace` tells of between the call of `action` and that of the function with `code`: (event, file)."""
    found: list[tuple[str, str]] = []

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call" and frame.f_code is code:
            sys.settrace(None)
            return None
        if frame.f_code.co_filename != __file__:
            found.append((event, frame.f_code.co_filename))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return found


def pair() -> tuple[md.Tensor, md.Tensor]:
    return md.tensor([1.0, 2.0, 3.0], requires_grad=True), md.tensor([4.0, 5.0, 6.0], requires_grad=True)


def test_a_product_reaches_its_forward_in_twenty_events() -> None:
    w, x = pair()
    with md.plain():
        w * x
        found = events_before(lambda: w * x, Mul.forward.__code__)
    assert 0 < len(found) <= 20
    assert all(Path(file).is_relative_to(ROOT) for _, file in found)  # none of them in NumPy's own Python code


def test_a_backward_reaches_the_first_op_in_sixty_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "guards", 0)  # of arrays that other tests have looked at and still hold
    w, x = pair()
    with md.plain():
        F.sum(w * x).backward()
        loss = F.sum(w * x)
        found = events_before(loss.backward, Mul.backward.__code__)
    assert 0 < len(found) <= 60
    assert all(Path(file).is_relative_to(ROOT) for _, file in found)
