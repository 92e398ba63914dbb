"""Run by a Python that has Caffe (`CAFFE_PYTHON`): trains the network of a folder, and keeps what came out.

    $CAFFE_PYTHON benchmarks/peers/in_caffe.py FOLDER

It reads FOLDER/net.prototxt, solver.prototxt, start.npz (arrays by layer and number, "conv1.0"), batches.npz (images,
labels: one batch a step) and job.json, and writes result.npz (the loss of each step, before its update, and the
scores of the first batch at the end), net.caffemodel, and v1.caffemodel: the same weights in the form in which files
were written before 2015, by Caffe's own messages and read by Caffe again. Without a solver.prototxt nothing is trained:
the images, one batch, go through the network once.

Nothing but Caffe and NumPy is imported, and nothing newer than Python 3.9 used: Caffe's wheel is made for it. (This
file is not called caffe.py, or it would be what `import caffe` finds.)
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ.setdefault("GLOG_minloglevel", "2")  # Caffe tells every layer otherwise

import caffe
import numpy as np
from caffe.proto import caffe_pb2


def layer_specific(net: Any, decay: float) -> None:
    """Scale the gradients by arXiv:1510.04609: each layer's by m = 1 + ln(1 + 1/norm).

    Caffe adds weight decay afterwards, unscaled; so that it is scaled as well, (m - 1) decay w is added here.
    """
    for blobs in net.params.values():
        norm = np.sqrt(sum(np.sum(np.square(blob.diff, dtype=np.float64)) for blob in blobs))
        m = 1 + np.log1p(1 / max(norm, np.finfo(np.float32).tiny))
        for blob in blobs:
            blob.diff[...] = m * blob.diff.astype(np.float64) + (m - 1) * decay * blob.data


def write_v1(new: str, old: str) -> None:
    """The weights of a .caffemodel in the older form: types are numbers, and shapes have four axes, ones in front."""
    net, v1 = caffe_pb2.NetParameter(), caffe_pb2.NetParameter()
    with open(new, "rb") as file:
        net.ParseFromString(file.read())
    v1.name = net.name
    numbers = {"Convolution": 4, "InnerProduct": 14, "Pooling": 17, "ReLU": 18, "SoftmaxWithLoss": 21, "Split": 22}
    for layer in net.layer:
        if layer.type not in numbers:
            continue
        made = v1.layers.add(name=layer.name, type=numbers[layer.type], bottom=layer.bottom, top=layer.top)
        made.convolution_param.CopyFrom(layer.convolution_param)
        made.inner_product_param.CopyFrom(layer.inner_product_param)
        for blob in layer.blobs:
            sizes = [1] * (4 - len(blob.shape.dim)) + list(blob.shape.dim)
            made.blobs.add(num=sizes[0], channels=sizes[1], height=sizes[2], width=sizes[3], data=blob.data)
    with open(old, "wb") as file:
        file.write(v1.SerializeToString())


def main(folder: str) -> None:
    """Train, and write what came out."""

    def at(name: str) -> str:
        return os.path.join(folder, name)

    with open(at("job.json"), encoding="utf-8") as file:
        job = json.load(file)
    batches = np.load(at("batches.npz"))
    caffe.set_mode_cpu()
    trained = os.path.exists(at("solver.prototxt"))
    solver = caffe.get_solver(at("solver.prototxt")) if trained else None
    net = solver.net if trained else caffe.Net(at("net.prototxt"), caffe.TEST)
    with np.load(at("start.npz")) as start:
        for name, blobs in net.params.items():
            for i, blob in enumerate(blobs):
                blob.data[...] = start[f"{name}.{i}"]
    if not trained:
        net.save(at("net.caffemodel"))
        net.blobs["data"].data[...] = batches["images"]
        net.forward()
        np.savez(at("result.npz"), scores=net.blobs[job["scores"]].data)
        return
    if job["layer_specific"]:
        solver.add_callback(lambda: None, lambda: layer_specific(net, job["decay"]))
    losses = []
    for images, labels in zip(batches["images"], batches["labels"]):  # noqa: B905 - Python 3.9 has no strict=
        net.blobs["data"].data[...] = images
        net.blobs["label"].data[...] = labels
        solver.step(1)
        losses.append(float(net.blobs["loss"].data))
    net.save(at("net.caffemodel"))
    write_v1(at("net.caffemodel"), at("v1.caffemodel"))
    scores = []
    for name in ("net.caffemodel", "v1.caffemodel"):
        for blobs in net.params.values():
            for blob in blobs:
                blob.data[...] = 0
        net.copy_from(at(name))
        net.blobs["data"].data[...] = batches["images"][0]
        net.forward()
        scores.append(net.blobs[job["scores"]].data.copy())
    np.testing.assert_array_equal(scores[0], scores[1])
    np.savez(at("result.npz"), losses=np.array(losses), scores=scores[0])


if __name__ == "__main__":
    main(sys.argv[1])
