import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from minidl.observe.curvature_recording import CurvatureRecording
from minidl.plot.curvature_figure import curvature

GRADIENT = 10.0 ** np.array([-4, -3, -2, -1])


def recording(largest=GRADIENT**2, gradient=GRADIENT, steps=3):
    rows = np.ones((steps, 1))
    return CurvatureRecording(
        ["fc1", "fc2", "fc3", "fc4"],
        np.arange(steps),
        np.ones(steps),
        rows * largest,
        -rows * np.abs(largest),
        rows * gradient,
    )


def test_a_small_gradient_that_means_low_curvature_is_answered_with_yes_and_the_numbers():
    figure = curvature(recording())
    assert figure.caption == (
        "Yes, the smaller a layer's gradient, the lower its curvature (rank correlation +1.00 over 4 layers, median of "
        "the 3 of 3 steps at which their gradients differ by more than a factor of 2; +2.00 decades of curvature per "
        "decade of gradient)."
    )
    assert figure.numbers["panels"][""]["slope"] == pytest.approx([2.0] * 3)
    json.dumps(figure.numbers, allow_nan=False)


def test_other_answers():
    assert curvature(recording(GRADIENT[::-1])).caption.startswith("No, layers with a small gradient have no lower")
    assert curvature(recording(GRADIENT[[1, 0, 3, 2]])).caption.startswith("Partly: ")
    turned = recording()
    turned.largest[1] = turned.largest[1, ::-1]
    assert curvature(turned).caption.startswith("Mostly: the smaller a layer's gradient, the lower its curvature (rank")
    assert "over 4 layers, but \N{MINUS SIGN}1.00 at step 1, median of the 3 of 3 steps" in curvature(turned).caption
    lost = curvature(recording(np.full(4, -1.0)))
    assert lost.caption.startswith("At none of 3 steps are there three layers with a positive curvature")


def test_an_order_among_gradients_that_hardly_differ_is_no_answer():
    found = recording()
    found.gradient_norm[1] = [0.11, 0.12, 0.13, 0.14]
    panel = curvature(found).numbers["panels"][""]
    assert panel["rank_correlation"] == [1.0, None, 1.0]
    assert panel["gradients_differ_by"][1] == pytest.approx(14 / 11)
    assert "the 2 of 3 steps" in curvature(found).caption


def test_each_layer_is_a_trail_over_the_steps_that_ends_at_its_name():
    grown = recording(steps=2)
    grown.largest[1] *= 5
    ax = curvature(grown).axes[0]
    trails = [line for line in ax.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]
    np.testing.assert_allclose(trails[0].get_ydata(), [1e-8, 5e-8])
    assert [t.get_text() for t in ax.texts] == ["fc1", "fc2", "fc3", "fc4"]
    assert ax.texts[0].xy == pytest.approx((1e-4, 5e-8))


def test_what_is_not_positive_has_a_row_and_what_is_not_finite_a_cross():
    figure = curvature(recording(np.array([-1.0, np.inf, 1e-2, 1e-1]), steps=1))
    ax = figure.axes[0]
    assert [list(x.get_xdata()) for x in ax.lines if x.get_marker() == "x"] == [[pytest.approx(1e-3)]]
    lowest = min(line.get_ydata()[0] for line in ax.lines if line.get_marker() == "o")
    assert ax.yaxis.get_major_formatter()(lowest) == "0"
    assert figure.numbers["panels"][""]["rank_correlation"] == [None]  # two layers are left: too few


def test_networks_are_panels_on_shared_axes_and_nothing_is_refused():
    figure = curvature({"a": recording(), "b": recording(GRADIENT)})
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    with pytest.raises(ValueError, match=r"holds no step: call curvature\.look"):
        curvature(recording(steps=0))
    ax = Figure().subplots()
    assert curvature(recording(), axes=ax) is ax.figure


def test_one_comparable_step_of_nine_is_no_answer():
    found = recording(steps=9)
    found.gradient_norm[1:] = 1.0
    assert curvature(found).caption == (
        "Hardly ever is there anything to compare: at 1 of 9 steps the gradients of the layers differ by more than a "
        "factor of 2 (rank correlation +1.00 there)."
    )


def test_where_nothing_is_finite_that_is_the_claim():
    assert curvature(recording(largest=np.full(4, np.inf), gradient=np.full(4, np.inf))).caption == (
        "Gradient or curvature is not finite (NaN or infinite) in layers fc1 to fc4."
    )
