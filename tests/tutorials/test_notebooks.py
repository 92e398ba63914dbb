"""Every student's notebook runs alone with nothing filled in; the notebooks that are read equal a rebuild.

They take minutes, and run where MINIDL_NOTEBOOKS=1 is set, as in CI; nbclient and ipykernel are needed then:
`pip install -e '.[tutorials]'`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from minidl import backend
from minidl.classroom.source import sources
from tests.tutorials.conftest import TUTORIALS

if os.environ.get("MINIDL_NOTEBOOKS") != "1":
    pytest.skip("they take minutes: MINIDL_NOTEBOOKS=1 runs them", allow_module_level=True)

from tutorials.build import build, executed, student_notebook
from tutorials.compare import differences

SOURCES = sources(TUTORIALS)
MEGABYTE = 1_000_000
PAGE = 320_000  # bytes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of the clients, not of minidl
    pytest.mark.skipif(backend.current() != "numpy", reason="a kernel runs on NumPy"),
]


def said(cell: dict[str, Any]) -> str:
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])


@pytest.mark.parametrize("stem", SOURCES)
def test_a_students_notebook_runs_alone_with_nothing_filled_in(stem: str) -> None:
    """In an empty folder, in a kernel of its own; its checks say "not yet", and nothing after them fails."""
    notebook = executed(json.loads(student_notebook(SOURCES[stem])), TUTORIALS, stop=True)
    checks = [cell for cell in notebook["cells"] if "check" in cell["metadata"].get("minidl", {})]
    assert len(checks) >= 3
    for cell in checks:
        name = cell["metadata"]["minidl"]["check"]
        assert f"{name}: not yet, 0 of " in said(cell)
        assert "not answered yet" in said(cell)


@pytest.mark.parametrize("stem", SOURCES)
def test_what_is_there_equals_a_rebuild(stem: str, tmp_path: Path) -> None:
    build(SOURCES[stem], tmp_path)
    assert differences(stem, TUTORIALS, tmp_path) == []


@pytest.mark.parametrize("stem", SOURCES)
def test_what_is_there_is_small_and_complete(stem: str) -> None:
    read = TUTORIALS / "notebooks" / f"{stem}.ipynb"
    assert read.stat().st_size < MEGABYTE
    assert len(list((TUTORIALS / "slides").glob(f"{stem[:2]}_*.png"))) == 2
    pages = list((TUTORIALS / "pages").glob(f"{stem[:2]}_*.html"))
    assert len(pages) == 1
    assert pages[0].stat().st_size < PAGE


@pytest.mark.parametrize("stem", SOURCES)
def test_what_is_read_holds_pictures_and_no_paths_of_a_machine(stem: str) -> None:
    text = (TUTORIALS / "notebooks" / f"{stem}.ipynb").read_text(encoding="utf-8")
    notebook = json.loads(text)
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output["output_type"] == "error"] or '"raises-exception"' in text
    for words in ("/tmp/", "/root/", "/home/", "site-packages", "ipykernel_"):
        assert words not in text
