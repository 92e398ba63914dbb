import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from minidl.observe.theory_recording import TheoryRecording
from minidl.plot.theory_figure import theory


def recording(measured=0.6, mean_field=0.5, bound=0.3, layers=5, **changes):
    rms = 1e-2 * 10.0 ** (-measured * np.arange(layers - 1, -1, -1))
    factors = {
        key: np.append(np.full(layers - 1, -value), np.nan)
        for key, value in (("mean_field", mean_field), ("bound", bound))
    }
    return TheoryRecording(**{"layers": [f"fc{k + 1}" for k in range(layers)], "rms": rms, **factors, **changes})


def test_the_claim_is_the_three_slopes():
    figure = theory(recording())
    assert figure.numbers["panels"][""]["decades_per_layer"] == pytest.approx(
        {"measured": 0.6, "mean_field": 0.5, "bound": 0.3}
    )
    assert figure.caption == (
        "The gradient falls 0.60 decades a layer; the mean field predicts +0.50, the bound allows no less than +0.30."
    )
    json.dumps(figure.numbers, allow_nan=False)


def test_both_lines_begin_at_the_last_hidden_layer_and_go_back_by_their_factors():
    bound, mean_field, dots = theory(recording()).axes[0].lines[:3]
    assert bound.get_ydata()[-1] == mean_field.get_ydata()[-1] == pytest.approx(dots.get_ydata()[-1])
    assert np.diff(np.log10(bound.get_ydata())) == pytest.approx(0.3)
    assert np.diff(np.log10(mean_field.get_ydata())) == pytest.approx(0.5)
    assert (bound.get_ydata() >= dots.get_ydata()).all()


def test_networks_are_panels_with_shared_limits():
    figure = theory({"sigmoid": recording(), "relu": recording(0.0, 0.0, -0.3, layers=8)})
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert figure.caption.endswith("the bound would let it grow by 0.30.")
    assert figure.numbers["panels"]["relu"]["decades_per_layer"]["measured"] == pytest.approx(0)


def test_zeros_and_what_is_not_finite_are_drawn():
    rms = np.array([0.0, np.inf, 1e-3, 1e-2, 1e-1])
    ax = theory(recording(rms=rms)).axes[0]
    rings = [x for line in ax.lines if line.get_markerfacecolor() == "white" for x in line.get_xdata()]
    assert rings == [0]
    assert [list(line.get_xdata()) for line in ax.lines if line.get_marker() == "x"] == [[1]]
    lost = theory(recording(rms=np.full(5, np.inf)))
    assert "has no slope to fit" in lost.caption


def test_it_draws_into_given_axes():
    ax = Figure().subplots()
    assert theory(recording(), axes=ax) is ax.figure
