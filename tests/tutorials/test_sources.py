"""What every tutorial's source has: a title, three kinds of exercises with checks, a cell for the teacher."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import minidl as md
from minidl.check.exercise import Explain, Implement, Predict
from minidl.classroom.exercises import check_call
from minidl.classroom.notebook import cells_in, notebook_of
from minidl.classroom.source import BEGIN, CODE, MARKDOWN, VALUE, Cell, cells_of, read, sources, text_of
from minidl.classroom.student import ANSWER, STUB, TEACHER, for_students
from tests.tutorials.conftest import TUTORIALS

SOURCES = sources(TUTORIALS)
LINES = 25  # of a code cell
STANDARD = {"minidl", "numpy", "matplotlib", "PIL", "rich", "mpl_toolkits"}

every_tutorial = pytest.mark.parametrize("stem", SOURCES)


def cells(stem: str) -> list[Cell]:
    return read(SOURCES[stem])


def named(stem: str, option: str) -> list[str]:
    return [str(cell.options[option]) for cell in cells(stem) if option in cell.options]


def test_there_are_twelve_numbered_from_one() -> None:
    assert [int(stem[:2]) for stem in SOURCES] == list(range(1, 13))


@every_tutorial
def test_it_begins_with_its_title_what_it_needs_and_how_long_it_takes(stem: str) -> None:
    first = cells(stem)[0]
    assert first.kind == MARKDOWN
    assert re.match(rf"# {stem[:2]}\. [A-Z]", first.text), first.text.splitlines()[0]
    beginning = "\n".join(cell.text for cell in cells(stem)[:3])
    assert "50 minutes" in " ".join(beginning.split())


@every_tutorial
def test_its_exercises_are_those_of_its_checks_in_their_order(stem: str) -> None:
    names = named(stem, "exercise")
    assert named(stem, "check") == names
    assert [exercise.name for exercise in md.check.exercises(int(stem[:2]))] == names


@every_tutorial
def test_something_is_predicted_something_written_and_something_explained(stem: str) -> None:
    exercises = md.check.exercises(int(stem[:2]))
    for kind in (Predict, Implement, Explain):
        assert any(isinstance(exercise, kind) for exercise in exercises)
    assert named(stem, "own_words")


@every_tutorial
def test_every_exercise_has_a_mark_for_its_solution_and_every_check_a_name(stem: str) -> None:
    for cell in cells(stem):
        if "exercise" in cell.options:
            assert BEGIN in cell.text or VALUE in cell.text
            student = for_students([cell])[0].text
            assert STUB in student or ANSWER in student
            ast.parse(student)
        elif cell.kind == CODE and TEACHER not in cell.tags:
            assert BEGIN not in cell.text, "a solution stands in a cell that is no exercise"
        if "check" in cell.options:
            call = check_call(cell)
            assert call.names[0] == "md" or "md" in call.names


@every_tutorial
def test_the_text_before_an_exercise_says_what_to_do_and_names_the_choices(stem: str) -> None:
    task = ""
    for cell in cells(stem):
        if cell.kind == MARKDOWN:
            task = cell.text
        if "exercise" not in cell.options:
            continue
        assert "Exercise" in task, f"no **Exercise: ...** before {cell.options['exercise']}"
        exercise = getattr(md.check, str(cell.options["exercise"]))
        if isinstance(exercise, Explain):
            assert all(re.search(rf"\b{letter}\)", task) for letter in exercise.choices)


@every_tutorial
def test_it_ends_with_a_cell_for_the_teacher(stem: str) -> None:
    found = [TEACHER in cell.tags for cell in cells(stem)]
    assert found[-1]
    assert sum(found) == 1
    assert "slides = " in cells(stem)[-1].text
    assert "pages = " in cells(stem)[-1].text


@every_tutorial
def test_its_cells_are_short(stem: str) -> None:
    lengths = [len(cell.text.splitlines()) for cell in for_students(cells(stem)) if cell.kind == CODE]
    assert max(lengths) <= LINES


@every_tutorial
def test_it_imports_nothing_but_what_minidl_needs(stem: str) -> None:
    tree = ast.parse(SOURCES[stem].read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= STANDARD | set(sys.stdlib_module_names)


@every_tutorial
def test_it_has_a_note_for_the_teacher_and_links_to_its_page(stem: str) -> None:
    note = (TUTORIALS / "notes" / f"{stem}.md").read_text(encoding="utf-8")
    assert "50 minutes" in note or re.search(r"\b(45|50)\b", note)
    links = {link for cell in cells(stem) for link in re.findall(r"\]\((pages/[^)#]+)[^)]*\)", cell.text)}
    assert links == {f"pages/{path.name}" for path in (TUTORIALS / "pages").glob(f"{stem[:2]}_*.html")}


@every_tutorial
def test_its_links_lead_to_what_a_class_gets_too(stem: str) -> None:
    """Of the files beside it a class's folder has the pages and the other notebooks, and nothing else."""
    links = re.findall(r"\]\(([^)\s]+)\)", "\n".join(cell.text for cell in cells(stem) if cell.kind == MARKDOWN))
    assert [link for link in links if not re.match(r"https?://|#|pages/|\d\d_\w+\.ipynb", link)] == []


@every_tutorial
def test_its_cells_can_be_written_and_read_again(stem: str) -> None:
    found = cells(stem)
    assert cells_of(text_of(found)) == found
    assert cells_in(notebook_of(found)) == found


@every_tutorial
def test_jupytext_reads_the_same_cells(stem: str) -> None:
    jupytext = pytest.importorskip("jupytext")
    theirs = jupytext.reads(SOURCES[stem].read_text(encoding="utf-8"), fmt="py:percent").cells
    ours = cells_of(SOURCES[stem].read_text(encoding="utf-8"), stem)
    assert [(cell.cell_type, cell.source) for cell in theirs] == [(cell.kind, cell.text) for cell in ours]
    for theirs_one, ours_one in zip(theirs, ours, strict=True):
        options = {name: value for name, value in theirs_one.metadata.items() if name != "lines_to_next_cell"}
        assert options == ours_one.options


@every_tutorial
def test_nothing_of_a_solution_is_left_for_students(stem: str) -> None:
    text = text_of(for_students(cells(stem)))
    assert "SOLUTION" not in text
    assert "slides = " not in text


def test_the_sample_is_read_as_the_tutorials_are() -> None:
    path = Path(__file__).parent / "sample" / "00_sample.py"
    found = cells_of(path.read_text(encoding="utf-8"))
    assert [cell.options["check"] for cell in found if "check" in cell.options] == [
        "t00_slope",
        "t00_double",
        "t00_why",
    ]
