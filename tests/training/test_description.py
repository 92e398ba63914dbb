"""minidl/training/description.py: two trainings that are made alike are described alike, others are not."""

import functools
import inspect
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn, optim
from minidl.data import Dataset, Loader, Mapped
from minidl.data import transforms as T
from minidl.training.description import differences, kinds, settings
from minidl.training.instructions import PYTHON
from tests.training.runs import DATA, Rows, jitter


class Net(nn.Module):
    """A network as a student writes it, with settings that are no options, and a counter."""

    def __init__(self, slope=0.1, size=6):
        super().__init__()
        self.slope = slope
        self.size = size
        self.residual = True
        self.scale = 2.0
        self.calls = 0
        self.shown = None
        self._kept = 0.5
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        self.calls += 1
        return F.leaky_relu(self.fc(x), self.slope) * self.scale


def other_forward(self, x):
    return F.relu(self.fc(x)) * self.scale


def changed(make, change):
    """The settings that differ between what `make` gives and the same after `change`."""
    before, after = make(), make()
    change(after)
    assert differences(settings(before), settings(make())) == []
    return differences(settings(before), settings(after))


# ---- layers and models


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (lambda: nn.Dropout(0.3), lambda: nn.Dropout(0.5), "the p of the model is 0.3 in the checkpoint and 0.5 here"),
        (lambda: nn.Conv2d(2, 3, 3, stride=2), lambda: nn.Conv2d(2, 3, 3), r"the stride of the model is \(2, 2\) in"),
        (lambda: nn.Conv2d(2, 3, 3, padding=1), lambda: nn.Conv2d(2, 3, 3), "the padding of the model"),
        (lambda: nn.Conv2d(2, 2, 3, groups=2), lambda: nn.Conv2d(2, 2, 3), "the groups of the model"),
        (lambda: nn.MaxPool2d(2, 1), lambda: nn.MaxPool2d(2), "the stride of the model"),
        (lambda: nn.BatchNorm1d(3, momentum=0.2), lambda: nn.BatchNorm1d(3), "the momentum of the model is 0.2 in the"),
        (lambda: nn.BatchNorm1d(3, momentum=None), lambda: nn.BatchNorm1d(3), "the momentum of the model is None in"),
        (lambda: nn.BatchNorm1d(3, eps=0.1), lambda: nn.BatchNorm1d(3), "the eps of the model is 0.1 in the"),
        (lambda: nn.GroupNorm(1, 4), lambda: nn.GroupNorm(2, 4), "the num_groups of the model is 1 in the"),
        (lambda: nn.LayerNorm(3, eps=0.1), lambda: nn.LayerNorm(3), "the eps of the model"),
        (lambda: nn.LocalResponseNorm(3, k=2.0), lambda: nn.LocalResponseNorm(3), "the k of the model is 2.0 in the"),
        (lambda: nn.LeakyReLU(0.2), lambda: nn.LeakyReLU(), "the negative_slope of the model is 0.2 in the"),
        (lambda: nn.ELU(2.0), lambda: nn.ELU(), "the alpha of the model is 2.0 in the"),
        (lambda: nn.GELU("tanh"), lambda: nn.GELU(), "the approximate of the model"),
        (lambda: nn.Embedding(5, 3, padding_idx=1), lambda: nn.Embedding(5, 3), "the padding_idx of the model is 1 in"),
        (lambda: nn.LSTM(3, 4, 2, dropout=0.5), lambda: nn.LSTM(3, 4, 2), "the dropout of the model is 0.5 in the"),
        (lambda: Net(0.2), lambda: Net(0.1), "the slope of the model is 0.2 in the checkpoint and 0.1 here"),
        (lambda: Net(size=7), lambda: Net(), "the size of the model is 7 in the"),
        (lambda: nn.Linear(2, 2), lambda: nn.Linear(2, 2).double(), "the parameter weight is float32, trained in the"),
    ],
)
def test_a_layers_options_are_told(one, other, words):
    found = differences(settings(one()), settings(other()))
    assert found
    with pytest.raises(AssertionError, match=words):
        raise AssertionError("; ".join(found))
    assert differences(settings(one()), settings(one())) == []


def test_every_option_that_a_layer_shows_is_told():
    for layer in (nn.Hardtanh(), nn.Softplus(), nn.PReLU(), nn.Dropout2d(), nn.AvgPool2d(2), nn.GRU(2, 3)):
        told = settings(layer)
        shown = {
            name
            for name in inspect.signature(type(layer)).parameters
            if type(vars(layer).get(name)) is not md.nn.Parameter
        }
        assert {f"{name} of the model" for name in shown & set(vars(layer))} <= set(told)


