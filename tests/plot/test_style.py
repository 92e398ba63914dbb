import io
import json
from dataclasses import replace
from itertools import pairwise
from xml.dom import minidom

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from minidl import plot
from minidl.errors import printable
from minidl.plot.style import (
    ARMS,
    LogScale,
    binned,
    depth_colours,
    drawable,
    label_ends,
    literal,
    mark_not_finite,
    name_layers,
    new_figure,
    plain,
    spread,
    step_colours,
)
from tests.plot.recordings import flow, race


def luminance(colour):
    return float(np.dot(matplotlib.colors.to_rgb(colour), [0.2126, 0.7152, 0.0722]))


def test_colours_by_depth_get_lighter_towards_the_output_and_by_step_darker():
    depth = [luminance(c) for c in depth_colours(10)]
    assert depth == sorted(depth)
    steps = [luminance(c) for c in step_colours(5)]
    assert steps == sorted(steps, reverse=True)


def test_the_arms_have_seven_different_colours():
    assert len(set(ARMS)) == 7


def test_positions_are_spread_no_more_than_needed():
    assert spread([0.0, 10.0, 20.0], 5.0) == [0.0, 10.0, 20.0]
    assert spread([5.0, 5.0], 4.0) == [3.0, 7.0]
    assert spread([7.0, 0.0, 6.0], 4.0) == [8.5, 0.0, 4.5]


@pytest.mark.parametrize("seed", range(20))
def test_spread_positions_keep_their_order_distance_and_middle(seed):
    rng = np.random.default_rng(seed)
    positions = list(rng.uniform(0, 30, 8))
    placed = spread(positions, 5.0)
    order = np.argsort(positions)
    assert (np.diff(np.array(placed)[order]) >= 5.0 - 1e-9).all()
    assert np.mean(placed) == pytest.approx(np.mean(positions))


def test_a_log_scale_encloses_the_values_in_decades_and_gives_zeros_a_row_below():
    scale = LogScale([3e-7, 0.02, 0.0, np.nan, np.inf, -1.0])
    assert (scale.low, scale.high) == (-7, -1)
    assert scale.zero < 1e-7
    np.testing.assert_array_equal(scale.place([0.02, 0.0, -1.0, np.inf]), [0.02, scale.zero, np.nan, np.nan])
    ax = new_figure(3, 2).subplots()
    scale.apply(ax)
    assert ax.get_yscale() == "log"
    bottom, top = ax.get_ylim()
    assert bottom < scale.zero < 1e-7
    assert 0.02 < top <= 0.1
    labels = {float(tick): ax.yaxis.get_major_formatter()(tick) for tick in ax.yaxis.get_major_locator()()}
    assert labels[scale.zero] == "0"
    assert list(labels.values()).count("0") == 1


def test_without_zeros_there_is_no_row_for_them():
    scale = LogScale([1e-3, 1e-2])
    assert scale.zero is None
    assert np.isnan(scale.place([0.0])).all()
    assert LogScale([]).high > LogScale([]).low
    assert LogScale([0.0, 0.0]).zero is not None


@pytest.mark.parametrize(("smallest", "marked"), [(1e-20, 0), (1e-39, 1)])
def test_the_smallest_normal_number_is_marked_only_when_it_is_near(smallest, marked):
    ax = new_figure(3, 2).subplots()
    LogScale([smallest, 1.0], "float32").apply(ax)
    tiny = float(np.finfo(np.float32).tiny)
    assert sum(list(line.get_ydata()) == [tiny, tiny] for line in ax.lines) == marked
    assert sum("smallest normal float32" in text.get_text() for text in ax.texts) == marked


def test_labels_stand_at_the_ends_and_do_not_touch():
    figure = new_figure(4, 3)
    ax = figure.subplots()
    ax.set_ylim(0, 1)
    label_ends(ax, 1.0, [0.5, 0.5, 0.51, np.nan], ["a", "b", "c", "none"], ["k"] * 4)
    figure.draw_without_rendering()
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)  # without its line
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    for lower, upper in pairwise(boxes):
        assert upper.y0 >= lower.y1 - 1
    assert all(text.xy[0] == 1.0 for text in ax.texts)


