"""The norm on a GPU: one launch for all arrays of a dtype."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.optim.norms import l2_norm
from tests.arrays import host
from tests.cupy_standin import kernels as standin_kernels

pytestmark = pytest.mark.skipif(standin_kernels.COMPILER is None, reason="kernels without a GPU need a C++ compiler")


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("dtypes", [["float32"] * 3, ["float16", "float32", "float64"], ["float64", "float32"] * 2])
def test_it_is_the_plain_norm(dtypes: list[str]) -> None:
    rng = np.random.default_rng(0)
    arrays = [backend.to_device(rng.standard_normal((5, 7)).astype(dtype), "cupy") for dtype in dtypes]
    with md.plain():
        expected = float(host(l2_norm(arrays)))
    found = l2_norm(arrays)
    assert backend.device_of(found) == "cupy"
    assert float(host(found)) == pytest.approx(expected, rel=1e-14)


def test_arrays_of_one_dtype_are_one_launch(standin: ModuleType) -> None:
    arrays = [backend.to_device(np.ones(n, np.float32), "cupy") for n in range(1, 5)]
    l2_norm(arrays)
    standin.reset_launches()
    l2_norm(arrays)
    assert standin.launches() == ("norm_of_arrays",)
    assert standin.synchronizations() == ()


@pytest.mark.usefixtures("cupy")
def test_integers_are_left_to_the_plain_lines() -> None:
    assert float(host(l2_norm([backend.to_device(np.array([3, 4]), "cupy")]))) == 5
