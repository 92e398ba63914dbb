"""minidl/backend/random.py: weights and shuffles are drawn on the host, dropout where the arrays live."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
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
