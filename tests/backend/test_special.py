"""minidl/backend/special.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minidl import backend
from tests.arrays import device, host


def exact(x):
    return np.array([math.erf(v) for v in x.astype(np.float64)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erf_is_right_to_five_units_in_the_last_place(dtype):
    smallest = np.log10(np.finfo(dtype).tiny) + 1
    x = np.concatenate([np.linspace(-7, 7, 60001), np.logspace(smallest, 1, 20000)]).astype(dtype)
    found = host(backend.erf(device(x)))
    assert found.dtype == dtype
    one_unit = np.spacing(np.abs(exact(x)).astype(dtype)).astype(np.float64)
    assert (np.abs(found.astype(np.float64) - exact(x)) / one_unit).max() <= 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erf_of_special_values(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 6, -6, 1e30, -1e30], dtype)
    found = host(backend.erf(device(x)))
    np.testing.assert_array_equal(found, np.array([np.nan, 1, -1, 0, -0.0, 1, -1, 1, -1], dtype), strict=True)
    assert np.signbit(found[4])
    tiny = np.finfo(dtype).smallest_subnormal * 1000
    assert host(backend.erf(device(np.array(tiny, dtype)))) == pytest.approx(tiny * 2 / math.sqrt(math.pi), rel=1e-3)


def test_erf_never_leaves_minus_one_to_one_and_never_falls():
    for dtype in ("float32", "float64"):
        found = host(backend.erf(device(np.linspace(-7, 7, 5001, dtype=dtype))))
        assert np.abs(found).max() == 1
        assert (np.diff(found) >= -2 * np.finfo(dtype).eps).all()


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (300, 300)])
def test_erf_in_every_shape_and_layout(shape):
    x = np.linspace(-3, 3, math.prod(shape)).reshape(shape)
    for given in (device(x), device(x).transpose(), device(x)[..., ::-1] if shape else device(x)):
        before = host(given)
        found = host(backend.erf(given))
        assert found.shape == given.shape
        np.testing.assert_allclose(found, exact(before.reshape(-1)).reshape(given.shape), rtol=1e-14)
        np.testing.assert_array_equal(host(given), before)


def test_on_a_device_it_is_cupys_own(standin):
    x = standin.cupy.asarray(np.array([0.5, -2.0], np.float32))
    found = backend.erf(x)
    assert isinstance(found, standin.cupy.ndarray)
    assert standin.synchronizations() == ()
    np.testing.assert_allclose(host(found), [0.52049988, -0.99532227], rtol=1e-6)
