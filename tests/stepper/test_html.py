"""The page as a file: what is in it, what cannot get out of it, how large it is."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.stepper.html import MOST_BYTES, html_of, save_html
from minidl.stepper.tape import Tape
from tests.arrays import tensor
from tests.stepper import pages


def tapes_in(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)]


def test_a_page_holds_its_tape() -> None:
    tape = pages.small()
    (held,) = tapes_in(html_of(tape))
    assert [event["op"] for event in held["events"]] == [event.op for event in tape]
    assert held["formulas"][held["events"][0]["formula"]]["forward"].startswith("<math")
    assert held["events"][0]["worked"]["forward"]
    assert "sampled" not in held


def test_a_page_holds_checks_and_is_the_same_each_time() -> None:
    (held,) = tapes_in(html_of(pages.small()))
    assert held["checks"]
    assert all(check["ok"] for check in held["checks"])
    assert html_of(pages.small()) == html_of(pages.small())


def test_a_page_of_two_holds_both() -> None:
    held = tapes_in(html_of(pages.small("one"), pages.small("other", 2.0)))
    assert [tape["title"] for tape in held] == ["one", "other"]


def test_a_page_of_a_lenet_step_is_small_and_says_what_is_a_sample() -> None:
    tape = pages.lenet()
    page = html_of(tape)
    assert len(page.encode()) < MOST_BYTES
    (held,) = tapes_in(page)
    assert held["sampled"] >= 1000
    assert len(html_of(tape, tape).encode()) < MOST_BYTES


def test_a_long_tape_is_compressed_in_its_page() -> None:
    page = html_of(pages.chain())
    assert len(page.encode()) < MOST_BYTES
    (text,) = re.findall(r'<script type="application/json" data-packed="gzip">"(.*?)"</script>', page)
    held = json.loads(gzip.decompress(base64.b64decode(text)))
    assert len(held["events"]) == 2004
    assert page == html_of(pages.chain())


def test_only_its_own_script_and_style_may_run_and_nothing_may_be_loaded() -> None:
    page = html_of(pages.small())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy[1]
    assert not re.search(r'(?:src|href)\s*=\s*"?https?:', page)


def test_a_program_cannot_end_the_script_that_holds_it() -> None:
    bad = "</script><!--<script>\u2028\x1b]0;\u202e{{script}}"
    w = md.tensor(np.ones(2), requires_grad=True)
    w.name = bad
    with md.record(title=bad) as tape:
        F.sum(w * 2).backward()
    page = html_of(tape)
    assert page.count("</script>") == 2
    assert "<!--" not in page.replace("<!doctype", "")
    assert not {"\u2028", "\x1b", "\u202e"} & set(page)
    (held,) = tapes_in(page)
    assert "</script>" in held["values"][0]["key"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "step.html"
    pages.small().save_html(path)
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert [file.name for file in path.parent.iterdir()] == ["step.html"]
    with pytest.raises(ValueError, match=r"ends in \.html"):
        pages.small().save_html(tmp_path / "step.txt")
    with pytest.raises(ValueError, match="this one is empty"):
        save_html(Tape(), tmp_path / "empty.html")
    with pytest.raises(TypeError, match="expected a tape"):
        save_html(pages.small(), tmp_path / "step.html", other=3)  # type: ignore[arg-type]
    assert not (tmp_path / "empty.html").exists()


def test_numbers_that_are_not_finite_and_zero_dimensions_are_held() -> None:
    x = md.tensor(np.array(np.nan), requires_grad=True)
    with md.record() as tape:
        (x * np.inf).backward()
    (held,) = tapes_in(html_of(tape))
    assert held["arrays"][0]["shape"] == []


def test_a_bias_that_is_not_there_holds_no_number() -> None:
    layer = md.nn.Conv2d(1, 1, 1, bias=False)
    with md.record() as tape:
        layer(tensor(np.ones((1, 1, 2, 2), np.float32)))
    (held,) = tapes_in(html_of(tape))
    assert {array["dtype"] for array in held["arrays"]} == {"float32", "float64"}
    assert [value["shape"] for value in held["values"] if value["key"] == "none"] == [[0]]
