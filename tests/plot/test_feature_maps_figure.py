import json

import numpy as np
from matplotlib.colors import to_rgb

from minidl.observe.filters_recording import MapsRecording
from minidl.plot.feature_maps_figure import feature_maps
from minidl.plot.style import BROKEN, ZERO


def recording(maps=None):
    maps = np.array([[[0, 1], [0, 1]], [[0, 0], [0, 0]], [[2, 2], [2, 2]]], dtype=float) if maps is None else maps
    return MapsRecording("act1", np.arange(9.0).reshape(1, 3, 3), maps)


def test_the_claim_is_how_many_maps_answer():
    figure = feature_maps(recording())
    assert figure.caption == "1 of 3 maps of act1 are 0 everywhere on this image; 50% of all their numbers are 0."
    assert figure.numbers["rows"][""]["order"] == [2, 0, 1]
    json.dumps(figure.numbers, allow_nan=False)
    alive = feature_maps(recording(np.ones((2, 2, 2))))
    assert alive.caption.startswith("Each of the 2 maps of act1 answers")


def test_the_strongest_comes_first_and_a_silent_one_is_grey():
    left, right = feature_maps(recording()).axes
    assert left.images[0].get_array().shape == (3, 3, 3)
    shown = [image.get_array() for image in right.images]
    assert shown[0][0, 0, 1] > shown[1][0, 0, 1]  # all at the limit: light
    np.testing.assert_allclose(shown[2][0, 0], to_rgb(ZERO))


def test_what_is_not_finite_is_red_and_named():
    figure = feature_maps(recording(np.array([[[np.nan, 1.0]], [[1.0, 0.0]]])))
    np.testing.assert_allclose(figure.axes[1].images[0].get_array()[0, 0], to_rgb(BROKEN))
    assert figure.caption.endswith("1 are not finite (NaN or infinite) somewhere.")


def test_layers_are_rows_and_32_maps_are_drawn():
    figure = feature_maps({"a": recording(), "b": recording(np.ones((40, 2, 2)))})
    assert len(figure.axes) == 4
    assert len(figure.axes[3].images) == 32
    assert [t.get_text() for t in figure.axes[3].texts] == ["the 32 strongest"]
