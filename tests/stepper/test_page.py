"""The page in a real browser: offline, by keyboard, with the right numbers, for everyone."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.stepper.html import html_of
from minidl.stepper.tape import Tape
from tests.stepper import pages
from tests.stepper.pages import opened

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "minidl/stepper/page/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    pages.small().save_html(folder / "small.html")
    pages.lenet().save_html(folder / "lenet.html")
    pages.chain().save_html(folder / "chain.html")
    specific = pages.lenet("layer-specific", md.optim.LayerSpecific())
    pages.lenet("SGD").save_html(folder / "two.html", specific)
    return folder


def shown(page: Any) -> list[float]:
    """The numbers of the tables that the panel shows: of the value, then of its gradient."""
    cells = page.page.locator(".panel-numbers td").all_inner_texts()
    return [float(cell.replace("\N{MINUS SIGN}", "-")) for cell in cells if cell.strip()]


def test_it_opens_from_the_disk_without_a_network_and_without_complaint(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "lenet.html")
        assert page.page.title() == "lenet.py"
        assert page.page.locator("svg.graph .op").count() == 9


def test_it_is_walked_through_by_keyboard_both_ways(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "small.html")
        assert page.count == "0 / 7"
        page.press("ArrowRight", "ArrowRight")
        assert page.count == "2 / 7"
        page.press("ArrowLeft")
        assert page.count == "1 / 7"
        page.press("End")
        assert page.count == "7 / 7"
        page.press("ArrowRight")
        assert page.count == "7 / 7"
        page.press("[")
        assert page.count == "3 / 7"  # backward begins
        page.press("]")
        assert page.count == "7 / 7"
        page.press("Home")
        assert page.count == "0 / 7"
        page.press("Space")
        page.until("document.querySelector('.count').textContent.startsWith('2 ')")
        page.press("Space")


def test_every_key_is_a_button_too(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "small.html")
        for label, count in [
            ("Step on (right arrow)", "1 / 7"), ("Step back (left arrow)", "0 / 7"), ("Next phase (])", "2 / 7"),
            ("Phase before ([)", "0 / 7"), ("Last event (End)", "7 / 7"), ("First event (Home)", "0 / 7"),
        ]:  # fmt: skip
            page.page.get_by_role("button", name=label).click()
            assert page.count == count


def test_the_shown_numbers_are_numpys(browser: Any, folder: Path) -> None:
    w = np.array([1.0, -2.0, 0.5])
    with opened(browser) as page:
        page.go(folder / "small.html", "#i=0&n=h")
        assert shown(page) == pytest.approx(w * 3)
        assert "not computed yet" in page.panel  # its gradient
        page.go(folder / "small.html", "#i=-1&n=w")
        assert shown(page)[:6] == pytest.approx([*w, *(18 * w)])  # d/dw of the sum of (3 w)^2


def test_what_is_not_computed_is_hatched_and_a_step_back_hatches_it_again(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "small.html")
        ops = page.page.locator("svg.graph g.op")
        states = lambda: [name.split()[2:] for name in ops.evaluate_all("all => all.map(o => o.getAttribute('class'))")]
        before = states()
        assert before[0][:2] == ["done", "now"]
        assert before[1:] == [["todo"], ["todo"]]
        page.press("End")
        assert [state[0] for state in states()] == ["back", "back", "back"]
        page.press("Home")
        assert states() == before


def test_x_times_x_has_two_edges_and_a_step_moves_nothing(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "small.html")
        edges = page.page.locator("svg.graph path.edge:not(.wire)")
        assert edges.count() == 3  # h twice into h * h, and its square into the sum
        lines = "all => all.map(e => e.getAttribute('d'))"
        before = edges.evaluate_all(lines)
        page.press("End")
        assert edges.evaluate_all(lines) == before


def test_links_lead_to_a_moment_and_back_leads_back(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "small.html", "#i=2&n=h")
        assert page.count == "2 / 7"
        assert page.page.inner_text(".pinned b") == "h"
        page.page.locator("button.event[data-i='5']").click()
        assert page.page.evaluate("location.hash") == "#i=5"
        page.page.go_back()
        page.until("document.querySelector('.count').textContent === '2 / 7'")
        assert page.page.inner_text(".pinned b") == "h"
        page.press("ArrowRight")
        page.until("location.hash === '#i=3&n=h'")


def test_a_link_shows_the_whole_graph_where_it_can_be_read_and_the_place_in_the_sample(
    browser: Any, folder: Path
) -> None:
    inside = """(all) => { const pane = document.querySelector('svg.graph').getBoundingClientRect();
      return all.every((box) => { const b = box.getBoundingClientRect();
        return b.top >= pane.top && b.bottom <= pane.bottom && b.left >= pane.left && b.right <= pane.right; }) }"""
    with opened(browser) as page:
        page.go(folder / "lenet.html", "#i=15&n=conv2.conv")
        assert page.page.locator("svg.graph g.op").evaluate_all(inside)
        for axis in page.page.locator(".panel-leading input").all():
            assert int(axis.input_value()) <= int(axis.get_attribute("max") or 0)
    with opened(browser, 1280, 480) as page:  # no room for all
        page.go(folder / "chain.html", "#i=900&n=tanh2")
        assert page.page.locator("svg.graph g.selected").evaluate_all(inside)


def test_an_update_begins_with_its_rates(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "lenet.html", "#i=-1")
        assert page.page.locator(".panel h3").first.inner_text() == "Rates"
        assert "one addend, complete, at [" in page.panel


def test_a_bias_that_is_not_there_is_not_shown(browser: Any, tmp_path: Path) -> None:
    with md.record(title="bare") as tape:
        md.nn.Conv2d(1, 1, 2, bias=False)(md.tensor(np.ones((1, 1, 3, 3), np.float32)))
    tape.save_html(tmp_path / "bare.html")
    with opened(browser) as page:
        page.go(tmp_path / "bare.html")
        assert "there is no b here" in page.panel
        for part in (".panel-event", ".panel-formula", ".list-box", "svg.graph"):
            assert "none" not in page.page.locator(part).first.text_content()


def test_an_event_is_found(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "lenet.html")
        page.press("/")
        page.page.keyboard.type("conv2.weight backward")
        page.press("Enter")
        assert page.page.locator("button.event[aria-current]").inner_text().split()[1:3] == ["Conv", "backward"]
        page.press("Escape", "Home")
        assert page.count == "0 / 34"


def test_help_names_the_keys(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "small.html")
        page.press("?")
        assert "a step back, a step on" in page.page.inner_text("dialog")
        page.press("ArrowRight", "Escape")
        assert page.count == "0 / 7"


def test_the_graph_is_used_by_keyboard_and_keeps_its_place(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "lenet.html")
        head = page.page.get_by_role("button", name="Sequential: close this layer")
        place = lambda: page.page.locator("svg.graph > g").get_attribute("transform")
        head.focus()
        page.press("Enter")
        closed = page.page.get_by_role("button", name="Sequential Sequential")
        assert closed.get_attribute("aria-expanded") == "false"
        before = place()
        page.press("Enter")
        assert page.page.locator("svg.graph .op").count() == 9
        page.press("Enter")
        assert place() == before
        page.press("Enter", "ArrowDown", "Enter")
        assert page.page.inner_text(".pinned b") == "images"


def test_two_tapes_are_walked_in_lockstep_and_the_page_says_where_they_part(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "two.html")
        assert page.page.locator(".pane-title").all_inner_texts() == ["SGD", "layer-specific"]
        page.page.get_by_role("button", name="Numbers part at 27").click()
        assert page.count == "27 / 34"
        currents = page.page.locator("button.event[aria-current]").all_inner_texts()
        assert len(currents) == 2
        assert currents[0] == currents[1]
        assert "The ops are the same." in page.page.inner_text(".parts")


def test_tapes_with_other_ops_are_aligned(browser: Any, tmp_path: Path) -> None:
    w = md.tensor(np.ones(3), requires_grad=True)
    with md.record(title="with tanh") as other:
        md.functional.sum(md.functional.tanh(w * 2) * 2).backward()
    with md.record(title="without") as tape:
        md.functional.sum(w * 2 * 2).backward()
    tape.save_html(tmp_path / "two.html", other)
    with opened(browser) as page:
        page.go(tmp_path / "two.html")
        page.page.get_by_role("button", name="Ops part at 1").click()
        assert page.page.locator(".gone:not([hidden])").count() == 1
        page.press("ArrowRight")
        assert page.page.locator(".gone:not([hidden])").count() == 0


class Halved(md.Function):
    """z = x^2 with a backward of g x: the 2 is missing."""

    saves_inputs = True

    def forward(self, x: Any) -> Any:
        return x * x

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * x


def test_a_wrong_op_of_the_users_stands_beside_the_right_one(browser: Any, tmp_path: Path) -> None:
    def recorded(square: Any) -> Tape:
        w = md.tensor(np.arange(1.0, 7.0), requires_grad=True)
        with md.record(title="w") as tape:
            md.functional.mean(md.functional.tanh(square(w * 0.1))).backward()
        return tape

    recorded(md.functional.square).save_html(tmp_path / "two.html", recorded(Halved()))
    with opened(browser) as page:
        page.go(tmp_path / "two.html")
        page.page.get_by_role("button", name="Ops part at 1").click()
        assert page.page.locator(".gone:not([hidden])").count() == 0
        assert "value: equal to the other's" in page.panel
        page.page.get_by_role("button", name="Numbers part at 7").click()
        assert page.page.locator(".panel-event h2").all_inner_texts() == [
            "backward Square backward",
            "backward Halved backward",
        ]
        page.page.set_viewport_size({"width": 700, "height": 800})
        assert page.page.evaluate(OVERFLOWING) == []


OVERFLOWING = """[...document.querySelectorAll('.panel *')].filter((part) => part.scrollWidth > part.clientWidth + 1
  && getComputedStyle(part).overflowX === 'visible' && getComputedStyle(part).display === 'block')
  .map((part) => part.outerHTML)"""


@pytest.mark.parametrize("width", [320, 390, 3840])
@pytest.mark.parametrize("name", ["lenet", "two"])
def test_nothing_is_cut_off_at_any_width(browser: Any, folder: Path, name: str, width: int) -> None:
    with opened(browser, width, 640 if width < 400 else 2160) as page:
        page.go(folder / f"{name}.html", "#i=14")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        page.press("End")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["lenet", "small", "two"])
def test_a_wide_page_scrolls_inside_its_columns_only(browser: Any, folder: Path, name: str) -> None:
    with opened(browser) as page:
        page.go(folder / f"{name}.html", "#i=6")
        assert page.page.evaluate("document.documentElement.scrollHeight") <= 800


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_or_dark_as_the_system_or_the_reader_has_it(browser: Any, folder: Path, scheme: str) -> None:
    ground = {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}
    other = "dark" if scheme == "light" else "light"
    with opened(browser, scheme=scheme) as page:
        page.go(folder / "small.html")
        colour = lambda: page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert colour() == ground[scheme]
        page.press("d")
        assert colour() == ground[other]


def test_axe_finds_nothing(browser: Any, folder: Path) -> None:
    if not AXE.exists():
        pages.missing("axe-core is not installed: npm ci in minidl/stepper/page")
    for name, address, scheme, width in [
        ("lenet", "#i=14", "light", 1280), ("lenet", "#i=30", "dark", 320), ("two", "#i=30", "dark", 1280),
    ]:  # fmt: skip
        with opened(browser, width, scheme=scheme) as page:
            page.go(folder / f"{name}.html", address)
            page.page.evaluate(AXE.read_text())
            found = page.page.evaluate("axe.run()")["violations"]
            nodes = [
                (rule["id"], node["html"][:150], node["failureSummary"]) for rule in found for node in rule["nodes"]
            ]
            assert not nodes, (name, scheme, width, nodes)


def test_a_program_cannot_write_markup_into_the_page(browser: Any, tmp_path: Path) -> None:
    bad = "</script><script>window.bad=1</script><img src=x onerror='window.bad=1'>"
    w = md.tensor(np.ones(2), requires_grad=True)
    w.name = bad
    with md.record(title=bad) as tape:
        md.functional.sum(w * 2).backward()  # </script><script>window.bad=1</script>
    tape.save_html(tmp_path / "bad.html")
    with opened(browser) as page:
        page.go(tmp_path / "bad.html", "#i=-1")
        assert page.page.evaluate("window.bad === undefined && document.images.length === 0")
        assert page.page.title() == bad


def test_it_works_in_a_notebooks_frame(browser: Any, folder: Path, tmp_path: Path) -> None:
    page = html.escape((folder / "small.html").read_text(encoding="utf-8"))
    (tmp_path / "frame.html").write_text(f'<iframe sandbox="allow-scripts" srcdoc="{page}"></iframe>', encoding="utf-8")
    with opened(browser) as notebook:
        notebook.page.goto((tmp_path / "frame.html").as_uri())
        frame = notebook.page.frame_locator("iframe")
        frame.locator("button[aria-label='Step on (right arrow)']").click()
        assert frame.locator(".count").inner_text() == "1 / 7"


def test_a_chain_is_folded_and_unfolded(browser: Any, folder: Path) -> None:
    with opened(browser) as page:
        page.go(folder / "chain.html")
        assert "\N{MULTIPLICATION SIGN}500" in page.page.text_content("svg.graph")
        page.page.locator("svg.graph g.closed").first.press("Enter")
        assert "1 to 30 of 500" in page.page.text_content("svg.graph")


def test_a_page_that_was_saved_is_the_page_that_is_made(folder: Path) -> None:
    tape: Tape = pages.small()
    assert (folder / "small.html").read_text(encoding="utf-8")[:500] == html_of(tape)[:500]


def test_an_empty_array_is_said_to_be_empty(browser: Any, tmp_path: Path) -> None:
    w = md.tensor(np.zeros((0, 3)), requires_grad=True)
    with md.record() as tape:
        md.functional.sum(w * 2).backward()
    tape.save_html(tmp_path / "empty.html")
    with opened(browser) as page:
        page.go(tmp_path / "empty.html")
        for _ in tape:
            page.press("ArrowRight")
        assert "empty: shape (0, 3)" in page.panel


def test_a_gradient_of_an_earlier_backward_is_not_denied(browser: Any, tmp_path: Path) -> None:
    w = md.tensor(np.ones(2), requires_grad=True)
    with md.record() as tape:
        h = w * 2
        md.functional.sum(h).backward()
        k = w * 3
        md.functional.sum(k).backward()
    tape.save_html(tmp_path / "two.html")
    with opened(browser) as page:
        page.go(tmp_path / "two.html", "#i=-1&n=h")
        assert "an earlier one made it" in page.panel


def test_a_second_backward_over_the_same_graph_goes_over_it_anew(browser: Any, tmp_path: Path) -> None:
    w = md.tensor(np.ones(2), requires_grad=True)
    with md.record() as tape:
        loss = md.functional.sum(w * 2)
        loss.backward(retain_graph=True)
        loss.backward()
    second = tape.find(phase="backward", op="seed")[1].number
    tape.save_html(tmp_path / "again.html")
    with opened(browser) as page:
        page.go(tmp_path / "again.html", f"#i={second - 1}")
        back = page.page.locator("svg.graph g.op.back")
        assert back.count() == 2
        page.press("ArrowRight")
        assert back.count() == 1  # the loss, where it begins


def test_a_number_used_again_is_called_by_the_number_alone(browser: Any, tmp_path: Path) -> None:
    w = md.tensor(np.ones(2), requires_grad=True)
    with md.record() as tape:
        md.functional.sum(w * 2 + w * 2).backward()
    assert [value.key for value in tape.values if value.kind == "constant"] == ["2", "2_2"]
    tape.save_html(tmp_path / "twice.html")
    with opened(browser) as page:
        page.go(tmp_path / "twice.html", "#i=1")
        assert page.page.inner_text(".panel-event p") == "w, 2 \N{RIGHTWARDS ARROW} mul2"
        assert page.page.inner_text(".panel-worked code") == "mul2[0] = w[0] * 2 = 1 * 2 = 2"
