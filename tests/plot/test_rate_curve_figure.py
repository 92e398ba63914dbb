import json

import numpy as np
import pytest

from minidl import plot
from minidl.optim import LayerSpecific, Uniform
from tests.observe.loops import recorded
from tests.plot.recordings import falling, flow


def test_curves_are_what_the_rules_make_of_a_norm():
    figure = plot.rate_curve(flow(layer_gradient_norm=falling(1.0), weight_norm=2.0))
    curves = figure.numbers["curves"]
    norms = np.array(curves["layer-specific"]["norm"])
    np.testing.assert_allclose(curves["uniform"]["multiplier"], 1.0)
    np.testing.assert_allclose(curves["layer-specific"]["multiplier"], 1 + np.log1p(1 / norms), rtol=1e-6)
    np.testing.assert_allclose(curves["LARS"]["multiplier"], 0.001 * 2.0 / norms, rtol=1e-6)
    (ax,) = figure.axes
    assert ax.get_xscale() == ax.get_yscale() == "log"
    json.dumps(figure.numbers, allow_nan=False)


def test_the_claim_is_how_many_decades_of_gradient_become_which_factor():
    figure = plot.rate_curve(flow(layer_gradient_norm=10.0 ** np.array([-6, -4, -2, 0])))
    low, high = 1 + np.log1p(1.0), 1 + np.log1p(1e6)
    assert figure.caption == (
        f"At step 4 the gradients of the layers span 6.0 decades, of which the rules make a factor between rates of 1 "
        f"(uniform), {high / low:.1f} (layer-specific), 1,000,000 (LARS)."
    )
    assert figure.numbers["networks"][""]["factor"]["layer-specific"] == pytest.approx(high / low)


def test_a_dot_a_layer_with_its_name_and_the_trail_that_led_there():
    norms = np.linspace(2, 1, 5)[:, None] * falling(1.0)
    multiplier = 1 + np.log1p(1 / norms)
    (ax,) = plot.rate_curve(flow(layer_gradient_norm=norms, multiplier=multiplier)).axes
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in points] == pytest.approx(norms[-1])
    assert [float(line.get_ydata()[0]) for line in points] == pytest.approx(multiplier[-1])
    trails = [line for line in ax.lines if len(line.get_xdata()) == 5]
    np.testing.assert_allclose([line.get_xdata() for line in trails], norms.T)
    assert {"fc1", "fc2", "fc3", "fc4", "uniform", "LARS"} <= {text.get_text() for text in ax.texts}


def test_a_real_layer_specific_run_lies_on_its_curve():
    recording = recorded(layer_rate=LayerSpecific())
    trail = plot.rate_curve({"run": recording}, rules={"layer-specific": LayerSpecific()}).numbers["networks"]["run"]
    np.testing.assert_allclose(trail["multiplier"], 1 + np.log1p(1 / np.array(trail["norm"])), rtol=1e-5)


def test_zeros_and_what_is_not_finite_are_counted():
    figure = plot.rate_curve(flow(layer_gradient_norm=[0.0, 0.1, 1.0, np.inf]), rules={"uniform": Uniform()})
    assert figure.caption.endswith(
        "; in 1 of 4 layers the gradient is exactly 0; in 1 of 4 layers the gradient is not finite."
    )
    assert len([line for line in figure.axes[0].lines if line.get_marker() == "o"]) == 4
    figure = plot.rate_curve({"lost": flow(layer_gradient_norm=np.inf), "dead": flow(layer_gradient_norm=0.0)})
    assert figure.caption == (
        "lost: at step 4 no layer has a finite gradient other than 0; in 4 of 4 layers the gradient is not finite. "
        "dead: at step 4 no layer has a finite gradient other than 0; in 4 of 4 layers the gradient is exactly 0."
    )


def test_gradients_at_the_ends_of_float64_are_drawn():
    figure = plot.rate_curve(flow(layers=3, layer_gradient_norm=[5e-324, 1e-150, 1.0], dtype="float64"))
    assert figure.numbers["networks"][""]["decades"] == pytest.approx(323.3, abs=0.1)
    figure.draw_without_rendering()


def test_panels_share_their_axes():
    figure = plot.rate_curve(
        {"a": flow(layer_gradient_norm=falling(1.0)), "b": flow(layers=2, layer_gradient_norm=1e-7)}
    )
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    with pytest.raises(ValueError, match="expected 1 axes, one a recording; got 2"):
        plot.rate_curve(flow(layer_gradient_norm=1.0), axes=figure.axes)


def test_the_names_of_layers_can_be_read_over_the_curves():
    ax = plot.rate_curve(flow(layer_gradient_norm=falling())).axes[0]
    names = [text for text in ax.texts if text.get_text().startswith("fc")]
    curves = [line.get_zorder() for line in ax.lines if len(line.get_xdata()) > 50]
    assert names
    assert curves
    assert all(text.get_path_effects() and text.get_zorder() > max(curves) for text in names)
