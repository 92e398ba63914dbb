"""minidl/files/schema.py: what differs from the table of a file is named."""

import math

import numpy as np
import pytest

from minidl.files.schema import FLOATS, NUMBERS, TEXT, WHOLE, Entry, Header, check_arrays, check_plain

ARRAYS = {
    "names": Entry(TEXT, ("A",)),
    "steps": Entry(WHOLE, ("T",)),
    "loss": Entry(FLOATS, ("A", "T")),
    "image": Entry(NUMBERS, ("A", 2)),
    "any": Entry(NUMBERS),
}


def headers(**changes):
    found = {
        "names": ("U3", (2,)),
        "steps": ("i8", (5,)),
        "loss": ("f4", (2, 5)),
        "image": ("u1", (2, 2)),
        "any": ("f8", ()),
    }
    return {name: Header(np.dtype(dtype), shape) for name, (dtype, shape) in {**found, **changes}.items()}


def test_arrays_that_fit_are_taken():
    check_arrays(headers(), ARRAYS)
    check_arrays(headers(any=("i2", (4, 4, 4)), image=("f8", (2, 2))), ARRAYS)
    check_arrays(headers(names=("U1", (0,)), loss=("f2", (0, 5)), image=("u1", (0, 2))), ARRAYS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"more": ("f4", ())}, "its array 'more' is not known here; expected 'names', 'steps', "),
        ({"names": ("f4", (2,))}, "expected text as 'names'; got float32"),
        ({"steps": ("f4", (5,))}, "expected whole numbers as 'steps'; got float32"),
        ({"loss": ("i4", (2, 5))}, "expected floating numbers as 'loss'; got int32"),
        ({"any": ("c8", ())}, "expected numbers as 'any'; got complex64"),
        ({"loss": ("f4", (2, 4))}, r"expected 'loss' of shape \(2, 5\); got \(2, 4\)"),
        ({"loss": ("f4", (2,))}, r"expected 'loss' of shape \(2, 5\); got \(2,\)"),
        ({"image": ("u1", (2, 3))}, r"expected 'image' of shape \(2, 2\); got \(2, 3\)"),
        ({"names": ("U3", ())}, r"expected 'names' of shape \(A,\); got \(\)"),
    ],
)
def test_an_array_that_differs_is_named(changes, words):
    with pytest.raises(ValueError, match=words):
        check_arrays(headers(**changes), ARRAYS)


def test_an_array_that_is_missing_is_named():
    found = headers()
    del found["loss"]
    with pytest.raises(ValueError, match="it has no array 'loss'; expected 'names', 'steps', 'loss'"):
        check_arrays(found, ARRAYS)


PLAIN = {"seed": int, "rate": float, "name": str, "done": bool, "looks": [{"loss": (float, None)}], "kinds": {str: str}}
GOOD = {"seed": 1, "rate": 2, "name": "a", "done": False, "looks": [{"loss": None}, {"loss": 0.5}], "kinds": {"x": "y"}}


def test_plain_data_that_fit_are_taken():
    check_plain(GOOD, PLAIN, "a.json")
    check_plain({**GOOD, "looks": [], "kinds": {}, "rate": math.nan}, PLAIN, "a.json")
    check_plain({"whatever": [1]}, dict, "a.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": "1"}, "seed: expected a whole number; got '1'"),
        ({"seed": True}, "seed: expected a whole number; got True"),
        ({"seed": 1.5}, "seed: expected a whole number; got 1.5"),
        ({"rate": True}, "rate: expected a number; got True"),
        ({"name": None}, "name: expected a text; got None"),
        ({"done": 0}, "done: expected true or false; got 0"),
        ({"looks": {}}, r"looks: expected a list; got \{\}"),
        ({"looks": [{"loss": 1}, {"loss": "5"}]}, "looks, 1, loss: expected a number or null; got '5'"),
        ({"looks": [{}]}, "looks, 0: it has no entry 'loss'"),
        ({"kinds": {"x": 3}}, "kinds, x: expected a text; got 3"),
        ({"kinds": ["x"]}, r"kinds: expected entries by name; got \['x'\]"),
        ({"more": 1}, "its entry 'more' is not known here"),
    ],
)
def test_an_entry_that_differs_is_named(changes, words):
    with pytest.raises(ValueError, match=rf"a\.json(, |: ){words}"):
        check_plain({**GOOD, **changes}, PLAIN, "a.json")


def test_a_long_wrong_value_is_shown_in_part():
    with pytest.raises(ValueError, match="seed: expected a whole number") as caught:
        check_plain({"seed": [list(range(1000))] * 1000}, {"seed": int}, "a.json")
    assert len(str(caught.value)) < 400
