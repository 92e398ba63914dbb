"""Every public class and function has an example in its help, and every example does what it says.

They stand in `minidl/examples/PACKAGE.md`, under a heading each. A new public name needs one: a test says which.
"""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.backend import choice
from minidl.examples.reading import examples_of
from tests.test_public import PUBLIC


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Where new tensors are made, which an example may say, is as before when it ends."""
    default = choice._process_default
    yield
    choice._process_default = default


FILES = {
    {"nn.init": "init", "data.transforms": "transforms", "derivatives.curvature": "curvature"}.get(
        package.__name__.removeprefix("minidl."), package.__name__.split(".")[-1]
    ): package
    for package in PUBLIC
}
# Without a prompt: they need a GPU, a download or seconds.
NOT_RUN = {"GraphedStep", "alexnet", "cifar10", "fashion_mnist", "mnist", "pinned", "sent_ahead"}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def has_help(thing: Any) -> bool:
    """Whether something is a class or function of minidl's own, and no alias of a type."""
    return (
        callable(thing) and str(getattr(thing, "__module__", "")).startswith("minidl.") and hasattr(thing, "__name__")
    )


ALL = [(file, name, text) for file in FILES for name, text in examples_of(file).items()]


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On the CPU, in a folder of its own: what an example prints is what a student without a GPU sees."""
    monkeypatch.chdir(tmp_path)
    before = md.get_num_threads()
    with md.using("numpy"):
        yield
    md.set_num_threads(before)


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_everything_public_has_an_example_in_its_help(package: ModuleType) -> None:
    things = {name: getattr(package, name) for name in package.__all__}
    helped = {name: thing.__doc__ or "" for name, thing in things.items() if has_help(thing)}
    assert not [name for name, text in helped.items() if "Examples:\n" not in text]


def test_every_example_is_of_something_public() -> None:
    assert not [(file, name) for file, name, _ in ALL if name not in FILES[file].__all__]


@pytest.mark.parametrize(("file", "name", "text"), ALL, ids=[f"{file}.{name}" for file, name, _ in ALL])
def test_an_example_shows_what_it_says(file: str, name: str, text: str) -> None:
    names = {"np": np, "md": md, "F": F, "nn": nn, "__name__": "__main__"}
    example = doctest.DocTestParser().get_doctest(text, names, f"{file}.{name}", None, 0)
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=said.append)
    assert result.failed == 0, "".join(said)
    assert (result.attempted == 0) == (name in NOT_RUN)


def test_a_wrong_example_would_be_noticed() -> None:
    example = doctest.DocTestParser().get_doctest(">>> md.zeros(1)\nTensor([1.])\n", {"md": md}, "wrong", None, 0)
    assert doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=lambda text: None).failed == 1
