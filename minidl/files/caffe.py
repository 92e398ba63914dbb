"""Weights that Caffe wrote: `md.load("net.caffemodel")`.

A .caffemodel is a message of Protocol Buffers: a row of fields, each a key (8 x the field's number + how it is written)
and its content. That is all there is to the format, so it is read here in plain lines. Five messages matter, and of
each the few fields below (Caffe's src/caffe/proto/caffe.proto names them all):

    NetParameter        layer = 100, or layers = 2 in files from before 2015 (V1)
    LayerParameter      name = 1, type = 2 (a text), blobs = 7, inner_product_param = 117
    V1LayerParameter    name = 4, type = 5 (a number), blobs = 6, inner_product_param = 17
    BlobProto           shape = 7, or num, channels, height, width = 1 to 4; data = 5 (float32) or 8 (float64)
    BlobShape           dim = 1

A file has no checksum: a changed number is not noticed, nor that whole layers are missing at its end.
`load_state_dict` then says which weights it lacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.errors import printable
from minidl.files.reading import naming, read_bytes

MOST = 2**31 - 1  # bytes: no message of Protocol Buffers is longer
_VARINT, _EIGHT, _COUNTED, _FOUR = 0, 1, 2, 5  # how a field is written
_FORMS = {_VARINT: "a whole number", _EIGHT: "8 bytes", _COUNTED: "bytes after their count", _FOUR: "4 bytes"}
_MANY = 32  # axes of an array, the most that Caffe has, and arrays of a layer, more than any has
_LONG = 1000  # bytes of a name, which a message may have to show
_V1_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}  # those with weights
_AXES = {"Convolution": 4, "InnerProduct": 2, "Deconvolution": 4}  # of a weight

Fields = Iterator[tuple[int, int, Any]]


def read_caffemodel(path: str) -> dict[str, Any]:
    """The weights in a .caffemodel, by the layers' names in Caffe: {"conv1.weight": ..., "conv1.bias": ..., ...}.

    Shapes are as in minidl and PyTorch: convolution (out, in / groups, height, width), dense layer (out, in), bias
    (out,). Old files pad every shape with ones to four axes; these are taken off. Layers without weights, such as the
    Split layers that Caffe puts in, are left out. Nothing in the file can run code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or cut off, too long, no .caffemodel, or holds a layer with other weights than a
            convolution or a dense layer has. The message names file and layer.
        MemoryError: there is too little memory. A note names the file and the bytes.
    """
    content = read_bytes(path, MOST)
    arrays: dict[str, Any] = {}
    with naming(path, 2 * len(content)):
        try:
            for layer in _layers(memoryview(content)):
                for name, array in layer.items():
                    if name in arrays:
                        raise ValueError(f"{name!r} comes twice")
                    arrays[name] = array
        except ValueError as error:
            raise ValueError(f"{path} is damaged, cut off or no .caffemodel that can be read here: {error}") from error
    if not arrays:
        raise ValueError(f"{path} holds no weights: it is empty, or describes a network without them")
    return arrays


# ---- the messages


def _layers(net: memoryview) -> Iterator[dict[str, Any]]:
    """The arrays of each layer of a NetParameter."""
    for number, form, value in _fields(net):
        if number in (2, 100):
            _expect(form, _COUNTED, "a layer")
            yield _layer(value, v1=number == 2)


def _layer(message: memoryview, v1: bool) -> dict[str, Any]:
    """The arrays of a LayerParameter or V1LayerParameter, by name; empty where it has none."""
    name_is, type_is, blobs_are, options_are = (4, 5, 6, 17) if v1 else (1, 2, 7, 117)
    name, kind, blobs, transposed = "", "", [], False
    for number, form, value in _fields(message):
        if v1 and number == 1:
            raise ValueError("a layer is in the form of 2013 (V0): Caffe's upgrade_net_proto_binary makes a newer file")
        if number == name_is:
            _expect(form, _COUNTED, "a layer's name")
            name = _text(value)
        elif number == type_is:
            _expect(form, _VARINT if v1 else _COUNTED, "a layer's type")
            kind = _V1_TYPES.get(value, f"of number {value}") if v1 else _text(value)
        elif number == blobs_are:
            _expect(form, _COUNTED, "weights")
            blobs.append(value)
            if len(blobs) > _MANY:
                raise ValueError(f"a layer has more than {_MANY} arrays of weights")
        elif number == options_are:  # inner_product_param, of which transpose = 6
            _expect(form, _COUNTED, "a layer's options")
            transposed = any(option == 6 and bool(chosen) for option, _, chosen in _fields(value))
    if not blobs:
        return {}
    layer = f"layer {name!r} ({printable(kind)})"
    if kind not in _AXES or len(blobs) > 2:
        raise ValueError(
            f"{layer} has {len(blobs)} array{'s' * (len(blobs) > 1)} of weights; expected only weight and bias of "
            f"Convolution, InnerProduct and Deconvolution layers"
        )
    try:
        weight = _without_padding(_blob(blobs[0]), _AXES[kind])
        bias = [_without_padding(_blob(blob), 1) for blob in blobs[1:]]
    except ValueError as error:
        raise ValueError(f"{layer}: {error}") from error
    weight = np.ascontiguousarray(weight.T) if transposed and kind == "InnerProduct" else weight
    return {f"{name}.weight": weight, **{f"{name}.bias": array for array in bias}}


def _blob(message: memoryview) -> Any:
    """The array of a BlobProto."""
    shape: list[int] | None = None
    padded = [0, 0, 0, 0]
    data: Any = None
    for number, form, value in _fields(message):
        if number in (5, 8):
            _expect(form, _COUNTED, "numbers")
            item = np.dtype("<f4" if number == 5 else "<f8")
            if data is not None:
                raise ValueError("its numbers come twice")
            if len(value) % item.itemsize:
                raise ValueError(f"{len(value)} bytes are no whole count of {item.name}")
            data = np.frombuffer(value, item)
        elif number == 7:
            _expect(form, _COUNTED, "a shape")
            shape = _dims(value)
        elif number in (1, 2, 3, 4):
            _expect(form, _VARINT, "a size")
            padded[number - 1] = value
    shape = padded if shape is None else shape
    size = 0 if data is None else data.size
    if not size or math.prod(shape) != size:
        raise ValueError(f"its shape {_shown(shape)} does not fit its {size:,} numbers")
    return data.astype(data.dtype.newbyteorder("=")).reshape(shape)


def _dims(message: memoryview) -> list[int]:
    """The sizes in a BlobShape: packed, or (as some writers do) each a field of its own."""
    sizes: list[int] = []
    for number, form, value in _fields(message):
        if number == 1 and form == _COUNTED:
            at = 0
            while at < len(value) and len(sizes) <= _MANY:
                size, at = _varint(value, at)
                sizes.append(size)
        elif number == 1:
            _expect(form, _VARINT, "a size")
            sizes.append(value)
        if len(sizes) > _MANY:
            raise ValueError(f"its shape has more than {_MANY} axes")
    return sizes


def _without_padding(array: Any, axes: int) -> Any:
    """(1, 1, 1, 10) as (10,): without the ones in front that old files put there."""
    front = array.shape[: max(0, array.ndim - axes)]
    if array.ndim < axes or any(size != 1 for size in front):
        raise ValueError(f"its shape is {array.shape}; expected {axes} axes{', or ones before them' if front else ''}")
    return array.reshape(array.shape[len(front) :])


# ---- the wire format


def _fields(message: memoryview) -> Fields:
    """Number, form and value of each field: a whole number, or the bytes, which are not copied."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, form = key >> 3, key & 7
        if form not in _FORMS or number == 0:
            raise ValueError(f"no field begins with {key}")
        if form == _VARINT:
            value, at = _varint(message, at)
            yield number, form, value
            continue
        size = {_EIGHT: 8, _FOUR: 4}.get(form, -1)
        if form == _COUNTED:
            size, at = _varint(message, at)
        if size > len(message) - at:
            raise ValueError(f"field {number} takes {size:,} bytes, and {len(message) - at:,} are left")
        yield number, form, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, the lowest first, and where it ends: a byte below 128 is the last."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends within a number")
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number has more than 64 bits")


def _expect(form: int, expected: int, what: str) -> None:
    if form != expected:
        raise ValueError(f"{what} is written as {_FORMS[form]}; expected {_FORMS[expected]}")


def _text(value: memoryview) -> str:
    if len(value) > _LONG:
        raise ValueError(f"a name has {len(value):,} bytes; expected at most {_LONG:,}")
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"a name is not UTF-8: {error}") from error


def _shown(shape: list[int]) -> str:
    return f"({', '.join(map(str, shape))})"
