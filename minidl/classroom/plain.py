"""The set for a class that needs no grader: notebooks, Python files, a test file for pytest, a page to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from minidl.classroom.handout import pages_of, title_of
from minidl.classroom.notebook import notebook_of, text_of_notebook
from minidl.classroom.source import read, text_of, tutorial_of
from minidl.classroom.student import for_students, installing, seeded_below

README = """\
# Tutorials of minidl

Each tutorial takes about 50 minutes. Work in its notebook (`.ipynb`: Jupyter, VS Code, Colab), or in the Python file of
the same name (`.py`, in cells: VS Code, Spyder; or `python -m pdb 03_tensors.py`, to go through it line by line).

{table}

In each you predict something, write a function, and explain what you saw. Where `...` or `raise NotImplementedError`
stands, your lines belong. The cell below it checks them: it shows the case, what you computed beside what was expected,
and often what went wrong. Try as often as you like; the cells after it run whether your answer is right or not.

    pip install minidl pytest
    pytest                 # everything you answered, notebooks and Python files
    pytest -m t03          # tutorial 3

`print(md.check.progress())` shows what you have done here; it is kept in `minidl_progress.json`, on this machine only.
The solutions are public. Reading one before you have tried costs you what the exercise is for.
"""

TESTS = '''\
"""Checks what you wrote in the notebooks and Python files of this folder: `pytest`, or `pytest -m t03` for tutorial 3.

A file in which you have answered something is run from top to bottom; the checks in it say what they found. Answered in
the notebook and in the Python file, the better answer counts.
"""

from pathlib import Path

import pytest

from minidl.classroom.answers import Answers

EXERCISES = [
{names}
]
ANSWERS = Answers(Path(__file__).parent, seed={seed})


@pytest.mark.parametrize("name", [pytest.param(name, marks=getattr(pytest.mark, name[:3])) for name in EXERCISES])
def test_answer(name):
    result = ANSWERS[name]
    if not result.passed:
        pytest.fail(str(result), pytrace=False)
'''

SETTINGS = """\
[pytest]
addopts = -q --strict-markers
testpaths = test_tutorials.py
markers =
{markers}
"""


def plain(sources: Mapping[str, Path], seed: int | None = None) -> dict[str, str | bytes]:
    """The files of the set, by their names.

    Args:
        sources: the tutorials' sources, by stem.
        seed: of the class; None leaves it to the environment.
    """
    files: dict[str, str | bytes] = {}
    names: list[str] = []
    markers, rows = [], ["| | tutorial |", "|---|---|"]
    for stem, path in sources.items():
        text = path.read_text(encoding="utf-8")
        cells = for_students(read(path))
        names += [str(cell.options["check"]) for cell in cells if "check" in cell.options]
        title = title_of(text)
        markers.append(f"    {tutorial_of(stem)}: {title}")
        rows.append(f"| {stem[:2]} | [{title}]({stem}.ipynb) |")
        own = seeded_below(cells, seed)
        files[f"{stem}.ipynb"] = text_of_notebook(notebook_of([installing(), *own]))
        files[f"{stem}.py"] = text_of(own)
        files.update(pages_of(stem, path))
    files["README.md"] = README.format(table="\n".join(rows))
    listed = "\n".join(f'    "{name}",' for name in names)
    files["test_tutorials.py"] = TESTS.replace("{names}", listed).replace("{seed}", repr(seed))
    files["pytest.ini"] = SETTINGS.format(markers="\n".join(markers))
    return files
