"""minidl/files/arrays.py: what is saved comes back, and damage is named, never read."""

import io
import json
import math
import os
import pickle
import zipfile

import numpy as np
import pytest

from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.schema import FLOATS, TEXT, WHOLE, Entry
from tests.files.test_reading import needs_pipes

DUMPS = json.dumps
ARRAYS = {
    "fc1/weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "file": np.array(3.5),  # a name that numpy.savez could not take
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "empty": np.zeros((0, 4), dtype=np.float16),
    "names": np.array(["fc1", "fc2.long"]),
}


def saved(folder, **options):
    path = folder / "a.npz"
    save_arrays(path, ARRAYS, kind="test_file", **options)
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_arrays_and_plain_data_come_back_as_they_were(tmp_path, compress):
    meta = {"epoch": 3, "rates": [0.1, 1e-300], "big": 2**120, "none": None, "nested": {"a": True}}
    arrays, found = load_arrays(saved(tmp_path, meta=meta, compress=compress), kind="test_file")
    assert found == meta
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)


def test_numpy_itself_can_open_the_file(tmp_path):
    with np.load(saved(tmp_path), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["fc1/weight"], ARRAYS["fc1/weight"])


def test_the_same_content_makes_the_same_file(tmp_path):
    first = saved(tmp_path).read_bytes()
    assert saved(tmp_path).read_bytes() == first


def test_keys_that_json_changes_do_not_upset_the_checksum(tmp_path):
    _, meta = load_arrays(saved(tmp_path, meta={"pair": (1, 2), "by_number": {3: "x"}}), kind="test_file")
    assert meta == {"pair": [1, 2], "by_number": {"3": "x"}}


def test_numbers_that_are_not_finite_are_valid_json_and_come_back(tmp_path):
    """JSON has no NaN: what Python writes for it, other readers refuse."""
    numbers = [math.nan, math.inf, -math.inf, 1.5, np.float64("nan"), np.float64(2)]
    path = saved(tmp_path, meta={"losses": numbers, "nested": [{"worst": -math.inf}], "text": "nan"})

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    with zipfile.ZipFile(path) as file:
        json.loads(file.read("about.json"), parse_constant=refuse)
    _, meta = load_arrays(path, kind="test_file")
    np.testing.assert_equal(meta, {"losses": numbers, "nested": [{"worst": -math.inf}], "text": "nan"})


def test_a_file_from_before_that_has_nan_in_its_description_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("minidl.files.arrays._as_json", lambda value: value)
    monkeypatch.setattr("minidl.files.arrays.json.dumps", lambda value, **options: DUMPS(value, sort_keys=True))
    path = saved(tmp_path, meta={"loss": math.nan})
    monkeypatch.undo()
    assert math.isnan(load_arrays(path, kind="test_file")[1]["loss"])


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path):
    path = saved(tmp_path)
    whole = path.read_bytes()
    messages = []
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            arrays, _ = load_arrays(path, kind="test_file")
        except ValueError as error:
            messages.append(str(error))
        else:  # a byte that says nothing, such as a member's date
            assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())
    assert len(messages) > len(whole) / 7 / 2
    assert all(str(path) in message for message in messages)


