import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from minidl.observe.paths_recording import PathsRecording
from minidl.plot.optimizer_paths_figure import optimizer_paths


def recording(ways=None, losses=None):
    x, y = np.linspace(-2, 2, 9), np.linspace(-1, 1, 9)
    steps = np.arange(6)
    ways = [np.stack([1.5 * f**steps, 0.5 * f**steps], axis=1) for f in (0.5, 0.8)] if ways is None else ways
    losses = [(way**2).sum(axis=1) for way in ways] if losses is None else losses
    height = x**2 + y[:, None] ** 2
    return PathsRecording(["fast", "slow"], ways, losses, x, y, height)


def test_the_claim_is_who_is_lowest_and_who_is_highest_after_the_last_step():
    figure = optimizer_paths(recording())
    ends = {name: way["excess"][-1] for name, way in figure.numbers["ways"].items()}
    assert ends["fast"] == pytest.approx(2.5 * 0.25**5)
    assert figure.caption == (
        f"After 5 steps fast stands {ends['fast']:.2g} above the lowest point, slow {ends['slow']:.2g}."
    )
    json.dumps(figure.numbers, allow_nan=False)


def test_the_map_shows_every_step_and_the_heights_are_above_the_lowest_point():
    found = recording()
    on_map, heights = optimizer_paths(found).axes
    dots = [line for line in on_map.lines if line.get_marker() == "o" and len(line.get_xdata()) == 6]
    np.testing.assert_allclose(dots[-1].get_xydata(), found.path[0])
    np.testing.assert_allclose(heights.lines[-1].get_ydata(), found.loss[0])
    assert heights.get_yscale() == "log"


def test_a_way_that_leaves_the_map_ends_there_and_one_that_diverges_is_named():
    ways = recording().path.copy()
    ways[1, 3] = 99.0
    ways[1, 4:] = np.nan
    losses = recording().loss.copy()
    losses[1, 3:] = np.inf, np.nan, np.nan
    figure = optimizer_paths(recording(ways, losses))
    assert figure.numbers["ways"]["slow"]["outside"] is True
    assert figure.caption.endswith("slow diverged.")
    assert any(len(line.get_xdata()) == 3 for line in figure.axes[0].lines)
    assert [list(x.get_xdata()) for x in figure.axes[1].lines if x.get_marker() == "x"] == [[3]]


def test_it_draws_into_two_given_axes():
    axes = Figure().subplots(1, 2)
    assert optimizer_paths(recording(), axes=axes) is axes[0].figure


def test_a_method_that_diverges_leaves_the_axis_to_the_others():
    losses = [np.array([2.5, 1.0, 0.5, 0.2, 0.1, 0.05]), np.array([2.5, 1e2, 1e30, 1e120, 1e300, np.inf])]
    figure = optimizer_paths(recording(losses=losses))
    heights = figure.axes[1]
    assert heights.get_ylim()[1] < 1e5
    lines = [line.get_ydata() for line in heights.lines if len(line.get_xdata()) == 6]
    assert [int(np.isfinite(line).sum()) for line in lines] == [2, 6]  # the last is drawn first
    assert figure.numbers["ways"]["slow"]["excess"][3] == 1e120
    assert figure.caption.endswith("slow diverged.")
