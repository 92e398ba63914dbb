import json

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from minidl.observe.boundary_recording import BoundaryRecording
from minidl.plot.decision_boundary_figure import decision_boundary
from minidl.plot.style import ARMS, BROKEN


def recording(answer=None, point_answer=(0, 1, 1)):
    """Class 0 on the left half, 1 on the right."""
    x, y = np.linspace(-1, 1, 8), np.linspace(-1, 1, 6)
    answer = np.tile(x > 0, (6, 1)).astype(int) if answer is None else answer
    return BoundaryRecording(
        x, y, answer, np.where(answer < 0, np.nan, 0.9), [[-0.5, 0], [0.5, 0], [-0.6, 0.2]], [0, 1, 0], point_answer
    )


def test_the_claim_is_how_many_points_lie_on_ground_of_their_own_class():
    figure = decision_boundary({"net": recording()})
    assert figure.caption == "net: 2 of 3 points (66.7%) lie on ground of their own class."
    assert figure.numbers["panels"]["net"]["share"] == [0.5, 0.5]
    json.dumps(figure.numbers, allow_nan=False)


def test_the_ground_has_the_colour_of_its_class_and_is_paler_where_it_is_unsure():
    image = decision_boundary(recording()).axes[0].images[0].get_array()
    left, right = image[0, 0], image[0, -1]
    assert np.argsort(left).tolist() == np.argsort(to_rgb(ARMS[0])).tolist()
    assert np.argsort(right).tolist() == np.argsort(to_rgb(ARMS[1])).tolist()


def test_mistakes_are_ringed_in_black():
    found = decision_boundary(recording()).axes[0].collections
    ringed = [c for c in found if len(c.get_offsets()) and to_rgb(c.get_edgecolor()[0]) == (0, 0, 0)]
    offsets = np.concatenate([c.get_offsets() for c in ringed if c.get_sizes().size])
    assert [-0.6, 0.2] in offsets.tolist()


def test_ground_without_a_finite_score_is_red_and_named():
    lost = np.full((6, 8), -1)
    figure = decision_boundary(recording(lost, (-1, -1, -1)))
    np.testing.assert_allclose(figure.axes[0].images[0].get_array()[2, 2], to_rgb(BROKEN))
    assert figure.caption.endswith("on 100% of the ground the scores are not finite (NaN or infinite).")


def test_it_draws_into_given_axes():
    ax = Figure().subplots()
    assert decision_boundary(recording(), axes=ax) is ax.figure