def test_every_truncation_is_refused_by_name(tmp_path):
    path = saved(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.npz is damaged"):
            load_arrays(path, kind="test_file")


def test_an_exchanged_member_is_refused(tmp_path):
    path = saved(tmp_path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    np.save(buffer, np.ones((2, 3), dtype=np.float32))
    members["fc1/weight.npy"] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, blob in members.items():
            archive.writestr(name, blob)
    with pytest.raises(ValueError, match="does not match its checksum"):
        load_arrays(path, kind="test_file")


def test_another_kind_or_format_is_named(tmp_path):
    path = saved(tmp_path, format=2)
    with pytest.raises(ValueError, match=r"a\.npz is a test file; expected a checkpoint"):
        load_arrays(path, kind="checkpoint", format=2)
    with pytest.raises(ValueError, match=r"a\.npz has format 2 .* reads format 1"):
        load_arrays(path, kind="test_file")


def test_a_foreign_npz_is_read_where_that_is_asked_for(tmp_path):
    np.savez(tmp_path / "foreign.npz", **{"fc1.weight": np.ones((2, 3)), "number": np.float32(2)})
    arrays, meta = load_arrays(tmp_path / "foreign.npz", kind="checkpoint", foreign=True)
    assert meta == {}
    np.testing.assert_array_equal(arrays["fc1.weight"], np.ones((2, 3)))
    assert arrays["number"].shape == ()


def test_what_another_machine_wrote_is_read_in_the_order_of_this_one(tmp_path):
    arrays = {"f": np.arange(3.0).astype(">f4"), "i": np.arange(3).astype(">i8"), "t": np.array(["ab"], ">U2")}
    save_arrays(tmp_path / "a.npz", arrays, kind="numbers")
    np.savez(tmp_path / "b.npz", **arrays)
    for path in (tmp_path / "a.npz", tmp_path / "b.npz"):
        read, _ = load_arrays(path, kind="numbers", foreign=True)
        for name, array in arrays.items():
            assert read[name].dtype.isnative
            np.testing.assert_array_equal(read[name], array)


def test_a_foreign_npz_and_a_foreign_file_are_refused(tmp_path):
    np.savez(tmp_path / "foreign.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"foreign\.npz is not a checkpoint written by minidl"):
        load_arrays(tmp_path / "foreign.npz", kind="checkpoint")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.npz is damaged"):
        load_arrays(tmp_path / "text.npz", kind="checkpoint")
    with pytest.raises(FileNotFoundError, match="missing"):
        load_arrays(tmp_path / "missing.npz", kind="checkpoint")


class Bomb:
    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "pickle.npz"
    np.savez(path, a=np.array([Bomb()], dtype=object))
    with pytest.raises(ValueError, match=r"pickle\.npz"):
        load_arrays(path, kind="test_file")
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"pickle\.npz"):
        load_arrays(path, kind="test_file")
    assert not Bomb.exploded


@pytest.mark.parametrize("value", [np.array([{}], dtype=object), np.zeros(2, "i4,f4"), [1, 2], 3.0])
def test_what_is_no_plain_array_is_not_written(tmp_path, value):
    with pytest.raises(TypeError, match=r"expected a NumPy array of numbers or text as 'x'"):
        save_arrays(tmp_path / "a.npz", {"x": value}, kind="test_file")
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_not_plain_is_not_written(tmp_path):
    with pytest.raises(TypeError, match="must be plain"):
        save_arrays(tmp_path / "a.npz", {}, kind="test_file", meta={"x": object()})
    with pytest.raises(ValueError, match="cannot be the name"):
        save_arrays(tmp_path / "a.npz", {"../x": np.ones(1)}, kind="test_file")
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_the_description_is_no_name_for_an_array(tmp_path):
    with pytest.raises(ValueError, match=r"'about\.json' cannot be the name of an array"):
        save_arrays(tmp_path / "a.npz", {"about.json": np.ones(1)}, kind="test_file")


def test_arrays_come_back_in_a_table_that_fits_and_are_refused_by_another(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, {"loss": np.ones(3), "names": np.array(["a"])}, kind="test_file")
    table = {"loss": Entry(FLOATS, ("T",)), "names": Entry(TEXT, ("N",))}
    assert list(load_arrays(path, kind="test_file", schema=table)[0]) == ["loss", "names"]
    words = "expected whole numbers as 'loss'; got float64. Make it anew, or use the version of minidl that wrote it"
    with pytest.raises(ValueError, match=rf"a\.npz cannot be read as a test file: {words}"):
        load_arrays(path, kind="test_file", schema={**table, "loss": Entry(WHOLE, ("T",))})


@needs_pipes
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match=r"pipe\.npz is a pipe: expected a regular file"):
        load_arrays(tmp_path / "pipe.npz", kind="test_file")


def test_plain_data_that_lead_back_to_themselves_are_not_written(tmp_path):
    meta = {}
    meta["self"] = meta
    with pytest.raises(TypeError, match="must be plain"):
        save_arrays(tmp_path / "a.npz", {}, kind="test_file", meta=meta)
    assert list(tmp_path.iterdir()) == []
