"""minidl/data/dataset.py: inputs and labels that belong together."""

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.data import Dataset
from minidl.data.dataset import check_source, checksum
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


def test_images_of_their_own_shape_need_no_rows():
    inputs = np.arange(24.0).reshape(2, 2, 2, 3)
    assert np.shares_memory(Dataset(inputs, np.zeros(2), image_shape=(2, 2, 3)).images, inputs)
    assert Dataset(inputs[:0], np.zeros(0), image_shape=(2, 2, 3)).images.shape == (0, 2, 2, 3)


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


def test_take_gives_copies_of_the_rows_asked_for():
    data = Dataset(device(np.arange(6.0).reshape(3, 2)), device([7, 8, 9]), classes=("a", "b"))
    inputs, labels = data.take(np.array([2, 0, 2]))
    assert backend.device_of(inputs) == backend.device_of(labels) == backend.current()
    np.testing.assert_array_equal(host(inputs), [[4, 5], [0, 1], [4, 5]])
    np.testing.assert_array_equal(host(labels), [9, 7, 9])
    inputs[...] = -1
    assert host(data.inputs).min() == 0
    assert data.classes == ("a", "b")


def test_to_moves_both_arrays_and_keeps_the_rest():
    data = Dataset(np.ones((2, 3)), np.arange(2), image_shape=(1, 1, 3), classes=("a", "b"))
    moved = data.to(backend.current())
    assert backend.device_of(moved.inputs) == backend.device_of(moved.labels) == backend.current()
    assert (moved.image_shape, moved.classes) == (data.image_shape, data.classes)
    assert data.to("numpy").inputs is data.inputs


def test_split_gives_parts_that_share_nothing():
    data = Dataset(np.arange(20.0).reshape(10, 2), np.arange(10), image_shape=(1, 1, 2), classes=("a", "b"))
    first, second = data.split(5, 3, seed=1)
    assert (len(first), len(second)) == (5, 3)
    assert len({*first.labels.tolist(), *second.labels.tolist()}) == 8
    np.testing.assert_array_equal(first.inputs[:, 0], first.labels * 2)
    assert (second.image_shape, second.classes) == (data.image_shape, data.classes)
    again, other = data.split(5, seed=1)[0], data.split(5, seed=2)[0]
    np.testing.assert_array_equal(again.labels, first.labels)
    assert again.labels.tolist() != other.labels.tolist()


@pytest.mark.parametrize("counts", [(6, 5), (-1, 3), (0.5, 0.5)])
def test_a_split_that_cannot_be_is_refused(counts):
    with pytest.raises(ValueError, match="expected counts that add up to at most 10"):
        Dataset(np.zeros((10, 2)), np.zeros(10)).split(*counts)


@pytest.mark.parametrize("classes", ["ab", ["a"], (1, 2)])
def test_classes_are_a_tuple_of_names(classes):
    with pytest.raises(TypeError, match="expected classes as a tuple of names"):
        Dataset(np.zeros((2, 2)), np.zeros(2), classes=classes)


def test_what_is_no_source_is_told_what_it_lacks():
    with pytest.raises(TypeError, match=r"here: expected a Dataset; got ndarray .*it lacks labels, classes$"):
        check_source(np.zeros(3), "here: expected a Dataset")
    check_source(Dataset(np.zeros((2, 2)), np.zeros(2)), "")


def test_inputs_that_are_no_images_have_no_images():
    with pytest.raises(md.ShapeError, match="pass image_shape="):
        Dataset(np.zeros((3, 4)), np.zeros(3)).images


def test_a_checksum_tells_elements_shapes_and_dtypes_apart():
    x = np.arange(6.0)
    others = [x + 1e-9, x.reshape(2, 3), x.astype(np.float32), x[:5], np.array(6.0), np.array(["a"], object)]
    assert len({checksum(a) for a in [x, *others]}) == len(others) + 1
    assert checksum(x) == checksum(x.copy()) == checksum(np.stack([x, x], 1)[:, 0])
    assert checksum(device(x)) == checksum(x)


def test_a_long_array_is_looked_at_in_steps():
    x = np.arange(1000.0)
    assert checksum(x, 10) == checksum(np.where(x % 100 == 0, x, -x), 10)
    assert checksum(x, 10) != checksum(np.where(x == 500, 0, x), 10)


# ---- examples by their number


def test_an_example_is_its_input_and_its_label():
    data = Dataset(np.arange(12.0).reshape(4, 3), np.array([7, 8, 9, 7]))
    x, y = data[1]
    np.testing.assert_array_equal(x, [3.0, 4.0, 5.0])
    assert y == 8
    np.testing.assert_array_equal(data[-1][0], [9.0, 10.0, 11.0])
    for index in (slice(1, 3), np.array([2, 0]), [2, 0], data.labels == 7):
        np.testing.assert_array_equal(data[index][0], data.inputs[index])
        np.testing.assert_array_equal(data[index][1], data.labels[index])


def test_iterating_gives_each_example_once_in_its_order():
    data = Dataset(np.arange(12.0).reshape(4, 3), np.array([7, 8, 9, 7]))
    assert [(x.tolist(), int(y)) for x, y in data] == [
        (row.tolist(), int(label)) for row, label in zip(data.inputs, data.labels, strict=True)
    ]
    assert [int(y) for _, y in data] == [int(y) for _, y in data]  # as often as one likes


def test_what_is_no_index_is_told_so():
    data = Dataset(np.zeros((4, 3)), np.zeros(4))
    with pytest.raises(IndexError, match="4 is out of bounds for axis 0 with size 4"):
        data[4]
    for index in ("a", 1.5, (0, 1), None):
        with pytest.raises(TypeError, match="Dataset: expected the number of an example, a slice or an array; got"):
            data[index]


def test_images_as_rows_of_pixels_or_as_images():
    images = Dataset(np.arange(24.0).reshape(2, 2, 2, 3), np.zeros(2), image_shape=(2, 2, 3))
    rows = images.laid_out(flat=True)
    assert rows.inputs.shape == (2, 12)
    assert np.shares_memory(rows.inputs, images.inputs)
    np.testing.assert_array_equal(rows.laid_out(flat=False).inputs, images.inputs)
    none = Dataset(np.zeros((0, 1, 4, 4)), np.zeros(0), image_shape=(1, 4, 4))
    assert none.laid_out(flat=True).inputs.shape == (0, 16)


@pytest.mark.parametrize(
    ("take", "said"),
    [
        (lambda: Dataset([[1.0]], np.zeros(1)), r"as inputs; got list: np\.array\(\.\.\.\) makes one"),
        (lambda: Dataset(md.ones(1, 2), np.zeros(1)), r"as inputs; got Tensor .*: give its \.data"),
        (lambda: md.data.Loader(md.data.digits(), 32), r"got DataSplits, which are three: give one, \.train,"),
        (
            lambda: md.data.digits().train.split(0.8, 0.2),
            r"whole numbers of examples as in split\(100, 50\); got",
        ),
        (lambda: md.data.Loader(md.data.digits().train, 32, shuffle="no"), "Loader: shuffle: expected True or False"),
    ],
)
def test_usual_slips_are_told_what_to_write(take, said):
    with pytest.raises((TypeError, ValueError), match=said):
        take()


def test_a_subclass_that_makes_one_example_at_a_time_is_told_that_nobody_would_ask_it():
    with pytest.raises(TypeError, match=r"Squares.__getitem__ would make no example: .* take\(indices\)"):

        class Squares(Dataset):
            def __getitem__(self, i):
                return np.float32(i), i * i
