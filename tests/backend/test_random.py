"""Two streams from one seed: weights and shuffles on the host, dropout where the arrays live."""

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
