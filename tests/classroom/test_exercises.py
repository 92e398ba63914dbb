"""The call of a check is found in its cell."""

from __future__ import annotations

import ast

import pytest

from minidl.classroom.exercises import check_call, points, points_by_name
from minidl.classroom.source import CODE, Cell


def test_the_call_its_result_and_what_it_needs() -> None:
    text = "x = 1\nchecked = md.check.t00_x(my_f, show=len(x) > 1)\nprint(checked)"
    found = check_call(Cell(CODE, text, {"check": "t00_x"}))
    assert (found.exercise, found.result) == ("t00_x", "checked")
    assert set(found.names) == {"md", "my_f", "x"}
    assert ast.unparse(found.call) == "md.check.t00_x(my_f, show=len(x) > 1)"


@pytest.mark.parametrize("text", ["md.check.t00_x(f)", "checked = md.check.t00_y(f)", "checked = 3", ""])
def test_a_cell_without_it_is_named(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"the cell check=\"t00_x\" should hold `checked = md\.check\.t00_x\(\.\.\.\)`"
    ):
        check_call(Cell(CODE, text, {"check": "t00_x"}))


def test_a_function_is_worth_more_than_a_value() -> None:
    function = Cell(CODE, "def f():\n    # BEGIN SOLUTION\n    # END SOLUTION", {"exercise": "t00_f"})
    value = Cell(CODE, "x = 1  # SOLUTION", {"exercise": "t00_x"})
    assert (points(function), points(value)) == (3, 1)
    assert points_by_name([function, value, Cell(CODE, "y")]) == {"t00_f": 3, "t00_x": 1}
