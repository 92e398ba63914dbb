"""minidl/backend/random.py: weights and shuffles are drawn on the host, dropout where the arrays live."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.autograd.modes import mode
from minidl.backend.random import philox, philox_uniform
from tests.arrays import device, host


def draw() -> tuple[Any, Any]:
    weights = backend.generator().standard_normal(4)
    return weights, host(backend.device_uniform((3, 2), backend.module(backend.current())))


def test_one_seed_repeats_both_streams() -> None:
    md.seed(7)
    first = draw()
    md.seed(7)
    again = draw()
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    md.seed(8)
    assert not np.array_equal(draw()[0], first[0])


def test_dropout_does_not_move_the_host_stream() -> None:
    md.seed(7)
    without = backend.generator().random(3)
    md.seed(7)
    F.dropout(md.Tensor(device(np.ones(100, np.float32))), 0.5)
    np.testing.assert_array_equal(backend.generator().random(3), without)


def test_the_same_seed_gives_the_same_weights_on_both_backends(standin: ModuleType) -> None:
    md.seed(7)
    ours = md.randn(3, 3).numpy()
    with md.using("cupy"):
        md.seed(7)
        theirs = md.randn(3, 3)
        assert theirs.device == "cupy"
        np.testing.assert_array_equal(theirs.numpy(), ours)


def test_uniform_numbers_for_dropout() -> None:
    u = backend.device_uniform((1000,), backend.module(backend.current()))
    assert backend.device_of(u) == backend.current()
    assert u.dtype == np.float32
    values = host(u)
    assert 0 <= values.min() < 0.05
    assert 0.95 < values.max() < 1
    again = host(backend.device_uniform((1000,), backend.module(backend.current())))
    assert not np.array_equal(values, again)


def test_the_state_resumes_both_streams_bit_for_bit() -> None:
    draw()
    state = backend.random_state()
    first = draw()
    backend.restore_random_state(state)
    for a, b in zip(first, draw(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("value", [-1, 1.5, "7", True, None])
def test_a_seed_is_a_non_negative_integer(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a non-negative integer as the seed"):
        md.seed(value)


def test_without_a_seed_two_programs_differ() -> None:
    program = "import minidl as md; print(md.backend.generator().random())"
    runs = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout for _ in range(2)}
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # known answers, from the authors' Random123
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    found = philox([np.array([word], np.uint64) for word in counter], key)
    assert tuple(int(word[0]) for word in found) == words


@pytest.mark.parametrize("shape", [(), (0,), (1,), (4,), (3, 5), (1001,)])
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_a_device_draws_the_numbers_that_numpy_would_draw(standin: ModuleType, shape: Any, seed: int) -> None:
    found = philox_uniform(shape, standin.cupy, seed)
    assert isinstance(found, standin.cupy.ndarray)
    assert standin.synchronizations() == ()
    np.testing.assert_array_equal(host(found), philox_uniform(shape, np, seed), strict=True)


def test_what_philox_gives_is_uniform() -> None:
    values = philox_uniform((100_000,), np, 3).astype(np.float64)
    assert 0 <= values.min() < 1e-4
    assert 1 - 1e-4 < values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.005)
    assert values.var() == pytest.approx(1 / 12, abs=0.001)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(values, philox_uniform((100_000,), np, 4))[0, 1]) < 0.02


def test_one_seed_gives_one_mask_on_the_device_with_kernels_and_without(standin: ModuleType) -> None:
    x = md.Tensor(backend.to_device(np.ones((40, 5, 3), np.float32), "cupy"))
    for drop in (F.dropout, F.dropout1d):
        md.seed(3)
        found = host(drop(x))
        with md.plain():
            md.seed(3)
            np.testing.assert_array_equal(host(drop(x)), found)


# ---- threads and tasks


def alone_and_together(action: Callable[[int], Any]) -> tuple[list[Any], list[Any]]:
    """What `action` gives for 0 to 3, one after the other, and in four threads that take turns at every draw."""
    alone = [action(k) for k in range(4)]
    with ThreadPoolExecutor(4, initializer=mode.set, initargs=(mode.get(),)) as pool:  # plain lines here, plain there
        return alone, list(pool.map(action, range(4)))


def test_threads_that_seed_draw_what_they_would_draw_alone() -> None:
    turns = threading.Barrier(4)

    def several(k: int) -> list[Any]:
        md.seed(k)
        drawn = []
        for _ in range(5):
            if threading.current_thread() is not threading.main_thread():
                turns.wait(timeout=60)
            drawn += [x.tolist() for x in draw()]
        return drawn

    alone, together = alone_and_together(several)
    assert together == alone


def test_trainings_in_threads_give_the_weights_they_give_one_after_the_other() -> None:
    """Initialisation, order of the data, augmentation and dropout are all drawn from the thread's own seed."""
    data = md.data.Dataset(np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32), np.arange(40) % 3)

    def noisy(inputs: Any, rng: np.random.Generator) -> Any:
        return inputs + rng.normal(size=inputs.shape).astype(np.float32)

    def train(k: int) -> dict[str, list[Any]]:
        md.seed(k)
        with md.using("numpy"):
            model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
            loader = md.data.Loader(data, 4, transform=noisy, workers=k % 2)
            md.fit(model, md.optim.SGD(model, lr=0.1), loader, epochs=3, validation=data)
            model.summary((1, 6))
        return {"drawn after it": md.rand(2).numpy().tolist()} | {n: w.tolist() for n, w in model.state_dict().items()}

    alone, together = alone_and_together(train)
    assert together == alone


def test_tasks_that_seed_draw_what_they_would_draw_alone() -> None:
    async def several(k: int) -> list[float]:
        md.seed(k)
        drawn = []
        for _ in range(3):
            await asyncio.sleep(0)
            drawn.append(backend.generator().random())
        return drawn

    async def all_of_them() -> list[list[float]]:
        return list(await asyncio.gather(*map(several, range(3))))

    assert asyncio.run(all_of_them()) == [asyncio.run(several(k)) for k in range(3)]


def test_a_thread_that_does_not_seed_draws_from_the_programs_streams() -> None:
    def in_a_thread(action: Callable[[], Any]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(action).result()

    def draw_once() -> float:
        return float(backend.generator().random())

    md.seed(5)
    expected = [draw_once() for _ in range(3)]
    md.seed(5)
    assert [draw_once(), in_a_thread(draw_once), draw_once()] == expected
    md.seed(5)
    in_a_thread(lambda: md.seed(6))  # its own business
    assert draw_once() == expected[0]


def test_a_run_that_is_resumed_in_a_thread_does_not_turn_back_the_others() -> None:
    md.seed(5)
    state = backend.random_state()
    expected = [backend.generator().random() for _ in range(3)]

    def resumed() -> float:
        backend.restore_random_state(state)
        return backend.generator().random()

    md.seed(5)
    found = [backend.generator().random()]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(resumed).result() == expected[0]
    found.append(backend.generator().random())
    backend.restore_random_state(state)  # in the main thread it is the program that is put back
    with ThreadPoolExecutor(1) as pool:
        found.append(pool.submit(backend.generator().random).result())
    assert found == [expected[0], expected[1], expected[0]]


def test_what_is_drawn_apart_is_not_missed_later() -> None:
    md.seed(5)
    first = [x.tolist() for x in draw()]
    md.seed(5)
    with backend.random_apart():
        assert [x.tolist() for x in draw()] == first
        md.seed(7)
    assert [x.tolist() for x in draw()] == first
