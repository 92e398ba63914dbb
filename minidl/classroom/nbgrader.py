"""The set for nbgrader: one assignment a tutorial, in the layout of its course folder (its schema version 3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minidl.classroom.exercises import FOR_WORDS, check_call, points_by_name
from minidl.classroom.handout import pages_of
from minidl.classroom.notebook import notebook_of, text_of_notebook
from minidl.classroom.source import BEGIN, END, VALUE, Cell, read
from minidl.classroom.student import TEACHER, installing, seeded_below, without_value

CONFIG = """\
# nbgrader_config.py: run nbgrader's commands in this folder.
c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "minidl"
c.ClearSolutions.code_stub = {"python": "...  # your lines here"}
c.ClearSolutions.text_stub = "*Your answer here.*"
c.ExecutePreprocessor.timeout = 300
"""

README = """\
# The tutorials of minidl for nbgrader

    pip install minidl nbgrader
    nbgrader generate_assignment 03_tensors      # release/: solutions out
    nbgrader autograde 03_tensors                # submitted/ to autograded/
    nbgrader formgrader                          # the students' own words, by hand

A function is worth 3 points, of which a student gets the part of the checks that pass; a prediction and a choice are
worth 1; an explanation in the student's own words is worth 2, given by you. The checks are not in the notebook but in
minidl (`md.check`): a student can change nothing of them, and sees the case, the difference and a hint.

The solutions are public, as minidl is.{seed} A student tests a notebook by Restart and run all: each runs
from top to bottom with nothing filled in.
"""


def nbgrader(sources: Mapping[str, Path], seed: int | None = None) -> dict[str, str | bytes]:
    """The files of the set, by their names. Arguments as of `plain`."""
    said = "" if seed is None else f" The cases that answers are checked on are drawn from your seed, {seed}."
    files: dict[str, str | bytes] = {"nbgrader_config.py": CONFIG, "README.md": README.format(seed=said)}
    for stem, path in sources.items():
        cells = [cell for cell in read(path) if TEACHER not in cell.tags]
        worth = points_by_name(cells)
        own = [installing(), *seeded_below([_of_nbgrader(cell, worth) for cell in cells], seed)]
        notebook = notebook_of(own)
        files[f"source/{stem}/{stem}.ipynb"] = text_of_notebook(notebook)
        files.update({f"source/{stem}/{name}": page for name, page in pages_of(stem, path).items()})
    return files


def _of_nbgrader(cell: Cell, worth: Mapping[str, int]) -> Cell:
    options = cell.options
    if "check" in options:
        name = str(options["check"])
        grade = f"{worth[name]} * {check_call(cell).result}.score"
        return _about(cell.with_text(f"{cell.text}\n{grade}"), f"{name}_check", grade=True, points=worth[name])
    if "own_words" in options:
        text = f"{cell.text}\n\n### BEGIN SOLUTION\nThe teacher's note has an answer.\n### END SOLUTION"
        return _about(
            cell.with_text(text), f"{options['own_words']}_own_words", grade=True, solution=True, points=FOR_WORDS
        )
    if "exercise" in options:
        return _about(cell.with_text(_marked(cell.text)), str(options["exercise"]), solution=True)
    return cell


def _about(cell: Cell, name: str, grade: bool = False, solution: bool = False, points: int | None = None) -> Cell:
    """The cell with nbgrader's metadata. A check is locked: what a student changes there is put back."""
    about: dict[str, Any] = {
        "schema_version": 3,
        "grade_id": name,
        "grade": grade,
        "solution": solution,
        "locked": grade and not solution,
        "task": False,
    }
    if points is not None:
        about["points"] = points
    return Cell(cell.kind, cell.text, {**cell.options, "nbgrader": about})


def _marked(text: str) -> str:
    """A source's marks as nbgrader's. A value is open before its solution, so that a check finds it open."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.strip() in (BEGIN, END):
            lines.append(line.replace("# ", "### ", 1))
        elif line.rstrip().endswith(VALUE):
            solved = line.rstrip().removesuffix(VALUE).rstrip()
            lines += [without_value(line), "### BEGIN SOLUTION", solved, "### END SOLUTION"]
        else:
            lines.append(line)
    return "\n".join(lines)
