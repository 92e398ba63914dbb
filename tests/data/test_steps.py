"""minidl/data/steps.py: what transforms ask of images, of a generator and of their own parameters."""

import numpy as np
import pytest

import minidl as md
from minidl.data import steps
from minidl.data.transforms import CenterCrop

STEP = CenterCrop(2)


def test_a_step_shows_its_parameters():
    assert repr(STEP) == "CenterCrop(size=(2, 2))"


def test_numbers_are_one_a_channel_or_one_for_all():
    assert steps.numbers(0.5, "x") == (0.5,)
    assert steps.numbers([1, 2.5], "x") == (1.0, 2.5)


@pytest.mark.parametrize("value", [-1, 1.5, (1, 2, 3), "2", None, True, (1, -1)])
def test_a_pair_is_a_whole_number_or_two(value):
    assert steps.pair(3, "x", 0) == (3, 3)
    assert steps.pair((3, 0), "x", 0) == (3, 0)
    with pytest.raises(ValueError, match="x: expected a whole number of at least 0, or two of them"):
        steps.pair(value, "x", 0)


def test_the_room_is_what_an_image_has_more_than_a_window():
    assert steps.room_in((9, 3, 7, 5), (4, 5), STEP) == (3, 0)
    with pytest.raises(md.ShapeError, match="expected images of at least 8x2; got 7x5"):
        steps.room_in((9, 3, 7, 5), (8, 2), STEP)


@pytest.mark.parametrize(
    ("dtype", "computed_in"), [("uint8", "f4"), ("bool", "f4"), ("f2", "f2"), ("f8", "f8"), (">f4", "=f4")]
)
def test_integers_are_computed_with_in_float32_and_bytes_lie_as_the_machines(dtype, computed_in):
    assert steps.floating(np.zeros(3, dtype)) == np.dtype(computed_in)
    with pytest.raises(md.DTypeError, match="expected images as an array of numbers"):
        steps.floating(np.array(["a"]))


def test_who_draws_needs_a_generator():
    rng = np.random.default_rng(0)
    assert steps.drawing(rng, STEP) is rng
    with pytest.raises(ValueError, match="was given no generator"):
        steps.drawing(None, STEP)
