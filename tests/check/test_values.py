from __future__ import annotations

import numpy as np
import pytest

from minidl.check.values import (
    argument_in_words,
    distance,
    floats,
    in_float32,
    is_single,
    letter_of,
    value_of,
    without_numbers,
)


@pytest.mark.parametrize("answer", ["b", "B", " (b) ", "b.", "b) since it is", "'b'"])
def test_a_letter_is_found_in_what_is_around_it(answer):
    assert letter_of(answer) == "b"


def test_a_sentence_is_no_letter():
    assert letter_of("because") == "because"


def test_the_distance_of_what_is_no_number_is_nothing():
    assert distance(3, 1.0) == 2
    assert distance("three", 1.0) == 0


def test_whole_numbers_count_as_floats_everywhere_inside():
    assert floats({"a": [1, 2]}) == {"a": [1.0, 2.0]}
    assert floats("text") == "text"


def test_a_case_in_float32_keeps_what_is_no_float64():
    case = in_float32((np.ones(2), [np.arange(2)], {"n": 3}))
    assert case[0].dtype == np.float32
    assert case[1][0].dtype == np.arange(2).dtype
    assert case[2] == {"n": 3}
    assert is_single(case)
    assert not is_single((np.ones(2),))


def test_a_small_array_is_shown_and_a_large_one_named():
    assert "1" in argument_in_words(np.ones(2))
    assert "shape (5, 5)" in argument_in_words(np.ones((5, 5)))


def test_a_solution_may_be_computed():
    assert value_of(3) == value_of(lambda: 3) == 3


def test_a_hint_with_a_number_would_give_it_away():
    assert without_numbers("all numbers are 2 times") == ""
    assert without_numbers("the sign is the other one") == "the sign is the other one"
