import json

import numpy as np
from matplotlib.figure import Figure

from minidl.observe.range_recording import RangeRecording
from minidl.plot.rate_range_figure import rate_range


def recording(smooth=(2.0, 1.9, 1.0, 0.8, 2.5), loss=None):
    return RangeRecording(10.0 ** np.arange(-4, len(smooth) - 4), smooth if loss is None else loss, smooth)


def test_the_claim_is_where_the_loss_falls_fastest_and_where_it_is_lowest():
    figure = rate_range(recording())
    run = figure.numbers["runs"][""]
    assert (run["steepest"], run["lowest"]) == (0.01, 0.1)
    assert figure.caption == "The loss falls fastest at a rate of 0.01 and is lowest at 0.1; at 1 it has grown again."
    json.dumps(figure.numbers, allow_nan=False)


def test_dot_and_ring_stand_on_the_smoothed_line():
    ax = rate_range(recording()).axes[0]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [(d.get_xdata()[0], d.get_ydata()[0]) for d in dots] == [(0.01, 1.0), (0.1, 0.8)]
    assert dots[1].get_markerfacecolor() == "white"


def test_a_loss_that_is_not_finite_is_crossed_and_named():
    figure = rate_range(recording((2.0, 1.5, 1.0, np.nan), (2.0, 1.5, 1.0, np.inf)))
    assert figure.caption.endswith("at 0.1 it is not finite.")
    assert [list(x.get_xdata()) for x in figure.axes[0].lines if x.get_marker() == "x"] == [[0.1]]
    json.dumps(figure.numbers, allow_nan=False)


def test_methods_are_compared_and_labelled():
    figure = rate_range({"SGD": recording(), "Adam": recording((2.0, 1.0, 0.9, 0.85))})
    assert "Adam: the loss falls fastest" in figure.caption
    assert figure.caption.endswith("up to 0.1 it does not diverge.")
    sgd, adam = figure.axes[0].texts
    assert (sgd.get_text(), adam.get_text()) == ("SGD", "Adam")
    assert sgd.get_color() == figure.axes[0].lines[0].get_color() != adam.get_color()


def test_it_draws_into_given_axes():
    ax = Figure().subplots()
    assert rate_range(recording(), ax=ax) is ax.figure