def test_settings_of_a_students_own_network_are_told_and_counters_are_not():
    assert changed(Net, lambda net: setattr(net, "scale", 3.0)) == [
        "the scale of the model is 2.0 in the checkpoint and 3.0 here"
    ]
    assert changed(Net, lambda net: setattr(net, "residual", False))
    for name, value in (("calls", 9), ("_kept", 0.7), ("shown", md.Tensor(np.ones(2))), ("training", False)):
        assert changed(Net, lambda net, name=name, value=value: setattr(net, name, value)) == []


def test_the_code_of_a_forward_is_told():
    [one, two] = settings(Net()), settings(type("Net", (Net,), {"forward": other_forward})())
    [found] = differences(one, two)
    assert found.startswith(f"the code of the forward of the class Net in {PYTHON} is ")
    assert not any("code" in what for what in settings(nn.Linear(2, 2)))  # minidl's own changes with its version


def test_a_forward_that_one_module_was_given_is_told():
    def twice(self, x):
        return 2 * x

    for make, own in ((nn.ReLU, F.relu), (Net, types.MethodType(twice, nn.ReLU())), (nn.ReLU, lambda x: F.relu(x) * 2)):
        [found, *_] = changed(make, lambda model, own=own: setattr(model, "forward", own))
        assert found.startswith("the forward of the model is missing in the checkpoint and ")


def test_frozen_parameters_are_told():
    found = changed(Net, lambda net: net.fc.weight.requires_grad_(False))
    assert found == ["the parameter fc.weight is float32, trained in the checkpoint and float32, frozen here"]


# ---- rates, schedules, functions


def described(**parts):
    model = nn.Linear(6, 3)
    optimizer = optim.SGD(model, layer_rate=parts.get("layer_rate"))
    schedule = parts["schedule"](optimizer) if "schedule" in parts else None
    loader = Loader(parts.get("data", DATA), 4, seed=0, transform=parts.get("transform"))
    loss = parts.get("loss", F.cross_entropy)
    return {**kinds(model, optimizer, loader, schedule), **settings(model, optimizer, loader, schedule, loss)}


def rate(factor):
    return lambda view: factor


def rate_with_default(view, factor=1.0):
    return factor


def other_default(view, factor=2.0):
    return factor


other_default.__name__ = "rate_with_default"


class Rate(optim.LayerRate):
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, view):
        return self.factor


class Loss:
    def __init__(self, weight):
        self.weight = weight
        self.calls = 0

    def __call__(self, outputs, labels):
        self.calls += 1
        return F.cross_entropy(outputs, labels, self.weight)


def weighted(weight):
    return lambda outputs, labels: F.cross_entropy(outputs, labels, weight)


ONES, TWOS = np.ones(3, np.float32), np.full(3, 2.0, np.float32)
OTHERS = {
    "eta of LARS": ({"layer_rate": optim.LARS(0.1)}, {"layer_rate": optim.LARS(0.2)}),
    "norm_scope": ({"layer_rate": optim.LayerSpecific("tensor")}, {"layer_rate": optim.LayerSpecific()}),
    "replayed": ({"layer_rate": optim.Replayed([1.0] * 99)}, {"layer_rate": optim.Replayed([1.0] * 98 + [2.0])}),
    "own rate": ({"layer_rate": Rate(1.0)}, {"layer_rate": Rate(2.0)}),
    "code": ({"layer_rate": lambda view: 1 + view.step}, {"layer_rate": lambda view: 1 - view.step}),
    "constant": ({"layer_rate": lambda view: 1.0}, {"layer_rate": lambda view: 2.0}),
    "closure": ({"layer_rate": rate(1.0)}, {"layer_rate": rate(2.0)}),
    "default": ({"layer_rate": rate_with_default}, {"layer_rate": other_default}),
    "partial": (
        {"layer_rate": functools.partial(rate_with_default, factor=1.0)},
        {"layer_rate": functools.partial(rate_with_default, factor=2.0)},
    ),
    "step_size": ({"schedule": lambda o: optim.StepLR(o, 3)}, {"schedule": lambda o: optim.StepLR(o, 4)}),
    "gamma": ({"schedule": lambda o: optim.InvLR(o, 0.1, 1)}, {"schedule": lambda o: optim.InvLR(o, 0.2, 1)}),
    "milestones": (
        {"schedule": lambda o: optim.MultiStepLR(o, [3])},
        {"schedule": lambda o: optim.MultiStepLR(o, [4])},
    ),
    "min_lr": ({"schedule": lambda o: optim.CosineLR(o, 9, 0.1)}, {"schedule": lambda o: optim.CosineLR(o, 9)}),
    "in a chain": (
        {"schedule": lambda o: optim.ChainedScheduler([optim.StepLR(o, 3), optim.LinearLR(o)])},
        {"schedule": lambda o: optim.ChainedScheduler([optim.StepLR(o, 3), optim.LinearLR(o, 0.5)])},
    ),
    "another in a chain": (
        {"schedule": lambda o: optim.ChainedScheduler([optim.PolynomialLR(o, 5)])},
        {"schedule": lambda o: optim.ChainedScheduler([optim.LinearLR(o, total_iters=5)])},
    ),
    "milestone of a sequence": (
        {"schedule": lambda o: optim.SequentialLR(o, [optim.StepLR(o, 3), optim.StepLR(o, 3)], [2])},
        {"schedule": lambda o: optim.SequentialLR(o, [optim.StepLR(o, 3), optim.StepLR(o, 3)], [3])},
    ),
    "transform": ({"transform": jitter}, {"transform": lambda inputs, rng: inputs}),
    "no transform": ({"transform": jitter}, {}),
    "scale": ({"transform": T.ToFloat(0.5)}, {"transform": T.ToFloat(0.25)}),
    "composed": ({"transform": T.Compose([T.ToFloat(0.5)])}, {"transform": T.Compose([T.ToFloat(0.25)])}),
    "mean": ({"transform": T.MeanImage(ONES)}, {"transform": T.MeanImage(TWOS)}),
    "mapped": ({"data": Mapped(DATA, T.ToFloat(0.5))}, {"data": Mapped(DATA, T.ToFloat(0.25))}),
    "data set": ({"data": Rows()}, {"data": DATA}),
    "classes": ({"data": Dataset(ONES, ONES, classes=("a", "b"))}, {"data": Dataset(ONES, ONES, classes=("b", "a"))}),
    "loss": ({"loss": F.cross_entropy}, {"loss": F.nll_loss}),
    "loss of a class": ({"loss": nn.CrossEntropyLoss()}, {"loss": nn.NLLLoss()}),
    "reduction": ({"loss": nn.MSELoss()}, {"loss": nn.MSELoss("sum")}),
    "weights of a module": ({"loss": nn.CrossEntropyLoss(ONES)}, {"loss": nn.CrossEntropyLoss(TWOS)}),
    "weights of an object": ({"loss": Loss(ONES)}, {"loss": Loss(TWOS)}),
    "weights of a closure": ({"loss": weighted(ONES)}, {"loss": weighted(TWOS)}),
    "method": ({"loss": Loss(ONES).__call__}, {"loss": Loss(TWOS).__call__}),
    "smoothing": (
        {"loss": functools.partial(F.smooth_l1_loss, beta=1.0)},
        {"loss": functools.partial(F.smooth_l1_loss, beta=2.0)},
    ),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS.keys())
