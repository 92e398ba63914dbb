"""What a student gets of a source: the same cells, with lines to write where the solutions stand."""

from __future__ import annotations

import re

from minidl.classroom.source import BEGIN, CODE, END, MARKDOWN, VALUE, Cell

STUB = 'raise NotImplementedError("your lines here")'
ANSWER = "= ...  # your answer"
TEACHER = "teacher"
REPOSITORY = "minidl/minidl"  # on GitHub, from where Colab opens a notebook

_VALUE = re.compile(rf"(?P<target>\s*[^=#]+?)\s*=(?!=)(?P<value>.+?)\s*{VALUE}\s*")
_PAGE = re.compile(r"\]\(pages/")

INSTALL = """\
from importlib.util import find_spec

if find_spec("minidl") is None:  # as on Colab
    get_ipython().run_line_magic("pip", "install -q minidl")"""


def without_solutions(text: str, stub: str = STUB) -> str:
    """Code with a stub in the place of every solution.

    The lines from `# BEGIN SOLUTION` to `# END SOLUTION` become the stub; `x = 2  # SOLUTION` becomes
    `x = ...  # your answer`.

    Raises:
        ValueError: a mark lacks the other one.
    """
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        mark = line.strip()
        if mark == BEGIN:
            if inside:
                raise ValueError(f"`{BEGIN}` stands twice before `{END}`")
            inside = True
            lines.append(line[: len(line) - len(line.lstrip())] + stub)
        elif mark == END:
            if not inside:
                raise ValueError(f"`{END}` has no `{BEGIN}` before it")
            inside = False
        elif not inside:
            lines.append(without_value(line))
    if inside:
        raise ValueError(f"`{BEGIN}` has no `{END}` after it")
    return "\n".join(lines)


def without_value(line: str) -> str:
    """`x = 2  # SOLUTION` as `x = ...  # your answer`; any other line as it is."""
    if not line.rstrip().endswith(VALUE) or line.strip() == VALUE:
        return line
    match = _VALUE.fullmatch(line)
    if match is None:
        raise ValueError(f"`{VALUE}` ends a line such as `slope = 0.25  {VALUE}`; got {line!r}")
    if "," in re.sub(r"\[.*?\]", "", match["target"]):
        raise ValueError(f"`{VALUE}` stands after one name, since `a, b = ...` cannot run; got {line!r}")
    return f"{match['target']} {ANSWER}"


def without_marks(text: str) -> str:
    """Code with its solutions, without the marks around them: what is read beside its outputs."""
    kept = [line for line in text.split("\n") if line.strip() not in (BEGIN, END)]
    return "\n".join(re.sub(rf"\s*{VALUE}\s*$", "", line) for line in kept)


def for_students(cells: list[Cell]) -> list[Cell]:
    """The cells of a student: solutions out, the teacher's cells dropped."""
    return [
        cell.with_text(without_solutions(cell.text)) if cell.kind == CODE else cell
        for cell in cells
        if TEACHER not in cell.tags
    ]


def with_solutions(cells: list[Cell]) -> list[Cell]:
    """The cells of somebody who reads: solutions in, without marks, the teacher's cells dropped."""
    return [
        cell.with_text(without_marks(cell.text)) if cell.kind == CODE else cell
        for cell in cells
        if TEACHER not in cell.tags
    ]


def badge(stem: str) -> Cell:
    """The link that opens a student's notebook in Colab."""
    target = f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/tutorials/student/{stem}.ipynb"
    return Cell(MARKDOWN, f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({target})")


def installing() -> Cell:
    """The first code cell of a notebook: it installs minidl where that is not there, and else does nothing."""
    return Cell(CODE, INSTALL, {"tags": ["install"]})


def seeding(seed: int) -> Cell:
    """The cell that sets a class's seed."""
    text = f"import minidl as md\n\nmd.check.seed({seed})  # the cases of your class"
    return Cell(CODE, text, {"tags": ["seed"]})


def seeded_below(cells: list[Cell], seed: int | None) -> list[Cell]:
    """The cells with the class's seed set after the first, the title; without a seed, the cells."""
    return cells if seed is None else [cells[0], seeding(seed), *cells[1:]]


def linked(cells: list[Cell], pages: str) -> list[Cell]:
    """The cells with their links to pages/ leading to another folder, such as ../pages/."""
    return [cell.with_text(_PAGE.sub(f"]({pages}", cell.text)) if cell.kind == MARKDOWN else cell for cell in cells]
