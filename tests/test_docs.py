"""The pages of docs/ say what there is now, and their links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_examples import has_help
from tests.test_public import PUBLIC

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DECISIONS = [page for page in sorted((DOCS / "decisions").glob("*.md")) if page.stem != "README"]
OF_THE_SITE = DOCS / "sphinx"  # its own pages: their links count from the site's root, and its build refuses dead ones
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if OF_THE_SITE not in page.parents]
PAGES += [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "tutorials" / "README.md"]
PAGES += sorted((ROOT / "tutorials" / "notes").glob("*.md"))


@pytest.mark.parametrize("script", sorted(DOCS.glob("make_*.py")), ids=lambda path: path.stem)
def test_a_page_made_from_the_code_is_up_to_date(script):
    command, environment = [sys.executable, str(script), "--check"], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_everything_public_is_in_the_reference(package):
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    names = [name for name in package.__all__ if has_help(getattr(package, name))]
    assert [name for name in names if f"`{name}(" not in page and f"`{name}`" not in page] == []


def test_the_pages_of_the_reference_show_the_examples():
    page = (DOCS / "reference" / "functional.md").read_text(encoding="utf-8")
    assert "### relu\n\n`F.relu(x)`\n\nmax(x, 0), elementwise.\n\n```pycon\n>>> x = md.tensor(" in page
    assert "### abs\n\n`F.abs` is the same as [`absolute`](#absolute).\n" in page


def test_methods_are_in_the_reference():
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    for method in ("backward(", "reshape(", "state_dict(", "register_forward_hook(", "layer_report(", "plot("):
        assert f"| `{method}" in page


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
