"""minidl/training/texts.py: plain values in words, short ones, the same in every process."""

import collections
import enum
import functools
import pathlib
import time
from fractions import Fraction

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn, optim
from minidl.training.texts import is_own, plain_text


class Colour(enum.Enum):
    RED = 1


class Own:
    def method(self):
        pass


def own():
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (np.bool_(True), "True"),
        (3, "3"),
        (np.int64(3), "3"),
        (0.1, "0.1"),
        (np.float64(0.1), "0.1"),
        (Fraction(1, 3), "Fraction(1, 3)"),
        ("a", "'a'"),
        (Colour.RED, "Colour.RED"),
        ((2, 2), "(2, 2)"),
        ([1, [2.0]], "(1, (2.0))"),
        (collections.deque([1]), "(1)"),
        ({"b", "a"}, "{'a', 'b'}"),
        ({"b": 1, "a": (2,)}, "{'a': (2), 'b': 1}"),
        (slice(1, None), "slice(1, None, None)"),
        (range(3), "range(0, 3)"),
        (np.dtype("float32"), "dtype('float32')"),
        (pathlib.Path("/somewhere/images"), "'images'"),
        (F.relu, "relu"),
        (nn.ReLU, "ReLU"),
        (np.exp, "exp"),
        (len, "len"),
        (nn.Parameter(np.ones(3)), "Parameter"),
    ],
)
def test_plain_values(value, text):
    assert plain_text(value) == text


def test_the_time_at_which_a_program_was_started_is_no_setting():
    times = [time.time() - 5.0, np.float64(time.time()), time.perf_counter(), time.monotonic()]
    assert [plain_text(value) for value in times] == ["a time"] * 4
    settings = [1e9, 1.5, 60.0, time.time() + 100, time.perf_counter() + 100, float("inf"), float("nan")]
    assert [plain_text(value) for value in settings] == [repr(value) for value in settings]


def test_arrays_are_told_by_their_elements_their_dtype_and_their_shape():
    texts = [
        plain_text(array)
        for array in (
            np.ones(4, np.float32),
            md.ones(4),
            np.ones(4),
            np.ones((2, 2), np.float32),
            np.zeros(4, np.float32),
            np.ones((4, 2), np.float32)[:, 0],
        )
    ]
    assert texts[0].startswith("float32 (4,) ")
    assert texts[0] == texts[1] == texts[5]
    assert len(set(texts)) == 4


def test_a_large_array_is_looked_at_in_parts():
    large = np.ones((3000, 3000))
    text = plain_text(large)
    assert plain_text(large * 2) != text
    assert plain_text(large[:, ::-1]) == text


@pytest.mark.parametrize("value", [Own(), own, Own, [own], {"a": Own()}, functools.partial(own), Own().method])
def test_what_has_to_be_followed_is_not_plain(value):
    assert plain_text(value) is None


def test_long_texts_are_short_and_told_apart():
    one, two = plain_text("a" * 1000), plain_text("a" * 999 + "b")
    assert one != two
    assert len(one) < 100
    many = list(range(100_000))
    assert plain_text(many) == plain_text(list(range(100_000)))
    assert plain_text(many) != plain_text(many[:-1])
    assert plain_text(set(many)) == "100000 members"


def test_whose_code_it_is():
    assert is_own(own)
    assert is_own(Own)
    for other in (F.relu, nn.ReLU, optim.SGD, np.exp, np.ndarray, len, dict, functools.wraps, collections.OrderedDict):
        assert not is_own(other)
    assert not is_own(pytest.raises)
    assert not is_own(np.random.Generator)
