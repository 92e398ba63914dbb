"""minidl/data/idx.py: an IDX file is read as it was written, or refused by its name."""

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from minidl.data.idx import read_idx
from tests.factory import examples
from tests.files.test_reading import needs_pipes

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array):
    """The array as an IDX file: written from the description of the format, not from the reader."""
    header = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim])
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "some-idx"


@examples(60)
@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda code: st_np.arrays(code, st_np.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    ),
    st.booleans(),
)
def test_what_was_written_is_read(path, array, packed):
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    read = read_idx(path)
    assert read.dtype == array.dtype  # in this machine's order of bytes
    np.testing.assert_array_equal(read, array)


GOOD = idx(np.arange(24, dtype="u1").reshape(2, 3, 4))
PACKED = gzip.compress(GOOD)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no IDX file"),
        (b"\0\0\x08", "is no IDX file"),
        (b"P5 28 28", r"expected it to begin with 0, 0; got \[80, 53\]"),
        (b"\0\0\x07\x01" + GOOD[4:], "0x08, 0x09, .* as the kind of number; got 0x07"),
        (b"\0\0\x08\x00", "expected 1 to 32 axes; got 0"),
        (b"\0\0\x08\x21" + bytes(200), "expected 1 to 32 axes; got 33"),
        (GOOD[:10], "is cut off: 10 bytes, and its header alone has 16"),
        (GOOD[:-1], r"is cut off: shape \(2, 3, 4\) needs 40 bytes; it has 39"),
        (GOOD + b"\0", "is too long: .* needs 40 bytes; it has 41"),
        (b"\0\0\x0e\x03" + b"\xff" * 20, "is cut off: shape .* needs 633825299"),
        (PACKED[:-4], "is damaged or cut off"),
        (PACKED[:20], "is damaged or cut off"),
        (PACKED + b"more", "is damaged or cut off"),
        (PACKED[:15] + bytes([PACKED[15] ^ 255]) + PACKED[16:], "is damaged or cut off"),
    ],
    ids=range(14),  # the contents would be the names, and a gzip file holds the time
)
def test_a_damaged_file_is_refused_by_name(path, content, words):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"some-idx.*{words}|some-idx {words}"):
        read_idx(path)


def test_a_small_file_that_unpacks_to_a_huge_one_is_not_unpacked(path):
    path.write_bytes(gzip.compress(GOOD + bytes(10**8), 1))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"some-idx is too long: .* needs 40 bytes; it has 41 or more"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_what_unpacks_to_more_than_a_bound_is_refused_before_it_is_unpacked(path, monkeypatch):
    monkeypatch.setattr("minidl.data.idx.MOST", 39)
    path.write_bytes(PACKED)
    with pytest.raises(ValueError, match=r"some-idx: shape \(2, 3, 4\) needs 40 bytes; at most 39 are unpacked"):
        read_idx(path)
    path.write_bytes(GOOD)  # what is not packed takes no more than it is long
    assert read_idx(path).shape == (2, 3, 4)


def test_a_shape_that_no_array_has_is_damage(path):
    path.write_bytes(b"\0\0\x08\x03" + struct.pack(">III", 0, 2**32 - 1, 2**32 - 1))
    with pytest.raises(ValueError, match="some-idx is damaged: "):
        read_idx(path)


@pytest.mark.parametrize("content", [GOOD, PACKED], ids=["plain", "packed"])
def test_the_array_cannot_be_written_to(path, content):
    path.write_bytes(content)
    assert not read_idx(path).flags.writeable


def test_too_little_memory_is_not_damage(path, monkeypatch):
    def full(file):
        raise MemoryError

    path.write_bytes(PACKED)
    with monkeypatch.context() as patched:
        patched.setattr(gzip, "open", full)
        with pytest.raises(MemoryError) as caught:
            read_idx(path)
    assert caught.value.__notes__[0].startswith(f"while {path} was read, which takes ")


@needs_pipes
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is a pipe: expected a regular file"):
        read_idx(tmp_path / "pipe")


def test_a_folder_of_that_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder: expected a file of that name"):
        read_idx(tmp_path)
