#!/usr/bin/env bash
# Caffe 1.0 (kendryte-caffe 1.0.0.20210829, CPU): a network that gives all classes one score has accuracy 0, not chance.
#
# One would guess that a dead network (every ReLU off, an output layer that starts at 0) shows as 10% of 10 classes:
# in PyTorch, TensorFlow and NumPy argmax takes the first of equal scores. Caffe's Accuracy layer counts how many
# classes have at least the score of the right one, itself included, and calls the answer right if these are at most
# top_k: in a tie the right class loses to all that equal it. So scores of 0 give accuracy 0 and top-5 accuracy 0,
# while the loss is ln 10; and a sample whose right class shares the highest score with one other is wrong by top-1
# and right by top-5. Who compares curves of two frameworks meets it at iteration 0 of a network whose last layer
# starts at 0.
#
# Seen with Python 3.9.18 (8 samples, 10 classes):
#   all scores 0               loss 2.3026  accuracy 0.000  top-5 0.000  argmax 0.125
#   the right class shares 1   loss 1.5980  accuracy 0.000  top-5 1.000  argmax 1.000
#   the right class alone      loss 1.4612  accuracy 1.000  top-5 1.000  argmax 1.000
#
# Usage: PYTHON39=python3.9 bash findings/caffe-accuracy-of-a-dead-network.sh     (Linux x86-64; fails if this changed)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON39:-python3.9}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet 'kendryte-caffe==1.0.0.20210829' 'numpy<1.24' 'protobuf<3.21'
cat >"$folder/net.prototxt" <<'NET'
layer {
  name: "data" type: "Input" top: "scores" top: "label"
  input_param { shape { dim: 8 dim: 10 } shape { dim: 8 } }
}
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }
layer { name: "top1" type: "Accuracy" bottom: "scores" bottom: "label" top: "top1" }
layer { name: "top5" type: "Accuracy" bottom: "scores" bottom: "label" top: "top5" accuracy_param { top_k: 5 } }
NET
GLOG_minloglevel=2 "$folder/env/bin/python" - "$folder/net.prototxt" <<'PYTHON'
import sys

import caffe
import numpy as np

net = caffe.Net(sys.argv[1], caffe.TEST)
labels = np.arange(8)
net.blobs["label"].data[...] = labels
alone = np.eye(8, 10)
cases = {
    "all scores 0": (np.zeros((8, 10)), (0, 0, 1 / 8)),
    "the right class shares 1": (alone + np.eye(8, 10, 1), (0, 1, 1)),
    "the right class alone": (alone, (1, 1, 1)),
}
for name, (scores, expected) in cases.items():
    net.blobs["scores"].data[...] = scores
    found = {key: float(value) for key, value in net.forward().items()}
    argmax = (scores.argmax(axis=1) == labels).mean()
    hits = f"accuracy {found['top1']:.3f}  top-5 {found['top5']:.3f}  argmax {argmax:.3f}"
    print(f"{name:25}  loss {found['loss']:.4f}  {hits}")
    assert (found["top1"], found["top5"], argmax) == expected, (name, found, argmax)
PYTHON
