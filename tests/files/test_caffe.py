"""minidl/files/caffe.py: files that real Caffe wrote give the scores they gave there; any other is refused by name.

`python -m benchmarks.caffe --store` had Caffe 1.0 write the files of tests/benchmarks/from_caffe.
"""

import random
import re
import struct

import numpy as np
import pytest

import minidl as md
from benchmarks.caffe import CASES, STORED, batches_of, others, tiny
from tests.arrays import host, tensor

FILES = sorted(STORED.glob("*.caffemodel"))


@pytest.fixture(scope="module")
def stored():
    with np.load(STORED / "stored.npz") as file:
        return dict(file)


# ---- what Caffe wrote


@pytest.mark.parametrize("name", ["net", "v1"])
def test_a_network_that_caffe_trained_gives_caffes_scores(stored, name):
    model = tiny()
    model.load_state_dict(md.models.from_caffe(md.load(STORED / f"{name}.caffemodel")))
    images, _ = batches_of(CASES["tiny"])
    np.testing.assert_allclose(host(model(tensor(images[0]))), stored["scores of tiny"], rtol=1e-5, atol=1e-6)


def test_transposed_convolutions_and_transposed_weights_give_caffes_scores(stored):
    model = others()
    model.load_state_dict(md.load(STORED / "others.caffemodel"))
    found = host(model(tensor(stored["images of others"])))
    np.testing.assert_allclose(found, stored["scores of others"], rtol=1e-4, atol=1e-5)


def test_shapes_are_minidls_in_files_of_both_forms():
    shapes = {name: p.shape for name, p in tiny().named_parameters()}
    for name in ("net", "v1"):
        arrays = md.models.from_caffe(md.load(STORED / f"{name}.caffemodel"))
        assert {key: array.shape for key, array in arrays.items()} == shapes
        assert all(a.dtype == np.float32 and a.flags.writeable and a.dtype.isnative for a in arrays.values())


def test_both_forms_hold_the_same_weights():
    new, old = (md.load(STORED / f"{name}.caffemodel") for name in ("net", "v1"))
    for name, array in new.items():
        np.testing.assert_array_equal(array, old[name])


def test_split_layers_and_others_without_weights_are_left_out():
    assert b"Split" in (STORED / "net.caffemodel").read_bytes()
    assert {name.split(".")[0] for name in md.load(STORED / "net.caffemodel")} == {"conv1", "conv2", "ip1", "ip2"}


# ---- files made by hand, field by field


def number(field, value):
    return varint(field << 3) + varint(value)


