import numpy as np
import pytest
from matplotlib.figure import Figure

from minidl.plot.layer_lines import draw_lines, lines_of
from tests.plot.recordings import falling, flow


def drawn(recordings, values=None, axes=None, marks=None, style="paper"):
    measure = (lambda label, recording: recording.rate) if values is None else values
    return draw_lines(recordings, measure, "rate", axes, style, marks)


def curves(ax, count):
    """The lines of the layers, each from its two parts: where it is 0, and elsewhere."""
    lines = [line for line in ax.lines if len(line.get_xdata()) == count and line.get_marker() in ("None", "o")]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return [np.where(np.isnan(a.get_ydata()), b.get_ydata(), a.get_ydata()) for a, b in pairs]


def test_each_layer_is_a_line_over_the_steps_with_its_name_at_the_end():
    figure, lines = drawn(flow(rate=falling(1.0)))
    (ax,) = figure.axes
    np.testing.assert_allclose(curves(ax, 5), np.tile(falling(1.0)[:, None], (1, 5)))
    assert [text.get_text() for text in ax.texts] == ["fc1", "fc2", "fc3", "fc4"]
    assert all(text.xy[0] == 4 for text in ax.texts)
    assert lines[""].steps.tolist() == [0, 1, 2, 3, 4]


def test_lines_that_end_together_share_a_label():
    figure, _ = drawn(flow(rate=0.1))
    assert [text.get_text() for text in figure.axes[0].texts] == ["fc1 to fc4"]


@pytest.mark.parametrize("style", ["paper", "slides"])
@pytest.mark.parametrize("layers", [3, 10, 50])
@pytest.mark.parametrize("networks", [1, 3, 4])
def test_labels_do_not_touch_nor_leave_their_panel(layers, networks, style):
    rate = falling(0.01, layers)
    figure, _ = drawn({str(i): flow(layers=layers, rate=rate) for i in range(networks)}, style=style)
    figure.draw_without_rendering()
    for ax in (ax for ax in figure.axes if ax.get_visible()):
        boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
        places = [text.get_position()[1] for text in ax.texts]
        assert len(places) == len(ax.texts) <= 12
        assert boxes[0].y1 - boxes[0].y0 < figure.bbox.height
        inside = ax.bbox
        for text in ax.texts:
            middle = ax.transData.transform(text.xy)[1] + text.xyann[1] * figure.dpi / 72
            assert inside.y0 - 2 <= middle <= inside.y1 + 2


def test_of_many_steps_the_first_and_the_last_are_kept_and_the_others_are_medians():
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 2, (100_000, 2))
    values[0], values[-1] = 7.0, 9.0
    recording = flow(steps=100_000, layers=2, rate=values)
    lines = lines_of(recording, recording.rate)
    assert len(lines.steps) == 122
    assert (lines.steps[0], lines.steps[-1]) == (0, 99_999)
    assert (lines.values[[0, -1]] == [[7, 7], [9, 9]]).all()
    run = slice(1, 1 + 99_998 // 120)
    np.testing.assert_allclose(lines.values[1], np.median(values[run], axis=0))


def test_what_is_not_finite_anywhere_in_a_column_is_not_finite():
    values = np.ones((1000, 1))
    values[500] = np.inf
    recording = flow(steps=1000, layers=1, rate=values)
    lines = lines_of(recording, recording.rate)
    assert np.isinf(lines.values).sum() == 1
    figure, _ = drawn(recording)
    (cross,) = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert abs(float(cross.get_xdata()[0]) - 500) < 10
    assert any("not finite" in text.get_text() for text in figure.axes[0].texts)


def test_zeros_are_in_their_row_and_lines_do_not_run_down_to_it():
    values = np.tile(falling(1.0), (5, 1))
    values[2, 0] = 0.0
    figure, _ = drawn(flow(rate=values))
    (ax,) = figure.axes
    first = ax.lines[0]
    assert np.isnan(first.get_ydata()[2])
    assert ax.yaxis.get_major_formatter()(ax.lines[1].get_ydata()[2]) == "0"


def test_one_step_is_a_dot():
    figure, _ = drawn(flow(steps=1, rate=falling(1.0)))
    assert any(line.get_marker() == "o" for line in figure.axes[0].lines)
    figure.draw_without_rendering()


def test_a_mark_is_a_broken_line_that_the_axis_encloses():
    figure, _ = drawn(flow(rate=falling(0.1)), marks={1e-3: "here"})
    (ax,) = figure.axes
    assert any(list(line.get_ydata()) == [1e-3, 1e-3] for line in ax.lines)
    assert ax.get_ylim()[0] <= 1e-3
    assert "here" in [text.get_text() for text in ax.texts]


def test_it_draws_into_given_axes():
    axes = Figure().subplots(1, 2)
    figure, _ = drawn({"a": flow(rate=1.0), "b": flow(rate=2.0)}, axes=axes)
    assert figure is axes[0].figure
    with pytest.raises(ValueError, match="expected 2 axes, one a network; got 1"):
        drawn({"a": flow(rate=1.0), "b": flow(rate=2.0)}, axes=axes[:1])
    with pytest.raises(ValueError, match="holds no step"):
        drawn(flow(steps=0))
