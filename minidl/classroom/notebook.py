"""Cells as a notebook: the json that Jupyter opens (nbformat 4.5), made without Jupyter."""

from __future__ import annotations

import json
from typing import Any

from minidl.classroom.source import CODE, MARKDOWN, RAW, Cell

_HELD = ("exercise", "check", "own_words")


def notebook_of(cells: list[Cell], metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """A notebook without outputs. The same cells give the same notebook, the ids of the cells too."""
    return {
        "cells": [_json(cell, f"cell-{number:03d}") for number, cell in enumerate(cells, 1)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            **(metadata or {}),
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _json(cell: Cell, number: str) -> dict[str, Any]:
    about: dict[str, Any] = {name: cell.options[name] for name in _HELD if name in cell.options}
    metadata: dict[str, Any] = {"minidl": about} if about else {}
    if cell.tags:
        metadata["tags"] = list(cell.tags)
    metadata.update({name: value for name, value in cell.options.items() if name not in (*_HELD, "tags")})
    found = {"cell_type": cell.kind, "id": number, "metadata": metadata, "source": lines_of(cell.text)}
    return {**found, "execution_count": None, "outputs": []} if cell.kind == CODE else found


def lines_of(text: str) -> list[str]:
    """Text as notebooks hold it: a list of lines, each but the last with its line break."""
    return text.splitlines(keepends=True)


def cells_in(notebook: dict[str, Any]) -> list[Cell]:
    """The cells of a notebook, without outputs: what `notebook_of` was given."""
    found = []
    for cell in notebook["cells"]:
        metadata = dict(cell.get("metadata", {}))
        options = {**metadata.pop("minidl", {}), **metadata}
        source = cell["source"]
        text = source if isinstance(source, str) else "".join(source)
        kind = cell["cell_type"]
        found.append(Cell(kind if kind in (CODE, MARKDOWN, RAW) else RAW, text, options))
    return found


def text_of_notebook(notebook: dict[str, Any]) -> str:
    """The file's text, as Jupyter writes it."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