def test_what_is_made_otherwise_is_described_otherwise(one, other):
    assert differences(described(**one), described(**one)) == []
    assert differences(described(**one), described(**other)) != []


def test_what_only_counts_is_not_told():
    calls = []

    def loss(outputs, labels):
        calls.append(1)
        return F.cross_entropy(outputs, labels)

    counting = Loss(ONES)
    optimizer = optim.SGD(nn.Linear(2, 2))
    one = described(loss=loss, layer_rate=lambda view: 1 / (1 + optimizer.step_count)), described(loss=counting)
    calls.append(1)
    counting.calls += 1
    optimizer.lr = 5.0
    two = described(loss=loss, layer_rate=lambda view: 1 / (1 + optimizer.step_count)), described(loss=counting)
    assert one == two


def test_a_regularised_loss_may_look_at_the_weights():
    model = nn.Linear(6, 3)
    weight = model.weight

    def loss(outputs, labels, w=weight):
        return F.cross_entropy(outputs, labels) + w.sum() + weight.sum() + model.bias.sum()

    before = settings(model, loss=loss), settings(model, loss=functools.partial(loss, w=weight))
    model.weight.data = model.weight.data + 1
    assert before == (settings(model, loss=loss), settings(model, loss=functools.partial(loss, w=weight)))


def test_a_description_is_short_plain_text():
    found = described(layer_rate=optim.Replayed([0.1] * 5000), transform=T.MeanImage(np.ones((1, 60, 60))))
    assert all(type(what) is str and type(text) is str for what, text in found.items())
    assert max(map(len, found.values())) < 200


def test_two_processes_describe_the_same_alike():
    program = """
import minidl as md, minidl.functional as F
from minidl.training.description import settings
def loss(outputs, labels):
    return F.mse_loss(outputs, labels) if labels.dtype in {"float32", "float64", "float16"} else {"a": {1, "b"}}
class Net(md.nn.Module):
    def forward(self, x):
        return (lambda y: y in {"one", "two", "three"})(x)
print(sorted(settings(Net(), loss=loss).items()))
"""
    found = set()
    for seed in ("1", "2", "3"):  # of the order of sets
        environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(md.__file__).parents[1]), "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        found.add(run.stdout)
    assert len(found) == 1
    assert "code of the loss" in found.pop()


def test_what_only_one_of_the_two_knows_is_left_out_if_asked_for():
    assert differences({"a": "1", "b": "2"}, {"a": "1", "c": "3"}, only_shared=True) == []
    assert differences({"module": "A", "b": "2"}, {"module": "B"}) == [
        "the model is A in the checkpoint and B here",
        "the b is 2 in the checkpoint and missing here",
    ]
