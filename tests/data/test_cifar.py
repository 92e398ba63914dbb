"""minidl/data/cifar.py: the binary version is read from its archive or from what is in it; the pickle is not."""

import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest

import minidl as md
from minidl.data import cifar

RECORDS = 12
RNG = np.random.default_rng(0)
NAMES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
ROWS = {name: RNG.integers(0, 256, (RECORDS, 3073), dtype=np.uint8) for name in NAMES}
for row in ROWS.values():
    row[:, 0] %= 10
FILES = {name: rows.tobytes() for name, rows in ROWS.items()}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(cifar, "RECORDS", RECORDS)


def in_folder(folder, files):
    (folder / "cifar-10-batches-bin").mkdir(parents=True)
    for name, content in files.items():
        (folder / "cifar-10-batches-bin" / name).write_bytes(content)
    (folder / "cifar-10-batches-bin" / "readme.html").write_text("hello")


def in_archive(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def in_unpacked_gzip(folder, files):
    """As 7-Zip leaves it after one of its two steps."""
    in_archive(folder, files)
    packed = folder / "cifar-10-binary.tar.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()


def in_folder_of_its_name(folder, files):
    in_folder(folder / "cifar-10-binary", files)


@pytest.mark.parametrize("write", [in_folder, in_archive, in_unpacked_gzip, in_folder_of_its_name])
def test_a_record_is_a_label_and_three_planes(tmp_path, monkeypatch, write):
    write(tmp_path / "cifar10", FILES)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    train, validation, test = md.data.cifar10()
    assert (len(train), len(validation), len(test)) == (5 * RECORDS, 0, RECORDS)
    rows = np.concatenate([ROWS[name] for name in NAMES])
    inputs, labels = (np.concatenate([getattr(part, name) for part in (train, test)]) for name in ("inputs", "labels"))
    assert inputs.dtype == np.float32
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, rows[:, 0])
    red_of_second_row = rows[:, 1 + 32 : 1 + 64].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(inputs[:, 0, 1], red_of_second_row)
    np.testing.assert_array_equal(inputs[:, 2, 31, 31] * 255, rows[:, -1])
    assert train.images.shape == (5 * RECORDS, 3, 32, 32)
    assert test.classes[3] == "cat"


def test_the_folder_may_be_named_at_each_depth(tmp_path):
    in_folder(tmp_path / "cifar10", FILES)
    for root in (tmp_path, tmp_path / "cifar10", tmp_path / "cifar10" / "cifar-10-batches-bin"):
        assert len(md.data.cifar10(root, validation=10).validation) == 10


@pytest.mark.parametrize("write", [in_folder, in_archive])
@pytest.mark.parametrize("name", ["data_batch_4.bin", "test_batch.bin"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: None, "is missing, damaged or cut off: .*; got 0"),
        (lambda content: content[:-3073], f"expected 12 images of 3073 bytes, {12 * 3073} in all; got {11 * 3073}"),
        (lambda content: content + b"0", f"got {12 * 3073 + 1}"),
        (lambda content: content[:3073] + b"\x0a" + content[3074:], "expected labels from 0 to 9; got 10 as label 1"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, write, name, change, words):
    files = {**FILES, name: change(FILES[name])}
    write(tmp_path, {name: content for name, content in files.items() if content is not None})
    with pytest.raises(ValueError, match=f"{name}.*{words}"):
        md.data.cifar10(tmp_path)


def test_a_cut_archive_is_named(tmp_path):
    in_archive(tmp_path, FILES)
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz is damaged, cut off.*\. Delete what is damaged"):
        md.data.cifar10(tmp_path)


def test_a_flipped_bit_in_the_archive_is_noticed(tmp_path):
    in_archive(tmp_path, FILES)
    path = tmp_path / "cifar-10-binary.tar.gz"
    whole = path.read_bytes()
    for position in range(1000, len(whole), len(whole) // 20):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz is damaged"):
            md.data.cifar10(tmp_path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was opened",))


@pytest.mark.parametrize(
    "name", ["cifar-10-batches-py/data_batch_1", "cifar-10-python.tar.gz", "cifar-10-python.tar", "data_batch_1"]
)
def test_the_pickled_version_is_refused_unopened(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(
        ValueError, match=r"a pickle: opening it could run any program\. Get the binary version: "
    ) as raised:
        md.data.cifar10(tmp_path)
    assert f"md.data.cifar10({str(tmp_path)!r}, download=True)" in str(raised.value)
    if name.startswith("cifar-10-batches-py"):
        with pytest.raises(ValueError, match="a pickle"):
            md.data.cifar10(path.parent)


def test_without_files_the_error_says_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found no cifar-10-binary\.tar\.gz in .* fetches 170\.1 MB"):
        md.data.cifar10(tmp_path)


def test_a_photograph_may_be_a_row_of_pixels(tmp_path):
    in_folder(tmp_path, FILES)
    images, rows = md.data.cifar10(tmp_path), md.data.cifar10(tmp_path, flat=True)
    assert rows.train.inputs.shape == (len(images.train), 3072)
    assert rows.validation.inputs.shape == (0, 3072)
    np.testing.assert_array_equal(rows.test.images, images.test.inputs)
