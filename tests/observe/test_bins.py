import numpy as np
import pytest

from minidl.observe.bins import BINS, OCTAVES, SAMPLE, SIDE, counted, edges


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_each_number_is_between_the_edges_of_its_bin(dtype):
    rng = np.random.default_rng(0)
    for value in rng.choice([-1, 1], 50) * 10.0 ** rng.uniform(-3, 3, 50):
        value = np.asarray(value, dtype=dtype)
        counts, top, _ = counted(np.array([value, np.asarray(2000, dtype=dtype)]))
        places = edges(top)
        (others,) = np.nonzero(counts)
        found = next(i for i in others if i != others[-1] or len(others) == 1)
        k = found - SIDE if value > 0 else SIDE - 1 - found
        assert places[k] - 1e-9 <= np.log10(abs(float(value))) < places[k + 1] + 1e-9


def test_bins_run_from_the_largest_negative_number_to_the_largest_positive_one():
    counts, _, zeros = counted(np.array([-4.0, -1.0, 0.0, 1.0, 4.0]))
    (found,) = np.nonzero(counts)
    assert len(found) == 4
    assert (BINS - 1 - found[::-1]).tolist() == found.tolist()
    assert zeros == 0.2


def test_an_edge_is_at_each_power_of_two_and_25_percent_is_the_widest_bin():
    places = edges(1.0)
    assert places[-1] == pytest.approx(np.log10(2))
    assert places[0] == pytest.approx((1 - OCTAVES) * np.log10(2))
    assert 10 ** np.diff(places).max() == pytest.approx(1.25)


def test_what_is_too_small_is_in_the_lowest_bin_whatever_its_size():
    counts, top, _ = counted(np.array([1.0, 1e-300, -5e-324]))
    assert top == 1
    assert counts[SIDE] == counts[SIDE - 1] == 1


def test_numbers_of_1e_300_have_bins_as_fine_as_any():
    counts, top, _ = counted(np.array([1e-300, 2e-300, 4e-300]))
    assert np.count_nonzero(counts) == 3
    assert edges(top)[-1] == pytest.approx(-299.4, abs=0.3)


def test_what_is_not_finite_or_not_there_is_in_no_bin():
    counts, top, zeros = counted(np.array([np.nan, np.inf, -np.inf]))
    assert not counts.any()
    assert np.isnan(top)
    assert zeros == 0
    assert counted(np.zeros((2, 3)))[2] == 1
    assert np.isnan(counted(np.zeros(0))[2])


def test_of_many_numbers_evenly_spaced_ones_are_counted():
    counts, _, zeros = counted(np.tile([1.0, 0.0, 2.0], SAMPLE))
    assert counts.sum() <= SAMPLE
    assert zeros == pytest.approx(1 / 3, abs=0.01)
