"""What a check found, in words, on a page, for a grader."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.check.result import MOST, Result, shown

WRONG = Result(
    "t00_x", 1, 4, case="x = 3\ny = 4", computed=(1.0, 2.0), expected=(1.0, 3.0), part=("number 2 of 2", 2.0, 3.0),
    difference="2 came, 3 was expected", hint="a < b",
)  # fmt: skip


def test_a_pass_is_said_in_one_line_and_never_as_all_passed() -> None:
    result = Result("t00_x", 4, 4)
    assert str(result) == "t00_x: 4 of 4 open checks pass"
    assert result
    assert result.score == 1
    result.or_fail()


def test_a_failure_shows_the_case_both_values_the_difference_and_the_hint() -> None:
    assert str(WRONG).splitlines() == [
        "t00_x: not yet, 1 of 4 open checks pass",
        "  case        x = 3",
        "              y = 4",
        "  computed    number 2 of 2:",
        "              2",
        "  expected    number 2 of 2:",
        "              3",
        "  difference  2 came, 3 was expected",
        "  hint        a < b",
    ]
    assert not WRONG
    assert WRONG.score == 0.25
    with pytest.raises(AssertionError, match="open checks pass"):
        WRONG.or_fail()


def test_its_repr_is_short() -> None:
    assert repr(WRONG) == "Result(t00_x: not yet, 1 of 4)"


def test_its_page_is_escaped_and_names_both_columns() -> None:
    page = Result("<b>", 0, 1, computed="<i>", expected=np.ones(2))._repr_html_()
    assert "<i>" not in page
    assert "&lt;i&gt;" in page
    assert page.count('scope="col"') == 2
    assert "0 of 1 open checks pass, not yet all" in page
    assert "<b>hint</b>: a &lt; b" in WRONG._repr_html_()
    assert Result("t00_x", 2, 2, hint="3 rows of 4")._repr_html_().count("<div") == 1


def test_none_that_came_is_shown() -> None:
    assert "  computed    None\n" in str(Result("t00_x", 0, 1, computed=None, expected=np.ones(2), difference="-"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "0.333333"),
        (np.float32(0.1), "0.1"),
        (np.int64(3), "3"),
        ((2, 3), "(2, 3)"),
        ([0.5, 1], "[0.5, 1. ]"),
        ([[1, 2], [3]], "1: [1, 2]\n2: [3]"),
        ({"a": 1.0, "b": np.ones(2)}, "a: 1\nb: [1. 1.]"),
        ({}, "{}"),
        (np.arange(3) / 3, "[0.     0.3333 0.6667]"),
        ("word", "'word'"),
        (None, "None"),
    ],
)
def test_a_value_is_shown_with_a_few_digits(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_large_value_is_cut() -> None:
    assert len(shown(np.random.default_rng(0).random((50, 50)))) < MOST + 10
    assert len(shown("x" * 10_000)) < MOST + 10
    assert len(shown([np.ones(3)] * 1000)) < MOST + 10


def test_a_repr_that_fails_is_survived() -> None:
    class Stubborn:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown(Stubborn()) == "a Stubborn, whose repr raises RuntimeError"
