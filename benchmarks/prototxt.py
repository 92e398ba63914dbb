"""Networks of minidl as Caffe describes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import Workload
from minidl import models, nn
from minidl.models.caffe import CAFFE_NAMES

THEIR_NAMES = {own: theirs for theirs, own in CAFFE_NAMES.items()}
MODELS = {"W3": models.lenet, "W4": models.cifar10_quick}


def block(head: str, *lines: str) -> str:
    """`head { lines }` of a prototxt."""
    return f"{head} {{ {' '.join(lines)} }}"


def layer(name: str, kind: str, below: str, above: str, *options: str) -> str:
    """A layer of a prototxt."""
    return block("layer", f'name: "{name}" type: "{kind}" bottom: "{below}" top: "{above}"', *options) + "\n"


def options_of(each: Any) -> tuple[str, str]:
    """What Caffe calls a layer of minidl's, and its options."""
    if isinstance(each, nn.Conv2d):
        kernel, stride, padding = each.weight.shape[2], each.stride[0], each.padding[0]
        sizes = f"num_output: {each.weight.shape[0]} kernel_size: {kernel} stride: {stride} pad: {padding}"
        return "Convolution", block("convolution_param", f"{sizes} group: {each.groups}")
    if isinstance(each, nn.Linear):
        return "InnerProduct", block("inner_product_param", f"num_output: {each.weight.shape[0]}")
    if isinstance(each, (nn.MaxPool2d, nn.AvgPool2d)):
        kind = "MAX" if isinstance(each, nn.MaxPool2d) else "AVE"
        size, stride = each.kernel_size[0], each.stride[0]
        return "Pooling", block("pooling_param", f"pool: {kind} kernel_size: {size} stride: {stride}")
    if isinstance(each, nn.LocalResponseNorm):
        region = "WITHIN_CHANNEL" if each.within_channel else "ACROSS_CHANNELS"
        sizes = f"local_size: {each.size} alpha: {each.alpha} beta: {each.beta}"
        return "LRN", block("lrn_param", f"{sizes} norm_region: {region}")
    return type(each).__name__, ""


def network(model: nn.Sequential, batch: int, image: tuple[int, ...], bias_rate: int = 1) -> tuple[str, str]:
    """A network with its loss as Caffe describes one, and the name of its scores; biases learn `bias_rate` as fast."""
    sizes = [f"dim: {size}" for size in (batch, *image)]
    text = 'layer { name: "data" type: "Input" top: "data" ' + block("input_param", block("shape", *sizes)) + " }\n"
    text += 'layer { name: "label" type: "Input" top: "label" '
    text += block("input_param", block("shape", sizes[0])) + " }\n"
    below = "data"
    for name, each in model.named_children():
        if isinstance(each, nn.Flatten):
            continue  # InnerProduct takes any shape
        kind, options = options_of(each)
        theirs = THEIR_NAMES.get(name, name)
        rates = ["param { lr_mult: 1 }", f"param {{ lr_mult: {bias_rate} }}"] if hasattr(each, "weight") else []
        above = below if kind == "ReLU" else theirs  # in place, as in Caffe's own descriptions
        text += layer(theirs, kind, below, above, *rates, options)
        below = above
    return text + layer("loss", "SoftmaxWithLoss", below, "loss", 'bottom: "label"'), below


def blob_of(name: str) -> str:
    """What Caffe calls a parameter: "ip1.0" for `fc1.weight`, "ip1.1" for `fc1.bias`."""
    own, _, parameter = name.rpartition(".")
    return f"{THEIR_NAMES.get(own, own)}.{('weight', 'bias').index(parameter)}"


def write_workload(workload: Workload, folder: Path) -> None:
    """What `peers/with_caffe.py` reads: the network, plain SGD, the first weights and the batch."""
    given, model = workload.arrays(), MODELS[workload.name]()
    net = folder / "net.prototxt"
    net.write_text(network(model, len(given.inputs), given.inputs.shape[1:])[0], encoding="utf-8")
    (folder / "solver.prototxt").write_text(
        f'net: "{net}"\ntype: "SGD"\nbase_lr: {workload.rate}\nlr_policy: "fixed"\nmomentum: 0\nweight_decay: 0\n'
        f"display: 0\nsnapshot: 0\nsnapshot_after_train: false\nsolver_mode: CPU\n",
        encoding="utf-8",
    )
    names = [blob_of(name) for name, _ in model.named_parameters()]
    weights = dict(zip(names, given.weights, strict=True))
    np.savez(folder / "arrays.npz", images=given.inputs, labels=given.labels, **weights)
