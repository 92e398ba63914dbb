import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from minidl.observe.time_recording import TimeRecording
from minidl.plot.through_time_figure import through_time


def recording(slopes=(-0.5, 0.1), predicted=(-0.4, 0.2), steps=20, **changes):
    back = np.arange(steps)
    norm = np.array([[scale * 10.0 ** (slope * back) for scale in (1, 2, 4)] for slope in slopes])
    names, radius = [f"radius {k}" for k in range(len(slopes))], np.arange(len(slopes)) + 0.5
    values = {"networks": names, "radius": radius, "norm": norm, "predicted": predicted}
    return TimeRecording(**{**values, **changes})


def test_the_claim_is_the_fitted_slope_beside_the_predicted_one():
    figure = through_time(recording())
    assert [n["decades_per_step"] for n in figure.numbers["networks"].values()] == pytest.approx([-0.5, 0.1])
    assert figure.caption == (
        "The gradient of radius 0 falls 0.50 decades a time step (theory: \N{MINUS SIGN}0.40); the gradient of "
        "radius 1 grows 0.10 decades a time step (theory: +0.20)."
    )
    json.dumps(figure.numbers, allow_nan=False)


def test_lines_are_medians_over_the_sequences_and_the_dotted_ones_begin_there():
    figure = through_time(recording(slopes=[-0.5], predicted=[-0.4]))
    line, dotted = figure.axes[0].lines[:2]
    np.testing.assert_allclose(line.get_ydata(), 2 * 10.0 ** (-0.5 * np.arange(20)))
    assert dotted.get_ydata()[0] == 2
    assert np.diff(np.log10(dotted.get_ydata())) == pytest.approx(-0.4)
    assert [t.get_text() for t in figure.axes[0].texts] == ["radius 0: \N{MINUS SIGN}0.50 (\N{MINUS SIGN}0.40)"]


def test_zeros_stand_in_their_row_and_what_is_not_finite_is_crossed_and_named():
    base = recording()
    norm = base.norm.copy()
    norm[0, :, 10:] = 0
    norm[1, :, 15:] = np.inf
    figure = through_time(recording(norm=norm))
    assert figure.caption.endswith(
        "exactly 0 becomes that of radius 0; not finite (NaN or infinite) becomes that of radius 1."
    )
    crosses = [x for line in figure.axes[0].lines if line.get_marker() == "x" for x in line.get_xdata()]
    assert crosses == [15, 16, 17, 18, 19]
    assert figure.axes[0].yaxis.get_major_formatter()(figure.axes[0].lines[0].get_ydata()[-1]) == "0"
    assert figure.numbers["networks"]["radius 0"]["decades_per_step"] == pytest.approx(-0.5)


def test_without_theory_there_is_no_dotted_line():
    figure = through_time(recording(slopes=[-0.5], predicted=[np.nan], radius=[np.nan]))
    assert len(figure.axes[0].lines) == 1
    assert figure.caption == "The gradient of radius 0 falls 0.50 decades a time step."


def test_it_draws_into_given_axes():
    ax = Figure().subplots()
    assert through_time(recording(), ax=ax) is ax.figure
