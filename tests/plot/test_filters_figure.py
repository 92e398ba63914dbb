import json

import numpy as np
from matplotlib.colors import to_rgb

from minidl.observe.filters_recording import FiltersRecording
from minidl.plot.filters_figure import filters
from minidl.plot.style import BROKEN, ZERO


def recording(scales=(1.0, 3.0, 0.01, 0.0), shape=(1, 2, 2)):
    pattern = np.ones(shape) / np.sqrt(np.prod(shape))
    return FiltersRecording("conv1", [scale * pattern for scale in scales])


def test_the_claim_is_the_range_of_the_norms_and_how_many_do_little():
    figure = filters(recording())
    assert figure.caption == (
        "The norms of the 4 filters of conv1 lie from 0 to 3; 1 are below a tenth of the largest; 1 are exactly 0."
    )
    assert figure.numbers["panels"][""]["order"] == [1, 0, 2, 3]
    np.testing.assert_allclose(figure.numbers["panels"][""]["norm"], [3, 1, 0.01, 0])
    json.dumps(figure.numbers, allow_nan=False)


def test_all_networks_share_one_scale_and_the_strongest_comes_first():
    figure = filters({"before": recording((1.0, 0.5)), "after": recording((4.0, 0.5))})
    assert figure.numbers["limit"] == 2.0
    weak, strong = (ax.images[0].get_array()[0, 0] for ax in figure.axes)
    assert weak.min() > strong.min()  # paler
    assert strong[2] > strong[1]  # purple is positive


def test_zero_is_grey_and_not_finite_red():
    found = recording((1.0, 0.0, 1.0))
    found.weight[2, 0, 0, 1] = np.nan
    figure = filters(found)
    images = [image.get_array() for image in figure.axes[0].images]  # the one without a norm first
    np.testing.assert_allclose(images[0][0, 1], to_rgb(BROKEN))
    np.testing.assert_allclose(images[2][0, 0], to_rgb(ZERO))
    assert "1 are not finite" in figure.caption


def test_three_channels_are_colours_and_others_are_averaged():
    red = np.zeros((1, 3, 2, 2))
    red[:, 0] = 1.0
    np.testing.assert_allclose(filters(FiltersRecording("c", red)).axes[0].images[0].get_array()[0, 0], [1, 0.5, 0.5])
    five = filters(FiltersRecording("c", np.ones((1, 5, 2, 2))))
    assert five.numbers["limit"] == 1.0


def test_of_many_filters_the_strongest_64_are_drawn():
    figure = filters(recording(np.arange(1, 101)))
    assert len(figure.axes[0].images) == 64
    assert len(figure.numbers["panels"][""]["norm"]) == 100


def test_a_single_filter_has_no_range():
    assert filters(FiltersRecording("conv1", np.full((1, 1, 2, 2), 0.5))).caption == (
        "The norm of the only filter of conv1 is 1."
    )
