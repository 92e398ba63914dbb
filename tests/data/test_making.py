"""minidl/data/making.py: a batch depends on seed, epoch and number, and on nothing else."""

import copy

import numpy as np
import pytest

from minidl.data import transforms as T
from minidl.data.making import Making, order_of
from tests.data.sources import Damaged, Squares

AUGMENT = T.Compose([T.RandomCrop(4), T.RandomHorizontalFlip()])


def test_the_same_numbers_make_the_same_batch_in_any_order_and_by_any_copy():
    making, other = Making(Squares(), 4, AUGMENT), Making(copy.deepcopy(Squares()), 4, copy.deepcopy(AUGMENT))
    order = order_of(23, True, 3, 1)
    batches = [making.batch(3, 1, order, number) for number in range(6)]
    for number in (5, 0, 3):
        for array, again in zip(batches[number], other.batch(3, 1, order, number), strict=True):
            np.testing.assert_array_equal(array, again)
    assert not np.array_equal(batches[0][0], making.batch(4, 1, order, 0)[0])
    assert not np.array_equal(batches[0][0], making.batch(3, 2, order, 0)[0])


def test_an_order_has_every_example_once():
    assert sorted(order_of(23, True, 3, 1)) == order_of(23, False, 3, 1).tolist() == list(range(23))
    assert order_of(23, True, 3, 1).tolist() != order_of(23, True, 3, 2).tolist()


def test_the_inputs_are_made_where_they_are_wanted():
    made = []

    def empty(shape, dtype):
        made.append(np.empty(shape, dtype))
        return made[-1]

    inputs, _ = Making(Squares(), 4, AUGMENT).batch(0, 0, np.arange(23), 0, empty)
    assert inputs is made[0]
    Making(Squares(), 4, lambda images, rng: images + 1).batch(0, 0, np.arange(23), 0, empty)
    assert len(made) == 1


def test_an_error_says_in_which_batch():
    with pytest.raises(OSError, match=r"13\.jpg") as caught:
        Making(Damaged(), 4, None).batch(0, 2, np.arange(23), 3)
    assert caught.value.__notes__ == ["while the Loader made batch 3 of epoch 2"]
