"""The panel in a browser: its modules as they stand in src/, on a tape of a diamond with a broadcast bias."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.stepper.contents import TapeContents
from minidl.stepper.saving import as_json
from tests.stepper.page.test_model import two_steps

pytestmark = pytest.mark.browser
SRC = Path(minidl.__file__).parent / "stepper" / "page" / "src"
KINDS = {".js": "text/javascript", ".css": "text/css"}
INDEX = """<!doctype html><html lang="en"><meta charset="utf-8"><title>panel</title>
<style>:root { color-scheme: light dark }</style><link rel="stylesheet" href="/panel/panel.css"><div id="root"></div>
<script type="module">
import { Tape } from "/model.js";
import { renderPanel } from "/panel/panel.js";
const tape = new Tape(await (await fetch("/tape.json")).json());
const root = document.getElementById("root");
window.done = [];
const actions = { onSelect: (v) => done.push(["select", tape.values[v].key]), onJump: (i) => done.push(["jump", i]) };
window.show = (i, key = null, options = {}) =>
  renderPanel(root, tape, i, key === null ? null : tape.find(key), { ...actions, ...options });
window.heldAt = (key, i) => tape.content(tape.find(key), i);
window.number = (phase, op, from = 0) =>
  tape.events.find((e) => e.phase === phase && e.op === op && e.number >= from).number;
