"""What holds for every figure of md.plot: drawn from a file, in both styles, with names nobody foresaw, ..."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import combinations
from xml.dom import minidom

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from minidl import plot
from minidl.errors import printable
from minidl.plot import FIGURES, draw
from tests.plot import (
    test_confusion_figure,
    test_curvature_figure,
    test_decision_boundary_figure,
    test_depth_sweep_figure,
    test_feature_maps_figure,
    test_filters_figure,
    test_graph_figure,
    test_jacobian_spectrum_figure,
    test_landscape_line_figure,
    test_loss_curves_figure,
    test_optimizer_paths_figure,
    test_rate_range_figure,
    test_theory_figure,
    test_through_time_figure,
)

MAKES = {
    "attribution": lambda: test_graph_figure.chain([1e-3, 1e-2, 1e-1, 1.0]),
    "confusion": test_confusion_figure.recording,
    "curvature": test_curvature_figure.recording,
    "decision_boundary": test_decision_boundary_figure.recording,
    "depth_sweep": test_depth_sweep_figure.recording,
    "feature_maps": test_feature_maps_figure.recording,
    "filters": test_filters_figure.recording,
    "graph": lambda: test_graph_figure.chain([1e-3, 1e-2, 1e-1, 1.0]),
    "jacobian_spectrum": test_jacobian_spectrum_figure.recording,
    "landscape_line": test_landscape_line_figure.recording,
    "loss_curves": test_loss_curves_figure.history,
    "optimizer_paths": test_optimizer_paths_figure.recording,
    "rate_range": test_rate_range_figure.recording,
    "theory": test_theory_figure.recording,
    "through_time": test_through_time_figure.recording,
}
NAMES = {"curvature": "layers", "depth_sweep": "kinds", "graph": "names", "jacobian_spectrum": "layers",
         "optimizer_paths": "names", "theory": "layers", "through_time": "networks",
         "confusion": "classes"}  # fmt: skip
STRANGE = ["$$", r"$\frac$", "bell\a", "x" * 500, "two\nlines"]
EVERY = pytest.mark.parametrize("name", MAKES)


@cache
def figure_of(name, style="paper"):
    """The figure at which several tests look; none of them changes it."""
    return getattr(plot, name)(MAKES[name](), style=style)


@EVERY
def test_it_is_drawn_from_a_file_as_from_its_recording(name, tmp_path):
    path = tmp_path / "recording"
    MAKES[name]().save(path)
    figure = draw(path, name)
    found = MAKES[name]()
    expected = getattr(plot, name)({"recording": found} if FIGURES[name].many else found)  # labelled by its file
    assert (figure.caption, figure.numbers) == (expected.caption, expected.numbers)
    assert figure.numbers["figure"] == name
    assert FIGURES[name].about


@EVERY
def test_its_caption_is_a_sentence_with_a_number_and_its_numbers_are_plain(name):
    figure = figure_of(name)
    assert figure.caption[0].isupper() or figure.caption[0].isdigit()
    assert figure.caption.endswith(".")
    assert any(letter.isdigit() for letter in figure.caption)
    json.dumps(figure.numbers, allow_nan=False)


@EVERY
@pytest.mark.parametrize("style", ["paper", "slides"])
def test_no_two_words_touch(name, style):
    figure = figure_of(name, style)
    figure.draw_without_rendering()
    hidden = {id(text) for ax in figure.findobj(Axes) if not ax.axison for axis in (ax.xaxis, ax.yaxis)
              for text in axis.findobj(Text)}  # fmt: skip
    width, height = figure.get_size_inches() * figure.dpi
    seen = []
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and id(text) not in hidden:
            box = Text.get_window_extent(text)  # without its line
            if (
                box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            ):  # no tick beyond its axis
                seen.append((text.get_text(), box))
    slack = 0.012 * figure.dpi  # of letters, whose boxes are higher than what is drawn in them
    for (one, a), (other, b) in combinations(seen, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= slack or high <= slack, f"{one!r} and {other!r} overlap"


@EVERY
def test_slides_have_larger_letters_and_as_many_dots(name):
    paper, slides = figure_of(name), figure_of(name, "slides")
    assert slides.dpi > paper.dpi
    if name != "graph":  # whose boxes are as large as their words need
        assert slides.get_size_inches()[0] < paper.get_size_inches()[0]


@pytest.mark.parametrize("name", NAMES)
def test_strange_names_are_drawn_letter_by_letter_and_the_svg_is_xml(name):
    recording = MAKES[name]()
    names = [*STRANGE, *getattr(recording, NAMES[name])][: len(getattr(recording, NAMES[name]))]
    figure = getattr(plot, name)(replace(recording, **{NAMES[name]: tuple(names)}))
    assert printable(figure.caption) == figure.caption
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg")
    minidom.parseString(drawn.getvalue())


COMPARED = [name for name in MAKES if FIGURES[name].many]


@pytest.mark.parametrize("name", COMPARED)
def test_networks_with_strange_labels_are_compared(name):
    figure = getattr(plot, name)({"$$ a": MAKES[name](), "b\a": MAKES[name]()})
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg")
    minidom.parseString(drawn.getvalue())
    assert printable(figure.caption) == figure.caption
    with pytest.raises(ValueError, match="with at least one network; got none"):
        getattr(plot, name)({})


def test_every_figure_is_here_or_has_tests_of_all_this_elsewhere():
    elsewhere = {"gradient_flow", "flow_profile", "update_heatmap", "race"}  # of recordings of a training
    elsewhere |= {"distribution_grid", "effective_rates", "rate_curve", "update_lines", "who_learned"}
    assert set(FIGURES) == set(MAKES) | elsewhere
    assert set(plot.__all__) == set(FIGURES) | {"FIGURES", "Live", "draw", "link", "save_figure"}


def test_none_touches_pyplot_or_the_global_settings():
    code = (
        "import sys, matplotlib; before = str(matplotlib.rcParams.copy())\n"
        "from tests.plot.test_every_figure import MAKES, figure_of\n"
        "for name in MAKES: figure_of(name)._repr_png_()\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot'\n"
        "assert str(matplotlib.rcParams.copy()) == before, 'rcParams'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_numbers_are_numbers_of_python():
    for name in MAKES:
        assert not any(isinstance(value, np.generic) for value in figure_of(name).numbers.values())
