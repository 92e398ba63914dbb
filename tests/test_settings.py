"""minidl/settings.py: a setting is checked whenever it is written, and reading it costs nothing."""

from __future__ import annotations

import copy
import math
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn, optim
from minidl.checks import nonnegative
from minidl.data import Dataset, Loader
from minidl.data import transforms as T
from minidl.settings import Setting
from tests.arrays import host
from tests.optim.trajectories import give, scalar

NO_NUMBER: list[Any] = [math.nan, "0.5", True, None, (1.0, 2.0), md.ones(2)]
NO_EPS: list[Any] = [-0.1, math.nan, "0.5", True, None]
NO_WHOLE: list[Any] = [2.5, "3", True, None]
NO_SHARE: list[Any] = [5, -0.1, math.nan, "0.5", True, None]
NO_SIZE: list[Any] = [-0.1, math.nan, math.inf, "0.5", True, None]
NO_TRUTH: list[Any] = ["no", 1, None]
NO_FRACTION: list[Any] = [1, -0.1, math.nan, "0.5", True, None]
NO_COUNT: list[Any] = [0, -1, 2.5, "3", True, None]
NO_STEPS: list[Any] = [3, [2.5], [-1], ["3"], None]
DATA = Dataset(np.ones((4, 2), np.float32), np.zeros(4, np.int64))


def sgd() -> optim.SGD:
    return optim.SGD([scalar()], lr=0.1, momentum=0.9)


