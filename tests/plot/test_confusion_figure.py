import json

import numpy as np
from matplotlib.figure import Figure

from minidl.observe.confusion_recording import ConfusionRecording
from minidl.plot.confusion_figure import confusion


def recording(count=((8, 1, 0), (0, 9, 1), (0, 3, 7)), images=None, **changes):
    images = np.random.default_rng(0).normal(size=(2, 16)) if images is None else images
    values = {
        "classes": ["cat", "dog", "cow"], "count": count, "not_finite": 0, "worst": [4, 9], "truth": [2, 0],
        "answer": [1, 1], "probability": [0.99, 0.8], "images": images,
    }  # fmt: skip
    return ConfusionRecording(**{**values, **changes})


def test_the_claim_is_the_accuracy_and_the_most_common_mistake():
    figure = confusion(recording())
    assert figure.caption == "82.8% of 29 examples are right; the most common mistake takes cow for dog, 3 times."
    assert figure.numbers["most_common"] == ["cow", "dog", 3]
    json.dumps(figure.numbers, allow_nan=False)


def test_every_number_that_is_not_zero_is_written_and_empty_fields_are_white():
    ax = confusion(recording(), ax=Figure().subplots()).axes[0]
    assert [t.get_text() for t in ax.texts] == ["8", "1", "9", "1", "3", "7"]
    colours = ax.images[0].get_array()
    np.testing.assert_array_equal(colours[0, 2], [1, 1, 1])
    assert colours[0, 0].sum() < colours[0, 1].sum() < 3  # right answers are darkest


def test_the_surest_mistakes_are_shown_with_what_they_were_taken_for():
    figure = confusion(recording())
    titles = [ax.get_title() for sub in figure.subfigs for ax in sub.axes if ax.get_title()]
    assert titles == ["cow as dog, 99%", "cat as dog, 80%"]
    assert figure.numbers["worst"][0] == {"number": 4, "truth": "cow", "answer": "dog", "probability": 0.99}


def test_inputs_that_are_no_images_leave_the_matrix_alone():
    assert not confusion(recording(images=np.zeros((2, 3)))).subfigs
    none = confusion(recording(worst=[], truth=[], answer=[], probability=[], images=np.zeros((0, 16))))
    assert not none.subfigs


def test_a_perfect_network_has_no_mistake_to_name_and_lost_examples_are_counted():
    figure = confusion(recording(count=np.eye(3, dtype=int), not_finite=3))
    assert figure.caption == ("50.0% of 6 examples are right; 3 have scores that are not finite (NaN or infinite).")


def test_a_hundred_classes_can_be_drawn():
    count = np.eye(100, dtype=int) * 5
    names = [f"class {k}" for k in range(100)]
    figure = confusion(recording(count=count, classes=names, images=np.zeros((2, 3))))
    figure.draw_without_rendering()
    assert not figure.axes[0].texts
