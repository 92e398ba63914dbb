"""The trainings that several figures look at; each runs once."""

from __future__ import annotations

from functools import cache
from typing import Any

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.observe import FlowRecording, GradientFlow
from minidl.optim import SGD, LayerSpecific

Flows = dict[str, FlowRecording]


@cache
def digits() -> Any:
    """8x8 handwritten digits, in training, validation and test."""
    return md.data.digits()


def train(model: Any, optimizer: Any, steps: int, **options: Any) -> FlowRecording:
    """Train on the digits in batches of 32, and record it."""
    loader = md.data.Loader(digits().train, batch_size=32, seed=0)
    with GradientFlow(model, optimizer, steps=steps, **options) as flow:
        done = 0
        while done < steps:
            for inputs, labels in loader:
                optimizer.zero_grad()
                F.cross_entropy(model(md.Tensor(inputs)), labels).backward()
                optimizer.step()
                done += 1
                if done == steps:
                    break
    return flow.recording


def deep_sigmoid(layers: int = 3) -> Any:
    """64 - 32 - ... - 32 - 10 with sigmoids, after Caffe's Xavier."""
    md.seed(0)
    return md.models.mlp((64, *[32] * layers, 10), "sigmoid", nn.init.xavier_caffe_)


@cache
def rates() -> Flows:
    """A deep sigmoid network under one rate, under a rate per layer from the same base, and under a larger one rate."""
    rules: dict[str, tuple[float, Any]] = {
        "one rate, 0.5": (0.5, None), "rate per layer, 0.5": (0.5, LayerSpecific()), "one rate, 2": (2.0, None),
    }  # fmt: skip
    found = {}
    for name, (lr, layer_rate) in rules.items():
        model = deep_sigmoid()
        found[name] = train(model, SGD(model, lr=lr, layer_rate=layer_rate), 800, every=4, distances=True)
    return found


@cache
def early() -> FlowRecording:
    """The first 100 steps of a rate per layer on five hidden layers, while the gradients still differ."""
    model = deep_sigmoid(5)
    return train(model, SGD(model, lr=0.5, layer_rate=LayerSpecific()), 100)


def ten_layers(kind: str) -> Any:
    """Ten hidden layers of 32 units: sigmoid, ReLU after He, or sigmoid behind batch normalisation."""
    md.seed(0)
    if kind != "batch norm":
        init = nn.init.he_normal_ if kind == "relu" else nn.init.glorot_uniform_
        return md.models.mlp((64, *[32] * 10, 10), kind, init)
    modules: list[tuple[str, nn.Module]] = []
    for i in range(1, 11):
        modules.append((f"fc{i}", nn.Linear(64 if i == 1 else 32, 32, bias=False, init=nn.init.glorot_uniform_)))
        modules += [(f"bn{i}", nn.BatchNorm1d(32)), (f"act{i}", nn.Sigmoid())]
    return nn.Sequential([*modules, ("fc11", nn.Linear(32, 10, init=nn.init.glorot_uniform_))])


@cache
def networks() -> Flows:
    """Ten hidden layers: sigmoid, sigmoid behind batch normalisation, and ReLU, over 100 steps."""
    found = {}
    for kind in ("sigmoid", "batch norm", "relu"):
        model = ten_layers(kind)
        found[kind] = train(model, SGD(model, lr=0.05), 100, every=10, distributions=True)
    return found


@cache
def small_conv() -> Any:
    """A convolutional network for the digits before and after training: (weights before, the trained network)."""
    md.seed(0)
    model = md.models.digits_conv()
    before = model.state_dict()
    loader = md.data.Loader(digits().train, batch_size=32, seed=0)
    md.fit(model, SGD(model, lr=0.05, momentum=0.9), loader, epochs=8, progress=False)
    return before, model