window.ready = true;
</script></html>"""


@pytest.fixture(scope="module")
def tape() -> TapeContents:
    tape = two_steps()
    w, i = tape.value("w"), tape.find(phase="update")[0].number
    total = tape.gradient(w, i).total
    assert total is not None
    wrong = {"backward": total.at((1, 0)), "numeric": 2.0, "eps": 1e-4, "error": 1.0, "ok": False}
    tape.checks.append({"value": w.number, "index": [1, 0], **wrong})
    return tape


@pytest.fixture(scope="module")
def page(browser: Any, tape: TapeContents) -> Iterator[Any]:
    told = as_json(tape)
    for event in told["events"]:
        event["formula"] = {"forward": MATHS, "gradients": [MATHS for _ in event["addends"]]}
        texts = [{"place": [0, 1], "text": "at 0, 1"}, {"place": [2, 1], "text": "at 2, 1"}]
        event["worked"] = {"forward": texts, "gradients": [[] for _ in event["addends"]]}

    told["quiz"] = [question(tape)]

    def answer(route: Any) -> None:
        path = route.request.url.removeprefix("http://page.test/")
        if path in ("", "tape.json"):
            body, kind = (INDEX, "text/html") if not path else (json.dumps(told), "application/json")
        elif path == "favicon.ico":
            body, kind = "", "image/x-icon"
        else:
            body, kind = (SRC / path).read_text(encoding="utf-8"), KINDS[Path(path).suffix]
        route.fulfill(body=body, content_type=kind)

    context = browser.new_context(viewport={"width": 600, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("http://page.test/**", answer)
    page.goto("http://page.test/")
    page.wait_for_function("window.ready")
    yield page
    assert complaints == []
    context.close()


def question(tape: TapeContents) -> dict[str, Any]:
    """As minidl/stepper/quiz.py writes one, about the last backward of a product of matrices."""
    event = tape.find(phase="backward", op="MatMul")[-1]
    return {
        "kind": "addend", "event": event.number, "addend": 0, "value": tape.value("w").number, "place": [1, 1],
        "ask": "What is sent?", "answer": 2.0, "tolerance": 0.02, "hint": "think", "reveal": "2 = 1 + 1",
        "wrong": [{"number": 1.0, "says": "this is half of it", "tolerance": 0.01}],
    }  # fmt: skip


MATHS = (
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi onclick="alert(1)" style="color:red">y</mi>'
    '<mo>=</mo><mi href="https://x">x</mi><annotation-xml><a href="https://x">z</a></annotation-xml></math>'
)


def moment(page: Any, phase: str, op: str, begin: int = 0) -> int:
    return int(page.evaluate("([phase, op, from]) => number(phase, op, from)", [phase, op, begin]))


def cells(page: Any, title: str) -> list[str]:
    figure = page.locator("figure", has=page.locator("figcaption", has_text=re.compile(f"^{title}"))).first
    return [text.strip() for text in figure.locator("tbody td").all_text_contents()]


def test_value_and_gradient_stand_with_their_numbers(page: Any, tape: TapeContents) -> None:
    i = moment(page, "backward", "Mul")
    page.evaluate("i => show(i, 'h')", i)
    held, gradient = tape.content("h", i), tape.gradient("h", i).total
    assert held is not None
    assert gradient is not None
    assert np.allclose([float(text) for text in cells(page, "value")], held.values.ravel(), rtol=1e-3)
    assert np.allclose([float(text) for text in cells(page, "gradient dL/dh")], gradient.values.ravel(), rtol=1e-3)


def test_what_is_not_computed_yet_is_hatched_and_never_0(page: Any) -> None:
    page.evaluate("show(0, 'loss')")
    assert page.locator(".panel-hatched").all_inner_texts() == ["not computed yet", "not computed yet"]
    assert page.locator("figure td").count() == 0


def test_a_shared_ancestor_shows_each_addend_and_the_running_sum(page: Any, tape: TapeContents) -> None:
    i = moment(page, "backward", "Mul")
    page.evaluate("i => show(i, 'h')", i)
    rows = page.locator(".panel-addends tbody tr")
    known = tape.gradient("h", i)
    assert rows.count() == len(known.addends) >= 2
    last = float(rows.last.locator("td").last.inner_text())
    assert known.total is not None
    assert last == pytest.approx(known.total.at((0, 0)), rel=1e-6)
    rows.first.locator("button").click()
    assert page.evaluate("done.pop()") == ["jump", known.addends[0][0]]


def test_shapes_before_and_after_unbroadcasting(page: Any) -> None:
    i = moment(page, "backward", "Add")
    while page.evaluate("i => show(i)", i) or "(4, 2) summed to (2,)" not in page.inner_text("#root"):
        i = moment(page, "backward", "Add", i + 1)
    page.locator(".panel-sent button").last.click()
    assert page.evaluate("done.pop()") == ["select", "b"]


def test_arrows_move_the_place_and_not_the_moment(page: Any) -> None:
    page.evaluate("show(1, 'h'); window.reached = []; document.addEventListener('keydown', (e) => reached.push(e.key))")
    page.locator("[data-focus=value]").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "n"):
        page.keyboard.press(key)
    assert page.inner_text(".panel-readout >> nth=0").startswith("[2, 1] = ")
    assert page.evaluate("reached") == ["n"]
    assert page.inner_text(".panel-worked code") == "at 2, 1"
    page.evaluate("show(2, 'h')")
    assert page.evaluate("document.activeElement.dataset.focus") == "value"
    assert page.inner_text(".panel-readout >> nth=0").startswith("[2, 1] = ")


def test_of_a_formula_only_mathml_is_taken_over(page: Any) -> None:
    page.evaluate("show(1, 'h')")
    kept = page.evaluate("document.querySelector('math').outerHTML")
    assert kept == "<math><mi>y</mi><mo>=</mo><mi>x</mi></math>"


def test_the_quiz_hides_judges_and_reveals(page: Any, tape: TapeContents) -> None:
    i = moment(page, "backward", "MatMul")
    page.evaluate("i => show(i, 'w', {quiz: true})", i)
    addend = tape[i].addends[-1]
    answer = max(addend.grad.values.ravel().tolist(), key=abs)
    assert f"{answer:.3g}" not in page.inner_text("#root")
    assert "hidden until you have answered" in page.locator(".panel-value .panel-hatched").inner_text()
    page.fill(".panel-quiz input", f"{-answer:.4g}")
    page.keyboard.press("Enter")
    assert "the sign is not" in page.inner_text(".panel-verdict")
    page.fill(".panel-quiz input", f"{answer:.4g}")
    page.keyboard.press("Enter")
    assert "Right" in page.inner_text(".panel-verdict")
    assert len(cells(page, "gradient dL/dw")) == 6


def test_a_question_of_the_tape_is_asked_hinted_and_revealed(page: Any, tape: TapeContents) -> None:
    i = question(tape)["event"]
    page.evaluate("i => show(i, null, {quiz: true})", i)
    page.get_by_label("What is sent?").fill("1")
    page.keyboard.press("Enter")
    assert page.inner_text(".panel-verdict") == "This is half of it."
    page.get_by_text("Hint", exact=True).click()
    assert "think" in page.inner_text(".panel-hint")
    page.get_by_text("Reveal").click()
    assert "2 = 1 + 1" in page.inner_text(".panel-quiz")
    page.get_by_text("Ask again").click()
    assert page.get_by_label("What is sent?").input_value() == ""


def test_a_check_by_finite_differences_is_said_in_words(page: Any, tape: TapeContents) -> None:
    page.evaluate("i => show(i, 'w')", moment(page, "update", "SGD"))
    assert "1 of 1 checked number DIFFERS" in page.inner_text(".panel-checks")
    page.locator(".panel-checks button").click()
    assert page.inner_text(".panel-readout >> nth=0").startswith("[1, 0] = ")
    assert "finite difference 2 (step 0.0001), error 1: they do not agree" in page.inner_text(".panel-checks")
    for other_backward in (0, len(tape) - 1):
        page.evaluate("i => show(i, 'w')", other_backward)
        assert page.locator(".panel-checks").count() == 0


def test_an_update_shows_what_moved(page: Any) -> None:
    page.evaluate("i => show(i)", moment(page, "update", "SGD"))
    titles = page.locator(".panel-changes figcaption").all_inner_texts()
    assert titles == ["weight before", "gradient used", "weight after"]
    assert "learning rate" in page.inner_text(".panel-settings")


def test_another_tapes_array_shows_what_differs(page: Any) -> None:
    i = moment(page, "update", "SGD")
    page.evaluate("i => show(i, 'w', {other: {content: heldAt('w', 0), gradient: null}})", i + 1)
    assert len(cells(page, "value: this")) == 6
    page.evaluate("i => show(i, 'w', {other: {content: heldAt('w', i), gradient: null}})", i)
    assert "value: equal to the other's" in page.inner_text(".panel-value")


def test_the_users_line_is_lit(page: Any) -> None:
    page.evaluate("show(0)")
    assert "h = x @ w + b" in page.inner_text(".panel-line-lit")
