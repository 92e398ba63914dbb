"""minidl/checks.py."""

import numpy as np
import pytest

from minidl.checks import choice, number, whole


@pytest.mark.parametrize("value", [0, 3, np.int16(2), -5])
def test_whole_numbers(value):
    result = whole(value, "n", -5)
    assert result == value
    assert type(result) is int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, np.nan])
def test_what_is_no_whole_number_of_at_least_1(value):
    with pytest.raises(ValueError, match=r"Layer: n: expected a whole number of at least 1; got "):
        whole(value, "Layer: n")


def test_numbers_keep_their_kind():
    for value in (0, 0.5, np.float32(0.25), 1):
        assert number(value, "p", 0, 1) is value
    assert number(-np.pi, "alpha") == -np.pi


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        ("a", {}, "p: expected a number; got 'a'"),
        (True, {}, "p: expected a number; got True"),
        (np.nan, {}, "p: expected a number; got nan"),
        (-1, {"least": 0}, "p: expected a number of at least 0; got -1"),
        (1.5, {"least": 0, "most": 1}, "p: expected a number from 0 to 1; got 1.5"),
        (0, {"above": 0}, "p: expected a number above 0; got 0"),
    ],
)
def test_what_is_no_number_within_the_limits(value, limits, words):
    with pytest.raises(ValueError, match=words):
        number(value, "p", **limits)


def test_a_choice():
    assert choice("relu", "f", ("tanh", "relu")) == "relu"
    with pytest.raises(ValueError, match="f: expected 'tanh' or 'relu'; got 3"):
        choice(3, "f", ("tanh", "relu"))
