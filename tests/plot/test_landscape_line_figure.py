import json

import numpy as np
from matplotlib.figure import Figure

from minidl.observe.line_recording import LineRecording
from minidl.plot.landscape_line_figure import landscape_line


def recording(loss=(2.2, 2.0, 1.0, 0.5, 0.6)):
    return LineRecording([-0.5, 0.0, 0.5, 1.0, 1.5], loss, 3.0)


def test_the_claim_is_whether_there_is_a_barrier():
    figure = landscape_line({"training": recording(), "between": recording((0.9, 0.5, 1.5, 0.5, 0.9))})
    assert figure.caption == (
        "training: from 2 to 0.5 the loss on the line never rises above the straight way: there is no barrier. "
        "between: from 0.5 to 0.5 the loss on the line rises 1 above the straight way: a barrier."
    )
    assert figure.numbers["lines"]["between"]["barrier"] == 1.0
    json.dumps(figure.numbers, allow_nan=False)


def test_the_line_is_the_loss_and_dots_are_the_ends():
    ax = landscape_line(recording()).axes[0]
    line, dots = ax.lines[:2]
    np.testing.assert_array_equal(line.get_ydata(), [2.2, 2.0, 1.0, 0.5, 0.6])
    assert (list(dots.get_xdata()), list(dots.get_ydata())) == ([0, 1], [2.0, 0.5])
    assert [t.get_text() for t in ax.texts] == ["the ends are 3 apart"]


def test_a_loss_that_is_not_finite_is_crossed_and_named():
    figure = landscape_line(recording((2.2, 2.0, np.inf, 0.5, np.inf)))
    assert figure.caption == "The loss is not finite (NaN or infinite) at 2 of 5 points."
    assert [list(x.get_xdata()) for x in figure.axes[0].lines if x.get_marker() == "x"] == [[0.5, 1.5]]


def test_it_draws_into_given_axes():
    ax = Figure().subplots()
    assert landscape_line(recording(), ax=ax) is ax.figure
