"""Figures on a screen: a window where there can be one, words where not; drawn anew in a notebook alone."""

import sys
import types

import matplotlib as mpl
import pytest
from matplotlib.backend_bases import FigureCanvasBase, FigureManagerBase

from minidl import plot
from minidl.plot import showing
from tests.plot.recordings import flow

WINDOWS = []


class Manager(FigureManagerBase):
    def show(self):
        WINDOWS.append(self.canvas.figure)

    @classmethod
    def start_main_loop(cls):
        WINDOWS.append("waited until it was closed")


class Canvas(FigureCanvasBase):
    required_interactive_framework = "a screen"
    manager_class = Manager


@pytest.fixture
def screen(monkeypatch):
    """A backend of matplotlib's that has windows."""
    module = types.ModuleType("tests_windows")
    module.FigureCanvas, module.FigureManager, module.backend_version = Canvas, Manager, "1"
    monkeypatch.setitem(sys.modules, "tests_windows", module)
    WINDOWS.clear()
    with mpl.rc_context({"backend": "module://tests_windows"}):
        yield WINDOWS


def test_a_script_shows_it_in_a_window_and_touches_no_state_of_pyplot(screen):
    figure = plot.gradient_flow(flow())
    loaded = "matplotlib.pyplot" in sys.modules
    figure.show()
    assert screen == [figure, "waited until it was closed"]
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_where_there_is_no_screen_it_says_what_to_do():
    with (
        mpl.rc_context({"backend": "agg"}),
        pytest.warns(UserWarning, match=r"no window .*'agg'.*md\.plot\.save_figure"),
    ):
        plot.gradient_flow(flow()).show()


def test_a_page_shows_the_caption_beneath():
    figure = plot.gradient_flow(flow())
    figure.caption = "a < b"
    page = figure._repr_html_()
    assert page.startswith('<figure style="margin: 0; max-width: ')
    assert page.endswith("<figcaption>a &lt; b</figcaption></figure>")
    assert "data:image/png;base64,iVBOR" in page


class Handle:
    def __init__(self):
        self.updates = []

    def update(self, figure):
        self.updates.append(figure)


def test_in_a_notebook_it_is_drawn_anew_in_its_place_when_the_time_has_come(monkeypatch):
    handle, shown, clock = Handle(), [], iter(range(1000))
    monkeypatch.setattr(showing, "in_kernel", lambda: lambda figure, display_id: shown.append(figure) or handle)
    monkeypatch.setattr(showing.time, "perf_counter", lambda: next(clock))  # each look takes a second
    live = plot.Live(lambda: f"figure {live.drawn}", seconds=20)
    for _ in range(30):
        live.on_step(None)
    assert shown == ["figure 0"]
    assert handle.updates == ["figure 1"]  # 20 looks later
    live.on_epoch(None)
    assert handle.updates == ["figure 1", "figure 2"]
    assert repr(live) == "Live(every 20 s, drawn 3 times)"


def test_drawing_takes_a_tenth_of_the_time_at_most(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(showing, "in_kernel", lambda: lambda figure, display_id: Handle())
    monkeypatch.setattr(showing.time, "perf_counter", lambda: now[0])

    def slow():
        now[0] += 5.0

    live = plot.Live(slow, seconds=2)
    live.update()
    for _ in range(44):
        now[0] += 1.0
        live.update()
    assert live.drawn == 1
    now[0] += 1.0
    live.update()
    assert live.drawn == 2


def test_elsewhere_nothing_is_drawn():
    live = plot.Live(lambda: 1 / 0)
    live.update(now=True)
    assert live.drawn == 0
