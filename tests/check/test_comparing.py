"""How an answer differs from what was expected, in words."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
from minidl.check.comparing import copied, difference, narrowed, plain, usual_slip

X = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("computed", "expected"),
    [
        (X, X + 1e-12),
        (1, 1.0),
        (np.float32(1.5), 1.5),
        (np.array(2.0), 2.0),
        (True, True),
        ([X, 1.0], (X, 1.0)),
        (X, list(X)),
        ({"a": X}, {"a": X.copy()}),
        ((X, None), (X, None)),
        (None, None),
        ("b", "b"),
        (np.array([np.nan, np.inf]), np.array([np.nan, np.inf])),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.array([1j, 2]), np.array([1j, 2])),
    ],
)
def test_equal_values_do_not_differ(computed: object, expected: object) -> None:
    assert difference(computed, expected, 1e-7) == ""


@pytest.mark.parametrize(
    ("computed", "expected", "words"),
    [
        (None, X, "None came, an array of shape (2, 3) was expected: is a `return` missing?"),
        (None, (X, X), "None came, a tuple of 2 was expected: is a `return` missing?"),
        ((X, None), (X, X), "number 2 of 2: None came, an array of shape (2, 3) was expected"),
        ((X, X), (X, None), "number 2 of 2: an array of shape (2, 3) came, None was expected"),
        (X.T, X, "shape (3, 2) came, (2, 3) was expected"),
        (X.astype(np.float32), X, "dtype float32 came, float64 was expected"),
        (3.0, X, "shape () came, (2, 3) was expected"),
        (X, 3.0, "an array of shape (2, 3) came, one number was expected"),
        (np.array([3.0]), 3.0, "an array of shape (1,) came, one number was expected"),
        (X.tolist(), X, "its numbers are right, np.array(...) makes an array of it"),
        (list(X), X, "its numbers are right, np.array(...) makes an array of it"),
        ((X, X, X), (X, X), "3 values came, 2 were expected"),
        (X, (1.0,), "an array of shape (2, 3) came, a tuple of 1 was expected"),
        ([X], (X, X), "1 value came, 2 were expected"),
        ({"b": X}, {"a": X}, "the keys are ['b'], expected were ['a']"),
        ({"a": X + 1}, {"a": X}, "a: 6 of 6 numbers differ, the first at [0, 0]: 1 came, 0 was expected"),
        ({"a": (X, X + 1)}, {"a": (X, X)}, "a, number 2 of 2: 6 of 6 numbers differ"),
        (X, {"a": X}, "a dict with the keys ['a'] was expected"),
        ("c", "b", "'c' came, 'b' was expected"),
        (X, "b", "an array of shape (2, 3) came, 'b' was expected"),
        ((x for x in X), X, "a generator came (from a `yield`, or from round brackets about a `for`)"),
        (np.sum, 3.0, "the function sum itself came, it was not called"),
        (1.5, 1.0, "1.5 came, 1 was expected"),
        (np.array([1j, 2]), np.array([1j, 3]), "1 of 2 numbers differ"),
        (np.array([np.nan]), np.array([0.0]), "nan came, 0 was expected"),
    ],
)
def test_a_difference_is_said_in_words(computed: object, expected: object, words: str) -> None:
    assert words in difference(computed, expected, 1e-7)


def test_what_cannot_be_shown_or_compared_is_named_by_its_type() -> None:
    class Stubborn:
        def __repr__(self) -> str:
            raise RuntimeError

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None

    assert difference(Stubborn(), "b", 1e-7) == "a Stubborn came, 'b' was expected"
    assert difference(Stubborn(), X, 1e-7) == "a Stubborn came, an array of shape (2, 3) was expected"


def test_a_tolerance_is_relative_to_the_largest_number() -> None:
    assert difference(np.array([1000.0, 0.05]), np.array([1000.0, 0.0]), 1e-4) == ""
    assert difference(np.array([1000.0, 0.2]), np.array([1000.0, 0.0]), 1e-4)


def test_the_first_part_that_differs_is_found() -> None:
    assert narrowed((X, X, X + 1), (X, X, X), 1e-7)[0] == "number 3 of 3"
    name, a, b = narrowed({"w": (1.0, 2.0), "b": 0.0}, {"w": (1.0, 3.0), "b": 1.0}, 1e-7)
    assert (name, a, b) == ("w, number 2 of 2", 2.0, 3.0)
    assert narrowed(X, X + 1, 1e-7)[0] == ""
    assert narrowed((X, X), (X, X, X), 1e-7)[0] == ""


@pytest.mark.parametrize(
    ("computed", "words"),
    [
        (X.T.copy(), "this is the transpose of what was expected"),
        (-X, "the sign is the other one"),
        (2 * X, "all numbers are 2 times what was expected"),
        (X / 4, "all numbers are 1/4 times what was expected"),
        (0.3 * X, "all numbers are 0.3 times what was expected"),
        (X + 1, ""),
        (np.zeros(3), ""),
        (None, ""),
        (X.astype(int), ""),
    ],
)
def test_a_slip_that_shows_in_the_numbers_is_named(computed: object, words: str) -> None:
    assert usual_slip(computed, X, 1e-7) == words


def test_two_values_in_the_wrong_order_are_recognised() -> None:
    assert usual_slip((X, 1.0), (1.0, X), 1e-7) == "these are the right values in the reverse order"
    assert usual_slip((1.0, -X), (1.0, X), 1e-7) == "the sign is the other one"
    assert usual_slip(6.0, 3.0, 1e-7) == "this is 2 times what was expected"


def test_values_in_any_wrong_order_are_recognised() -> None:
    words = "these are the right values in another order"
    assert usual_slip((1.0, 3.0, 2.0), (1.0, 2.0, 3.0), 1e-7) == words
    assert usual_slip((1.0, 1.0, 2.0), (1.0, 2.0, 2.0), 1e-7) != words


def test_a_slip_in_a_dict_is_named_with_its_keys_if_it_is_the_same_in_all() -> None:
    assert usual_slip({"w": -X, "b": 1.0}, {"w": X, "b": 1.0}, 1e-7) == "w: the sign is the other one"
    assert usual_slip({"w": -X, "b": 2.0}, {"w": X, "b": 1.0}, 1e-7) == ""


def test_right_numbers_in_another_precision_are_said_to_be_right() -> None:
    assert usual_slip(X, X.astype(np.float32), 1e-7).startswith("the numbers are right")
    assert not usual_slip(X + 1, X.astype(np.float32), 1e-7).startswith("the numbers are right")


def test_an_array_of_objects_is_told_from_one_of_numbers() -> None:
    words = "an array of shape (2, 3) and dtype object came, an array of shape (2, 3) was expected"
    assert difference(X.astype(object), X, 1e-7) == words


def test_tensors_come_home_as_arrays() -> None:
    t = md.tensor(X)
    found = plain({"a": (t, [t.data]), "b": 3})
    assert type(found["a"][0]) is type(found["a"][1][0]) is np.ndarray
    assert found["b"] == 3


def test_a_copy_has_memory_of_its_own() -> None:
    t = md.tensor(X, requires_grad=True)
    case = (X, t, [X], {"a": X}, "word")
    again = copied(case)
    assert difference(plain(again), plain(case), 0.0) == ""
    assert not np.shares_memory(again[0], X)
    assert not np.shares_memory(again[2][0], X)
    assert again[1].requires_grad
    assert again[1] is not t
