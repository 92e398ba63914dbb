"""A student's function is run, whatever it does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from minidl.check.running import is_empty, run


def test_a_value_comes_back() -> None:
    outcome = run(lambda x: x + 1, (2,))
    assert (outcome.value, outcome.error, outcome.line) == (3, None, "")


def test_an_error_is_caught_with_the_students_line() -> None:
    def divide(x):
        return 1 / x

    outcome = run(divide, (0,))
    assert isinstance(outcome.error, ZeroDivisionError)
    assert outcome.line.endswith(", in divide: return 1 / x")
    assert outcome.words.startswith("ZeroDivisionError: division by zero\nline ")


def test_of_lines_elsewhere_the_students_last_one_is_named() -> None:
    def shapes(x):
        return np.concatenate([x, np.zeros((2, 2))])

    assert run(shapes, (np.zeros(3),)).line.endswith("return np.concatenate([x, np.zeros((2, 2))])")


def test_a_function_without_end_is_caught() -> None:
    def again(x):
        return again(x)

    outcome = run(again, (1,))
    assert isinstance(outcome.error, RecursionError)
    assert "in again: return again(x)" in outcome.line


def test_exit_ends_nothing_but_ctrl_c_does() -> None:
    assert isinstance(run(lambda: exit(), ()).error, SystemExit)

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stopped, ())


def test_a_long_message_is_cut() -> None:
    def talkative():
        raise ValueError("x" * 10_000)

    assert len(run(talkative, ()).words) < 600


def test_warnings_are_kept_and_not_shown() -> None:
    with warnings.catch_warnings(record=True) as shown:
        outcome = run(lambda: np.log(np.zeros(2)), ())
    assert outcome.warned == ("RuntimeWarning: divide by zero encountered in log",)
    assert not shown


def test_a_print_goes_through(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda: print("here"), ())
    assert capsys.readouterr().out == "here\n"


def test_a_function_without_lines_is_empty() -> None:
    def dots(x):
        """What it computes."""
        ...  # noqa: PIE790

    def nothing(x):
        pass

    def constant(x):
        return 0

    def identity(x):
        return x

    assert [is_empty(f) for f in (dots, nothing, constant, identity, np.sum, 3)] == [True, True] + [False] * 4
