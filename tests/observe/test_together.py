import numpy as np
import pytest

from minidl.observe.together import ROW, Together


def arrays(dtype, scale=1.0):
    rng = np.random.default_rng(0)
    shapes = [(3, 5), (), (ROW,), (ROW + 1,), (40, 30)]
    return [np.asarray(scale * rng.normal(size=shape), dtype=dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e-30, 1e30, 0.0])
def test_each_array_has_the_norm_the_sum_and_the_maximum_it_has_alone(dtype, scale):
    found = arrays(dtype, scale)
    together = Together([a.size for a in found], dtype)
    buffer = together.new_buffer()
    assert together.load(found, buffer)
    wide = [a.astype(np.float64) for a in found]
    np.testing.assert_allclose(together.norms(buffer), [np.linalg.norm(a.ravel()) for a in wide], rtol=1e-6)
    sums, maxima = together.sums_and_maxima(buffer)
    np.testing.assert_allclose(sums, [abs(a).sum() for a in wide], rtol=1e-6)
    np.testing.assert_array_equal(maxima, [abs(a).max() for a in wide])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_with_its_array(bad):
    found = arrays("float32")
    found[3][7] = bad
    together = Together([a.size for a in found], "float32")
    buffer = together.new_buffer()
    together.load(found, buffer)
    assert np.isfinite(together.norms(buffer)).tolist() == [True, True, True, False, True]
    sums, maxima = together.sums_and_maxima(buffer)
    assert np.isfinite(sums).tolist() == np.isfinite(maxima).tolist() == [True, True, True, False, True]


def test_a_sum_beyond_float32_is_no_infinity():
    together = Together([4], "float32")
    buffer = together.new_buffer()
    together.load([np.full(4, 2e38, dtype=np.float32)], buffer)
    assert together.sums_and_maxima(buffer)[0][0] == pytest.approx(8e38)


def test_what_is_not_there_counts_as_zeros_and_memory_in_any_order_is_read():
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    together = Together([6, 5], "float32")
    buffer = together.new_buffer()
    assert together.load([matrix.T, None], buffer)
    assert buffer[:6].tolist() == [0, 3, 1, 4, 2, 5]
    assert together.load([matrix.T, None], buffer, in_order=False)
    assert buffer[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert not buffer[6:].any()


@pytest.mark.parametrize("other", [np.zeros(6), np.zeros(5, dtype=np.float32), [0.0] * 6])
def test_other_arrays_than_announced_are_not_loaded(other):
    together = Together([6], "float32")
    buffer = together.new_buffer()
    buffer[:] = 7
    assert not together.load([other], buffer)
    assert (buffer == 7).all()
