"""minidl/data/windows.py: crops and flips done at once give the bits of those done one after the other."""

import itertools

import numpy as np
import pytest

from minidl.data import transforms as T
from minidl.data.windows import Windows

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 3, 9, 8)).astype(np.uint8)
MEAN = np.random.default_rng(1).random((3, 9, 8)) * 100
MOVES = [T.RandomCrop((7, 6)), T.CenterCrop((6, 5)), T.RandomHorizontalFlip(), T.RandomHorizontalFlip(1.0)]


def one_after_the_other(steps, images, rng):
    for step in steps:
        images = step(images, rng)
    return images


@pytest.mark.parametrize("before", [[], [T.MeanImage(MEAN)]], ids=["moves alone", "mean image first"])
@pytest.mark.parametrize("after", [[], [T.Normalize((1.0, 2.0, 3.0), 4.0)], [T.RandomCrop(5, padding=1)]], ids=repr)
@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", "float16", "float32", "float64", ">f4"])
def test_any_moves_in_any_order_give_the_same_bits_as_one_after_the_other(before, after, dtype):
    images = IMAGES.astype(dtype)
    for count in range(4):
        for moves in itertools.permutations(MOVES, count):
            if moves.index(MOVES[0]) > moves.index(MOVES[1]) if {*MOVES[:2]} <= {*moves} else False:
                continue  # no window of 7x6 in one of 6x5
            steps = [*before, *moves, *after]
            found = T.Compose(steps)(images, np.random.default_rng(5))
            expected = one_after_the_other(steps, images, np.random.default_rng(5))
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def test_the_generator_is_left_where_it_is_left_by_one_after_the_other():
    steps = [T.MeanImage(MEAN), T.RandomCrop(6), T.RandomHorizontalFlip()]
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    T.Compose(steps)(IMAGES, one)
    one_after_the_other(steps, IMAGES, other)
    assert one.bit_generator.state == other.bit_generator.state


@pytest.mark.parametrize("images", [IMAGES[:0], np.asfortranarray(IMAGES), IMAGES[::-2, ::-1, ::-1]])
def test_memory_may_lie_in_any_order_and_there_may_be_none(images):
    steps = [T.MeanImage(MEAN), T.RandomCrop(6), T.RandomHorizontalFlip()]
    if images.shape[2:] != MEAN.shape[1:]:
        steps = steps[1:]
    found = T.Compose(steps)(images, np.random.default_rng(5))
    np.testing.assert_array_equal(found, one_after_the_other(steps, images, np.random.default_rng(5)))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([T.MeanImage(MEAN), T.RandomCrop(10)], "at least 10x10; got 9x8"),
        ([T.RandomCrop(8), T.CenterCrop(9)], "at least 9x9; got 8x8"),
        ([T.CenterCrop(4), T.MeanImage(MEAN)], "before any crop"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_same_words(steps, words):
    for act in (T.Compose(steps), lambda images, rng: one_after_the_other(steps, images, rng)):
        with pytest.raises(ValueError, match=words):
            act(IMAGES, np.random.default_rng(0))


def test_without_a_generator_what_draws_is_named():
    with pytest.raises(ValueError, match=r"RandomCrop\(size=\(6, 6\).*draws at random and was given no generator"):
        T.Compose([T.MeanImage(MEAN), T.RandomCrop(6)])(IMAGES, None)
    expected = T.CenterCrop(6)(T.MeanImage(MEAN)(IMAGES))
    np.testing.assert_array_equal(T.Compose([T.MeanImage(MEAN), T.CenterCrop(6)])(IMAGES), expected)


def test_a_subclass_is_asked_as_it_stands():
    class Corner(T.CenterCrop):
        def __call__(self, images, rng=None):
            return images[:, :, : self.size[0], : self.size[1]]

    found = T.Compose([T.MeanImage(MEAN), Corner(4), T.RandomHorizontalFlip(0.0)])(IMAGES, np.random.default_rng(0))
    np.testing.assert_array_equal(found, T.MeanImage(MEAN)(IMAGES)[:, :, :4, :4])


def test_the_result_is_made_where_it_is_wanted():
    made = []

    def empty(shape, dtype):
        made.append(np.empty(shape, dtype))
        return made[-1]

    steps = T.Compose([T.MeanImage(MEAN), T.RandomCrop(6)])
    found = steps.into(empty, IMAGES, np.random.default_rng(0))
    assert found is made[0]
    np.testing.assert_array_equal(found, steps(IMAGES, np.random.default_rng(0)))
    T.Compose([*steps.transforms, T.Normalize(0.0, 2.0)]).into(empty, IMAGES, np.random.default_rng(0))
    assert len(made) == 1  # the last step makes its own


def test_a_window_in_a_mirrored_image_is_the_mirrored_images():
    windows = Windows(IMAGES)
    windows.mirror(True)
    windows.crop(1, 2, (4, 3))
    assert windows.shape == (7, 3, 4, 3)
    np.testing.assert_array_equal(windows.pixels(), IMAGES[:, :, :, ::-1][:, :, 1:5, 2:5])
