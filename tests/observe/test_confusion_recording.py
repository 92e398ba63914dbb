import numpy as np
import pytest

import minidl as md
from minidl import nn
from minidl.data import Dataset
from minidl.observe.confusion_recording import ConfusionRecording, confusion
from tests.arrays import device


def as_given():
    """The scores are the inputs."""
    model = nn.Linear(3, 3, bias=False)
    model.weight.data[...] = device(np.eye(3, dtype=np.float32))
    return model


def data(scores, labels):
    return Dataset(device(np.array(scores, dtype=np.float32)), device(np.array(labels)), classes=("a", "b", "c"))


SCORES = [[3, 0, 0], [0, 3, 0], [0, 9, 0], [0, 0, 1], [5, 0, 0]]
LABELS = [0, 1, 0, 2, 2]


def test_rows_are_what_they_are_and_columns_what_they_are_taken_for():
    found = confusion(as_given(), data(SCORES, LABELS))
    assert found.count.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert found.accuracy == 0.6
    assert found.classes == ("a", "b", "c")


def test_the_worst_mistakes_are_the_surest_wrong_answers():
    found = confusion(as_given(), data(SCORES, LABELS), worst=5)
    assert found.worst.tolist() == [2, 4]
    assert (found.truth.tolist(), found.answer.tolist()) == ([0, 2], [1, 0])
    np.testing.assert_allclose(found.probability, [1 / (1 + 2 * np.exp(-9)), 1 / (1 + 2 * np.exp(-5))], rtol=1e-6)
    np.testing.assert_array_equal(found.images, np.array(SCORES)[[2, 4]])
    assert confusion(as_given(), data(SCORES, LABELS), worst=1).worst.tolist() == [2]


def test_scores_that_are_not_finite_are_counted_apart():
    found = confusion(as_given(), data([*SCORES, [np.nan, 0, 0]], [*LABELS, 0]))
    assert (int(found.not_finite), int(found.count.sum())) == (1, 5)
    assert found.accuracy == 0.5


def test_it_is_saved_and_what_has_no_classes_is_refused(tmp_path):
    confusion(as_given(), data(SCORES, LABELS)).save(tmp_path / "c.npz")
    assert ConfusionRecording.load(tmp_path / "c.npz").accuracy == 0.6
    with pytest.raises(ValueError, match="the data set is empty"):
        confusion(as_given(), data(np.zeros((0, 3)), np.zeros(0, dtype=int)))
    with pytest.raises(md.ShapeError, match=r"expected scores \(N, C\) of all 3 classes"):
        confusion(nn.Linear(3, 2), data(SCORES, LABELS))
