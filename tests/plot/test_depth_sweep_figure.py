import json

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from minidl.observe.depth_recording import DepthRecording
from minidl.plot.depth_sweep_figure import depth_sweep
from minidl.plot.style import BROKEN, ZERO


def recording(slope=((0.6, 0.7), (0.0, -0.02)), zero=0.0):
    slope = np.array(slope)[..., None] + np.array([-0.01, 0.0, 0.01])
    return DepthRecording(["sigmoid", "relu"], [5, 20], slope, np.broadcast_to(zero, slope.shape).copy())


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_each_field_has_the_median_slope_and_the_claim_the_worst_and_the_most_level():
    figure = depth_sweep(recording())
    assert words(figure) == ["+0.60", "+0.70", "0.00", "\N{MINUS SIGN}0.02"]
    assert figure.caption == (
        "At 20 hidden layers the gradient of sigmoid falls most, 0.70 decades a layer, and that of relu is most level "
        "(\N{MINUS SIGN}0.02)."
    )
    np.testing.assert_allclose(figure.numbers["slope"]["max"], np.array([[0.61, 0.71], [0.01, -0.01]]))
    json.dumps(figure.numbers, allow_nan=False)


def test_falling_and_growing_have_different_colours_and_level_is_white():
    faces = [patch.get_facecolor()[0] for patch in depth_sweep(recording([[0.6, -0.6], [0, 0]])).axes[0].collections]
    falls, grows, level, _ = (to_rgb(face) for face in faces)
    assert falls[2] > falls[1]  # purple
    assert grows[0] > grows[2]  # orange
    assert min(level) > 0.95


def test_zero_and_not_finite_have_colours_and_words_of_their_own():
    figure = depth_sweep(recording([[np.nan, 0.5], [np.inf, 0.1]], zero=[[[1.0], [0.2]], [[0.0], [0.0]]]))
    faces = [to_rgb(patch.get_facecolor()[0]) for patch in figure.axes[0].collections]
    assert faces[0] == faces[1] == to_rgb(ZERO)
    assert faces[2] == to_rgb(BROKEN)
    assert words(figure) == ["0", "+0.50, 0", "inf", "+0.10"]
    assert figure.caption.endswith("It is exactly 0 in a layer of sigmoid. It is not finite in relu.")


def test_it_draws_into_given_axes():
    ax = Figure().subplots()
    assert depth_sweep(recording(), ax=ax) is ax.figure
    assert depth_sweep(recording(), style="slides").get_size_inches()[0] < depth_sweep(recording()).get_size_inches()[0]


def test_every_kind_and_depth_is_named():
    ax = depth_sweep(recording()).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["sigmoid", "relu"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["5", "20"]


def test_a_recording_without_a_single_number_can_be_drawn():
    figure = depth_sweep(recording([[np.nan] * 2] * 2, zero=1.0))
    assert figure.caption == "It is exactly 0 in a layer of sigmoid, relu."
    assert words(figure) == ["0"] * 4
