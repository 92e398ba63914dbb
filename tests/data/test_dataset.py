"""minidl/data/dataset.py: inputs and labels that belong together."""

import numpy as np
import pytest

import minidl as md
from minidl.data import Dataset
from tests.arrays import device, host


def test_inputs_and_labels_are_kept_as_they_are():
    inputs, labels = np.zeros((3, 4), dtype=np.float32), np.arange(3)
    dataset = Dataset(inputs, labels)
    assert dataset.inputs is inputs
    assert dataset.labels is labels
    assert len(dataset) == 3
    assert repr(dataset) == "Dataset(3 examples, inputs (4,) float32)"


def test_arrays_of_the_device_are_data_too():
    dataset = Dataset(device(np.ones((2, 3))), device([0, 1]), image_shape=(1, 1, 3))
    assert host(dataset.images).shape == (2, 1, 1, 3)


def test_images_are_a_view_of_the_inputs():
    inputs = np.arange(24.0).reshape(2, 12)
    images = Dataset(inputs, np.zeros(2), image_shape=(2, 2, 3)).images
    assert images.shape == (2, 2, 2, 3)
    assert np.shares_memory(images, inputs)
    assert images[1, 0, 0, 0] == 12


@pytest.mark.parametrize(
    ("inputs", "labels", "shape", "error", "words"),
    [
        ([[1.0]], np.zeros(1), None, md.DTypeError, "expected a NumPy or CuPy array as inputs; got list"),
        (np.zeros((1, 2)), [0], None, md.DTypeError, "expected a NumPy or CuPy array as labels; got list"),
        (np.zeros(()), np.zeros(()), None, md.ShapeError, "a single number"),
        (np.zeros((3, 2)), np.zeros(2), None, md.ShapeError, "3 inputs .* and 2 labels"),
        (np.zeros((3, 5)), np.zeros(3), (1, 2, 2), md.ShapeError, r"need inputs of shape \(N, 4\); got \(3, 5\)"),
    ],
)
def test_what_does_not_fit_is_refused(inputs, labels, shape, error, words):
    with pytest.raises(error, match=words):
        Dataset(inputs, labels, image_shape=shape)


def test_inputs_that_are_no_images_have_no_images():
    with pytest.raises(md.ShapeError, match="pass image_shape="):
        Dataset(np.zeros((3, 4)), np.zeros(3)).images