WRONG: dict[str, tuple[Callable[[], Any], dict[str, list[Any]]]] = {
    "SGD": (
        sgd,
        {
            "lr": NO_SIZE,
            "weight_decay": NO_SIZE,
            "momentum": NO_SHARE,
            "dampening": NO_SIZE,
            "nesterov": NO_TRUTH,
            "momentum_form": ["torch", None, 3],
            "layer_rate": [optim.LayerSpecific, "layer-specific", 2.0],
            "initial_lr": [-1.0, "0.1", math.nan],
            "step_count": [-1, 2.5, "3", None],
            "scales": [3, {"nobody": (1.0, 1.0)}],
        },
    ),
    "AdaGrad": (lambda: optim.AdaGrad([scalar()]), {"eps": NO_SIZE, "denominator": ["row", None]}),
    "Adam": (
        lambda: optim.Adam([scalar()]),
        {"betas": [(0.9, 1), (math.nan, 0.9), 0.9, (0.9,), ("0.9", "0.9"), "ab", None], "eps": NO_SIZE, "lr": NO_SIZE},
    ),
    "AdamW": (lambda: optim.AdamW([scalar()]), {"weight_decay": NO_SIZE, "layer_rate": [optim.TrustRatio]}),
    "RMSprop": (
        lambda: optim.RMSprop([scalar()]),
        {"alpha": NO_FRACTION, "eps": NO_SIZE, "momentum": NO_SHARE, "centered": NO_TRUTH},
    ),
    "LayerSpecific": (optim.LayerSpecific, {"norm_scope": ["row"], "norm_of": ["weights"], "log": ["2", 10]}),
    "LARS": (optim.LARS, {"eta": NO_SIZE, "norm_scope": ["row"]}),
    "TrustRatio": (optim.TrustRatio, {"norm_scope": ["row"]}),
    "Replayed": (lambda: optim.Replayed([1.0]), {"multipliers": [[], "12", [math.nan], [-1.0], ["1"], 3]}),
    "StepLR": (lambda: optim.StepLR(sgd(), 3), {"step_size": NO_COUNT, "gamma": NO_SIZE, "base_lr": NO_SIZE}),
    "MultiStepLR": (lambda: optim.MultiStepLR(sgd(), [3]), {"milestones": NO_STEPS, "gamma": NO_SIZE}),
    "ExponentialLR": (lambda: optim.ExponentialLR(sgd(), 0.9), {"gamma": NO_SIZE, "step_count": [-1, 2.5, "3"]}),
    "LinearLR": (
        lambda: optim.LinearLR(sgd()),
        {"start_factor": [0, 1.5, "1", True], "end_factor": [-1, 1.5, "1", True], "total_iters": NO_COUNT},
    ),
    "PolynomialLR": (lambda: optim.PolynomialLR(sgd()), {"total_iters": NO_COUNT, "power": NO_SIZE}),
    "InvLR": (lambda: optim.InvLR(sgd(), 1e-4, 0.75), {"gamma": NO_SIZE, "power": NO_SIZE}),
    "CosineLR": (lambda: optim.CosineLR(sgd(), 9), {"total_steps": NO_COUNT, "min_lr": NO_SIZE}),
    "LambdaLR": (lambda: optim.LambdaLR(sgd(), lambda k: 1.0), {"lr_lambda": [0.5, None, "k"]}),
    "OneCycleLR": (
        lambda: optim.OneCycleLR(sgd(), 0.3, 9),
        {
            "max_lr": NO_SIZE,
            "total_steps": NO_COUNT,
            "pct_start": NO_SHARE,
            "anneal_strategy": ["sine", None],
            "cycle_momentum": NO_TRUTH,
            "base_momentum": NO_SHARE,
            "max_momentum": NO_SHARE,
            "div_factor": [0, -1.0, math.nan, "25", None],
            "final_div_factor": [0, -1.0, math.nan, "25", None],
            "three_phase": NO_TRUTH,
        },
    ),
    "ReduceLROnPlateau": (
        lambda: optim.ReduceLROnPlateau(sgd()),
        {
            "mode": ["least", None],
            "factor": [1.0, 1.5, -0.1, "0.1", None],
            "patience": [-1, 2.5, "3", None],
            "threshold": NO_SIZE,
            "threshold_mode": ["abs.", None],
            "cooldown": [-1, 2.5, "3", None],
            "min_lr": NO_SIZE,
            "eps": NO_SIZE,
        },
    ),
    "SequentialLR": (
        lambda: (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 2), optim.StepLR(o, 3)], [5]))(sgd()),
        {"milestones": [[], [1, 2], [-1], 5], "schedulers": [[], ["step"]]},
    ),
    "ChainedScheduler": (lambda: optim.ChainedScheduler([optim.StepLR(sgd(), 2)]), {"schedulers": [[], [0.5]]}),
}
LAYERS: dict[str, tuple[Callable[[], Any], dict[str, list[Any]]]] = {
    "LeakyReLU": (nn.LeakyReLU, {"negative_slope": NO_NUMBER}),
    "PReLU": (nn.PReLU, {"num_parameters": NO_COUNT}),
    "ELU": (nn.ELU, {"alpha": NO_NUMBER}),
    "GELU": (nn.GELU, {"approximate": ["erf", None, md.ones(2)]}),
    "Hardtanh": (nn.Hardtanh, {"min_val": [*NO_NUMBER, 2.0], "max_val": [*NO_NUMBER, -2.0]}),
    "Softmax": (nn.Softmax, {"dim": NO_WHOLE}),
    "LogSoftmax": (nn.LogSoftmax, {"dim": NO_WHOLE}),
    "BatchNorm": (
        lambda: nn.BatchNorm1d(4),
        {"eps": NO_EPS, "momentum": NO_SHARE[:-1], "num_features": NO_COUNT},
    ),
    "LayerNorm": (lambda: nn.LayerNorm(4), {"eps": NO_EPS, "normalized_shape": [0, 2.5, (4, -1), "4", None]}),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), {"eps": NO_EPS, "num_groups": [*NO_COUNT, 3], "num_channels": [0, 5]}),
    "LocalResponseNorm": (
        lambda: nn.LocalResponseNorm(3, within_channel=True),
        {"size": [*NO_COUNT, 2], "alpha": NO_NUMBER, "beta": NO_NUMBER, "k": NO_NUMBER, "within_channel": NO_TRUTH},
    ),
    "Dropout": (nn.Dropout, {"p": NO_SHARE}),
    "Dropout2d": (nn.Dropout2d, {"p": NO_SHARE}),
    "AveragePooling": (lambda: nn.AvgPool2d(2), {"count_include_pad": NO_TRUTH}),
    "Linear": (lambda: nn.Linear(2, 3), {"in_features": NO_COUNT, "out_features": NO_COUNT}),
    "Convolution": (
        lambda: nn.Conv2d(2, 3, 3),
        {"in_channels": NO_COUNT, "out_channels": NO_COUNT, "groups": NO_COUNT},
    ),
    "Embedding": (lambda: nn.Embedding(3, 2), {"num_embeddings": NO_COUNT, "embedding_dim": NO_COUNT}),
    "Flatten": (nn.Flatten, {"start_dim": NO_WHOLE, "end_dim": NO_WHOLE}),
    "Reshape": (lambda: nn.Reshape(2, 2), {"shape": [0, 2.5, (4, -1), "4", None]}),
    "Recurrent": (
        lambda: nn.LSTM(2, 3),
        {"input_size": NO_COUNT, "hidden_size": NO_COUNT, "bias": NO_TRUTH},
    ),
    "Layers": (
        lambda: nn.GRU(2, 3),
        {"num_layers": NO_COUNT, "batch_first": NO_TRUTH, "dropout": NO_SHARE},
    ),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2), {"dropout": NO_SHARE, "batch_first": NO_TRUTH}),
    "RNN": (lambda: nn.RNN(2, 3), {"nonlinearity": ["sigmoid", None]}),
    "RNNCell": (lambda: nn.RNNCell(2, 3), {"nonlinearity": ["sigmoid", None]}),
    "Loss": (nn.MSELoss, {"reduction": ["average", None, "batchmean"]}),
    "CrossEntropyLoss": (
        nn.CrossEntropyLoss,
        {"ignore_index": NO_WHOLE, "label_smoothing": NO_SHARE, "reduction": ["batchmean"]},
    ),
    "NLLLoss": (nn.NLLLoss, {"ignore_index": NO_WHOLE}),
    "MultiMarginLoss": (nn.MultiMarginLoss, {"p": [3, True, "1", md.ones(2)], "margin": NO_NUMBER}),
    "SmoothL1Loss": (nn.SmoothL1Loss, {"beta": NO_EPS}),
    "HuberLoss": (nn.HuberLoss, {"delta": [*NO_EPS, 0]}),
    "KLDivLoss": (nn.KLDivLoss, {"log_target": NO_TRUTH, "reduction": ["average"]}),
    "ToFloat": (T.ToFloat, {"scale": ["0.5", True, None]}),
    "Normalize": (lambda: T.Normalize(0.5, 0.5), {"mean": ["0.5", [True]], "std": ["0.5", 0, [-1.0]]}),
    "CenterCrop": (lambda: T.CenterCrop(2), {"size": [0, 2.5, (1, 2, 3), None]}),
    "RandomCrop": (lambda: T.RandomCrop(2), {"size": [0, 2.5, (1, 2, 3)], "padding": [-1, 0.5, (1, 2, 3)]}),
    "RandomHorizontalFlip": (T.RandomHorizontalFlip, {"p": NO_SHARE}),
    "Loader": (lambda: Loader(DATA, 2), {"seed": [-1, 2.5, "3", True, None], "shuffle": NO_TRUTH}),
}
WRONG |= LAYERS
EVERY = [(make, name, value) for make, wrong in WRONG.values() for name, values in wrong.items() for value in values]