def counted(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def varint(value):
    low = bytes([value & 127 | 128 * (value > 127)])
    return low + varint(value >> 7) if value > 127 else low


def blob(values, *shape, double=False):
    data = struct.pack(f"<{len(values)}{'d' if double else 'f'}", *values)
    return counted(7, counted(1, b"".join(map(varint, shape)))) + counted(8 if double else 5, data)


def net(*blobs, name=b"ip", kind=b"InnerProduct", field=100):
    return counted(field, counted(1, name) + counted(2, kind) + b"".join(counted(7, each) for each in blobs))


def written(tmp_path, content):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    return path


def test_weights_in_double_precision_stay_so(tmp_path):
    found = md.load(written(tmp_path, net(blob([0.1, 0.2], 1, 2, double=True))))
    assert found["ip.weight"].dtype == np.float64
    assert found["ip.weight"].tolist() == [[0.1, 0.2]]


def test_a_new_layer_may_hold_weights_in_old_shapes(tmp_path):
    """Caffe's upgrade of an old file turns the layers into new ones and leaves the arrays in them as they are."""
    sizes = b"".join(number(field, size) for field, size in enumerate((1, 1, 2, 3), start=1))
    weight = sizes + counted(5, struct.pack("<6f", *range(6)))
    assert md.load(written(tmp_path, net(weight)))["ip.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_transposed_weight_is_turned_round_in_both_forms(tmp_path):
    weight, transpose = blob([1, 2, 3, 4, 5, 6], 2, 3), number(6, 1)
    new = counted(1, b"ip") + counted(2, b"InnerProduct") + counted(7, weight) + counted(117, transpose)
    old = counted(4, b"ip") + number(5, 14) + counted(6, weight) + counted(17, transpose)
    for layer, field in ((new, 100), (old, 2)):
        assert md.load(written(tmp_path, counted(field, layer)))["ip.weight"].tolist() == [[1, 4], [2, 5], [3, 6]]


def test_a_shape_may_be_written_size_by_size(tmp_path):
    weight = counted(7, number(1, 1) + number(1, 2)) + counted(5, struct.pack("<2f", 1, 2))
    assert md.load(written(tmp_path, net(weight)))["ip.weight"].tolist() == [[1, 2]]


def test_gradients_in_the_file_and_unknown_fields_are_passed_over(tmp_path):
    content = number(7, 2**64 - 1) + b"\x1d1234" + b"\x191234567" + b"8"  # a number, four bytes, eight bytes
    weight = blob([1, 2], 1, 2) + counted(6, struct.pack("<2f", 9, 9))
    assert md.load(written(tmp_path, content + net(weight)))["ip.weight"].tolist() == [[1, 2]]


ONE = blob([1.0], 1, 1)
WRONG = {
    "its shape (1, 3) does not fit its 2 numbers": net(blob([1, 2], 1, 3)),
    "its shape (0, 0, 0, 0) does not fit its 0 numbers": net(b""),
    "(18446744073709551615, 18446744073709551615) does not fit its 1 numbers": net(
        counted(7, counted(1, varint(2**64 - 1) * 2)) + counted(5, b"\0" * 4)
    ),
    "its shape has more than 32 axes": net(blob([1], *[1] * 33)),
    "5 bytes are no whole count of float32": net(counted(7, counted(1, b"\1")) + counted(5, b"12345")),
    "its numbers come twice": net(ONE + counted(5, b"1234")),
    "layer 'ip' (InnerProduct): its shape is (2,); expected 2 axes": net(blob([1, 2], 2)),
    "its shape is (2, 1, 1); expected 2 axes, or ones before them": net(blob([1, 2], 2, 1, 1)),
    "'ip.weight' comes twice": net(ONE) * 2,
    "layer 'bn' (BatchNorm) has 3 arrays of weights; expected only": net(ONE, ONE, ONE, name=b"bn", kind=b"BatchNorm"),
    "layer 'bn' (Scale) has 2 arrays": net(ONE, ONE, name=b"bn", kind=b"Scale"),
    "layer 'ip' (InnerProduct) has 3 arrays": net(ONE, ONE, ONE),
    "more than 32 arrays of weights": net(*[b""] * 33),
    r"layer '\x1b[2J' (Scale) has 1 array of": net(ONE, name=b"\x1b[2J", kind=b"Scale"),
    "a name has 1,001 bytes; expected at most 1,000": net(ONE, name=b"x" * 1001),
    "a name is not UTF-8": net(ONE, name=b"\xff"),
    "(of number 99) has 1 array of": counted(2, counted(4, b"x") + number(5, 99) + counted(6, ONE)),
    "form of 2013 (V0)": counted(2, counted(1, b"")),
    "a layer is written as a whole number; expected bytes after their count": number(100, 1),
    "a layer's name is written as 4 bytes": counted(100, b"\x0d1234"),
    "field 100 takes 1,000 bytes, and 3 are left": varint(100 << 3 | 2) + varint(1000) + b"abc",
    "a number has more than 64 bits": b"\xff" * 11,
    "it ends within a number": b"\xff",
    "no field begins with 11": b"\x0b",  # a group, which Caffe has none of
    "no field begins with 0": b"\0" * 8,
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_said_with_the_files_name(tmp_path, message):
    path = written(tmp_path, WRONG[message])
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        md.load(path)
    assert str(raised.value).startswith(f"{path} is damaged, cut off or no .caffemodel")


@pytest.mark.parametrize("content", [b"", counted(1, b"LeNet"), net(name=b"loss", kind=b"Softmax")])
def test_a_file_without_weights_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match="holds no weights: it is empty, or describes a network without them"):
        md.load(written(tmp_path, content))


@pytest.mark.parametrize(
    "content", [b'name: "LeNet"\nlayer {', b"\x89HDF\r\n\x1a\n" + b"\0" * 8, b"<!DOCTYPE html>", b"PK\3\4"]
)
def test_files_of_other_kinds_are_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"is damaged, cut off or no .caffemodel"):
        md.load(written(tmp_path, content))


def names_or_error(path, content):
    """The names that are found, or None after an error that names the file."""
    path.write_bytes(content)
    try:
        return list(md.load(path))
    except ValueError as error:
        return None if str(path) in str(error) else pytest.fail(f"{error} does not name the file")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_cut_file_is_refused_or_lacks_whole_layers(tmp_path, path):
    content, whole = path.read_bytes(), list(md.load(path))
    for end in range(0, len(content), len(content) // 40):
        found = names_or_error(tmp_path / "net.caffemodel", content[:end])
        assert found is None or found == whole[: len(found)]


def test_whatever_byte_is_changed_nothing_but_a_value_error_comes(tmp_path):
    content, draw = (STORED / "net.caffemodel").read_bytes(), random.Random(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(content)
        for _ in range(20):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        refused += names_or_error(tmp_path / "net.caffemodel", damaged) is None
    assert refused > 50


def test_a_file_longer_than_protocol_buffers_allow_is_refused_unread(tmp_path):
    path = tmp_path / "net.caffemodel"
    with path.open("wb") as file:
        file.truncate(2**31)  # takes no place on the disk
    with pytest.raises(ValueError, match=r"has 2,147,483,648 bytes: expected at most 2,147,483,647"):
        md.load(path)


def test_caffemodels_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"a .caffemodel is only read; expected a file whose name ends in .npz"):
        md.save({"w": np.ones(1)}, tmp_path / "net.caffemodel")
