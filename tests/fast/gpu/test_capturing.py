"""minidl/fast/gpu/capturing.py: what a step finds while it is captured, and nobody finds otherwise."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.autograd.modes import AGAIN, mode
from minidl.fast.gpu import capturing
from minidl.fast.graph import capture


def test_outside_of_a_captured_step_there_is_nothing(cupy: ModuleType) -> None:
    assert capturing.current.get() is None
    assert capturing.place_of_seed(3, lambda: 4) is None


def test_a_captured_step_finds_its_products_and_its_counter(cupy: ModuleType) -> None:
    found = []
    capture.captured(lambda: found.append(capturing.current.get()))
    assert capturing.current.get() is None
    assert found[0].arrived.shape == (1,)
    assert callable(found[0].products.product)


def test_every_launch_finds_new_seeds_where_the_first_ones_lay(cupy: ModuleType) -> None:
    coming = iter(range(10, 20))
    graph, places = capture.captured(lambda: [capturing.place_of_seed(seed, lambda: next(coming)) for seed in (1, 2)])
    for seeds in ([1, 2], [10, 11], [12, 13]):
        graph.launch()
        assert [float(backend.to_numpy(place)[0]) for place in places] == seeds


def test_what_runs_again_in_its_backward_finds_the_same_seed_in_every_launch(cupy: ModuleType) -> None:
    coming = iter(range(10, 20))

    def work() -> list[Any]:
        places = [capturing.place_of_seed(seed, lambda: next(coming)) for seed in (1, 2)]
        before = mode.set(mode.get() | AGAIN)
        places.append(capturing.place_of_seed(1, lambda: next(coming)))
        mode.reset(before)
        return places

    graph, places = capture.captured(work)
    for seeds in ([1, 2, 1], [10, 11, 10]):
        graph.launch()
        assert [float(backend.to_numpy(place)[0]) for place in places] == seeds


def test_there_is_place_for_so_many_seeds(cupy: ModuleType) -> None:
    def work() -> None:
        for _ in range(1000):
            capturing.place_of_seed(1, lambda: 1)

    with pytest.raises(md.GraphError, match=r"may draw random arrays \d+ times; this one does it more often"):
        capture.captured(work)
    assert capturing.current.get() is None


def test_memory_of_a_captured_step_is_counted(cupy: ModuleType) -> None:
    before = backend.memory_used("cupy")
    graph, kept = capture.captured(lambda: cupy.empty(1 << 16, dtype=np.float64))
    assert backend.memory_used("cupy") >= before + (1 << 19)
    del graph, kept
