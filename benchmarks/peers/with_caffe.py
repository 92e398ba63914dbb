"""The step of a network in Caffe: run by a Python that has it (`CAFFE_PYTHON`).

    $CAFFE_PYTHON -m benchmarks.peers.with_caffe FOLDER        takes turns, as `benchmarks.serving`

It reads what `benchmarks.prototxt` wrote: FOLDER/net.prototxt, solver.prototxt, and arrays.npz (images, labels, and the
first weights by layer and number, "conv1.0"). Nothing newer than Python 3.9 is used: Caffe's wheel is made for it.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("GLOG_minloglevel", "2")  # Caffe tells every layer otherwise

import caffe
import numpy as np

from benchmarks.peers import Step
from benchmarks.serving import serve


def step_of(folder: str) -> Step:
    """The step: it returns the loss before the update."""
    caffe.set_mode_cpu()
    solver = caffe.get_solver(os.path.join(folder, "solver.prototxt"))
    net = solver.net
    with np.load(os.path.join(folder, "arrays.npz")) as given:
        net.blobs["data"].data[...] = given["images"]
        net.blobs["label"].data[...] = given["labels"]
        for name, blobs in net.params.items():
            for i, blob in enumerate(blobs):
                blob.data[...] = given[f"{name}.{i}"]

    def step() -> float:
        solver.step(1)
        return float(net.blobs["loss"].data)

    return step


if __name__ == "__main__":
    serve(lambda: step_of(sys.argv[1]))
