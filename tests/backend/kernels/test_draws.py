"""The kernel draws the very numbers that Philox gives."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from minidl import backend
from minidl.backend.kernels.draws import philox, uniform
from tests.backend.kernels.agreement import needs_compiler, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]


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
def test_philox(counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]) -> None:
    found = philox(np.array(counter, np.uint64)[:, None], np.array(key, np.uint64))
    assert tuple(int(word) for word in found[:, 0]) == words


@pytest.mark.parametrize("shape", [(), (0,), (1,), (4,), (3, 5), (1001,)])
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_the_kernel_draws_the_same(cupy: ModuleType, shape: tuple[int, ...], seed: int) -> None:
    expected = uniform(shape, np, seed)
    found = backend.to_numpy(uniform(shape, cupy, seed))
    np.testing.assert_array_equal(found, expected, strict=True)
    live = on_device(np.array([float(seed)]))
    np.testing.assert_array_equal(backend.to_numpy(uniform(shape, cupy, 99, live)), expected)


def test_they_are_uniform(cupy: ModuleType) -> None:
    values = backend.to_numpy(uniform((100_000,), cupy, 3)).astype(np.float64)
    assert 0 <= values.min() < 1e-4
    assert 1 - 1e-4 < values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.005)
    assert values.var() == pytest.approx(1 / 12, abs=0.001)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02
    other = backend.to_numpy(uniform((100_000,), cupy, 4))
    assert abs(np.corrcoef(values, other)[0, 1]) < 0.02
