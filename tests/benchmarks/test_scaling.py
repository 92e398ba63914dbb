"""The scaling figure: its exponents, and the claim in its caption."""

import json

import numpy as np
import pytest

import minidl as md
from benchmarks.scaling import SCALES, measure
from benchmarks.scaling_figure import UPPER, claim, draw, exponent

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("fixed", [0.0, 5.0])
def test_a_known_exponent_is_found_whatever_is_fixed(p, fixed):
    sizes = np.array(SIZES, float)
    values = fixed + 0.01 * sizes**p
    values[0] = fixed  # what the smallest takes is taken for fixed
    assert exponent(sizes, values) == pytest.approx((p, 0.01))


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_the_work_of_the_smallest_size_hardly_changes_the_exponent(p):
    sizes = np.array(SIZES, float)
    assert exponent(sizes, 5 + 0.01 * sizes**p)[0] == pytest.approx(p, abs=0.04)


def test_only_the_largest_sizes_count():
    sizes = np.array(SIZES, float)
    values = sizes.copy()
    values[0], values[1:-UPPER] = 0.0, 77.0
    assert exponent(sizes, values)[0] == pytest.approx(1)


def measured(time=1.0, memory=1.0):
    sizes = np.array(SIZES)
    scale = {
        "about": "a network",
        "sizes": SIZES,
        "seconds": list(1e-3 + 1e-4 * sizes**time),
        "mebibytes": list(10 + 0.1 * sizes**memory),
        "demanded": {"seconds": 1, "mebibytes": 1},
    }
    return {"figure": "scaling", "scales": {"batch": scale, "depth": {**scale, "about": "another"}}}


def test_the_caption_names_what_grows_fastest_beyond_its_arithmetic():
    figure = draw(measured(time=1.0, memory=1.5))
    exponents = figure.numbers["scales"]["batch"]["exponents"]
    assert exponents["mebibytes"] - 1 > exponents["seconds"] - 1
    assert f"by more than {exponents['mebibytes'] - 1:.2f} in the exponent" in figure.caption
    assert f"peak memory against batch: {exponents['mebibytes']:.2f} where 1 is demanded" in figure.caption
    slow = draw(measured(time=1.8)).numbers
    assert "step time against batch" in claim(slow)


def test_the_figure_carries_its_numbers_and_rows_share_their_axes():
    figure = draw(measured())
    json.dumps(figure.numbers, allow_nan=False)
    top, bottom = figure.axes[:2], figure.axes[2:]
    assert [ax.get_title(loc="left") for ax in top] == ["a network", "another"]
    assert [ax.get_xlabel() for ax in bottom] == ["batch", "depth"]
    assert top[0].get_ylim() == top[1].get_ylim()
    assert bottom[0].get_ylim() == bottom[1].get_ylim()
    np.testing.assert_allclose(top[0].lines[0].get_ydata(), 1e3 * np.array(measured()["scales"]["batch"]["seconds"]))


@pytest.mark.parametrize("name", SCALES)
def test_each_network_can_be_measured_at_its_smallest_size(name):
    scale = SCALES[name]
    assert all(b == 2 * a for a, b in zip(scale.sizes, scale.sizes[1:], strict=False))
    with md.using("numpy"):
        seconds, mebibytes = measure(name, scale.sizes[0])
    assert seconds > 0
    assert mebibytes >= 0
