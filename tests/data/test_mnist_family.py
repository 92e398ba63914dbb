"""minidl/data/mnist_family.py: the four files make three parts."""

import gzip
import hashlib
import importlib
import os

import numpy as np
import pytest

import minidl as md
from minidl.data.fetch import Published
from tests.data.server import serving
from tests.data.test_idx import idx

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.integers(0, 256, (50, 28, 28), dtype=np.uint8),
    (np.arange(50) % 10).astype(np.uint8),
    RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8),
    (np.arange(20) % 10).astype(np.uint8),
]
FILES = dict(zip(NAMES, map(idx, ARRAYS), strict=True))
SETS = [("mnist", md.data.mnist, "7"), ("fashion_mnist", md.data.fashion_mnist, "Sneaker")]


def write(folder, **changed):
    folder.mkdir(exist_ok=True)
    for name, content in FILES.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(changed.get(name.replace("-", "_"), content), 1))
    return folder


@pytest.mark.parametrize(("name", "read", "seven"), SETS)
def test_the_parts_are_what_the_files_hold(tmp_path, monkeypatch, name, read, seven):
    write(tmp_path / name)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    train, validation, test = read()
    for part, images, labels in ((train, *ARRAYS[:2]), (test, *ARRAYS[2:])):
        assert part.inputs.dtype == np.float32
        assert part.labels.dtype == np.int64
        np.testing.assert_array_equal(part.inputs, images[:, None].astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(part.labels, labels)
        assert part.images.shape == (len(images), 1, 28, 28)
        assert part.classes[7] == seven
        assert len(part.classes) == 10
    assert len(validation) == 0
    assert validation.inputs.shape == (0, 1, 28, 28)
    assert validation.classes == train.classes


def dotted(name):
    return name.replace("-idx", ".idx")


@pytest.mark.parametrize(("name", "read", "seven"), SETS)
@pytest.mark.parametrize(
    "path_of",
    [
        lambda name, library: name,  # macOS, gunzip
        lambda name, library: dotted(name),  # 7-Zip, Kaggle
        lambda name, library: f"{name}/{name}",  # Kaggle, unpacked with its folders
        lambda name, library: f"{name}/{dotted(name)}",  # 7-Zip, each to a folder of its name
        lambda name, library: f"{library}/raw/{name}",  # torchvision
        lambda name, library: f"raw/{dotted(name)}",
    ],
    ids=["gunzip", "7-Zip", "Kaggle", "folders", "torchvision", "raw"],
)
def test_files_are_found_as_other_programs_name_them(tmp_path, monkeypatch, name, read, seven, path_of):
    library = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name]
    for file, content in FILES.items():
        path = tmp_path / path_of(file, library)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found = [read(tmp_path)]
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    if "raw" in path_of(name, library):
        found.append(read())
    for splits in found:
        assert (len(splits.train), len(splits.test)) == (50, 20)
        assert splits.train.labels.tolist() == ARRAYS[1].tolist()


def test_a_folder_of_a_files_name_beside_the_file_is_passed_over(tmp_path):
    """Kaggle's archive has each file twice."""
    for file, content in FILES.items():
        (tmp_path / file).mkdir()
        (tmp_path / dotted(file)).write_bytes(content)
    assert len(md.data.mnist(tmp_path).train) == 50


def test_the_message_names_what_lies_there_instead(tmp_path):
    for i in range(9):
        (tmp_path / f"train{i}.csv").touch()
    with pytest.raises(FileNotFoundError, match=rf"In {tmp_path} there is train0\.csv, .*train7\.csv and 1 more$"):
        md.data.mnist(tmp_path)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "mnist.npz").touch()
    with pytest.raises(FileNotFoundError, match=r"In .*mnist there is mnist\.npz\. In"):
        md.data.mnist(tmp_path)


def test_the_last_training_images_are_held_out(tmp_path):
    write(tmp_path)
    whole = md.data.mnist(tmp_path).train
    train, validation, test = md.data.mnist(tmp_path, validation=8)
    assert (len(train), len(validation), len(test)) == (42, 8, 20)
    np.testing.assert_array_equal(np.concatenate([train.inputs, validation.inputs]), whole.inputs)
    np.testing.assert_array_equal(validation.labels, whole.labels[42:])