def test_every_layer_is_named_upright_when_names_would_touch():
    ax = new_figure(6, 3).subplots()
    name_layers(ax, ["fc1", "fc2"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["fc1", "fc2"]
    assert ax.get_xticklabels()[0].get_rotation() == 0
    names = [f"features.block{i}" for i in range(12)]
    name_layers(ax, names)
    assert [label.get_text() for label in ax.get_xticklabels()] == names
    assert ax.get_xticklabels()[0].get_rotation() == 90
    many = [f"fc{i}" for i in range(400)]
    name_layers(ax, many)
    assert 10 < len(ax.get_xticklabels()) < 200


def test_bins_cover_everything_once():
    for count in (1, 7, 60, 61, 1000):
        runs = binned(np.arange(count), 60)
        assert len(runs) <= 60
        assert np.concatenate([np.arange(count)[run] for run in runs]).tolist() == list(range(count))


def test_numbers_become_plain():
    value = plain({"a": np.float32(0.5), "b": [np.nan, np.inf, -np.inf], "c": np.arange(2), 3: (True, "x", None)})
    assert value == {"a": 0.5, "b": [None, "inf", "-inf"], "c": [0, 1], "3": [True, "x", None]}
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_a_log_scale_of_numbers_at_the_ends_of_float64_can_be_drawn():
    for values in ([5e-324, 1.7e308], [1.7e308], [5e-324, 0.0], [np.inf, np.nan]):
        figure = new_figure(3, 2)
        ax = figure.subplots()
        scale = LogScale(values, "float64")
        ax.plot(scale.place(values))
        scale.apply(ax)
        figure.draw_without_rendering()


def test_a_line_has_gaps_where_it_is_not_finite():
    np.testing.assert_array_equal(
        drawable([1.0, np.nan, -np.inf, 1e308, 5e-324, 0.0]), [1, np.nan, np.nan, 1e150, 1e-150, 0]
    )


def test_a_cross_stands_at_the_upper_edge_for_what_is_not_finite():
    ax = new_figure(3, 2).subplots()
    mark_not_finite(ax, np.array([]))
    assert not ax.lines
    mark_not_finite(ax, np.array([1, 3]))
    (line,) = ax.lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 3], [1, 1])
    assert line.get_transform() == ax.get_xaxis_transform()


STRANGE = [
    "$$",
    r"$\frac$",
    "$x^{$",
    "a$b$c",
    r"\$5",
    "bell\a",
    "red\x1b[31m",
    "null\0",
    "two\nlines",
    "\udcff",
    "\ufffe",
    "--",
]


def shown(text):
    """What matplotlib draws for a text."""
    words, is_math = Text(text=text)._preprocess_math(text)
    assert not is_math
    return words


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_is_drawn_letter_by_letter(name):
    assert shown(literal(name)) == printable(name)


def test_a_long_name_shows_both_its_ends():
    assert literal("fc1") == "fc1"
    short = literal("a" * 500 + "z" * 500)
    assert len(short) == 80
    assert len(literal("a" * 100, 40)) == 40
    assert (short[0], short[-1]) == ("a", "z")


@pytest.mark.parametrize("names", [STRANGE, ["x" * 10_000, "y", "z" * 99]])
def test_every_figure_of_strange_names_can_be_drawn_and_its_svg_is_xml(names):
    recording = replace(flow(layers=len(names)), layers=tuple(names), outputs=tuple(names))
    figures = [
        plot.gradient_flow(recording),
        plot.flow_profile(recording),
        plot.update_heatmap({names[0]: recording, names[1]: recording}),
        plot.race(replace(race(), arms=names[:2], sweep_arms=names[1:3])),
    ]
    for figure in figures:
        assert printable(figure.caption) == figure.caption
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg")
        minidom.parseString(drawn.getvalue())


def test_a_notebook_shows_what_every_function_of_plot_returns():
    figures = [plot.flow_profile(flow()), plot.update_heatmap(flow()), plot.race(race()), plot.gradient_flow(flow())]
    assert all(hasattr(figure, "_repr_png_") for figure in figures)
    content = figures[-1]._repr_png_()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    size = Image.open(io.BytesIO(content)).size
    assert size == pytest.approx(figures[-1].get_size_inches() * figures[-1].dpi, abs=1)
