"""A source is read cell by cell, and written again."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidl.classroom.source import CODE, MARKDOWN, RAW, Cell, cells_of, read, sources, text_of, tutorial_of

TEXT = """\
# %% [markdown]
# # 3. Tensors
#
#     indented

# %% exercise="t03_x" tags=["a", "b"]
x = 2  # SOLUTION


# %%
def f():

    return 1

# %% [raw] own_words="t03_y"
# text
"""


def test_kinds_texts_and_options() -> None:
    assert cells_of(TEXT) == [
        Cell(MARKDOWN, "# 3. Tensors\n\n    indented"),
        Cell(CODE, "x = 2  # SOLUTION", {"exercise": "t03_x", "tags": ["a", "b"]}),
        Cell(CODE, "def f():\n\n    return 1"),
        Cell(RAW, "text", {"own_words": "t03_y"}),
    ]
    assert cells_of(TEXT)[1].tags == ("a", "b")


def test_what_is_written_is_read_again() -> None:
    cells = cells_of(TEXT)
    assert cells_of(text_of(cells)) == cells
    assert text_of(cells_of(text_of(cells))) == text_of(cells)


def test_a_header_of_jupytext_is_passed_over() -> None:
    assert cells_of("# ---\n# jupyter:\n# ---\n\n# %%\nx = 1\n") == [Cell(CODE, "x = 1")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import x\n# %%\n", "t: expected `# %%`, which begins a cell, before 'import x'"),
        ("# %% what is this\n", "t, line 1: expected options such as exercise="),
        ("# %%\n\n# %% [markdown]\nx = 1\n", "t, line 3: its line 1 is no comment, and the cell is markdown"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="t") as error:
        cells_of(text, "t")
    assert words in str(error.value)


def test_a_value_is_that_of_the_next_check(tmp_path: Path) -> None:
    path = tmp_path / "03_x.py"
    value, check, between = "# %%\na = 1  # SOLUTION\n", '# %% check="t03_a"\n1\n', "# %%\nb = 3\n"
    other = '# %% exercise="t03_c"\nc = 2  # SOLUTION\n# %% check="t03_c"\n2\n'
    path.write_text(value + check + between + other)
    assert [cell.options.get("exercise") for cell in read(path)] == ["t03_a", None, None, "t03_c", None]


def test_sources_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("02_b.py", "01_a.py", "__main__.py", "build.py", "3_c.py"):
        (tmp_path / name).write_text("")
    assert list(sources(tmp_path)) == ["01_a", "02_b"]
    assert tutorial_of("02_b") == "t02"
    with pytest.raises(FileNotFoundError, match="there are no tutorials in"):
        sources(tmp_path / "nowhere")


def test_those_of_the_repository_are_found_beside_the_package() -> None:
    assert {path.parent.name for path in sources().values()} == {"tutorials"}