@pytest.mark.parametrize("validation", [-1, 50, 5.0, True, None])
def test_there_must_be_that_many_to_hold_out(tmp_path, validation):
    write(tmp_path)
    with pytest.raises(ValueError, match=r"md\.data\.mnist: expected validation as a number from 0 to 49; got "):
        md.data.mnist(tmp_path, validation=validation)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_images_idx3_ubyte": FILES[NAMES[0]][:-9]}, r"train-images-idx3-ubyte\.gz is cut off"),
        ({"t10k_images_idx3_ubyte": idx(ARRAYS[2][:, 1:])}, r"t10k-images.*expected images of shape \(N, 28, 28\)"),
        ({"t10k_images_idx3_ubyte": idx(ARRAYS[2].astype("i2"))}, "t10k-images.*uint8; got .*int16"),
        ({"train_labels_idx1_ubyte": idx(ARRAYS[1][1:])}, "train-labels.*a label for each of the 50 images"),
        ({"t10k_labels_idx1_ubyte": idx(ARRAYS[3] + np.uint8(3))}, "t10k-labels.*from 0 to 9; got 12 as label 9"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, changed, words):
    write(tmp_path, **changed)
    with pytest.raises(ValueError, match=words):
        md.data.mnist(tmp_path)


def test_the_message_says_how_to_get_a_damaged_file_anew(tmp_path):
    write(tmp_path, t10k_labels_idx1_ubyte=b"")
    with pytest.raises(ValueError, match=r"t10k.*\. Delete what is damaged") as raised:
        md.data.mnist(tmp_path)
    assert str(raised.value).endswith(f"md.data.mnist({str(tmp_path)!r}, download=True) fetches it again")


@pytest.mark.parametrize(
    ("read", "other", "beginning"),
    [
        (md.data.fashion_mnist, "mnist", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]),
        (md.data.mnist, "fashion_mnist", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]),
    ],
)
def test_the_files_of_the_other_set_are_refused(tmp_path, read, other, beginning):
    write(tmp_path, train_labels_idx1_ubyte=idx(np.array(beginning * 5, np.uint8)))
    with pytest.raises(ValueError, match=rf"the files in .* are those of md\.data\.{other}$"):
        read(tmp_path)


@pytest.mark.parametrize(("name", "read", "seven"), SETS)
def test_missing_files_are_not_fetched_unasked(tmp_path, name, read, seven):
    with pytest.raises(FileNotFoundError, match=rf"md\.data\.{name}\(.*download=True\) fetches (11\.6|30\.9) MB"):
        read(tmp_path)


def test_download_fetches_what_is_missing(tmp_path, monkeypatch):
    write(tmp_path / "mnist")
    lost = tmp_path / "mnist" / f"{NAMES[1]}.gz"
    content = lost.read_bytes()
    lost.unlink()
    with serving(content) as server:
        md5 = hashlib.md5(content).hexdigest()
        files = [Published(f"{name}.gz", (server.url,), md5, len(content), name) for name in NAMES]
        monkeypatch.setattr(importlib.import_module("minidl.data.mnist_family"), "_MNIST", files)
        assert len(md.data.mnist(tmp_path, download=True).train) == 50
        assert len(server.asked) == 1


@pytest.mark.big_data
@pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="needs MINIDL_DATA")
def test_the_real_mnist():
    train, validation, test = md.data.mnist(validation=5000)
    assert (len(train), len(validation), len(test)) == (55_000, 5_000, 10_000)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    with pytest.raises(ValueError, match=r"are those of md\.data\.mnist$"):
        md.data.fashion_mnist(os.path.join(os.environ["MINIDL_DATA"], "mnist"))
    # The numbers that everyone normalises MNIST with.
    pixels = np.concatenate([train.inputs, validation.inputs])
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.1307, abs=1e-4)
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3081, abs=1e-4)
    as_published = np.rint(pixels * 255).astype(np.uint8)
    assert hashlib.sha256(idx(as_published[:, 0])).hexdigest().startswith("ba891046")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_an_image_may_be_a_row_of_pixels(tmp_path, name, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr(importlib.import_module("minidl.data.mnist_family"), "_BEGINNINGS", {})
    images, rows = getattr(md.data, name)(tmp_path), getattr(md.data, name)(tmp_path, flat=True)
    assert rows.train.inputs.shape == (len(images.train), 784)
    assert rows.validation.inputs.shape == (0, 784)
    np.testing.assert_array_equal(rows.test.images, images.test.inputs)
