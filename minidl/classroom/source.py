"""A tutorial's source, cell by cell: a Python file in which `# %%` begins a cell.

After the marks stand what kind of cell it is and its options: `# %% [markdown]`, `# %% exercise="t03_shapes"`. An
editor, jupytext and this file read it alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

CODE, MARKDOWN, RAW = "code", "markdown", "raw"
BEGIN, END, VALUE = "# BEGIN SOLUTION", "# END SOLUTION", "# SOLUTION"  # around lines of a solution, after a value
_MARK = re.compile(r"# %%(?P<rest>.*)")
_KIND = re.compile(r"\s*\[(markdown|md|raw)\]")
_OPTION = re.compile(r'\s*(\w+)=("[^"]*"|\[[^\]]*\]|[\w.+-]+)')
_STEM = re.compile(r"\d\d_[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        kind: "code", "markdown" or "raw".
        text: its lines; those of markdown without their `# `.
        options: what stands after `# %%`: exercise, check, own_words, tags.
    """

    kind: str
    text: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.options.get("tags", ()))

    def with_text(self, text: str) -> Cell:
        """The same cell with other lines."""
        return replace(self, text=text)


def cells_of(text: str, name: str = "source") -> list[Cell]:
    """The cells of a source's text.

    Raises:
        ValueError: there is code before the first cell, an option cannot be read, or a markdown cell holds a line that
            is no comment; the message names the line.
    """
    found: list[Cell] = []
    for number, mark, lines in _split(text):
        where = f"{name}, line {number}"
        if mark is None:
            stray = next((line for line in lines if line.strip() and not line.startswith("#")), None)
            if stray is not None:  # comments are jupytext's header
                raise ValueError(f"{name}: expected `# %%`, which begins a cell, before {stray!r}")
            continue
        kind, options = _read_mark(mark, where)
        body = "\n".join(lines).strip("\n")
        found.append(Cell(kind, body if kind == CODE else _uncommented(body, where), options))
    return found


def read(path: Path) -> list[Cell]:
    """The cells of a source file, in which every cell with a solution has the option exercise.

    Where it does not say which, it is that of the next check.
    """
    found = cells_of(path.read_text(encoding="utf-8"), path.name)
    said = {cell.options["exercise"] for cell in found if "exercise" in cell.options}
    coming = ""
    for i in reversed(range(len(found))):
        cell = found[i]
        coming = str(cell.options.get("check", coming))
        solved = cell.kind == CODE and (BEGIN in cell.text or VALUE in cell.text)
        if solved and coming and coming not in said and "exercise" not in cell.options:
            found[i] = replace(cell, options={"exercise": coming, **cell.options})
    return found


def _split(text: str) -> Iterator[tuple[int, str | None, list[str]]]:
    """Line number, what stands after `# %%`, and the lines of each cell; of what precedes the first, None."""
    number, mark, lines = 1, None, []  # type: int, str | None, list[str]
    for i, line in enumerate(text.splitlines(), 1):
        match = _MARK.fullmatch(line.rstrip())
        if match is None:
            lines.append(line.rstrip())
            continue
        yield number, mark, lines
        number, mark, lines = i, match["rest"], []
    yield number, mark, lines


def _read_mark(rest: str, where: str) -> tuple[str, dict[str, Any]]:
    kind, at = CODE, 0
    match = _KIND.match(rest)
    if match:
        kind, at = (RAW if match[1] == "raw" else MARKDOWN), match.end()
    options: dict[str, Any] = {}
    while at < len(rest.rstrip()):
        option = _OPTION.match(rest, at)
        if option is None:
            raise ValueError(f'{where}: expected options such as exercise="t03_shapes" after `# %%`; got {rest!r}')
        try:
            options[option[1]] = json.loads(option[2])
        except json.JSONDecodeError:
            options[option[1]] = option[2]
        at = option.end()
    return kind, options


def _uncommented(body: str, where: str) -> str:
    lines = []
    for i, line in enumerate(body.split("\n") if body else [], 1):
        if line.strip() and not line.startswith("#"):
            raise ValueError(f"{where}: its line {i} is no comment, and the cell is markdown: {line!r}")
        lines.append(line[2:] if line.startswith("# ") else line[1:])
    return "\n".join(lines).strip("\n")


def text_of(cells: list[Cell]) -> str:
    """The source that has these cells: what `cells_of` reads."""
    return "\n\n".join(_written(cell) for cell in cells) + "\n"


def _written(cell: Cell) -> str:
    kind = "" if cell.kind == CODE else f" [{cell.kind}]"
    options = "".join(f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in cell.options.items())
    if cell.kind == CODE:
        lines = cell.text
    else:
        lines = "\n".join(f"# {line}".rstrip() for line in cell.text.split("\n"))
    return f"# %%{kind}{options}\n{lines}"


def sources(folder: Path | None = None) -> dict[str, Path]:
    """The tutorials' sources by their stems, "03_tensors" and so on, in order.

    They lie in the installed package; where that is a folder of the repository, beside it.

    Raises:
        FileNotFoundError: there are none.
    """
    here = Path(__file__).parent
    places = [folder] if folder is not None else [here / "sources", here.parents[1] / "tutorials"]
    for place in places:
        found = {path.stem: path for path in sorted(place.glob("*.py")) if _STEM.fullmatch(path.stem)}
        if found:
            return found
    raise FileNotFoundError(f"there are no tutorials in {' or '.join(map(str, places))}")


def tutorial_of(stem: str) -> str:
    """`03_tensors` is tutorial `t03`."""
    return f"t{stem[:2]}"
