"""Solutions are taken out for students, marks for readers."""

from __future__ import annotations

import pytest

from minidl.classroom.source import CODE, MARKDOWN, Cell
from minidl.classroom.student import (
    badge,
    for_students,
    installing,
    linked,
    seeded_below,
    with_solutions,
    without_solutions,
)

SOLVED = '''\
def f(x):
    """Twice x."""
    y = 1
    # BEGIN SOLUTION
    y = 2

    return y * x
    # END SOLUTION'''


def test_lines_between_the_marks_become_the_stub_at_the_same_indent() -> None:
    assert without_solutions(SOLVED).splitlines() == [
        "def f(x):",
        '    """Twice x."""',
        "    y = 1",
        '    raise NotImplementedError("your lines here")',
    ]


@pytest.mark.parametrize(
    ("line", "student"),
    [
        ("slope = 0.25  # SOLUTION", "slope = ...  # your answer"),
        ("slopes = {'a': 1, 'b': 2}  # SOLUTION", "slopes = ...  # your answer"),
        ("    answers['a', 1] = x == 2  # SOLUTION", "    answers['a', 1] = ...  # your answer"),
        ("x = 1  # a comment", "x = 1  # a comment"),
    ],
)
def test_a_value_becomes_dots(line: str, student: str) -> None:
    assert without_solutions(line) == student


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# BEGIN SOLUTION\nx", "has no `# END SOLUTION` after it"),
        ("# END SOLUTION", "has no `# BEGIN SOLUTION` before it"),
        ("# BEGIN SOLUTION\n# BEGIN SOLUTION", "stands twice"),
        ("print(x)  # SOLUTION", "ends a line such as"),
        ("a, b = 1, 2  # SOLUTION", "stands after one name"),
    ],
)
def test_wrong_marks_are_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"SOLUTION") as error:
        without_solutions(text)
    assert words in str(error.value)


def test_the_teachers_cells_are_dropped_and_readers_see_no_marks() -> None:
    cells = [Cell(CODE, SOLVED), Cell(CODE, "x = 2  # SOLUTION"), Cell(CODE, "slides = {}", {"tags": ["teacher"]})]
    assert len(for_students(cells)) == 2
    first, second = with_solutions(cells)
    assert "SOLUTION" not in first.text
    assert "return y * x" in first.text
    assert second.text == "x = 2"


def test_links_lead_to_where_the_pages_are() -> None:
    cells = [Cell(MARKDOWN, "see [pages/a.html](pages/a.html)"), Cell(CODE, "f(pages/a)")]
    assert linked(cells, "../pages/")[0].text == "see [pages/a.html](../pages/a.html)"
    assert linked(cells, "../pages/")[1] is cells[1]


def test_a_seed_is_set_below_the_title() -> None:
    cells = [Cell(MARKDOWN, "# T"), Cell(CODE, "x")]
    assert seeded_below(cells, None) is cells
    title, seed, _ = seeded_below(cells, 2026)
    assert title.text == "# T"
    assert "md.check.seed(2026)" in seed.text


def test_the_first_cells_are_python() -> None:
    compile(installing().text, "cell", "exec")
    assert "colab.research.google.com/github/" in badge("03_tensors").text
    assert badge("03_tensors").text.endswith("tutorials/student/03_tensors.ipynb)")
