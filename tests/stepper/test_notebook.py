"""A tape in a notebook: it shows itself, and is alive in what was saved of it, without a kernel."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.stepper.html import html_of
from minidl.stepper.notebook import MOST_EVENTS
from tests.stepper import pages
from tests.stepper.pages import opened

STEP = """
import numpy as np
import minidl as md
import minidl.functional as F

def step(factor):
    w = md.tensor(np.array([1.0, -2.0, 0.5]), requires_grad=True)
    with md.record(title=f"</iframe>'\\" times {factor}") as tape:
        h = w * factor
        F.sum(h * h).backward()
    return tape

tape = step(3.0)
tape
"""


def text_of(line: str) -> str:
    """The text of a cell's line of html."""
    return html.unescape(re.sub(r"<[^>]+>", "", line))


# ---- in a browser, after saving


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that has been executed, saved, read again and exported; its kernel has ended."""
    nbclient, nbconvert = pytest.importorskip("nbclient"), pytest.importorskip("nbconvert")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    folder, root = tmp_path_factory.mktemp("notebook"), str(Path(md.__file__).parents[1])
    cells = [nbformat.v4.new_code_cell(text) for text in (STEP, "tape.page(step(2.0), height=500)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": root})
    nbformat.write(notebook, folder / "step.ipynb")
    # The exporter's own scripts (MathJax and the like) come from a network, which this browser has not.
    exporter = nbconvert.HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    page, _ = exporter.from_filename(str(folder / "step.ipynb"))
    (folder / "step.html").write_text(page, encoding="utf-8")
    return folder


def frame_of(page: Any, number: int) -> Any:
    """A page in its frame, once it is ready: a browser draws no frame that is out of sight."""
    page.locator("iframe").nth(number).scroll_into_view_if_needed()
    frame = page.frame_locator("iframe").nth(number)
    frame.locator("html[data-ready]").wait_for(state="attached")
    return frame


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.filterwarnings("ignore")  # of the clients, not of minidl
def test_it_is_walked_through_without_a_kernel_both_ways(saved: Path, browser: Any) -> None:
    w = np.array([1.0, -2.0, 0.5])
    with opened(browser) as page:
        page.page.goto((saved / "step.html").as_uri())
        frame = frame_of(page.page, 0)
        count, numbers = frame.locator(".count"), frame.locator(".panel-numbers td")
        shown = lambda: [float(x.replace("\N{MINUS SIGN}", "-")) for x in numbers.all_inner_texts() if x.strip()]
        assert count.inner_text() == "0 / 7"
        assert shown() == pytest.approx(w * 3)
        frame.locator("header.top").click(position={"x": 5, "y": 5})
        page.press("ArrowRight")
        assert count.inner_text() == "1 / 7"
        assert shown() == pytest.approx((w * 3) ** 2)
        page.press("End")
        assert shown()[:6] == pytest.approx([*w, *(18 * w)])  # d/dw of the sum of (3 w)^2
        page.press("[", "Home")
        assert shown() == pytest.approx(w * 3)
        page.press("d")  # a frame has no memory for the theme, and no address
        assert frame.locator("html").get_attribute("data-theme") == "dark"
        page.page.wait_for_timeout(300)  # longer than the page waits before it writes an address
        assert page.page.url == (saved / "step.html").as_uri()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.filterwarnings("ignore")
def test_two_tapes_stand_side_by_side_and_tab_leads_into_the_frame(saved: Path, browser: Any) -> None:
    with opened(browser, width=1400) as page:
        page.page.goto((saved / "step.html").as_uri())
        frame = frame_of(page.page, 1)
        assert frame.locator("main.two > *").count() == 2
        assert page.page.locator("iframe").nth(1).bounding_box()["height"] == 500
        page.page.locator("iframe").nth(1).focus()
        page.press("ArrowRight", "ArrowRight")
        assert frame.locator(".count").inner_text().startswith("2 / ")


# ---- what it says


def test_the_frame_holds_the_page_that_is_saved_and_may_only_run_scripts() -> None:
    tape = pages.small("it's <b>'</iframe>")
    said = tape._repr_html_()
    (held,) = re.findall(r"srcdoc='([^']*)'></iframe>", said)
    assert html.unescape(held) == html_of(tape)
    assert not set("<>") & set(held)
    assert 'sandbox="allow-scripts"' in said
    assert said.count("<iframe") == said.count("</iframe>") == 1
    assert repr(tape).startswith("Tape(8 events")  # where there is only text


def test_a_lenet_step_takes_less_than_a_megabyte_of_a_notebook() -> None:
    assert len(json.dumps(pages.lenet()._repr_html_())) < 1_000_000


def test_a_tape_that_is_empty_or_still_recording_says_so() -> None:
    with md.record() as tape:
        assert "nothing ran" not in text_of(tape._repr_html_())
        md.tensor([1.0]) * 2
        said = text_of(tape._repr_html_())
        assert said.startswith("Tape(1 events: 1 forward; 3 values), so far: it is still recording")
    assert "<iframe" in tape._repr_html_()
    with md.record() as empty:
        pass
    assert text_of(empty._repr_html_()).startswith("Tape(0 events; 0 values): nothing ran inside md.record()")
    assert text_of(tape.page(empty)._repr_html_()) == text_of(empty._repr_html_())


def test_a_tape_that_would_fill_the_notebook_shows_itself_only_when_asked() -> None:
    tape = pages.chain(MOST_EVENTS // 2)
    assert len(tape) > MOST_EVENTS
    assert "its page would take about 1.2 MB" in text_of(tape._repr_html_())
    assert "tape.page() shows it here" in text_of(tape._repr_html_())
    assert "<iframe" in tape.page()._repr_html_()


def test_its_page_says_what_it_is_of() -> None:
    tape = pages.small()
    assert repr(tape.page()) == f"Page({tape!r})"
    assert repr(tape.page(tape)) == f"Page({tape!r}, {tape!r})"
    with pytest.raises(ValueError, match="page: height"):
        tape.page(height=0)
