"""Cells become a notebook that Jupyter takes, and are read from it again."""

from __future__ import annotations

import json

import pytest

from minidl.classroom.notebook import cells_in, notebook_of, text_of_notebook
from minidl.classroom.source import CODE, MARKDOWN, RAW, Cell

CELLS = [
    Cell(MARKDOWN, "# T\n\ntext"),
    Cell(CODE, "x = 1\ny = 2", {"exercise": "t00_x", "tags": ["a"]}),
    Cell(RAW, "# BEGIN QUESTION"),
    Cell(CODE, "", {"nbgrader": {"points": 1}}),
]


def test_a_notebook_is_read_again() -> None:
    assert cells_in(json.loads(text_of_notebook(notebook_of(CELLS)))) == CELLS


def test_the_same_cells_give_the_same_text_with_ids_of_their_own() -> None:
    assert text_of_notebook(notebook_of(CELLS)) == text_of_notebook(notebook_of(list(CELLS)))
    ids = [cell["id"] for cell in notebook_of(CELLS)["cells"]]
    assert len(set(ids)) == len(ids)


def test_jupyter_takes_it() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.reads(text_of_notebook(notebook_of(CELLS)), as_version=4))


def test_one_that_an_editor_wrote_is_read() -> None:
    notebook = {"cells": [{"cell_type": "code", "source": "x = 1\ny", "outputs": []}, {"cell_type": "?", "source": []}]}
    assert cells_in(notebook) == [Cell(CODE, "x = 1\ny"), Cell(RAW, "")]
