"""The pages of docs/ say what there is now, and their links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DECISIONS = [page for page in sorted((DOCS / "decisions").glob("*.md")) if page.stem != "README"]
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("script", sorted(DOCS.glob("make_*.py")), ids=lambda path: path.stem)
def test_a_page_made_from_the_code_is_up_to_date(script):
    command, environment = [sys.executable, str(script), "--check"], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_operation_layer_and_method_is_in_the_tables():
    import minidl as md

    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    names = [*md.functional.__all__, *md.nn.__all__, *md.optim.__all__, *md.models.__all__, *md.data.__all__]
    untold = {
        "init",
        "transforms",
        "abs",
        "Adagrad",
        "Parameter",
        "ACTIVATIONS",
        "LayerGroup",
        "LayerReport",
        "LayerView",
        "Scale",
    }
    missing = [name for name in names if f"`{name}(" not in page and f"`{name}`" not in page]
    assert set(missing) <= untold


def test_every_version_is_in_the_table():
    import minidl as md

    page = (DOCS / "fast.md").read_text(encoding="utf-8")
    assert [row for row in md.fast.table() if f"| `{row.op}` | `{row.version}` | {row.where} |" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_its_links_lead_somewhere(page):
    links = [x.split("#")[0] for x in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))]
    assert [x for x in links if x and "://" not in x and not (page.parent / x).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_files_it_names_are_there(page):
    """`minidl/nn/linear.py` and the like, wherever they stand in the text."""
    if page.name == "CHANGELOG.md":
        return  # which also names what was
    named = re.findall(r"`((?:minidl|tests|docs|benchmarks)/[\w./]+\.(?:py|md|cu))`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_what_why_and_what_else_was_possible(page):
    text = page.read_text(encoding="utf-8")
    for heading in ("# ", "## Decision", "## Why", "## What else was possible"):
        assert heading in text
    assert f"]({page.name})" in (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