@pytest.mark.parametrize(("make", "name", "value"), EVERY)
def test_what_makes_no_sense_is_refused_by_name_and_the_old_value_stays(make: Any, name: str, value: Any) -> None:
    owner = make()
    before = getattr(owner, name)
    with pytest.raises((TypeError, ValueError), match=r"expected|must divide|no parameter"):
        setattr(owner, name, value)
    assert getattr(owner, name) is before


@pytest.mark.parametrize("kind", WRONG)
def test_every_setting_there_is_was_tried(kind: str) -> None:
    make, _ = WRONG[kind]
    [named] = [cls for cls in type(make()).__mro__ if cls.__name__ == kind]
    tried = {name for make, wrong in WRONG.values() for name in wrong if isinstance(make(), named)}
    assert {name for name, value in vars(named).items() if isinstance(value, Setting)} <= tried


def test_no_class_with_settings_was_forgotten() -> None:
    rooms = [optim, nn, T, sys.modules["minidl.data"]]
    classes = {cls for room in rooms for cls in vars(room).values() if isinstance(cls, type)}
    owners = {
        base.__name__
        for cls in classes
        for base in cls.__mro__
        if any(isinstance(value, Setting) for value in vars(base).values())
    }
    assert owners - {"Optimizer", "Schedule", "_Joined", "_Normalization"} <= set(WRONG)


