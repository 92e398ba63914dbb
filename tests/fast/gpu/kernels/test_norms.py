"""The norm of several arrays: the kernel computes what `l2_norm` does on NumPy, in one launch."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import backend
from minidl.fast.gpu.kernels import norms
from minidl.fast.gpu.kernels.norms import norm_of
from minidl.optim.norms import l2_norm
from tests.cupy_standin import kernels as standin_kernels
from tests.fast.gpu.kernels.agreement import dtypes, few, launches_of, needs_compiler, numbers, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]


def assert_agrees(arrays: list[Any]) -> None:
    found = norm_of([on_device(array) for array in arrays])
    with np.errstate(all="ignore"):
        expected = l2_norm(arrays)
    assert found.dtype == np.float64
    assert found.shape == ()
    np.testing.assert_allclose(backend.to_numpy(found), expected, rtol=1e-13)


@few(60)
@given(
    shapes=st.lists(st.sampled_from([(), (0,), (1,), (3, 4), (33,), (5, 0), (700,)]), min_size=1, max_size=5),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    piece=st.sampled_from([1, 8, 2048]),
    most=st.sampled_from([1, 5, 4096]),
)
def test_kernel_and_plain_version_agree(cupy: ModuleType, shapes: Any, dtype: str, piece: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(norms, "_PIECE", piece)
        patch.setattr(norms, "_MOST_PIECES", most)
        assert_agrees([numbers(shape, dtype, i) for i, shape in enumerate(shapes)])


@pytest.mark.parametrize("arithmetic", ["cpu", "gpu"])
@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("float16", [6e-5, 6e4]),
        ("float32", [1e-25, 1e-30]),
        ("float32", [1e30, 1, 3e38]),
        ("float32", [1.1e-38, -1e-40, 1e-45, 0]),  # CuPy counts them as 0
        ("float64", [5e-324, 0]),  # the smallest number there is
        ("float64", [1e-200, 3e-170, 1e-121]),
        ("float64", [1e-120, 1e-122, 3e-121]),  # on both sides of where numbers count as small
        ("float64", [1e120, 3e120, 1]),  # and as large
        ("float64", [1e308, 1e308, 1e-308]),
        ("float64", [0.0, -0.0]),
    ],
)
def test_no_square_is_lost(
    cupy: ModuleType, dtype: str, values: list[float], arithmetic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standin_kernels, "arithmetic", arithmetic)
    assert_agrees([np.array(values, dtype)])
    assert_agrees([np.array([value], dtype) for value in values])


@dtypes
def test_infinity_and_nan_are_what_they_are(cupy: ModuleType, dtype: str) -> None:
    inf, nan = math.inf, math.nan
    for values in ([1, -inf], [1, nan], [inf, nan], [nan, 0]):
        assert_agrees([np.array(values, dtype), np.ones(3, dtype)])


@dtypes
def test_it_is_one_launch_and_nobody_waits(standin: ModuleType, dtype: str) -> None:
    arrays = [on_device(numbers(shape, dtype)) for shape in ((3, 4), (5,), (2, 2, 2))]
    norm_of(arrays)  # makes the counter
    assert launches_of(lambda: norm_of(arrays)) == ("norm_of_arrays",)
    assert standin.synchronizations() == ()


def test_more_arrays_than_one_launch_takes(cupy: ModuleType) -> None:
    assert_agrees([numbers((3,), "float32", i) for i in range(250)])


def test_any_layout(cupy: ModuleType) -> None:
    x = numbers((6, 4), "float32")
    assert float(norm_of([on_device(x).T[::2]])) == pytest.approx(float(l2_norm([x.T[::2]])), rel=1e-13)


@dtypes
def test_32_threads_add_up_among_themselves(cupy: ModuleType, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_kernels, "threads_in_a_warp", 32)
    monkeypatch.setattr(norms, "_PIECE", 50)
    assert_agrees([numbers((700,), dtype), numbers((31,), dtype, 1)])
