"""What the tests of kernels share: a function of arrays is run on the stand-in (or the GPU), and beside it on NumPy."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from minidl import backend
from tests.cupy_standin.kernels import COMPILER

TOLERANCE = {"float16": 2e-3, "float32": 1e-5, "float64": 1e-12}  # relative to the largest number

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="kernels without a GPU need a C++ compiler")
dtypes = pytest.mark.parametrize("dtype", list(TOLERANCE))
wide = pytest.mark.parametrize("dtype", ["float32", "float64"])  # of kernels before which float16 is widened


def few(examples: int) -> Any:
    """So many drawn examples."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def numbers(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    """Normal numbers, a NumPy array."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def on_device(value: Any) -> Any:
    """A NumPy array as one of the device; anything else as it is."""
    return backend.to_device(value, "cupy") if isinstance(value, np.ndarray) else value


def both(function: Any, *args: Any) -> tuple[Any, Any]:
    """What `function` makes of the arrays on the device, without waiting for it, and what it makes of them on NumPy."""
    standin = _standin()
    there = [on_device(arg) for arg in args]
    if standin is not None:
        standin.reset_launches()
        standin.reset_synchronizations()
    found = function(*there)
    if standin is not None:
        assert standin.synchronizations() == ()
    results = found if isinstance(found, tuple) else (found,)
    with np.errstate(all="ignore"):  # as every op does it
        expected = function(*args)
    plain = expected if isinstance(expected, tuple) else (expected,)
    return tuple(backend.to_numpy(result) for result in results), tuple(np.asarray(result) for result in plain)


def _standin() -> ModuleType | None:
    """The stand-in if it is installed as `cupy`, else (a GPU) None."""
    from tests import cupy_standin

    return cupy_standin if backend.module("cupy") is cupy_standin.cupy else None


def launched() -> tuple[str, ...]:
    """What was launched since `both` began; () on a GPU."""
    standin = _standin()
    return () if standin is None else standin.launches()


def launches_of(function: Any) -> tuple[str, ...]:
    """What `function` launches; () on a GPU."""
    standin = _standin()
    if standin is not None:
        standin.reset_launches()
    function()
    return launched()


def assert_close(found: Any, expected: Any) -> None:
    """Equal in shape and dtype, and in value up to the tolerance of the dtype."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    scale = float(np.abs(expected.astype(np.float64)).max(initial=1.0)) if expected.size else 1.0
    np.testing.assert_allclose(
        found.astype(np.float64), expected.astype(np.float64), rtol=0, atol=scale * TOLERANCE[str(expected.dtype)]
    )
