"""minidl/files/npz.py: what an array takes is known before it is read, and no small file takes much."""

import io
import json
import zipfile

import numpy as np
import pytest

from minidl.files import npz
from minidl.files.arrays import load_arrays, save_arrays


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def header(**changes):
    buffer = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": (3,), **changes}
    np.lib.format.write_array_header_2_0(buffer, described)
    return buffer.getvalue()


def zipped(path, *members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def load(path, **options):
    return load_arrays(path, kind="test_file", foreign=True, **options)[0]


ONES = ("w.npy", npy(np.ones(3, np.float32)))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_arrays_of_another_program_are_read(tmp_path, method):
    fortran = np.asfortranarray(np.arange(6).reshape(2, 3))
    path = zipped(tmp_path / "a.npz", ONES, ("f.npy", npy(fortran)), ("n.npy", npy(np.float64(2))), method=method)
    found = load(path)
    np.testing.assert_array_equal(found["w"], np.ones(3, np.float32))
    np.testing.assert_array_equal(found["f"], fortran)
    assert found["n"] == 2
    assert all(array.flags.writeable for array in found.values())


@pytest.mark.parametrize("second", ["w.npy", "w"])
def test_a_name_that_comes_twice_is_refused(tmp_path, second):
    with pytest.warns(UserWarning, match="Duplicate") if second == "w.npy" else io.StringIO():
        zipped(tmp_path / "a.npz", ONES, (second, npy(np.zeros(3))))
    with pytest.raises(ValueError, match=r"a\.npz is damaged.*: two of its arrays are called 'w'"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header(shape=(4,)) + bytes(12), r"an array \(4,\) of float32 takes .* bytes; it has"),
        (header(shape=(2,)) + bytes(12), r"an array \(2,\) of float32 takes .* bytes; it has"),
        (header(shape=(10**15, 10**15)), "takes .* bytes; it has"),
        (header(shape=(-3,)) + bytes(12), r"no array has the dtype float32 and the shape \(-3,\)"),
        (header(descr="<U0", shape=(10**15,)), "no array has the dtype <U0"),
        (header(descr="|O"), "it holds Python objects, which are not unpickled"),
        (b"\x93NUMPY\x03\x00" + header()[8:], "version 3.0 of NumPy's format is not known"),
        (b"no array", "the magic string is not correct"),
        (b"", "magic string"),
    ],
)
def test_a_member_whose_header_does_not_fit_its_size_is_not_read(tmp_path, content, words):
    path = zipped(tmp_path / "a.npz", ("w.npy", content))
    with pytest.raises(ValueError, match=rf"a\.npz cannot be read: 'w' is no plain array: .*{words}"):
        load(path)


def test_a_header_that_pythons_parser_gives_up_on_is_damage_and_no_lack_of_memory(tmp_path, monkeypatch):
    def give_up(file):
        raise MemoryError

    path = zipped(tmp_path / "a.npz", ONES)
    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", give_up)
    with pytest.raises(ValueError, match=r"a\.npz cannot be read: 'w' is no plain array: its header cannot be read"):
        load(path)


def test_too_little_memory_passes_and_names_file_array_and_bytes(tmp_path, monkeypatch):
    def full(*arguments):
        raise MemoryError

    path = zipped(tmp_path / "a.npz", ONES)
    with monkeypatch.context() as patched:
        patched.setattr(npz.np, "empty", full)
        with pytest.raises(MemoryError) as caught:
            load(path)
    assert caught.value.__notes__ == [f"while 'w' in {path} was read, which takes 12 bytes"]


def test_what_is_packed_is_not_read_beyond_a_bound(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.npz", ("w.npy", npy(np.arange(5000))), method=zipfile.ZIP_DEFLATED)
    assert load(path)["w"].shape == (5000,)
    monkeypatch.setattr(npz, "FOREIGN_PACKED", 10_000)
    assert load(path)["w"].shape == (5000,)  # not much for a file of that size
    monkeypatch.setattr(npz, "FOREIGN_RATIO", 1)
    words = "unpack to 40,128, of which at most 10,000 are read: write it without compression, as numpy.savez does"
    with pytest.raises(ValueError, match=rf"a\.npz is damaged.* {words}"):
        load(path)


def test_what_is_packed_in_a_file_of_minidl_is_bounded_when_written_and_when_read(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save_arrays(path, {"w": np.zeros(5000)}, kind="test_file", compress=True)
    assert load(path)["w"].shape == (5000,)
    monkeypatch.setattr(npz, "PACKED", 10_000)
    with pytest.raises(ValueError, match="of which at most 10,000 are read"):
        load(path)
    monkeypatch.setattr("minidl.files.arrays.PACKED", 10_000)
    with pytest.raises(ValueError, match=r"b\.npz: at most 10,000 bytes of arrays are compressed"):
        save_arrays(tmp_path / "b.npz", {"w": np.zeros(5000)}, kind="test_file", compress=True)
    assert not (tmp_path / "b.npz").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused(tmp_path, method):
    path = zipped(tmp_path / "a.npz", ONES, method=method)
    with pytest.raises(ValueError, match=rf"a\.npz is damaged.*: 'w' is packed as zip's method {method}"):
        load(path)


def test_a_member_of_another_size_than_its_entry_says_is_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", ONES)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[entry + 24] += 1  # the lowest byte of its size
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz is damaged.*: 'w' has 140 bytes; its entry says 141"):
        load(path)


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    """A directory that lists one member a thousand times would make a small file a large one."""
    path = zipped(tmp_path / "a.npz", ("a.npy", npy(np.zeros(300))), ("b.npy", npy(np.zeros(300))))
    content = bytearray(path.read_bytes())
    for entry in (content.index(b"PK\1\2"), content.rindex(b"PK\1\2")):
        for size in (20, 24):
            content[entry + size + 1] += 8  # 2 kB more
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz is damaged.*: its members are longer than the file"):
        load(path)


def test_kind_and_table_are_compared_before_any_array_is_read(tmp_path, monkeypatch):
    about = {"kind": "race", "format": 1, "meta": {}, "sha256": ""}
    path = zipped(tmp_path / "a.npz", ONES, ("about.json", json.dumps(about)))

    def read(self, name, seen=None):
        raise AssertionError("an array was read")

    monkeypatch.setattr(npz.Npz, "array", read)
    with pytest.raises(ValueError, match=r"a\.npz is a race; expected a test file"):
        load(path)
    with pytest.raises(ValueError, match=r"a\.npz cannot be read as a race: its array 'w' is not known here"):
        load_arrays(path, kind="race", schema={})


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ("[]", "expected entries by name"),
        ("{", "cannot be read"),
        ('{"kind": "test_file"}', "it has no entry 'format'"),
        ('{"kind": 3, "format": 1, "meta": {}, "sha256": ""}', "kind: expected a text; got 3"),
        ('{"kind": "test_file", "format": 1, "meta": [], "sha256": ""}', "meta: expected entries by name"),
        ('{"kind": "a", "kind": "test_file", "format": 1, "meta": {}, "sha256": ""}', "the entry 'kind' comes twice"),
    ],
)
def test_a_description_that_is_none_is_refused_by_name(tmp_path, about, words):
    path = zipped(tmp_path / "a.npz", ("about.json", about))
    with pytest.raises(ValueError, match=rf"a\.npz is damaged: its about\.json.*{words}"):
        load(path)
