"""docs/check.md: its programs print what it says."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


def test_there_are_two() -> None:
    assert len(PROGRAMS) == 2


@pytest.mark.parametrize(("program", "printed"), PROGRAMS, ids=["a check", "an exercise"])
def test_a_program_prints_what_the_page_says(program: str, printed: str) -> None:
    with redirect_stdout(StringIO()) as said:
        exec(compile(program, "docs/check.md", "exec"), {"__name__": "__main__"})
    assert said.getvalue() == printed
