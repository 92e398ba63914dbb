import json

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from minidl.observe.jacobian_recording import JacobianRecording
from minidl.plot.jacobian_spectrum_figure import LEVELS, jacobian_spectrum


def recording(fall=0.5, layers=6):
    """Singular values from 1 to 10^-l fall."""
    names = [f"fc{k + 1}" for k in range(layers)]
    return JacobianRecording(names, [-fall * (k + 1) * np.linspace(0, 1, 11) for k in range(layers)])


def test_the_claim_is_the_median_and_the_spread_behind_the_last_layer():
    figure = jacobian_spectrum({"random": recording(1.0), "orthogonal": recording(0.0)})
    assert figure.caption == (
        "random: behind 6 layers the median singular value is 10^\N{MINUS SIGN}3.0, and the middle 80% span 4.8 "
        "decades. orthogonal: behind 6 layers the median singular value is 10^0.0, and the middle 80% span 0.0 decades."
    )
    quantiles = figure.numbers["panels"]["random"]["log10"]
    assert [line[-1] for line in quantiles] == pytest.approx([-6.0 * (1 - level) for level in LEVELS])
    json.dumps(figure.numbers, allow_nan=False)


def test_line_and_bands_are_the_quantiles_on_shared_limits():
    figure = jacobian_spectrum({"a": recording(1.0), "b": recording(0.1, 3)})
    ax = figure.axes[0]
    quantiles = np.array(figure.numbers["panels"]["a"]["log10"])
    np.testing.assert_allclose(np.log10(ax.lines[0].get_ydata()), quantiles[LEVELS.index(0.5)])
    wide = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert np.log10(wide.min()) == pytest.approx(quantiles[LEVELS.index(0.1)].min())
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_zeros_and_what_is_not_finite_are_drawn_and_named():
    dead = JacobianRecording(["fc1", "fc2"], [[0.0] * 4, [-np.inf] * 3 + [0.0]])
    figure = jacobian_spectrum(dead)
    assert figure.caption == "Behind 2 layers more than half of the singular values are 0."
    (ring,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert list(ring.get_xdata()) == [1]
    broken = jacobian_spectrum(JacobianRecording(["fc1", "fc2"], [[0.0] * 2, [np.inf] * 2]))
    assert broken.caption == "The Jacobian is not finite behind 2 layers."
    assert [list(x.get_xdata()) for x in broken.axes[0].lines if x.get_marker() == "x"] == [[1]]


def test_fans_of_hundreds_of_decades_can_be_drawn():
    figure = jacobian_spectrum(recording(2.0, 400))
    figure.draw_without_rendering()
    assert "the median singular value is 10^\N{MINUS SIGN}400.0" in figure.caption


def test_it_draws_into_given_axes_one_a_panel():
    axes = Figure().subplots(1, 2)
    assert jacobian_spectrum({"a": recording(), "b": recording()}, axes=axes) is axes[0].figure
    with pytest.raises(ValueError, match="expected 1 axes"):
        jacobian_spectrum(recording(), axes=axes)


def test_of_a_single_layer_the_median_is_a_dot_and_the_spread_a_bar():
    figure = jacobian_spectrum(JacobianRecording(["fc1"], [[0.0, -1.0, -2.0]]))
    ax = figure.axes[0]
    (dot,) = (line for line in ax.lines if line.get_marker() == "o")
    assert dot.get_ydata() == pytest.approx([0.1])
    (bar,) = (group for group in ax.collections if isinstance(group, LineCollection))
    assert bar.get_segments()[0][:, 1] == pytest.approx(10.0 ** np.array([-1.8, -0.2]))
    assert figure.caption.startswith("Behind 1 layer the median singular value is 10^\N{MINUS SIGN}1.0")