def test_the_message_names_class_and_setting() -> None:
    with pytest.raises(ValueError, match=r"SGD: momentum: expected a number from 0 to 1; got 5"):
        sgd().momentum = 5
    with pytest.raises(ValueError, match=r"SGD: weight_decay: expected a finite number of at least 0; got nan"):
        sgd().weight_decay = math.nan
    with pytest.raises(ValueError, match=r"SGD: lr: expected a number; got '0.1'"):
        optim.SGD([scalar()], lr="0.1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"SGD: lr: expected a number; got True"):
        optim.SGD([scalar()], lr=True)
    with pytest.raises(TypeError, match=r"SGD: layer_rate: expected a layer rate, such as LayerSpecific\(\)"):
        sgd().layer_rate = optim.LayerSpecific


def test_settings_that_exclude_each_other_are_refused_later_too() -> None:
    optimizer = optim.SGD([scalar()], momentum=0.9, nesterov=True)
    with pytest.raises(ValueError, match="Nesterov's step needs momentum"):
        optimizer.momentum = 0
    assert optimizer.momentum == 0.9
    optimizer.momentum_form = "caffe"
    with pytest.raises(ValueError, match="TrustRatio would divide it out"):
        optimizer.layer_rate = optim.TrustRatio()
    assert type(optimizer.layer_rate) is optim.Uniform
    optimizer.nesterov = False
    optimizer.momentum = 0


@pytest.mark.parametrize("rate", [optim.TrustRatio(), optim.LayerSpecific(), lambda view: 3.0])
def test_a_layer_rate_that_is_written_later_is_used_as_one_from_the_beginning(rate: Any) -> None:
    weights = []
    for later in (False, True):
        w = scalar(2.0)
        optimizer = optim.AdamW([w], lr=0.1, layer_rate=optim.LARS() if later else rate)
        optimizer.layer_rate = rate
        give(w, [0.5])
        optimizer.step()
        weights.append(host(w))
    assert weights[0] == weights[1]
    optimizer.layer_rate = None
    assert type(optimizer.layer_rate) is optim.Uniform


def test_a_number_becomes_a_plain_float() -> None:
    optimizer = sgd()
    optimizer.weight_decay = 1
    assert type(optimizer.weight_decay) is float
    assert optim.Adam([scalar()], betas=[0, 0.5]).betas == (0.0, 0.5)  # type: ignore[arg-type]


def test_reading_calls_nothing() -> None:
    class Owner:
        size = Setting(nonnegative)

    assert not hasattr(Setting, "__get__")
    owner = Owner()
    owner.size = 2
    assert vars(owner) == {"size": 2.0}
    assert owner.size == 2.0


def test_copies_keep_their_settings() -> None:
    for copied in (copy.deepcopy(sgd()), pickle.loads(pickle.dumps(optim.LARS(0.5)))):
        with pytest.raises(ValueError, match="expected"):
            setattr(copied, "momentum" if isinstance(copied, optim.SGD) else "eta", -1)


# ---- layers


def test_a_layers_setting_that_is_written_later_counts() -> None:
    layer = nn.LeakyReLU()
    layer.negative_slope = np.float32(0.5)
    assert type(layer.negative_slope) is float
    assert host(layer(md.tensor([-2.0]))) == [-1.0]
    with pytest.raises(ValueError, match="LeakyReLU: negative_slope: expected a number; got nan"):
        layer.negative_slope = math.nan
    with pytest.raises(ValueError, match="BatchNorm2d: momentum: expected a number from 0 to 1; got 5"):
        nn.BatchNorm2d(3).momentum = 5
    norm = nn.BatchNorm1d(2)
    norm.momentum = None
    norm(md.tensor([[1.0, 2.0], [3.0, 6.0]]))
    np.testing.assert_allclose(host(norm.running_mean), [2.0, 4.0])


def test_a_network_of_ones_own_may_have_settings_too() -> None:
    class Net(nn.Module):
        slope = Setting(nonnegative)

        def __init__(self, slope: float) -> None:
            super().__init__()
            self.slope = slope

    assert vars(Net(2))["slope"] == 2.0
    with pytest.raises(ValueError, match="Net: slope: expected a finite number of at least 0; got -1"):
        Net(-1)


def test_an_error_of_a_layer_is_said_though_its_options_cannot_be_shown() -> None:
    pool = nn.MaxPool2d(2)
    pool.kernel_size = None  # type: ignore[assignment]
    with pytest.raises(md.ShapeError, match="kernel_size: expected a whole number of at least 1, or two of them; got"):
        pool(md.ones(1, 1, 4, 4))


# ---- numbers that are Tensors


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_tensor_with_one_number_is_taken_as_that_number(requires_grad: bool) -> None:
    t = md.tensor(0.5, requires_grad=requires_grad)
    for owner, names in (
        (optim.SGD([scalar()], lr=t, momentum=t, weight_decay=t), ("lr", "momentum", "weight_decay")),
        (optim.Adam([scalar()], lr=t, eps=t), ("lr", "eps")),
        (optim.RMSprop([scalar()], alpha=t), ("alpha",)),
        (optim.LARS(t), ("eta",)),
        (optim.InvLR(sgd(), t, t), ("gamma", "power")),
    ):
        assert {name: (type(getattr(owner, name)), getattr(owner, name)) for name in names} == dict.fromkeys(
            names, (float, 0.5)
        )
    assert optim.Adam([scalar()], betas=(t, t)).betas == (0.5, 0.5)
    assert [*sgd().scale("*", lr=t).scales.values()] == [(0.5, 1.0)]


def test_other_tensors_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"SGD: lr: expected a number; got Tensor\(\[0.1\]"):
        optim.SGD([scalar()], lr=md.tensor([0.1]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"SGD: momentum_form: expected 'pytorch' or 'caffe'; got Tensor"):
        optim.SGD([scalar()], momentum_form=md.ones(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="StepLR: step_size: expected a whole number of at least 1; got Tensor"):
        optim.StepLR(sgd(), md.tensor(3))  # type: ignore[arg-type]
    with pytest.raises(md.DTypeError, match="cross_entropy: expected weight as numbers; got <U1"):
        F.cross_entropy(np.ones((2, 3)), np.zeros(2, np.int64), np.array(["1", "1", "1"]))
