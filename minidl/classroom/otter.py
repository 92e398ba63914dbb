"""The set for Otter-Grader: one notebook a tutorial, to run `otter assign` on."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from minidl.classroom.exercises import FOR_WORDS, check_call, points_by_name
from minidl.classroom.handout import pages_of
from minidl.classroom.notebook import notebook_of, text_of_notebook
from minidl.classroom.source import BEGIN, CODE, RAW, Cell, read
from minidl.classroom.student import STUB, TEACHER, installing, seeded_below

CONFIG = """\
# ASSIGNMENT CONFIG
name: "{stem}"
init_cell: true
export_cell:
  pdf: false
  run_tests: true
generate: true
requirements:
  - minidl
tests:
  ok_format: false
files: [{pages}]"""

README = """\
# The tutorials of minidl for Otter-Grader

    pip install minidl otter-grader
    cd 03_tensors
    otter assign 03_tensors.ipynb dist        # dist/student for the class, dist/autograder with the tests and a zip
    otter run -a dist/autograder/*.zip -o results submission.ipynb

A function is worth 3 points, one for each third of the checks that pass; a prediction and a choice are worth 1; an
explanation in the student's own words is worth 2, given by you. The tests call the checks in minidl (`md.check`): a
failed one shows the student the case, the difference and a hint. None is hidden.

The solutions are public, as minidl is.{seed}
"""


def otter(sources: Mapping[str, Path], seed: int | None = None) -> dict[str, str | bytes]:
    """The files of the set, by their names. Arguments as of `plain`."""
    said = "" if seed is None else f" The cases that answers are checked on are drawn from your seed, {seed}."
    files: dict[str, str | bytes] = {"README.md": README.format(seed=said)}
    for stem, path in sources.items():
        cells = [cell for cell in read(path) if TEACHER not in cell.tags]
        pages = pages_of(stem, path)
        config = Cell(RAW, CONFIG.format(stem=stem, pages=", ".join(pages)))
        own = [config, installing(), *seeded_below(_in_questions(cells), seed)]
        files[f"{stem}/{stem}.ipynb"] = text_of_notebook(notebook_of(own))
        files.update({f"{stem}/{name}": page for name, page in pages.items()})
    return files


def _in_questions(cells: list[Cell]) -> list[Cell]:
    """The cells, those of an exercise between the raw ones that otter reads."""
    worth = points_by_name(cells)
    calls = {str(cell.options["check"]): cell for cell in cells if "check" in cell.options}
    found: list[Cell] = []
    for cell in cells:
        if "exercise" in cell.options:
            name = str(cell.options["exercise"])
            tests = [_test(calls[name], i, worth[name]) for i in range(1, worth[name] + 1)]
            found += [
                Cell(RAW, f"# BEGIN QUESTION\nname: {name}\npoints: {worth[name]}"),
                Cell(RAW, "# BEGIN SOLUTION"),
                cell.with_text(_prompted(cell.text)),
                Cell(RAW, "# END SOLUTION"),
                Cell(RAW, "# BEGIN TESTS"),
                *tests,
                Cell(RAW, "# END TESTS"),
                Cell(RAW, "# END QUESTION"),
            ]
        elif "own_words" in cell.options:
            name = f"{cell.options['own_words']}_own_words"
            found += [
                Cell(RAW, f"# BEGIN QUESTION\nname: {name}\nmanual: true\npoints: {FOR_WORDS}"),
                cell,
                Cell(RAW, "# BEGIN SOLUTION"),
                cell.with_text("The teacher's note has an answer."),
                Cell(RAW, "# END SOLUTION"),
                Cell(RAW, "# END QUESTION"),
            ]
        else:
            found.append(cell)
    return found


def _prompted(text: str) -> str:
    """Code in which students find our stub where otter would leave `...`: a check then says that it is open."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.strip() == BEGIN:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [f'{indent}""" # BEGIN PROMPT', f"{indent}{STUB}", f'{indent}""" # END PROMPT']
            line = f"{line} NO PROMPT"
        lines.append(line)
    return "\n".join(lines)


def _test(cell: Cell, i: int, points: int) -> Cell:
    """A test that passes if at least i of so many parts of the checks do."""
    found = check_call(cell)
    call = ast.unparse(found.call).removesuffix(")")
    lines = [
        f"def test_{found.exercise}_{i}({', '.join(found.names)}):",
        f"    result = {call}, show=False)",
        f"    assert result.score >= {i} / {points}, str(result)",
    ]
    return Cell(CODE, "\n".join(lines))
