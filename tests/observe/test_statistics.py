import math

import numpy as np
import pytest

from minidl.observe.statistics import count_of, max_abs, mean_abs, norm
from tests.arrays import device, host


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_norm_mean_and_max_over_several_arrays_are_those_of_all_elements(dtype):
    arrays = [np.array([[3.0, -4.0]], dtype), np.array([0.0, 12.0, 2.0], dtype)]
    flat = np.concatenate([a.ravel() for a in arrays]).astype(np.float64)
    on_device = [device(a) for a in arrays]
    assert float(host(norm(on_device))) == pytest.approx(np.sqrt((flat**2).sum()))
    assert float(host(mean_abs(on_device))) == pytest.approx(abs(flat).mean())
    assert float(host(max_abs(on_device))) == 12.0
    assert count_of(on_device) == 5


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e-30), ("float16", 6e-8), ("float64", 1e-200)])
def test_sizes_do_not_underflow(dtype, size):
    array = np.full(100, size, dtype)
    size = float(array[0])
    assert float(host(norm([device(array)]))) == pytest.approx(10 * size, rel=1e-6)
    assert float(host(mean_abs([device(array)]))) == pytest.approx(size, rel=1e-6)
    assert float(host(max_abs([device(array)]))) == size


def test_the_mean_of_many_half_precision_numbers_does_not_overflow_or_stall():
    array = np.full(200_000, 1.5, np.float16)
    assert float(host(mean_abs([device(array)]))) == pytest.approx(1.5)


def test_nothing_to_measure_gives_none():
    assert norm([]) is None
    assert mean_abs([]) is None
    assert max_abs([device(np.zeros(0, np.float32))]) is None
    assert mean_abs([device(np.zeros(0, np.float32))]) is None


def test_zeros_give_zero_and_nan_stays_visible():
    assert float(host(norm([device(np.zeros(3, np.float32))]))) == 0
    assert math.isnan(float(host(max_abs([device(np.array([1.0, np.nan], np.float32))]))))
    assert math.isinf(float(host(norm([device(np.array([1.0, np.inf], np.float32))]))))


@pytest.mark.parametrize("count", [3, 100_000])
def test_a_square_that_overflows_is_no_warning(count, recwarn):
    array = np.full(count, 1e30, dtype=np.float32)
    assert float(norm([array])) == pytest.approx(1e30 * count**0.5, rel=1e-5)
    assert not recwarn.list
