"""minidl/data/uci_digits.py: the digits are all there, split once and for all, and checked."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import minidl.data
from minidl.data import digits
from minidl.data.uci_digits import read_digits
from minidl.files.arrays import load_arrays, save_arrays

FILE = Path(minidl.data.__file__).with_name("digits.npz")
COUNTS = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])


def test_the_file_is_small_and_holds_the_published_images():
    arrays, meta = load_arrays(FILE, kind="digits")
    assert FILE.stat().st_size < 100_000
    assert meta["doi"] == "10.24432/C50P49"
    assert meta["licence"] == "CC BY 4.0"
    # of scikit-learn's load_digits().images.astype("uint8"), and of its target
    assert hashlib.sha256(arrays["images"]).hexdigest().startswith("8f26b2bd9d135c256808f68f14fdabdd")
    assert arrays["labels"][:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_source_and_licence_are_told_beside_it():
    text = FILE.with_name("DIGITS.md").read_text(encoding="utf-8")
    assert "Alpaydin" in text
    assert "creativecommons.org/licenses/by/4.0" in text


def test_inputs_and_labels_are_ready_to_train_with():
    for part in digits():
        assert part.inputs.dtype == np.float32
        assert part.inputs.shape == (len(part), 64)
        assert part.images.shape == (len(part), 1, 8, 8)
        assert part.labels.dtype == np.int64
        assert part.classes == tuple("0123456789")
        assert part.inputs.min() == 0
        assert part.inputs.max() == 1
        np.testing.assert_array_equal(part.inputs * 16 % 1, 0)


def test_the_split_is_fixed():
    train, validation, test = digits()
    assert (len(train), len(validation), len(test)) == (1077, 360, 360)
    arrays, _ = load_arrays(FILE, kind="digits")
    digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in ("train", "validation", "test")))
    assert digest.hexdigest()[:16] == "0b89fda5268e160a"


def test_every_image_is_in_one_part():
    arrays, _ = load_arrays(FILE, kind="digits")
    together = np.concatenate([arrays["train"], arrays["validation"], arrays["test"]])
    np.testing.assert_array_equal(np.sort(together), np.arange(1797))
    inputs = np.concatenate([part.inputs for part in digits()])
    np.testing.assert_array_equal(inputs, arrays["images"][together].reshape(1797, 64) / np.float32(16))


def test_each_class_has_its_share_in_each_part():
    for part in digits():
        share = COUNTS * len(part) / 1797
        assert np.abs(np.bincount(part.labels) - share).max() < 1


def test_who_changes_the_arrays_does_not_change_the_next_readers():
    digits().train.inputs[...] = 7
    assert digits().train.inputs.max() == 1


def swapped_label(arrays):
    arrays["labels"] = arrays["labels"].copy()
    arrays["labels"][0] = 5


def huge_label(arrays):
    arrays["labels"] = arrays["labels"].astype(np.uint64)
    arrays["labels"][0] = 2**60


def overlapping_split(arrays):
    arrays["test"] = arrays["validation"]


def lost_split(arrays):
    del arrays["test"]


def cut_images(arrays):
    arrays["images"] = arrays["images"][:, :4]


def bright_pixel(arrays):
    arrays["images"] = arrays["images"].copy()
    arrays["images"][3, 3, 3] = 17


def signed_labels(arrays):
    arrays["labels"] = -arrays["labels"].astype(np.int16)


def named_split(arrays):
    arrays["train"] = np.array(["a"])


def short_labels(arrays):
    arrays["labels"] = arrays["labels"][1:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swapped_label, "expected classes with"),
        (huge_label, "expected classes with"),
        (overlapping_split, "expected every image in exactly one part"),
        (lost_split, "no array 'test'"),
        (cut_images, r"expected 'images' of shape \(1797, 8, 8\); got \(1797, 4, 8\)"),
        (bright_pixel, "expected pixels from 0 to 16"),
        (short_labels, r"expected 'labels' of shape \(1797,\); got \(1796,\)"),
        (signed_labels, "expected whole numbers without a sign as 'labels'; got int16"),
        (named_split, "expected whole numbers as 'train'; got <U1"),
    ],
)
def test_other_data_is_refused_by_name(tmp_path, change, words):
    arrays, _ = load_arrays(FILE, kind="digits")
    change(arrays)
    path = tmp_path / "changed.npz"
    save_arrays(path, arrays, kind="digits")
    with pytest.raises(ValueError, match=rf"changed\.npz (is not the|cannot be read as a) digits.*{words}"):
        read_digits(path)


def test_a_damaged_file_is_refused_by_name(tmp_path):
    path = tmp_path / "cut.npz"
    path.write_bytes(FILE.read_bytes()[:30_000])
    with pytest.raises(ValueError, match=r"cut\.npz is damaged"):
        read_digits(path)


def test_the_images_have_the_shape_that_a_convolution_takes():
    rows, images = digits(), digits(flat=False)
    for part, flat in zip(images, rows, strict=True):
        assert part.inputs.shape == (len(flat), 1, 8, 8)
        np.testing.assert_array_equal(part.inputs.reshape(len(flat), 64), flat.inputs)
        np.testing.assert_array_equal(part.labels, flat.labels)
    with pytest.raises(ValueError, match=r"md\.data\.digits: flat: expected True or False; got 'image'"):
        digits("image")
