"""minidl/checks.py."""

import numpy as np
import pytest

from minidl.checks import choice, fraction, nonnegative, number, real, share, whole, yes_or_no


@pytest.mark.parametrize("value", [0, 3, np.int16(2), -5])
def test_whole_numbers(value):
    result = whole(value, "n", -5)
    assert result == value
    assert type(result) is int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, np.nan])
def test_what_is_no_whole_number_of_at_least_1(value):
    with pytest.raises(ValueError, match=r"Layer: n: expected a whole number of at least 1; got "):
        whole(value, "Layer: n")


def test_numbers_are_pythons():
    for value in (0, 0.5, np.float32(0.25), 1, np.int64(1)):
        found = number(value, "p", 0, 1)
        assert (found, type(found)) == (value, int if isinstance(value, (int, np.integer)) else float)
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


class Quarter:
    """A number of somebody else's library."""

    def __float__(self):
        return 0.25


@pytest.mark.parametrize("value", [0.25, np.float32(0.25), np.array(0.25), Quarter()])
def test_one_number_becomes_a_plain_float(value):
    for check in (real, nonnegative, fraction, share):
        assert check(value, "p") == 0.25
        assert type(check(value, "p")) is float


NO_NUMBERS = ["0.5", b"0.5", bytearray(b"0.5"), True, np.True_, None, [0.5], 1j, 10**400]
NO_NUMBERS += [np.str_("0.5"), np.array("0.5"), np.array(True), np.array([0.5]), np.complex64(0.5)]


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("check", [real, nonnegative, fraction, share])
def test_texts_and_truth_values_are_no_numbers(check, value):
    with pytest.raises(ValueError, match=r"SGD: lr: expected a number; got"):
        check(value, "SGD: lr")


@pytest.mark.parametrize("value", ["0.5", True, np.complex64(0.5), None])
def test_nor_are_they_in_an_option_that_keeps_its_kind(value):
    with pytest.raises(ValueError, match="p: expected a number"):
        number(value, "p")


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        (nonnegative, -0.1, "expected a finite number of at least 0; got -0.1"),
        (nonnegative, np.nan, "expected a finite number of at least 0; got nan"),
        (nonnegative, np.inf, "expected a finite number of at least 0; got inf"),
        (fraction, 1, "expected a number of at least 0 and below 1; got 1"),
        (fraction, np.nan, "expected a number of at least 0 and below 1; got nan"),
        (share, 1.01, "expected a number from 0 to 1; got 1.01"),
        (share, np.nan, "expected a number from 0 to 1; got nan"),
        (yes_or_no, "no", "expected True or False; got 'no'"),
        (yes_or_no, 1, "expected True or False; got 1"),
    ],
)
def test_numbers_out_of_range(check, value, words):
    with pytest.raises(ValueError, match=words):
        check(value, "option")


def test_the_ends_of_a_share_count():
    assert share(0, "p") == 0.0
    assert share(1, "p") == 1.0
    assert yes_or_no(np.True_, "p") is True
